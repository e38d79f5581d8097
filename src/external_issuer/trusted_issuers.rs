//! The external issuers that a bridge trusts, and the cache of their verified tokens.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::issuer::{ExternalIssuer, Gateway};
use super::token::ExternalToken;
use super::trusted_issuer::TrustedIssuer;
use crate::token::{unverified_issuer, unverified_trust_domain};
use crate::validate::BuildError;

/// All external issuers that a bridge trusts.
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
    /// How many bytes the verified tokens may take: several thousand tokens of usual size.
    const CACHE_BYTES: u64 = 16 << 20;

    /// The issuers that a host named. `None`: it named none.
    pub(crate) fn new(
        issuers: Vec<ExternalIssuer>,
        gateway: &Gateway<'_>,
    ) -> Result<Option<Self>, BuildError> {
        let mut names = vec![gateway.issuer.to_owned()];
        let (mut domains, mut trusted) = (Vec::new(), Vec::new());
        for issuer in issuers {
            if names.iter().any(|name| name == issuer.name()) {
                return Err(BuildError::IssuerTwice(issuer.name().to_owned()));
            }
            names.push(issuer.name().to_owned());
            if let Some(domain) = issuer.trust_domain() {
                if domains.contains(domain) {
                    return Err(BuildError::TrustDomainTwice(domain.clone()));
                }
                domains.push(domain.clone());
            }
            trusted.push(Arc::new(issuer.into_trusted(gateway)?));
        }
        let all = || Self { issuers: trusted, cache: Cache::with_weighter(4096, Self::CACHE_BYTES, Bytes) };
        Ok((names.len() > 1).then(all))
    }

    /// The issuer that `token` claims to be from. This chooses the keys to verify it with, and proves nothing.
    pub(crate) fn named_by(&self, token: &str) -> Option<&Arc<TrustedIssuer>> {
        let issuer = unverified_issuer(token)?;
        self.issuers.iter().find(|trusted| *trusted.verifier.issuer == *issuer)
    }

    /// The same for an assertion: a JWT-SVID names its trust domain, and may have no `iss`.
    pub(super) fn asserting(&self, assertion: &str) -> Option<&Arc<TrustedIssuer>> {
        self.named_by(assertion).or_else(|| {
            let domain = unverified_trust_domain(assertion)?;
            self.issuers.iter().find(|trusted| trusted.verifier.trust_domain.as_ref() == Some(&domain))
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<TrustedIssuer>> {
        self.issuers.iter()
    }

    /// What their tokens have as `iss`.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.issuers.iter().map(|trusted| &*trusted.verifier.issuer).collect()
    }

    /// The cached token with this digest, when it still holds.
    pub(crate) fn cached(&self, digest: u128) -> Option<Arc<ExternalToken>> {
        let token = self.cache.get(&digest)?;
        if token.check().is_ok() {
            return Some(token);
        }
        // The next verification finds out what has changed, and logs it.
        self.cache.remove(&digest);
        None
    }

    /// Fetches the keys of all issuers, and keeps them fresh: also before the first request.
    pub(crate) fn keep_keys_fresh(&self) {
        self.issuers.iter().for_each(|trusted| trusted.keys.keep_running());
    }

    pub(crate) fn remember(&self, digest: u128, token: Arc<ExternalToken>) {
        self.cache.insert(digest, token);
    }
}

/// Stops the tasks of all issuers. So no task outlives the bridge, even when a caller is kept longer.
impl Drop for TrustedIssuers {
    fn drop(&mut self) {
        self.issuers.iter().for_each(|trusted| trusted.keys.stop());
    }
}

impl Bytes {
    /// The caller that the token may be mapped to, the slot in the cache, and the overhead of the allocator.
    const BESIDE: usize = 1024;
}

impl Weighter<u128, Arc<ExternalToken>> for Bytes {
    fn weight(&self, _: &u128, token: &Arc<ExternalToken>) -> u64 {
        (token.claims.weight() + Self::BESIDE) as u64
    }
}
