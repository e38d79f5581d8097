//! The rate limits of the endpoints: an attempt begins here, and its outcome is counted here.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use http::request::Parts;

use super::answer::{Answer, EndpointError, EndpointFailure, whole_seconds};
use super::endpoint::Endpoint;
use super::session_origin;
use super::state::ServiceState;
use crate::id::{ClientId, UserId};
use crate::layer_verdict::LayerVerdict;
use crate::rate_limit::{Limits, RateLimited, ShownToken};
use crate::telemetry::{self, ReachedLimit, note, note_reason, quoted};

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
        let session = caller.session_id();
        held(limits, called).await.map_err(|limited| refused(&limited, Some(session)))?;
    }
    if !endpoint.takes_secrets() {
        return Ok(Attempt(None));
    }
    let address = session_origin::address(state, parts);
    limits.attempt(address).map_err(|limited| refused(&limited, address.as_ref()))?;
    Ok(Attempt(Some((limits, address))))
}

impl Attempt<'_> {
    /// Counts a failed attempt against the caller.
    pub(super) fn finish(self, answer: &Answer) {
        if let Some((limits, address)) = self.0
            && is_failed_attempt(answer)
        {
            limits.failed(address);
            if address.is_some() {
                note_charge("address");
            }
        }
    }
}

/// Refuses a person who asks for too many codes.
pub(super) async fn person(state: &ServiceState, person: &UserId) -> Result<(), EndpointError> {
    let checked = of_person(state, |limits| limits.code_for(person)).await;
    checked.map_err(|limited| refused(&limited, Some(person)))
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
    let address = session_origin::address(state, parts);
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
            note_charge(if address.is_some() { "address, user_codes" } else { "user_codes" });
        }
    }
}

/// A program starts a device grant. Anyone may do that, and each takes a row: so it costs an address as much as a failed
/// attempt, and all together have a limit.
pub(super) fn device_grant(state: &ServiceState, parts: &Parts) -> Result<(), EndpointError> {
    let Some(limits) = state.limits.as_ref() else { return Ok(()) };
    limits.device_grant().map_err(|limited| refused(&limited, None::<&str>))?;
    limits.failed(session_origin::address(state, parts));
    note_charge("address");
    Ok(())
}

/// Refuses an attempt to prove to be `client` when too many attempts have failed.
pub(super) fn client<'r>(
    state: &'r ServiceState,
    parts: &Parts,
    client: Option<&'r ClientId>,
) -> Result<ClientAttempt<'r>, EndpointError> {
    let address = session_origin::address(state, parts);
    let counted = state.limits.as_ref().zip(client);
    let checked = counted.map_or(Ok(false), |(limits, client)| limits.client_attempt(address, client));
    let is_taken = checked.map_err(|limited| {
        let shown = client.filter(|client| state.issuer.may_be_logged(client));
        refused(&limited, shown)
    })?;
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
            if self.address.is_some() {
                note_charge("client");
            }
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
    let checked = held(limits, limits.introspection_by(client)).await;
    checked.map_err(|limited| refused(&limited, Some(client)))?;
    limits.give_back(session_origin::address(state, parts));
    Ok(())
}

/// A token of `person` is exchanged. It costs the address nothing: the token was good, and many may share the address.
pub(super) async fn exchange(
    state: &ServiceState,
    parts: &Parts,
    person: &UserId,
) -> Result<(), EndpointError> {
    let Some(limits) = state.limits.as_ref() else { return Ok(()) };
    let called = held(limits, limits.exchange_for(person)).await;
    called.map_err(|limited| refused(&limited, Some(person)))?;
    limits.give_back(session_origin::address(state, parts));
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
            limits.give_back(session_origin::address(state, parts));
            limits.hold(&limited).await;
            Err(refused(&limited, Some(&format!("one refresh token of {client}"))))
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
        if is_repeated {
            note_charge("refresh_token");
        }
        if was_issued || is_repeated { error.no_guess() } else { error }
    }
}

/// An external issuer has sent too many revocations.
pub(super) fn issuer(issuer: &str, wait: Duration) -> EndpointError {
    refused(&RateLimited { by: "issuer", wait }, Some(issuer))
}

fn is_failed_attempt(answer: &Answer) -> bool {
    matches!(answer, Err(EndpointFailure::Own(error)) if error.is_failed_attempt())
}

fn refused(limited: &RateLimited, of: Option<&(impl Display + ?Sized)>) -> EndpointError {
    note_limit(limited, of);
    EndpointError::too_many(limited.wait)
}

/// Notes for the log which limit was reached, and whose it is. `None`: all callers share it, or nobody may be named.
pub(super) fn note_limit(limited: &RateLimited, of: Option<&(impl Display + ?Sized)>) {
    telemetry::count_limited(limited.by);
    let of = of.map(ToString::to_string);
    let retry_after = whole_seconds(limited.wait);
    let whose = of.as_ref().map_or_else(|| "all callers".to_owned(), |of| quoted(of));
    note_reason(
        "rate_limited",
        format!("the limit {} of {whose} lets the next in after {retry_after} s", limited.by),
    );
    note(|known| known.limit = Some(ReachedLimit { by: limited.by, of, retry_after }));
}

/// Notes for the log that the refusal counts against a limit.
fn note_charge(limit: &'static str) {
    note(|known| {
        known.charged = Some(match (known.charged, limit) {
            (Some("client"), "address") => "address, client",
            _ => limit,
        });
    });
}
