//! What a configuration file sets.

use std::mem;

use secrecy::ExposeSecret;

use super::BridgeBuilder;
use crate::bridge::settings::BridgeSettings;

/// Calls a method for each setting that the file has.
macro_rules! set {
    ($builder:ident: $settings:ident { $($key:ident),+ $(,)? }) => {$(
        if let Some(value) = $settings.$key {
            $builder = $builder.$key(value);
        }
    )+};
}

impl BridgeBuilder {
    /// Takes over the settings of a configuration file (feature `serde`).
    ///
    /// Each setting of the file has the same effect as its method. What the file leaves out stays as it is, and methods that
    /// are called later win.
    #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
    pub fn settings(mut self, mut settings: BridgeSettings) -> Self {
        if let Some(pepper) = settings.pepper.take() {
            self = self.pepper(pepper.expose_secret().as_bytes());
        }
        for resource in mem::take(&mut settings.protected_resource) {
            self = self.protected_resource(resource);
        }
        for server in mem::take(&mut settings.resource_server) {
            self = self.resource_server(server.id, server.secret.expose_secret(), server.audiences);
        }
        for client in mem::take(&mut settings.client) {
            self = self.client(client);
        }
        #[cfg(feature = "jwks-http")]
        for issuer in mem::take(&mut settings.trust) {
            let issuer = self.keep(issuer.try_into());
            self.trusted.extend(issuer);
        }
        self.set_each(settings)
    }

    fn set_each(mut self, settings: BridgeSettings) -> Self {
        set!(self: settings {
            audiences, other_audiences, bridge_client_id, call_source, policy_version, max_proof_age, store_deadline,
            write_deadline, retry_after, realm, resource_metadata, rate_limits, trusted_proxies, forwarded_header, drain_refused, trusted_origins, prefix,
            freshness, token_endpoint, authorization_endpoint, introspection_endpoint, revocation_endpoint,
            device_authorization_endpoint, jwks_uri, verification_uri, devices_uri, hook_scopes, provisioning_requires,
            secret_overlap, max_devices, code_life, token_life, refresh_grace, leeway, max_open_codes, session_limit,
            declared_session_ids, require_pkce, pages, device_code_life, gateway_login,
            token_exchange,
        });
        // A level sets both limits. A limit that the file names too wins.
        set!(self: settings { assurance_level, session_life, max_session_life });
        // The second turns the first on.
        set!(self: settings { refresh_tokens, session_refresh_tokens });
        #[cfg(feature = "client-metadata")]
        set!(self: settings { client_metadata });
        if settings.oauth {
            self = self.oauth();
        }
        if settings.danger_without_proof { self.danger_without_proof() } else { self }
    }
}
