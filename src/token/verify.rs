//! From the text of a token to its claims, or to the reason why it is refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::algorithm::Scheme;
use super::compact::Compact;
use super::explain::Judge;
use super::missing_key::MissingKeyHint;
use super::{Claims, InvalidToken, KeyRing, ScopeClaims};
use crate::clock::{Clock, HostClock};
use crate::telemetry::Known;

/// Verifies access tokens of one issuer.
#[derive(Debug, Clone)]
pub(crate) struct TokenVerifier {
    keys: KeyRing,
    issuer: Arc<str>,
    clock: HostClock,
    leeway: Duration,
    max_life: Duration,
    missing_key: Arc<MissingKeyHint>,
}

impl TokenVerifier {
    /// Accepts tokens of `issuer` that were signed with one of `keys`. `leeway` is for issuers whose clocks run ahead
    /// of `clock`. A token whose `exp` is more than `max_life` after its `iat` is refused.
    pub(crate) fn new(
        keys: KeyRing,
        issuer: String,
        clock: HostClock,
        leeway: Duration,
        max_life: Duration,
    ) -> Self {
        let missing_key = Arc::new(MissingKeyHint::new());
        Self { keys, issuer: issuer.into(), clock, leeway, max_life, missing_key }
    }

    /// The issuer whose tokens are accepted.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The claims of `token`, if everything in it is good. The audience is not checked: the layer does this.
    ///
    /// The work before the signature check is linear in at most 8192 bytes. No answer depends on the payload before the
    /// signature is verified.
    pub(crate) fn verify(&self, token: &str) -> Result<Claims, InvalidToken> {
        let token = Compact::parse(token)?;
        let verified = self.claims_of(&token);
        if let Err(InvalidToken::UnknownKey) = verified {
            self.hint_at_missing_key(&token);
        }
        let claims = verified?;
        claims.check_time(self.clock.now(), self.leeway)?;
        Ok(claims)
    }

    /// The same, but the token may have expired.
    pub(crate) fn verify_at_any_time(&self, token: &str) -> Result<Claims, InvalidToken> {
        self.claims_of(&Compact::parse(token)?)
    }

    fn claims_of(&self, token: &Compact<'_>) -> Result<Claims, InvalidToken> {
        let header = token.header()?;
        let scheme = Scheme::from_name(&header.alg).ok_or(InvalidToken::Algorithm)?;
        let key = self.keys.find(&header.kid).ok_or(InvalidToken::UnknownKey)?;
        // Both names of Ed25519 are one scheme. What is computed does not depend on the name.
        if key.scheme() != scheme {
            return Err(InvalidToken::Algorithm);
        }
        if !key.verifies(token.signed, &token.signature) {
            return Err(InvalidToken::Signature);
        }
        let claims = Claims::from_json(&token.payload)?;
        self.check(&claims)?;
        // All claims share one copy of the issuer.
        Ok(Claims { issuer: self.issuer.clone(), ..claims })
    }

    /// Checks again what may have changed since `claims` were verified under `generation`: the time and the keys.
    /// `system` is the time of the operating system's clock. `false` means that the token must be verified again.
    pub(crate) fn still_holds(
        &self,
        claims: &Claims,
        generation: u64,
        system: Duration,
    ) -> Result<bool, InvalidToken> {
        if generation != self.generation() {
            return Ok(false);
        }
        claims.check_time(self.clock.at(system), self.leeway)?;
        Ok(true)
    }

    /// The same for a token whose text is gone. If its key may have been removed, the token is no longer good. Claims
    /// of another issuer that were mapped to a session here depend only on the time.
    pub(crate) fn check_again(
        &self,
        claims: &Claims,
        generation: u64,
        system: Duration,
    ) -> Result<(), InvalidToken> {
        if claims.issuer == self.issuer && generation != self.generation() {
            return Err(InvalidToken::UnknownKey);
        }
        claims.check_time(self.clock.at(system), self.leeway)
    }

    /// The time since the Unix epoch that tokens are judged by.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// What is known of `token`, which was refused for `reason`. The gateway also trusts the issuers `others`.
    pub(crate) fn explain(&self, token: &str, reason: InvalidToken, others: &[&str]) -> Known {
        let judge = Judge {
            issuer: &self.issuer,
            others,
            now: self.clock.now(),
            leeway: self.leeway,
            max_life: self.max_life,
            is_own: true,
            scope_claims: &ScopeClaims::Standard,
        };
        judge.explain(token, reason)
    }

    /// A number that changes when a key is removed.
    pub(crate) fn generation(&self) -> u64 {
        self.keys.generation()
    }

    /// Writes to the log that a token is refused which another gateway of this issuer may have signed.
    fn hint_at_missing_key(&self, token: &Compact<'_>) {
        // The header is read only for the line, which is seldom due.
        if self.missing_key.is_due(&token.payload, &self.issuer, self.clock.now(), Instant::now())
            && let Ok(header) = token.header()
        {
            tracing::warn!(
                kid = &*header.kid,
                key_ids = ?self.keys.key_ids(),
                "a token of this issuer is signed with a key that this gateway does not have: give all gateways of one \
                 database the same key file, or keep the old key in the ring while it is rotated out. Anyone can send such \
                 a token: ignore this line unless your own clients are refused"
            );
        }
    }

    fn check(&self, claims: &Claims) -> Result<(), InvalidToken> {
        if claims.issuer != self.issuer {
            return Err(InvalidToken::Issuer);
        }
        if Duration::from_secs(claims.expires_at.saturating_sub(claims.issued_at)) > self.max_life {
            return Err(InvalidToken::TooLongLived);
        }
        Ok(())
    }
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod forged_signatures;
#[cfg(test)]
mod hostile_claims;
#[cfg(test)]
mod two_names;
