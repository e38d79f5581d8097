//! The rate limits of the endpoints: an attempt begins here, and its outcome is counted here.

use std::net::IpAddr;

use http::request::Parts;

use super::answer::{Answer, EndpointError, EndpointFailure};
use super::endpoint::Endpoint;
use super::origin;
use super::state::ServiceState;
use crate::id::{ClientId, UserId};
use crate::layer_verdict::LayerVerdict;
use crate::rate_limit::{Limits, RateLimited, ShownToken};
use crate::telemetry;

/// A request whose outcome is not known yet. It counts when it is an attempt with a secret, a code or a token.
#[must_use = "its outcome counts: finish it with the answer"]
pub(super) struct Attempt<'r>(Option<(&'r Limits, Option<IpAddr>)>);

/// Begins a request of `endpoint`. Refuses it when the caller has tried too often.
pub(super) async fn begin<'r>(
    state: &'r ServiceState,
    endpoint: &Endpoint,
    parts: &Parts,
) -> Result<Attempt<'r>, EndpointError> {
    let Some(limits) = state.limits.as_ref() else { return Ok(Attempt(None)) };
    if endpoint.is_guarded()
        && let Some((LayerVerdict::Caller(caller), _)) = LayerVerdict::of(&parts.extensions)
    {
        let called = limits.call_of(caller.session_id(), *endpoint == Endpoint::Logout);
        held(limits, called).await.map_err(refused)?;
    }
    if !endpoint.takes_secrets() {
        return Ok(Attempt(None));
    }
    let address = origin::address(&state.addresses, parts);
    limits.attempt(address).map_err(refused)?;
    Ok(Attempt(Some((limits, address))))
}

impl Attempt<'_> {
    /// Counts a failed attempt against the caller.
    pub(super) fn finish(self, answer: &Answer) {
        if let Some((limits, address)) = self.0
            && is_failed_attempt(answer)
        {
            limits.failed(address);
        }
    }
}

/// Refuses a person who asks for too many codes.
pub(super) async fn person(state: &ServiceState, person: &UserId) -> Result<(), EndpointError> {
    of_person(state, |limits| limits.code_for(person)).await.map_err(refused)
}

/// Refuses a person who decides too often on a page.
pub(super) async fn decision_of(state: &ServiceState, person: &UserId) -> Result<(), RateLimited> {
    of_person(state, |limits| limits.decision_of(person)).await
}

/// Refuses a person who opens too many pages that cost work.
pub(super) async fn page_for(state: &ServiceState, person: &UserId) -> Result<(), RateLimited> {
    of_person(state, |limits| limits.page_for(person)).await
}

/// Refuses a person who ends too many devices.
pub(super) async fn end_for(state: &ServiceState, person: &UserId) -> Result<(), RateLimited> {
    of_person(state, |limits| limits.end_for(person)).await
}

/// Refuses a person who makes the gateway look for too many documents of clients.
pub(super) async fn document(state: &ServiceState, person: &UserId) -> Result<(), RateLimited> {
    of_person(state, |limits| limits.document_for(person)).await
}

/// Checks a limit of a known person, where limits are on.
async fn of_person(
    state: &ServiceState,
    check: impl FnOnce(&Limits) -> Result<(), RateLimited>,
) -> Result<(), RateLimited> {
    match state.limits.as_ref() {
        Some(limits) => held(limits, check(limits)).await,
        None => Ok(()),
    }
}

/// Refuses a known person or session, after a delay.
async fn held(limits: &Limits, checked: Result<(), RateLimited>) -> Result<(), RateLimited> {
    if let Err(limited) = &checked {
        limits.hold(limited).await;
    }
    checked
}

/// A person tries a user code. They may guess, so it is limited by person, by address and in all (RFC 8628 §5.1).
pub(super) async fn guess<'r>(
    state: &'r ServiceState,
    parts: &Parts,
    person: &UserId,
) -> Result<Guess<'r>, RateLimited> {
    let Some(limits) = state.limits.as_ref() else { return Ok(Guess(None)) };
    page_for(state, person).await?;
    let address = origin::address(&state.addresses, parts);
    limits.guess(address)?;
    Ok(Guess(Some((limits, address))))
}

/// A user code that was tried. Its outcome is not known yet.
#[must_use = "its failure counts"]
pub(super) struct Guess<'r>(Option<(&'r Limits, Option<IpAddr>)>);

