//! What a host may set, with its defaults and the checks that refuse a bad value at start-up.

mod check;
mod resource;

#[cfg(feature = "jwks-http")]
pub(crate) use check::check_endpoint;
pub(crate) use check::check_issuer;
pub use resource::ProtectedResource;
pub(crate) use resource::{Resource, is_inserted};

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use ipnet::IpNet;
use secrecy::SecretSlice;
use url::Url;

use crate::id::{Audience, CallSource, ClientId, InvalidId, PolicyVersion, Scopes, SecretHash};
use crate::rate_limit::RateLimits;
use crate::rejection::Challenge;
use crate::store::{SessionLimit, WhenFull};

/// Why a [`Bridge`](crate::Bridge), or a layer of it, was not built: a configuration that could not be safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The issuer is not a URL that RFC 8414 §2 allows, or longer than 255 characters.
    #[error("the issuer {0:?} must be an https URL without query and fragment (http is for loopback alone)")]
    Issuer(String),
    /// There is no audience, so that every token would be good nowhere, or so many that no token could hold them.
    #[error("there must be between 1 and 16 audiences, of 1024 characters in all")]
    Audiences,
    /// A layer requires an audience that this bridge issues no token for: it would refuse everyone.
    #[error(
        "this bridge issues no token for the audience {0:?}: name it with BridgeBuilder::audiences or ::other_audiences"
    )]
    UnknownAudience(String),
    /// An identifier is malformed.
    #[error("{what} {value:?} {reason}")]
    Id {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: InvalidId,
    },
    /// A duration or count lies outside what is safe.
    #[error("{what} must be {allowed}")]
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
    /// A text cannot stand in a challenge or a path.
    #[error("{what} {value:?} must be {allowed}")]
    Text {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// An issuer is trusted twice, or is this bridge itself: the `iss` of a token must say whose it is.
    #[error("the issuer {0:?} is trusted already")]
    IssuerTwice(String),
    /// No TLS client could be made to fetch the keys of another issuer with.
    #[error("no TLS client could be made")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key ring failed its self-test.
    #[error(transparent)]
    Key(#[from] crate::token::KeyError),
}

/// Finds the address of a request's peer among its extensions.
pub(crate) type PeerAddress = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) issuer: String,
    pub(crate) audiences: Vec<Audience>,
    pub(crate) other_audiences: Vec<Audience>,
    pub(crate) bridge_client: ClientId,
    pub(crate) policy_version: PolicyVersion,
    pub(crate) call_source: CallSource,
    pub(crate) code_life: Duration,
    pub(crate) token_life: Duration,
    /// Nothing where the default counts.
    pub(crate) session_life: Option<Duration>,
    pub(crate) max_session_life: Duration,
    pub(crate) refresh: Refresh,
    pub(crate) leeway: Duration,
    pub(crate) max_open_codes: u32,
    pub(crate) session_limit: SessionLimit,
    pub(crate) declared_session_ids: bool,
    pub(crate) require_pkce: bool,
    pub(crate) hook_scopes: Scopes,
    /// What a caller must hold to provision a hook client.
    pub(crate) provisioning_scopes: Scopes,
    pub(crate) authorization_endpoint: Option<Url>,
    pub(crate) token_endpoint: Option<Url>,
    pub(crate) introspection_endpoint: Option<Url>,
    pub(crate) revocation_endpoint: Option<Url>,
    pub(crate) jwks_uri: Option<Url>,
    pub(crate) protected_resources: Vec<Resource>,
    pub(crate) resource_servers: Vec<ResourceServer>,
    pub(crate) secret_overlap: Duration,
    pub(crate) max_devices: u32,
    pub(crate) pepper: Option<SecretSlice<u8>>,
    /// How old a tick may be that a look-up shows; nothing where none is asked for.
    pub(crate) max_proof_age: Option<Duration>,
    pub(crate) store_deadline: Duration,
    /// For what writes, and so may end something.
    pub(crate) write_deadline: Duration,
    pub(crate) challenge: Challenge,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) trusted_origins: Vec<Url>,
    pub(crate) peer_address: PeerAddress,
    pub(crate) prefix: String,
    pub(crate) rate_limits: RateLimits,
}

