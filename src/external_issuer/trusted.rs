//! The other issuers that a bridge trusts, and the tokens of theirs that were verified before.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::caller::ExternalToken;
use super::issuer::ExternalIssuer;
use super::jwks_fetch::{Keys, KeysUnavailable};
use super::session_mapping::ExternalSessions;
use crate::caller::Authority;
use crate::clock::HostClock;
use crate::id::SessionId;
use crate::rejection::{InvalidCredential, Rejection};
use crate::settings::{BuildError, Settings};
use crate::store::{StoreErrorKind, log_fault, within_deadline};
use crate::token::{ExternalClaims, ExternalVerifier, InvalidToken, unverified_issuer};

/// All of them.
#[derive(Debug)]
pub(crate) struct TrustedIssuers {
    issuers: Vec<Arc<TrustedIssuer>>,
    /// Verified tokens by the digest of their whole text.
    cache: Cache<u128, Arc<ExternalToken>, Bytes>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct TrustedIssuer {
    pub(super) verifier: ExternalVerifier,
    pub(super) keys: Keys,
    pub(super) sessions: ExternalSessions,
    pub(super) mapping_deadline: Duration,
}

/// Weighs a verified token in bytes.
#[derive(Debug, Clone, Copy)]
struct Bytes;

impl TrustedIssuers {
    /// How many bytes the verified tokens may take: several thousand of usual size.
    const CACHE_BYTES: u64 = 16 << 20;

    /// Those that a host named; `None` when it named none.
    pub(crate) fn new(
        issuers: Vec<ExternalIssuer>,
        settings: &Settings,
        clock: &HostClock,
    ) -> Result<Option<Self>, BuildError> {
        let mut names = vec![settings.issuer.clone()];
        let mut trusted = Vec::new();
        for issuer in issuers {
            if names.iter().any(|name| name == issuer.name()) {
                return Err(BuildError::IssuerTwice(issuer.name().to_owned()));
            }
            names.push(issuer.name().to_owned());
            trusted.push(Arc::new(issuer.into_trusted(settings, clock)?));
        }
        let all = || Self { issuers: trusted, cache: Cache::with_weighter(4096, Self::CACHE_BYTES, Bytes) };
        Ok((names.len() > 1).then(all))
    }

    /// The issuer that `token` says it is of: whose keys to try it with, and nothing more.
    pub(crate) fn named_by(&self, token: &str) -> Option<&Arc<TrustedIssuer>> {
        let issuer = unverified_issuer(token)?;
        self.issuers.iter().find(|trusted| *trusted.verifier.issuer == *issuer)
    }

    /// The token of this very digest, when it was verified before and nothing has changed since.
    pub(crate) fn cached(&self, place: u128) -> Option<Arc<ExternalToken>> {
        let token = self.cache.get(&place)?;
        let issuer = &token.issuer;
        if issuer.keys.vouch_for(token.generation) && issuer.verifier.check_time(&token.claims).is_ok() {
            return Some(token);
        }
        // What has changed is found out, and told, when it is verified again.
        self.cache.remove(&place);
        None
    }

    pub(crate) fn remember(&self, place: u128, token: Arc<ExternalToken>) {
        self.cache.insert(place, token);
    }
}

impl TrustedIssuer {
    /// What `token` says, when it is one of this issuer's and all of it holds but the audience.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        token: &str,
        authority: &Authority,
    ) -> Result<Arc<ExternalToken>, Rejection> {
        let unverified = self.verifier.parse(token).map_err(InvalidCredential::from)?;
        let found = self.keys.find(&unverified.key_id).await?;
        let (key, generation) = found.ok_or(InvalidCredential::Token(InvalidToken::UnknownKey))?;
        let claims = self.verifier.verify(unverified, &key).map_err(InvalidCredential::from)?;
        let (issuer, authority) = (self.clone(), authority.clone());
        Ok(Arc::new(ExternalToken { claims, issuer, generation, authority, mapped: ArcSwapOption::empty() }))
    }

    /// Whether its callers have sessions.
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.sessions, ExternalSessions::Mapped(_))
    }

    /// The session of a verified token; `None` when its caller has none.
    pub(crate) async fn session(&self, claims: &ExternalClaims) -> Result<Option<SessionId>, StoreErrorKind> {
        let ExternalSessions::Mapped(mapper) = &self.sessions else { return Ok(None) };
        within_deadline(self.mapping_deadline, mapper.session(claims)).await.map_err(|fault| {
            log_fault(&fault, "a session could not be mapped");
            fault.kind()
        })
    }
}

/// No task outlives the bridge, whoever keeps a caller that it let in.
impl Drop for TrustedIssuers {
    fn drop(&mut self) {
        self.issuers.iter().for_each(|trusted| trusted.keys.stop());
    }
}

impl From<KeysUnavailable> for Rejection {
    fn from(_: KeysUnavailable) -> Self {
        Self::IssuerUnavailable
    }
}

impl Bytes {
    /// The caller it may be mapped to, the cache's own place, and what the allocator adds.
    const BESIDE: usize = 1024;
}

impl Weighter<u128, Arc<ExternalToken>> for Bytes {
    fn weight(&self, _: &u128, token: &Arc<ExternalToken>) -> u64 {
        (token.claims.weight() + Self::BESIDE) as u64
    }
}
