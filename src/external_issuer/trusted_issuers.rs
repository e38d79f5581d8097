//! The other issuers that a bridge trusts, and the tokens of theirs that were verified before.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::issuer::{ExternalIssuer, Gateway};
use super::token::ExternalToken;
use super::trusted_issuer::TrustedIssuer;
use crate::token::unverified_issuer;
use crate::validate::BuildError;

/// All of them.
#[derive(Debug)]
pub(crate) struct TrustedIssuers {
    issuers: Vec<Arc<TrustedIssuer>>,
    /// Verified tokens by the digest of their whole text.
    cache: Cache<u128, Arc<ExternalToken>, Bytes>,
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
        gateway: &Gateway<'_>,
    ) -> Result<Option<Self>, BuildError> {
        let mut names = vec![gateway.issuer.to_owned()];
        let mut trusted = Vec::new();
        for issuer in issuers {
            if names.iter().any(|name| name == issuer.name()) {
                return Err(BuildError::IssuerTwice(issuer.name().to_owned()));
            }
            names.push(issuer.name().to_owned());
            trusted.push(Arc::new(issuer.into_trusted(gateway)?));
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
        if token.check().is_ok() {
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

/// No task outlives the bridge, whoever keeps a caller that it let in.
impl Drop for TrustedIssuers {
    fn drop(&mut self) {
        self.issuers.iter().for_each(|trusted| trusted.keys.stop());
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
