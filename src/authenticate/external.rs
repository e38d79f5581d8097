//! From an external issuer's token to its caller, with a session of this gateway or without one.

use std::sync::Arc;

use super::admitted::Admitted;
use super::pending::{Begun, External, Pending, PendingExternal};
use super::requirements::Requirements;
use super::state::AuthState;
use crate::caller::VerifiedToken;
use crate::clock::Moment;
use crate::external_issuer::{ExternalCaller, ExternalToken, TrustedIssuer};
use crate::header::Head;
use crate::rejection::{InvalidCredential, Refusal, Rejection};
use crate::telemetry::Known;

/// The part that needs no I/O, as for a token of our own.
pub(super) fn begin(
    state: &AuthState,
    required: &Requirements,
    external: External,
    head: &Head<'_>,
    now: Moment,
) -> Result<Begun, Refusal> {
    let pending = |external| {
        let declared = head.session().to_owned();
        Begun::Pending(Pending::External(PendingExternal { external, declared }))
    };
    let External::Verified(token) = external else { return Ok(pending(external)) };
    if !token.issuer.is_mapped() {
        return required.admit_external(ExternalCaller::new(token)).map(Begun::Admitted);
    }
    if let Some(verified) = token.mapped.load_full()
        && let Ok(caller) = state.remembered_caller(verified, now)
    {
        required.check_claims(caller.claims(), head.session())?;
        return required.grant(caller).map(Begun::Admitted);
    }
    Ok(pending(External::Verified(token)))
}

/// The rest: the keys of the issuer, then the session that the token is mapped to.
pub(super) async fn finish(
    state: &AuthState,
    required: &Requirements,
    pending: PendingExternal,
) -> Result<Admitted, Refusal> {
    let token = match pending.external {
        External::Verified(token) => token,
        External::ToVerify(digest, text, issuer) => {
            let verified = ExternalToken::verify(&issuer, &text, &state.authority).await;
            let token = verified.map_err(|rejection| refused(state, &issuer, &text, rejection))?;
            if let Some(trusted) = &state.trusted {
                trusted.remember(digest, token.clone());
            }
            token
        }
    };
    if !token.issuer.is_mapped() {
        return required.admit_external(ExternalCaller::new(token));
    }
    if !token.claims.audiences().contains(&required.audience) {
        return Err(required.wrong_external_audience(&token.claims));
    }
    let mapped = match token.mapped.load_full() {
        Some(verified) => Ok(verified),
        None => map(state, &token).await,
    };
    let verified = mapped.map_err(|rejection| Refusal::new(rejection, token.claims.known()))?;
    required.check_claims(&verified.claims, pending.declared.lines())?;
    match state.live_caller(verified).await {
        Ok(caller) => required.grant(caller),
        Err(refusal) => {
            // At the next request the mapper may answer with another session.
            if matches!(refusal.rejection, Rejection::InvalidCredential(_)) {
                token.mapped.store(None);
            }
            Err(refusal.or(token.claims.known()))
        }
    }
}

/// The refusal of a token that claims to be from `issuer`. The log learns what exactly is wrong.
#[cold]
fn refused(state: &AuthState, issuer: &TrustedIssuer, token: &str, rejection: Rejection) -> Refusal {
    let Rejection::InvalidCredential(InvalidCredential::Token(reason)) = rejection else {
        let detail = format!("{rejection}: {}", issuer.name());
        return Refusal::new(rejection, Known::detail(detail));
    };
    Refusal::new(rejection, issuer.explain(token, reason, &state.trusted_names()))
}

/// Finds the session of a verified token, and asks the store whose session it is.
async fn map(state: &AuthState, token: &ExternalToken) -> Result<Arc<VerifiedToken>, Rejection> {
    let session = token.issuer.session(&token.claims).await.map_err(Rejection::Unavailable)?;
    let session = session.ok_or(InvalidCredential::SessionUnknown)?;
    let status = state.liveness.status(session.clone()).await.map_err(Rejection::Unavailable)?;
    let status = status.ok_or(InvalidCredential::SessionUnknown)?;
    let claims = token.claims.held_to(session, status.user, status.client);
    // The generation of our own keys has no meaning here: this token depends on the keys of its issuer.
    let verified = Arc::new(VerifiedToken::new(claims, 0, 0));
    token.mapped.store(Some(verified.clone()));
    Ok(verified)
}
