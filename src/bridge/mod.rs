//! The one object a host makes, and its builder.

mod builder;
mod maintenance;
#[cfg(feature = "serde")]
mod settings;

pub use builder::BridgeBuilder;
#[cfg(feature = "serde")]
pub use settings::BridgeSettings;

use std::fmt;
use std::sync::Arc;

use crate::authenticate::Authenticator;
#[cfg(feature = "jwks-http")]
use crate::external_issuer::FollowedStream;
use crate::host_login::OperatorLayer;
use crate::id::Audience;
#[cfg(feature = "testing")]
use crate::issue::IssueSettings;
use crate::issue::{Admin, Issuer};
use crate::layer::BridgeAuthLayer;
use crate::service::{
    AdminService, AuthorizeService, BridgeService, CapabilitiesService, CodeService,
    DeviceAuthorizationService, DevicePageService, DevicesPageService, Health, HealthService,
    IntrospectionService, JwksService, LogoutService, OauthClientService, OpenApiService, RevocationService,
    RevocationsService, ServiceState, SessionService, SessionsService, TokenService, WellKnownService,
};
use crate::session::WatchStatus;
use crate::token::KeyRing;
use crate::validate::BuildError;

/// Everything that a gateway needs to let bridges in.
///
/// It hands out the layer, the endpoints and the operations.
///
/// Cloning is cheap. All clones are the same bridge.
#[derive(Clone)]
pub struct Bridge {
    state: Arc<ServiceState>,
}

impl Bridge {
    /// The middleware that lets in only requests with a valid token for `audience` and a live session.
    ///
    /// It admits people's bridges. It admits hook clients only after
    /// [`admit_hook_clients`](BridgeAuthLayer::admit_hook_clients).
    ///
    /// When `audience` is the URL of a [protected resource](BridgeBuilder::protected_resource), the challenges of the
    /// layer point to the metadata of that resource and name its scopes (RFC 9728 §5.1).
    ///
    /// # Errors
    ///
    /// [`BuildError::UnknownAudience`] when this bridge issues no token for `audience`.
    pub fn layer(&self, audience: &str) -> Result<BridgeAuthLayer, BuildError> {
        let authenticator = self.authenticator(audience)?;
        let mut rejection_format = self.state.rejection_format.clone();
        if let Some(resource) = self.state.settings.audiences.protected_resource(authenticator.audience()) {
            let challenge = &mut Arc::make_mut(&mut rejection_format).challenge;
            challenge.resource_metadata = Some(resource.metadata.clone());
            challenge.scopes = resource.scopes.clone();
        }
        Ok(BridgeAuthLayer::new(authenticator, rejection_format, self.state.drain))
    }

    /// The decision of the guard without the middleware.
    ///
    /// It admits the same callers as [`layer`](Self::layer).
    ///
    /// # Errors
    ///
    /// [`BuildError::UnknownAudience`] when this bridge issues no token for `audience`.
    pub fn authenticator(&self, audience: &str) -> Result<Authenticator, BuildError> {
        let parsed =
            Audience::parse(audience).ok().filter(|audience| self.state.settings.audiences.knows(audience));
        let audience = parsed.ok_or_else(|| BuildError::UnknownAudience(audience.to_owned()))?;
        Ok(Authenticator::new(self.state.auth.clone(), audience))
    }

