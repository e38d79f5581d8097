//! What a host may set, with its defaults and the checks that refuse a bad value at start-up.

mod resource;

pub use resource::ProtectedResource;
pub(crate) use resource::{Resource, is_inserted};

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretSlice};
use url::Url;

use crate::id::{Audience, CallSource, ClientId, InvalidId, PolicyVersion, Scopes, SecretHash};
use crate::limit::RateLimits;
use crate::reject::Challenge;
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

    pub(crate) fn knows(&self, audience: &Audience) -> bool {
        self.audiences.contains(audience)
            || self.other_audiences.contains(audience)
            || self.protected_resource(audience).is_some()
    }

    /// The protected resource that tokens for `audience` are for.
    pub(crate) fn protected_resource(&self, audience: &Audience) -> Option<&Resource> {
        self.protected_resources.iter().find(|found| found.resource == *audience)
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        check_issuer(&self.issuer)?;
        for audiences in [&self.audiences, &self.other_audiences] {
            let characters: usize = audiences.iter().map(|audience| audience.as_str().len()).sum();
            if audiences.len() > 16 || characters > 1024 {
                return Err(BuildError::Audiences);
            }
        }
        if self.audiences.is_empty() {
            return Err(BuildError::Audiences);
        }
        let day = Duration::from_secs(24 * 3600);
        within("the code life", self.code_life, 1, Duration::from_secs(600), "1 to 600 seconds")?;
        within("the token life", self.token_life, 1, Self::MAX_TOKEN_LIFE, "1 second to 24 hours")?;
        within("the session life", self.session_life(), 1, Self::MAX_SESSION_LIFE, "1 second to 30 days")?;
        within(
            "the longest session life",
            self.max_session_life,
            1,
            Self::MAX_SESSION_LIFE,
            "1 second to 30 days",
        )?;
        within("the refresh grace", self.refresh.grace, 0, Duration::from_secs(600), "at most 600 seconds")?;
        within("the secret overlap", self.secret_overlap, 0, day, "at most 24 hours")?;
        within("the leeway", self.leeway, 0, Duration::from_secs(60), "at most 60 seconds")?;
        for (what, deadline) in
            [("the store deadline", self.store_deadline), ("the write deadline", self.write_deadline)]
        {
            if deadline.is_zero() || deadline > Duration::from_secs(60) {
                return Err(BuildError::OutOfRange { what, allowed: "above 0, at most 60 seconds" });
            }
        }
        for (what, count) in [
            ("the most open codes", self.max_open_codes),
            ("the most sessions", self.session_limit.max),
            ("the most devices", self.max_devices),
        ] {
            if !(1..=10_000).contains(&count) {
                return Err(BuildError::OutOfRange { what, allowed: "1 to 10 000" });
            }
        }
        self.rate_limits.check()?;
        let is_path = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
        let prefix = &self.prefix;
        let well_formed = prefix.is_empty() || (prefix.starts_with('/') && !prefix.ends_with('/'));
        if !well_formed || !prefix.bytes().all(is_path) {
            let allowed = "empty, or a path that begins with '/' and does not end with it";
            return Err(BuildError::Text { what: "the prefix", value: prefix.clone(), allowed });
        }
        if self.pepper.as_ref().is_some_and(|pepper| pepper.expose_secret().len() < 32) {
            return Err(BuildError::OutOfRange { what: "the pepper", allowed: "at least 32 bytes" });
        }
        check_realm(self.challenge.realm.as_deref())?;
        self.check_resource_servers()?;
        for (what, url) in [
            ("the resource metadata", &self.challenge.resource_metadata),
            ("the authorization endpoint", &self.authorization_endpoint),
            ("the token endpoint", &self.token_endpoint),
            ("the introspection endpoint", &self.introspection_endpoint),
            ("the revocation endpoint", &self.revocation_endpoint),
            ("the JWKS URI", &self.jwks_uri),
        ] {
            check_endpoint(what, url.as_ref())?;
        }
        self.trusted_origins.iter().try_for_each(check_origin)?;
        self.check_resources()
    }

    /// Metadata are found by their path alone, since `Host` is the client's to choose: two cannot share one.
    fn check_resources(&self) -> Result<(), BuildError> {
        let resources = &self.protected_resources;
        let hidden = resources
            .iter()
            .enumerate()
            .find(|(place, resource)| resources[..*place].iter().any(|before| before.hides(resource)));
        match hidden {
            Some((_, resource)) => Err(BuildError::Text {
                what: "the protected resource",
                value: resource.resource.to_string(),
                allowed: "at a path that no other protected resource has",
            }),
            None => Ok(()),
        }
    }
}

