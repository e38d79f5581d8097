//! What all authenticators of one bridge share.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::bearer;
use super::pending::{External, Token};
use super::token_cache::TokenCache;
use crate::caller::{Authority, Caller, CallerGroup, VerifiedToken};
use crate::clock::Moment;
use crate::csrf::Origins;
use crate::external_issuer::TrustedIssuers;
use crate::id::{CallSource, PolicyVersion};
use crate::rejection::{InvalidCredential, Refusal};
use crate::session::{Liveness, WatchStatus};
use crate::store::StoreErrorKind;
use crate::telemetry::hears_refusals;
use crate::token::{Claims, InvalidToken, TokenVerifier};

/// What all authenticators of one bridge share.
#[derive(Debug)]
pub(crate) struct AuthState {
    pub(super) verifier: TokenVerifier,
    pub(super) liveness: Arc<Liveness>,
    pub(super) token_cache: TokenCache,
    pub(super) groups: Cache<CallSource, Arc<CallerGroup>>,
    pub(super) policy_version: PolicyVersion,
    pub(super) authority: Authority,
    pub(super) trusted: Option<Arc<TrustedIssuers>>,
    pub(super) origins: Origins,
}

impl AuthState {
    /// How many bytes the token cache may take: more than a hundred thousand tokens of usual size.
    const TOKEN_CACHE_BYTES: u64 = 90 << 20;
    /// More than enough: a host has a handful of call sources.
    const GROUPS: usize = 64;

    pub(crate) fn new(
        verifier: TokenVerifier,
        liveness: Arc<Liveness>,
        policy_version: PolicyVersion,
        trusted: Option<Arc<TrustedIssuers>>,
        origins: Origins,
    ) -> Self {
        let token_cache = TokenCache::new(Self::TOKEN_CACHE_BYTES);
        let groups = Cache::new(Self::GROUPS);
        let authority = Authority::new();
        Self { verifier, liveness, token_cache, groups, policy_version, authority, trusted, origins }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The origins whose pages may use a person's cookies here.
    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The external issuers that are trusted. `None`: none are.
    pub(crate) fn trusted(&self) -> Option<&TrustedIssuers> {
        self.trusted.as_deref()
    }

    pub(crate) fn watch_status(&self) -> WatchStatus {
        self.liveness.watch_status()
    }

    /// Keeps the keys of the external issuers fresh.
    pub(crate) fn keep_keys_fresh(&self) {
        if let Some(trusted) = &self.trusted {
            trusted.keep_keys_fresh();
        }
    }

    /// Counts that the store kept a request from being judged, or an endpoint from answering.
    pub(crate) fn unavailable(&self, cause: StoreErrorKind) {
        self.liveness.unavailable(cause);
    }
}

impl AuthState {
    /// The claims of a token that was issued here and has not expired. Its session may have ended.
    pub(crate) fn unexpired(&self, token: &str) -> Option<Claims> {
        self.verifier.verify(token).ok()
    }

    /// Verifies `token`. A token in the token cache is not verified again, unless something has changed since.
    #[inline]
    pub(super) fn verify(&self, token: &[u8], now: Moment) -> Result<Token, Refusal> {
        let digest = self.token_cache.digest(token);
        if let Some(verified) = self.token_cache.get(digest) {
            match self.verifier.still_holds(&verified.claims, verified.generation, now.wall()) {
                Ok(true) => return Ok(Token::Own(verified)),
                Ok(false) => self.token_cache.remove(digest),
                Err(reason) => {
                    self.token_cache.remove(digest);
                    return Err(self.refused_token(token, reason));
                }
            }
        }
        if let Some(token) = self.trusted.as_ref().and_then(|trusted| trusted.cached(digest)) {
            return Ok(Token::External(External::Verified(token)));
        }
        // This is read before the keys. When a key is removed meanwhile, the next request verifies the token again.
        let generation = self.verifier.generation();
        let text = bearer::token68(token)?;
        match self.verifier.verify(text) {
            Ok(claims) => Ok(Token::Own(self.token_cache.insert(digest, claims, generation))),
            Err(reason) => match self.trusted.as_ref().and_then(|trusted| trusted.named_by(text)) {
                Some(issuer) => Ok(Token::External(External::ToVerify(digest, text.into(), issuer.clone()))),
                None => Err(self.refused_token(token, reason)),
            },
        }
    }

    /// The refusal of a token that is no good. The log learns what exactly is wrong.
    #[cold]
    fn refused_token(&self, token: &[u8], reason: InvalidToken) -> Refusal {
        let rejection = InvalidCredential::from(reason);
        match std::str::from_utf8(token) {
            Ok(text) if hears_refusals() => {
                Refusal::new(rejection, self.verifier.explain(text, reason, &self.trusted_names()))
            }
            _ => rejection.into(),
        }
    }

    /// The external issuers that are trusted.
    pub(super) fn trusted_names(&self) -> Vec<&str> {
        self.trusted.as_deref().map(TrustedIssuers::names).unwrap_or_default()
    }

    /// The caller of a verified token, when a cached verdict says that its session is live. `Err` gives the token back.
    #[inline]
    pub(super) fn remembered_caller(
        &self,
        verified: Arc<VerifiedToken>,
        now: Moment,
    ) -> Result<Caller, Arc<VerifiedToken>> {
        if self.liveness.remembers(&verified.verdict, now) {
            Caller::seen_before(verified)
        } else {
            Err(verified)
        }
    }
}
