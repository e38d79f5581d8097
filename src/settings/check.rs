//! Which settings are refused.

use std::time::Duration;

use secrecy::ExposeSecret;
use url::Url;

use super::{BuildError, Settings};

impl Settings {
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
        if self.max_proof_age.is_some_and(|max_proof_age| max_proof_age > Duration::from_secs(60)) {
            return Err(BuildError::OutOfRange { what: "the max_proof_age", allowed: "at most 60 seconds" });
        }
        for (what, count) in
            [("the most open codes", self.max_open_codes), ("the most sessions", self.session_limit.max)]
        {
            if !(1..=10_000).contains(&count) {
                return Err(BuildError::OutOfRange { what, allowed: "1 to 10 000" });
            }
        }
        if !(1..=128).contains(&self.max_devices) {
            return Err(BuildError::OutOfRange { what: "the most devices", allowed: "1 to 128" });
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
pub(super) fn is_safe(url: &Url) -> bool {
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
pub(super) fn is_quotable(text: &str) -> bool {
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
    use super::super::ResourceServer;
    use super::*;
    use crate::id::ClientId;

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
        assert!(refused(|s| s.max_devices = 129));
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
