//! From an external issuer's token to its caller, with a session of this gateway or without one.

use std::sync::Arc;

use serde::Deserialize;

use super::admitted::Admitted;
use super::pending::{Begun, External, Pending, PendingExternal};
use super::requirements::Requirements;
use super::state::AuthState;
use crate::caller::{ActingParty, NoActingParty, VerifiedToken};
use crate::clock::Moment;
use crate::external_issuer::{ExternalCaller, ExternalToken, TrustedIssuer};
use crate::header::Head;
use crate::id::SessionId;
use crate::rejection::{InvalidCredential, Refusal, Rejection};
use crate::telemetry::Known;
use crate::token::{Actor, InvalidClaims, InvalidToken};

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
    let token = verified(state, pending.external).await?;
    if !token.issuer.is_mapped() {
        return required.admit_external(ExternalCaller::new(token));
    }
    if !token.claims.audiences().contains(&required.audience) {
        return Err(required.wrong_external_audience(&token.claims));
    }
    let verified = mapped(state, &token).await?;
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

/// The party that a token of an external issuer names, when it is shown as an actor token. The token must be for this
/// gateway: for one of its audiences, or for its issuer.
pub(super) async fn acting_party(
    state: &AuthState,
    external: External,
) -> Result<ActingParty, NoActingParty> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audiences {
        One(String),
        Many(Vec<String>),
    }
    let token = verified(state, external).await.map_err(|refusal| refusal.rejection)?;
    let claims = &token.claims;
    let is_for_issuer = || match claims.claim("aud") {
        Some(Audiences::One(audience)) => audience == state.verifier.issuer(),
        Some(Audiences::Many(all)) => all.iter().any(|audience| audience == state.verifier.issuer()),
        None => false,
    };
    if claims.audiences().is_empty() && !is_for_issuer() {
        return Err(Rejection::from(InvalidCredential::Audience).into());
    }
    if !matches!(claims.actor(), Ok(None)) {
        return Err(NoActingParty::Delegated);
    }
    let (session, expires_at) = match token.issuer.is_mapped() {
        true => {
            let (session, expires_at) = mapped_session(state, &token).await?;
            (Some(session), expires_at.min(claims.expires_at()))
        }
        false => (None, claims.expires_at()),
    };
    let actor = Actor::new(claims.subject(), Some(claims.issuer().to_owned()));
    let actor = actor
        .map_err(|_| Rejection::from(InvalidCredential::from(InvalidToken::from(InvalidClaims::Subject))))?;
    Ok(ActingParty { actor, user: None, session, expires_at })
}

/// The live session that a token is mapped to, and the second in which it expires. What an actor does by that session ends
/// with it, long before the row is swept and its id may be another session's.
async fn mapped_session(state: &AuthState, token: &ExternalToken) -> Result<(SessionId, u64), Rejection> {
    let verified = mapped(state, token).await.map_err(|refusal| refusal.rejection)?;
    let caller = state.live_caller(verified).await.map_err(|refusal| {
        if matches!(refusal.rejection, Rejection::InvalidCredential(_)) {
            token.mapped.store(None);
        }
        refusal.rejection
    })?;
    let session = caller.session_id().clone();
    let status = state.liveness.status(session.clone()).await.map_err(Rejection::Unavailable)?;
    let left = status.ok_or(InvalidCredential::SessionUnknown)?.expires_in;
    Ok((session, state.verifier.now().saturating_add(left).as_secs()))
}

/// The token, when everything in it is good but its audience.
async fn verified(state: &AuthState, external: External) -> Result<Arc<ExternalToken>, Refusal> {
    let (digest, text, issuer) = match external {
        External::Verified(token) => return Ok(token),
        External::ToVerify(digest, text, issuer) => (digest, text, issuer),
    };
    let verified = ExternalToken::verify(&issuer, &text, &state.authority).await;
    let token = verified.map_err(|rejection| refused(state, &issuer, &text, rejection))?;
    if let Some(trusted) = &state.trusted {
        trusted.remember(digest, token.clone());
    }
    Ok(token)
}

/// The token as one of the session that it is mapped to.
async fn mapped(state: &AuthState, token: &ExternalToken) -> Result<Arc<VerifiedToken>, Refusal> {
    let mapped = match token.mapped.load_full() {
        Some(verified) => Ok(verified),
        None => map(state, token).await,
    };
    mapped.map_err(|rejection| Refusal::new(rejection, token.claims.known()))
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
    let claims = claims.map_err(|fault| InvalidCredential::from(InvalidToken::from(fault)))?;
    // The generation of our own keys has no meaning here: this token depends on the keys of its issuer.
    let verified = Arc::new(VerifiedToken::new(claims, 0, 0));
    token.mapped.store(Some(verified.clone()));
    Ok(verified)
}