impl Settings {
    /// Refuses a server that could be taken for another client: whoever is asked for by an id is found by it.
    fn check_resource_servers(&self) -> Result<(), BuildError> {
        let servers = &self.resource_servers;
        for (place, server) in servers.iter().enumerate() {
            let is_taken = server.client == self.bridge_client
                || server.client.is_for_hooks()
                || servers.iter().take(place).any(|other| other.client == server.client);
            if is_taken {
                return Err(BuildError::Text {
                    what: "the resource server",
                    value: server.client.to_string(),
                    allowed: "a client id that no other client has, and that does not begin with \"bridge:\"",
                });
            }
        }
        Ok(())
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

/// RFC 8414 §2: https, no query, no fragment. Plain http only where nobody else can listen.
pub(crate) fn check_issuer(issuer: &str) -> Result<(), BuildError> {
    let refused = || BuildError::Issuer(issuer.to_owned());
    let url = Url::parse(issuer).map_err(|_| refused())?;
    // `Url` drops white space that it meets, and the issuer is compared as it was written.
    let is_verbatim = issuer.bytes().all(|b| b.is_ascii_graphic()) && issuer.len() <= 255;
    if is_safe(&url) && url.query().is_none() && is_verbatim { Ok(()) } else { Err(refused()) }
}

/// Refuses a URL over which a secret, or where to get one, would travel in the clear, or which could not
/// stand in a challenge.
pub(crate) fn check_endpoint(what: &'static str, url: Option<&Url>) -> Result<(), BuildError> {
    match url {
        Some(url) if !is_safe(url) || !is_quotable(url.as_str()) => Err(BuildError::Text {
            what,
            value: url.to_string(),
            allowed: "an https URL without fragment, user and '\\' (http is for loopback alone)",
        }),
        _ => Ok(()),
    }
}

/// Refuses what is more than an origin, and one whose pages others could write on the way.
fn check_origin(url: &Url) -> Result<(), BuildError> {
    if is_safe(url) && url.path() == "/" && url.query().is_none() {
        return Ok(());
    }
    Err(BuildError::Text {
        what: "the trusted origin",
        value: url.to_string(),
        allowed: "an https URL without path, query, fragment and user (http is for loopback alone)",
    })
}

/// Whether nobody else can listen at `url`, and it names a place and nothing more.
fn is_safe(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_private = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    is_private && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
}

/// Whether `text` can stand in a quoted string as it is (RFC 9110 §5.6.4).
fn is_quotable(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\')
}

fn check_realm(realm: Option<&str>) -> Result<(), BuildError> {
    match realm {
        Some(realm) if !is_quotable(realm) => Err(BuildError::Text {
            what: "the realm",
            value: realm.to_owned(),
            allowed: "printable ASCII without '\"' and '\\'",
        }),
        _ => Ok(()),
    }
}

fn within(
    what: &'static str,
    value: Duration,
    least: u64,
    most: Duration,
    allowed: &'static str,
) -> Result<(), BuildError> {
    if value.subsec_nanos() == 0 && value >= Duration::from_secs(least) && value <= most {
        Ok(())
    } else {
        Err(BuildError::OutOfRange { what, allowed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> bool {
        let mut settings = Settings::new("https://gateway.example".to_owned());
        assert!(settings.check().is_ok());
        change(&mut settings);
        settings.check().is_err()
    }

    #[test]
    fn an_unsafe_issuer_is_refused() {
        for bad in [
            "",
            "gateway.example",
            "http://gateway.example",
            "https://a/?q",
            "https://a/#f",
            "ftp://a",
            "https://u@a",
            "https://:p@a",
            " https://a",
            "https://a\n",
            "https://a/b\tc",
            "https://\u{e9}.example",
            "https:",
            "data:a",
        ] {
            assert!(refused(|s| s.issuer = bad.to_owned()), "{bad}");
        }
        for good in
            ["https://a", "https://a/tenant", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1"]
        {
            assert!(!refused(|s| s.issuer = good.to_owned()), "{good}");
        }
    }

    #[test]
    fn lives_outside_their_range_are_refused() {
        assert!(refused(|s| s.code_life = Duration::from_secs(601)));
        assert!(refused(|s| s.code_life = Duration::ZERO));
        assert!(refused(|s| s.token_life = Duration::ZERO));
        assert!(refused(|s| s.token_life = Duration::from_millis(1500)));
        assert!(refused(|s| s.session_life = Some(Duration::MAX)));
        assert!(refused(|s| s.leeway = Duration::from_secs(61)));
        assert!(refused(|s| s.store_deadline = Duration::ZERO));
        assert!(refused(|s| s.max_open_codes = 0));
        assert!(refused(|s| s.audiences.clear()));
        assert!(refused(|s| s.prefix = "v1".to_owned()));
    }

    #[test]
    fn an_endpoint_in_the_clear_or_not_fit_for_a_challenge_is_refused() {
        for bad in
            ["http://gateway.example/t", "https://a/?x=\\", "https://a/#f", "https://u@a/", "data:a\"b"]
        {
            let url: Url = bad.parse().unwrap();
            assert!(refused(|s| s.token_endpoint = Some(url.clone())), "{bad}");
            assert!(refused(|s| s.challenge.resource_metadata = Some(url)), "{bad}");
        }
        for good in ["https://a/t?x=y", "http://127.0.0.1:8080/t", "http://localhost/t"] {
            let url: Url = good.parse().unwrap();
            assert!(!refused(|s| s.token_endpoint = Some(url.clone())), "{good}");
            assert!(!refused(|s| s.challenge.resource_metadata = Some(url)), "{good}");
        }
    }

    #[test]
    fn a_trusted_origin_that_is_more_or_less_than_one_is_refused() {
        for bad in
            ["http://app.example", "https://a/b", "https://a/?q", "https://a/#f", "https://u@a", "data:a"]
        {
            assert!(refused(|s| s.trusted_origins = vec![bad.parse().unwrap()]), "{bad}");
        }
        for good in ["https://app.example", "https://app.example:8443/", "http://localhost:3000"] {
            assert!(!refused(|s| s.trusted_origins = vec![good.parse().unwrap()]), "{good}");
        }
    }

    #[test]
    fn a_resource_server_that_could_be_taken_for_another_client_is_refused() {
        let server = |id: &str| {
            let secret = crate::id::ClientSecret::random().hash(None);
            ResourceServer { client: ClientId::parse(id).unwrap(), secret, audiences: Vec::new() }
        };
        for ids in [&["sp_bridge"][..], &["bridge:alice"], &["mcp", "mcp"]] {
            assert!(refused(|s| s.resource_servers = ids.iter().map(|id| server(id)).collect()), "{ids:?}");
        }
        assert!(!refused(|s| s.resource_servers = ["mcp", "bridge"].map(server).to_vec()));
    }

    #[test]
    fn a_realm_that_breaks_its_quotes_is_refused() {
        assert!(refused(|s| s.challenge.realm = Some("a\", error=\"x".to_owned())));
        assert!(refused(|s| s.challenge.realm = Some("a\r\nx".to_owned())));
    }
}