impl Settings {
    /// The longest life any token may have, whoever set it.
    pub(crate) const MAX_TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);
    /// The longest life any session may have.
    pub(crate) const MAX_SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
    /// How long a session lives by default that nothing extends, and one that refresh tokens do: a laptop may stay closed for
    /// so long.
    const SESSION_LIVES: [Duration; 2] =
        [Duration::from_secs(24 * 3600), Duration::from_secs(14 * 24 * 3600)];

    pub(crate) fn new(issuer: String) -> Self {
        let id = "the default is well-formed";
        Self {
            issuer,
            audiences: ["bridge", "mcp"].map(|name| Audience::parse(name).expect(id)).to_vec(),
            other_audiences: Vec::new(),
            bridge_client: ClientId::parse("sp_bridge").expect(id),
            policy_version: PolicyVersion::default(),
            call_source: CallSource::default(),
            code_life: Duration::from_secs(120),
            token_life: Duration::from_secs(3600),
            session_life: None,
            max_session_life: Self::MAX_SESSION_LIFE,
            refresh: Refresh::default(),
            leeway: Duration::from_secs(10),
            max_open_codes: 8,
            session_limit: SessionLimit { max: 64, when_full: WhenFull::Evict },
            declared_session_ids: true,
            require_pkce: false,
            hook_scopes: Scopes::parse("hook:govern hook:track").expect(id),
            provisioning_scopes: Scopes::default(),
            authorization_endpoint: None,
            token_endpoint: None,
            introspection_endpoint: None,
            revocation_endpoint: None,
            jwks_uri: None,
            protected_resources: Vec::new(),
            resource_servers: Vec::new(),
            secret_overlap: Duration::from_secs(60),
            max_devices: 16,
            pepper: None,
            max_proof_age: Some(Duration::from_secs(1)),
            store_deadline: Duration::from_secs(2),
            write_deadline: Duration::from_secs(10),
            challenge: Challenge::default(),
            trusted_proxies: Vec::new(),
            trusted_origins: Vec::new(),
            peer_address: Arc::new(|extensions| Some(extensions.get::<PeerAddr>()?.0)),
            prefix: "/v1/auth/bridge".to_owned(),
            rate_limits: RateLimits::default(),
        }
    }

    /// How long a session lives since it was last renewed.
    pub(crate) fn session_life(&self) -> Duration {
        let [plain, refreshed] = Self::SESSION_LIVES;
        let default = if self.refresh.at_token_endpoint { refreshed } else { plain };
        self.session_life.unwrap_or(default)
    }

    /// Whether tokens are issued for all of these, if any.
    pub(crate) fn knows_all<'a>(&self, audiences: impl IntoIterator<Item = &'a Audience>) -> bool {
        audiences.into_iter().all(|audience| self.knows(audience))
    }

    pub(crate) fn knows(&self, audience: &Audience) -> bool {
        self.audiences.contains(audience)
            || self.other_audiences.contains(audience)
            || self.protected_resource(audience).is_some()
    }

    /// The protected resource that tokens for `audience` are for.
    pub(crate) fn protected_resource(&self, audience: &Audience) -> Option<&Resource> {
        self.protected_resources.iter().find(|found| found.resource == *audience)
    }
}

/// Who gets refresh tokens, and how forgiving their rotation is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refresh {
    /// Whether the token endpoint takes and gives them.
    pub(crate) at_token_endpoint: bool,
    /// Whether `POST /session` gives one too.
    pub(crate) at_session: bool,
    /// How long after its use a token may be used again beside it.
    pub(crate) grace: Duration,
}

impl Default for Refresh {
    fn default() -> Self {
        Self { at_token_endpoint: false, at_session: false, grace: Duration::from_secs(30) }
    }
}

/// How sure a host must be of a person, and so how long their session may go on (NIST SP 800-63B-4 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AssuranceLevel {
    /// AAL1: 30 days at most, and no shorter limit of inactivity.
    Aal1,
    /// AAL2: 24 hours at most, 1 hour without a refresh.
    Aal2,
    /// AAL3: 12 hours at most, 15 minutes without a refresh.
    Aal3,
}

impl AssuranceLevel {
    /// The limit of inactivity and the absolute one.
    pub(crate) const fn limits(self) -> (Duration, Duration) {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let (idle, most) = match self {
            Self::Aal1 => (30 * 24 * HOUR, 30 * 24 * HOUR),
            Self::Aal2 => (HOUR, 24 * HOUR),
            Self::Aal3 => (15 * MINUTE, 12 * HOUR),
        };
        (Duration::from_secs(idle), Duration::from_secs(most))
    }
}

/// A server of the host's that may ask what a token is worth (RFC 7662 §2.1).
#[derive(Debug, Clone)]
pub(crate) struct ResourceServer {
    pub(crate) client: ClientId,
    pub(crate) secret: SecretHash,
    pub(crate) audiences: Vec<Audience>,
}

/// The address at the other end of the socket.
///
/// A server that is not axum (or any that would rather) puts it into each request's extensions; it is
/// recorded with the sessions that are opened, and it decides whether forwarded headers are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub IpAddr);