    /// The write side: codes, exchange, access and hook clients.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.state.issuer
    }

    /// The operators' side: find people, list and revoke sessions, disable and enable people, read events, sweep.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.state.admin
    }

    /// The keys that sign and verify tokens.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.state.keys
    }

    /// All endpoints that bridges call, as one service.
    ///
    /// The service itself guards the endpoints that need a caller.
    #[must_use]
    pub fn service(&self) -> BridgeService {
        BridgeService::new(&self.state)
    }

    /// `layer`, which then logs what it refuses as this bridge does: with the address behind
    /// [trusted proxies](BridgeBuilder::trusted_proxies) and the [route template](BridgeBuilder::route_template).
    ///
    /// ```
    /// # fn app(bridge: &bridge_auth::Bridge) -> bridge_auth::host_login::OperatorLayer {
    /// use bridge_auth::host_login::OperatorLayer;
    /// use bridge_auth::service::Operator;
    ///
    /// // Your own login says who is an operator.
    /// bridge.log_refusals_of(OperatorLayer::new(|parts| parts.extensions.get::<Operator>().cloned()))
    /// # }
    /// ```
    pub fn log_refusals_of(&self, layer: OperatorLayer) -> OperatorLayer {
        layer.logged_by(self.state.rejection_format.request_log.clone())
    }

    /// The operators' page and endpoints.
    ///
    /// Mount them behind your own guard, such as an [`OperatorLayer`] that
    /// [logs as this bridge does](Self::log_refusals_of). Limit how often a wrong credential may be tried there.
    #[must_use]
    pub fn admin_service(&self) -> AdminService {
        AdminService::new(&self.state)
    }

    /// `POST /code` alone.
    #[must_use]
    pub fn code_service(&self) -> CodeService {
        CodeService::new(&self.state)
    }

    /// `POST /session` alone.
    #[must_use]
    pub fn session_service(&self) -> SessionService {
        SessionService::new(&self.state)
    }

    /// `POST /oauth-client` alone.
    ///
    /// Mount it behind [`layer`](Self::layer).
    #[must_use]
    pub fn oauth_client_service(&self) -> OauthClientService {
        OauthClientService::new(&self.state)
    }

    /// `GET /capabilities` alone.
    #[must_use]
    pub fn capabilities_service(&self) -> CapabilitiesService {
        CapabilitiesService::new(&self.state)
    }

    /// `GET /sessions` and `DELETE /sessions/{id}` alone.
    ///
    /// Mount them behind [`layer`](Self::layer).
    #[must_use]
    pub fn sessions_service(&self) -> SessionsService {
        SessionsService::new(&self.state)
    }

    /// `POST /logout` alone.
    ///
    /// Mount it behind [`layer`](Self::layer).
    #[must_use]
    pub fn logout_service(&self) -> LogoutService {
        LogoutService::new(&self.state)
    }

    /// The public keys as a JWK set, for `/.well-known/jwks.json`.
    #[must_use]
    pub fn jwks_service(&self) -> JwksService {
        JwksService::new(&self.state)
    }

    /// `POST /token` alone.
    #[must_use]
    pub fn token_service(&self) -> TokenService {
        TokenService::new(&self.state)
    }

    /// `POST /device_authorization` alone.
    #[must_use]
    pub fn device_authorization_service(&self) -> DeviceAuthorizationService {
        DeviceAuthorizationService::new(&self.state)
    }

    /// The page `/device` alone, for a short path that people can type.
    ///
    /// Mount it behind your own login.
    #[must_use]
    pub fn device_page_service(&self) -> DevicePageService {
        DevicePageService::new(&self.state)
    }

    /// The page `/authorize` alone.
    ///
    /// Mount it behind your own login.
    #[must_use]
    pub fn authorize_service(&self) -> AuthorizeService {
        AuthorizeService::new(&self.state)
    }

    /// The page `/devices` alone.
    ///
    /// Mount it behind your own login.
    #[must_use]
    pub fn devices_page_service(&self) -> DevicesPageService {
        DevicesPageService::new(&self.state)
    }

    /// `POST /introspect` alone.
    #[must_use]
    pub fn introspection_service(&self) -> IntrospectionService {
        IntrospectionService::new(&self.state)
    }

    /// `POST /revoke` alone.
    #[must_use]
    pub fn revocation_service(&self) -> RevocationService {
        RevocationService::new(&self.state)
    }

    /// What identity providers call when somebody leaves: security events, global token revocation and back-channel
    /// logout.
    ///
    /// Mount it where they reach it.
    #[must_use]
    pub fn revocations_service(&self) -> RevocationsService {
        RevocationsService::new(&self.state)
    }

    /// The metadata documents and the key set, for all of `/.well-known/`.
    #[must_use]
    pub fn well_known_service(&self) -> WellKnownService {
        WellKnownService::new(&self.state)
    }

    /// An OpenAPI document of all endpoints.
    ///
    /// Mount it where you want it.
    #[must_use]
    pub fn openapi_service(&self) -> OpenApiService {
        OpenApiService::new(&self.state)
    }

    /// The probes `live`, `ready` and `watcher`, for balancers and supervisors.
    #[must_use]
    pub fn health_service(&self) -> HealthService {
        HealthService::new(&self.state)
    }

    /// The health that the [probes](Self::health_service) show: it begins to drain when the process is to stop.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.state.health
    }

    #[cfg(feature = "testing")]
    pub(crate) fn settings(&self) -> &IssueSettings {
        &self.state.settings
    }

    /// The event stream that the gateway asks `issuer` for. `None`: [`SecurityEvents::stream`] or
    /// [`SecurityEvents::of_stream`] named none.
    ///
    /// [`SecurityEvents::stream`]: crate::external_issuer::SecurityEvents::stream
    /// [`SecurityEvents::of_stream`]: crate::external_issuer::SecurityEvents::of_stream
    #[cfg(feature = "jwks-http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks-http")))]
    #[must_use]
    pub fn event_stream(&self, issuer: &str) -> Option<FollowedStream> {
        self.state.event_streams.find(issuer)
    }

    /// How fresh this bridge is, for health pages: the age of its proof, look-ups, the pool, and 503 answers by cause.
    #[must_use]
    pub fn watch_status(&self) -> WatchStatus {
        self.state.auth.watch_status()
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("issuer", &self.state.settings.issuer).finish_non_exhaustive()
    }
}
