//! A verified token of an external issuer.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::trusted_issuer::TrustedIssuer;
use crate::caller::{Authority, VerifiedToken};
use crate::rejection::{InvalidCredential, Rejection};
use crate::token::{ExternalClaims, InvalidToken};

/// A token of an external issuer whose signature and claims hold.
#[derive(Debug)]
pub(crate) struct ExternalToken {
    pub(crate) claims: ExternalClaims,
    pub(crate) issuer: Arc<TrustedIssuer>,
    /// The generation of the issuer's keys that verified the token.
    pub(super) generation: u64,
    pub(super) authority: Authority,
    /// The session that the token was mapped to, as a verified token.
    pub(crate) mapped: ArcSwapOption<VerifiedToken>,
}

impl ExternalToken {
    /// Verifies `token` as a token of `issuer`: everything but the audience.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn verify(
        issuer: &Arc<TrustedIssuer>,
        token: &str,
        authority: &Authority,
    ) -> Result<Arc<Self>, Rejection> {
        let parsed = issuer.verifier.parse(token).map_err(InvalidCredential::from)?;
        let found = issuer.keys.find(&parsed.key_id).await?;
        let (key, generation) = found.ok_or(InvalidCredential::Token(InvalidToken::UnknownKey))?;
        let claims = issuer.verifier.verify(parsed, &key).map_err(InvalidCredential::from)?;
        let (issuer, authority) = (issuer.clone(), authority.clone());
        Ok(Arc::new(Self { claims, issuer, generation, authority, mapped: ArcSwapOption::empty() }))
    }

    /// Checks what may have changed after the token was verified: the time, and the keys of its issuer.
    pub(super) fn check(&self) -> Result<(), InvalidCredential> {
        let Self { issuer, claims, generation, .. } = self;
        issuer.verifier.check_time(claims)?;
        if issuer.keys.vouch_for(*generation) { Ok(()) } else { Err(InvalidToken::UnknownKey.into()) }
    }
}
