//! The endpoints that bridges call, and their paths.

use http::Method;

use super::answer::{EndpointError, Wording};
use crate::audience::Resource;
use crate::telemetry::OwnRoute;

/// The beginning of the path of the authorization server metadata (RFC 8414 §3).
pub(super) const AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Code,
    Session,
    OauthClient,
    Capabilities,
    Sessions,
    /// One of the caller's sessions, with the last segment of the path.
    OneSession(String),
    Logout,
    Jwks,
    /// The authorization server metadata, with what follows its well-known path.
    AuthorizationServer(String),
    /// The metadata of a protected resource, with what follows its well-known path.
    ProtectedResource(String),
    Token,
    Introspect,
    Revoke,
    DeviceAuthorization,
    /// The page on which a person types a user code.
    DevicePage,
    Authorize,
    /// The page of a person's devices.
    DevicesPage,
    /// Security events of external issuers.
    SecurityEvents,
    GlobalTokenRevocation,
    BackchannelLogout,
    /// The OpenAPI document. It has no path of its own: the host mounts it.
    OpenApi,
}

impl Endpoint {
    /// The endpoint at `path`. The prefix of the bridge is already cut off.
    pub(super) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/code" => Self::Code,
            "/session" => Self::Session,
            "/oauth-client" => Self::OauthClient,
            "/capabilities" => Self::Capabilities,
            "/sessions" => Self::Sessions,
            "/logout" => Self::Logout,
            "/.well-known/jwks.json" => Self::Jwks,
            "/token" => Self::Token,
            "/introspect" => Self::Introspect,
            "/revoke" => Self::Revoke,
            "/device_authorization" => Self::DeviceAuthorization,
            "/device" => Self::DevicePage,
            "/authorize" => Self::Authorize,
            "/devices" => Self::DevicesPage,
            "/events" => Self::SecurityEvents,
            "/global-token-revocation" => Self::GlobalTokenRevocation,
            "/backchannel-logout" => Self::BackchannelLogout,
            _ if path.starts_with("/.well-known/") => return Self::metadata_at(path),
            _ => Self::OneSession(one_segment(path.strip_prefix("/sessions/")?)?),
        })
    }

    fn metadata_at(path: &str) -> Option<Self> {
        let inserted = |well_known: &str| {
            let rest = path.strip_prefix(well_known)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let server = || inserted(AUTHORIZATION_SERVER).map(Self::AuthorizationServer);
        server().or_else(|| inserted(Resource::WELL_KNOWN).map(Self::ProtectedResource))
    }

    /// Whether it is one of the documents at the root of a host.
    pub(super) fn is_well_known(&self) -> bool {
        matches!(self, Self::Jwks | Self::AuthorizationServer(_) | Self::ProtectedResource(_))
    }

    /// Whether external issuers call it, to revoke what their people have.
    pub(super) fn is_of_revocations(&self) -> bool {
        matches!(self, Self::SecurityEvents | Self::GlobalTokenRevocation | Self::BackchannelLogout)
    }

    /// Whether the guard stands before this endpoint.
    pub(super) fn is_guarded(&self) -> bool {
        matches!(self, Self::OauthClient | Self::Sessions | Self::OneSession(_) | Self::Logout)
    }

    /// Whether the endpoint answers this method.
    pub(super) fn takes(&self, method: &Method) -> bool {
        check_method(method, self.methods()).is_ok()
    }

    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::Code
            | Self::Session
            | Self::OauthClient
            | Self::Logout
            | Self::Token
            | Self::Introspect
            | Self::Revoke
            | Self::DeviceAuthorization
            | Self::SecurityEvents
            | Self::GlobalTokenRevocation
            | Self::BackchannelLogout => "POST",
            Self::DevicePage | Self::Authorize | Self::DevicesPage => "GET, HEAD, POST",
            Self::Capabilities | Self::Sessions | Self::Jwks => "GET, HEAD",
            Self::AuthorizationServer(_) | Self::ProtectedResource(_) | Self::OpenApi => "GET, HEAD, OPTIONS",
            Self::OneSession(_) => "DELETE",
        }
    }

    /// The template of its path, for the log and for metrics. The document of OpenAPI has none.
    pub(super) fn template(&self) -> &'static str {
        match self {
            Self::Code => "/code",
            Self::Session => "/session",
            Self::OauthClient => "/oauth-client",
            Self::Capabilities => "/capabilities",
            Self::Sessions => "/sessions",
            Self::OneSession(_) => "/sessions/{id}",
            Self::Logout => "/logout",
            Self::Jwks => "/.well-known/jwks.json",
            Self::AuthorizationServer(_) => AUTHORIZATION_SERVER,
            Self::ProtectedResource(_) => Resource::WELL_KNOWN,
            Self::Token => "/token",
            Self::Introspect => "/introspect",
            Self::Revoke => "/revoke",
            Self::DeviceAuthorization => "/device_authorization",
            Self::DevicePage => "/device",
            Self::Authorize => "/authorize",
            Self::DevicesPage => "/devices",
            Self::SecurityEvents => "/events",
            Self::GlobalTokenRevocation => "/global-token-revocation",
            Self::BackchannelLogout => "/backchannel-logout",
            Self::OpenApi => "/openapi.json",
        }
    }

    /// The same behind the prefix of the bridge.
    pub(super) fn route(&self, prefix: &str) -> OwnRoute {
        let prefix = if self.is_well_known() { "" } else { prefix };
        OwnRoute(format!("{prefix}{}", self.template()))
    }

    pub(super) fn wording(&self) -> Wording {
        match self {
            Self::Session
            | Self::Token
            | Self::Introspect
            | Self::Revoke
            | Self::DeviceAuthorization
            | Self::BackchannelLogout => Wording::Oauth,
            Self::SecurityEvents => Wording::SecurityEvent,
            _ => Wording::Problem,
        }
    }

    /// Whether callers show secrets, codes or tokens here.
    pub(super) fn takes_secrets(&self) -> bool {
        matches!(
            self,
            Self::Session | Self::Token | Self::Introspect | Self::Revoke | Self::DeviceAuthorization
        ) || self.is_of_revocations()
    }
}

/// Refuses a method that is not in `allowed`, a comma-separated list.
pub(super) fn check_method(method: &Method, allowed: &'static str) -> Result<(), EndpointError> {
    if allowed.split(", ").any(|name| name == method.as_str()) {
        Ok(())
    } else {
        Err(EndpointError::method_not_allowed(allowed))
    }
}

/// `text`, when it is a single path segment.
pub(super) fn one_segment(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('/')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_very_paths_lead_anywhere() {
        for path in [
            "",
            "/",
            "code",
            "//code",
            "/code/",
            "/./code",
            "/%2e/code",
            "/x/../code",
            "/%63ode",
            "/Code",
            "/code;x",
            "/sessions/",
            "/sessions//a",
            "/sessions/a/",
            "/sessions/a/b",
            "/sessionsx",
            "/.well-known/jwks.json/",
            "/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-serverx",
        ] {
            assert_eq!(Endpoint::at(path), None, "{path}");
        }
        assert_eq!(Endpoint::at("/sessions/a"), Some(Endpoint::OneSession("a".to_owned())));
    }

    proptest! {
        #[test]
        fn a_path_leads_to_at_most_one_segment_behind_sessions(path in "[a-z/%.]{0,40}") {
            if let Some(Endpoint::OneSession(id)) = Endpoint::at(&path) {
                prop_assert_eq!(format!("/sessions/{id}"), path);
                prop_assert!(!id.contains('/'));
            }
        }
    }
}