impl Guess<'_> {
    /// No program waits with this code.
    pub(super) fn failed(self) {
        if let Some((limits, address)) = self.0 {
            limits.guess_failed(address);
        }
    }
}

/// A program starts a device grant. Anyone may do that, and each takes a row: so it costs an address as much as a failed
/// attempt, and all together have a limit.
pub(super) fn device_grant(state: &ServiceState, parts: &Parts) -> Result<(), EndpointError> {
    let Some(limits) = state.limits.as_ref() else { return Ok(()) };
    limits.device_grant().map_err(refused)?;
    limits.failed(origin::address(&state.addresses, parts));
    Ok(())
}

/// Refuses an attempt to prove to be `client` when too many attempts have failed.
pub(super) fn client<'r>(
    state: &'r ServiceState,
    parts: &Parts,
    client: Option<&'r ClientId>,
) -> Result<ClientAttempt<'r>, EndpointError> {
    let address = origin::address(&state.addresses, parts);
    let counted = state.limits.as_ref().zip(client);
    let is_taken = counted
        .map_or(Ok(false), |(limits, client)| limits.client_attempt(address, client))
        .map_err(refused)?;
    Ok(ClientAttempt { counted, address, is_taken })
}

/// An attempt to prove to be a client. Its outcome is not known yet.
#[must_use = "its failure counts"]
pub(super) struct ClientAttempt<'r> {
    counted: Option<(&'r Limits, &'r ClientId)>,
    address: Option<IpAddr>,
    /// Whether the client has one attempt less for it.
    is_taken: bool,
}

impl ClientAttempt<'_> {
    pub(super) fn succeeded(self) {
        if let Some((limits, client)) = self.counted.filter(|_| self.is_taken) {
            limits.client_succeeded(client);
        }
    }

    pub(super) fn failed(self) {
        if let Some((limits, client)) = self.counted {
            limits.client_failed(self.address, client);
        }
    }
}

/// `client` has proved itself, and asks about a token. Within the client's own limit this costs its address nothing: many
/// may share the address. Beyond it the address pays, because the store may have been asked for the client's secret.
pub(super) async fn introspection(
    state: &ServiceState,
    parts: &Parts,
    client: &ClientId,
) -> Result<(), EndpointError> {
    let Some(limits) = state.limits.as_ref() else { return Ok(()) };
    held(limits, limits.introspection_by(client)).await.map_err(refused)?;
    limits.give_back(origin::address(&state.addresses, parts));
    Ok(())
}

/// `client` shows the refresh token `text`. Refuses a token that was refused before, and comes back too often. This too
/// costs the address nothing: so a program that tries a dead token in a loop keeps nobody else from refreshing.
pub(super) async fn refresh<'r>(
    state: &'r ServiceState,
    parts: &Parts,
    client: &ClientId,
    text: &str,
) -> Result<RefreshAttempt<'r>, EndpointError> {
    let Some(limits) = state.limits.as_ref() else { return Ok(RefreshAttempt(None)) };
    match limits.refresh_with(client, text) {
        Ok(token) => Ok(RefreshAttempt(Some((limits, token)))),
        Err(limited) => {
            limits.give_back(origin::address(&state.addresses, parts));
            limits.hold(&limited).await;
            Err(refused(limited))
        }
    }
}

/// A refresh token that a client showed. Its outcome is not known yet.
#[must_use = "its refusal counts"]
pub(super) struct RefreshAttempt<'r>(Option<(&'r Limits, ShownToken)>);

impl RefreshAttempt<'_> {
    /// The token was refused with `error`. A token that was issued here, or that was shown before, is no guess: then the
    /// address pays for no failed attempt.
    pub(super) fn refused(self, error: EndpointError, was_issued: bool) -> EndpointError {
        let is_repeated = self.0.is_some_and(|(limits, token)| limits.refresh_refused(token));
        if was_issued || is_repeated { error.no_guess() } else { error }
    }
}

fn is_failed_attempt(answer: &Answer) -> bool {
    matches!(answer, Err(EndpointFailure::Own(error)) if error.is_failed_attempt())
}

fn refused(limited: RateLimited) -> EndpointError {
    telemetry::rate_limited(limited.by);
    EndpointError::too_many(limited.wait)
}
