//! What a host says of another issuer that it trusts.

use std::sync::Arc;
use std::time::Duration;

use super::jwks_fetch::{Keys, Timing};
use super::jwks_source::JwksSource;
use super::session_mapping::ExternalSessions;
use super::trusted_issuer::TrustedIssuer;
use crate::audience::Audiences;
use crate::clock::HostClock;
use crate::id::{Audience, Scopes};
use crate::token::{Algorithm, Claims, ExternalVerifier};
use crate::validate::{BuildError, check_issuer};

/// Another authorization server whose access tokens the guard takes; see the [module](super).
#[derive(Debug)]
#[must_use = "give it to BridgeBuilder::trust"]
pub struct ExternalIssuer {
    issuer: String,
    source: Arc<dyn JwksSource>,
    sessions: ExternalSessions,
    audiences: Vec<(String, String)>,
    algorithms: Vec<Algorithm>,
    scopes: Scopes,
    takes_plain_jwts: bool,
    timing: Timing,
}

/// What a gateway's own settings say of the tokens of others.
#[derive(Debug)]
pub(crate) struct Gateway<'s> {
    pub(crate) issuer: &'s str,
    pub(crate) audiences: &'s Audiences,
    pub(crate) leeway: Duration,
    /// For finding a session.
    pub(crate) deadline: Duration,
    pub(crate) clock: &'s HostClock,
}

impl ExternalIssuer {
    /// The issuer whose tokens have exactly this `iss` (an https URL, RFC 8414 §2), whose keys `source` fetches, and
    /// whose callers have the sessions that `sessions` says.
    ///
    /// It is of use only with at least one [`audience`](Self::audience).
    pub fn new(issuer: impl Into<String>, source: impl JwksSource, sessions: ExternalSessions) -> Self {
        Self {
            issuer: issuer.into(),
            source: Arc::new(source),
            sessions,
            audiences: Vec::new(),
            algorithms: vec![Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256],
            scopes: Scopes::default(),
            takes_plain_jwts: false,
            timing: Timing::default(),
        }
    }

    /// Takes tokens whose `aud` has `external` for those that [`Bridge::layer`](crate::Bridge::layer) calls `own`. More
    /// may be named, 16 at most. Default: none, and no token is for anybody.
    ///
    /// Use what names this gateway and nobody else, such as its resource URI (RFC 8707): a token that was
    /// meant for another service must not open this one.
    pub fn audience(mut self, external: impl Into<String>, own: impl Into<String>) -> Self {
        self.audiences.push((external.into(), own.into()));
        self
    }

    /// The algorithms that its tokens may be signed with. Default: all of [`Algorithm`].
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// The scopes of its tokens that count here; all others are as if they were not there. Default: none.
    pub fn allow_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Takes tokens of the type `JWT` too. Default: only `at+jwt` (RFC 9068 §2.1).
    ///
    /// Then nothing in the header says that a token is an access token. ID tokens and security events are refused by the
    /// claims that only they have; that the audience is this gateway's alone must do the rest.
    pub fn insecure_accept_plain_jwts(mut self) -> Self {
        self.takes_plain_jwts = true;
        self
    }

    /// How often its keys are fetched: a key that it removed is refused so much later at most, while it can be reached.
    /// Up to 24 h. Default: 10 min.
    pub fn refresh_every(mut self, interval: Duration) -> Self {
        self.timing.interval = interval;
        self
    }

    /// The least time between two fetches, whatever tokens come. Up to [`refresh_every`](Self::refresh_every). Default:
    /// 30 s.
    pub fn refresh_at_most_every(mut self, interval: Duration) -> Self {
        self.timing.floor = interval;
        self
    }

    /// How long its keys are used when they cannot be fetched again: at least [`refresh_every`](Self::refresh_every), up
    /// to seven days. Default: 24 h. After that its tokens are answered with 503.
    pub fn stale_for(mut self, limit: Duration) -> Self {
        self.timing.stale_for = limit;
        self
    }

    /// How long a request waits for keys before it is refused with 503. Up to 60 s. Default: 2 s.
    pub fn keys_deadline(mut self, deadline: Duration) -> Self {
        self.timing.deadline = deadline;
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.issuer
    }

    pub(super) fn into_trusted(self, gateway: &Gateway<'_>) -> Result<TrustedIssuer, BuildError> {
        let clock = gateway.clock;
        check_issuer(&self.issuer)?;
        self.timing.check()?;
        if self.algorithms.is_empty() {
            let what = "the number of algorithms of a external issuer";
            return Err(BuildError::OutOfRange { what, allowed: "at least 1" });
        }
        let audiences: Vec<_> = self
            .audiences
            .iter()
            .map(|(external, own)| Ok((parse_audience(external)?, known_audience(own, gateway.audiences)?)))
            .collect::<Result<_, BuildError>>()?;
        if !(1..=16).contains(&audiences.len()) {
            return Err(BuildError::Audiences);
        }
        let issuer: Arc<str> = self.issuer.into();
        let keys =
            Keys::new(issuer.clone(), self.source, self.algorithms.clone(), self.timing, clock.clone());
        let verifier = ExternalVerifier {
            issuer,
            algorithms: self.algorithms,
            takes_plain_jwts: self.takes_plain_jwts,
            audiences,
            scopes: self.scopes,
            clock: clock.clone(),
            leeway: gateway.leeway,
            max_life: Claims::MAX_LIFE,
        };
        Ok(TrustedIssuer { verifier, keys, sessions: self.sessions, mapping_deadline: gateway.deadline })
    }
}

fn parse_audience(text: &str) -> Result<Audience, BuildError> {
    let malformed = |reason| BuildError::Id { what: "external audience", value: text.to_owned(), reason };
    Audience::parse(text).map_err(malformed)
}

fn known_audience(text: &str, audiences: &Audiences) -> Result<Audience, BuildError> {
    let known = Audience::parse(text).ok().filter(|audience| audiences.knows(audience));
    known.ok_or_else(|| BuildError::UnknownAudience(text.to_owned()))
}
