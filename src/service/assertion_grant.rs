//! The grant of an assertion (RFC 7523 §2.1): an external issuer says who gets access. It is a person, by way of a client
//! (draft-ietf-oauth-identity-assertion-authz-grant), or a workload, which is a client itself.

use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use http::request::Parts;

use super::answer::EndpointError;
use super::oauth::client_auth::{authenticate, proves_nothing};
use super::oauth::error::{INVALID_SCOPE, INVALID_TARGET, UNAUTHORIZED_CLIENT, invalid_client};
use super::oauth::form::Form;
use super::oauth::{resource, scope};
use super::session_origin;
use super::state::ServiceState;
use crate::external_issuer::{Asserted, AssertedSubject, AssertionRefusal};
use crate::id::{AssertionHash, Audience, ClientId, Scopes, SessionId, UserId};
use crate::issue::{Access, AssertedAccess, AssertedAccessError, AssertedFor, OauthClient};
use crate::store::{KnownUser, Origin, SpentAssertion};
use crate::telemetry::{audit, note, note_reason, quoted};
use crate::token::AssertionKind;

/// Exchanges an assertion for access.
pub(super) async fn access(
    state: &ServiceState,
    parts: &Parts,
    form: &Form,
) -> Result<Access, EndpointError> {
    let client = proved_client(state, parts, form).await?;
    let text = form.value("assertion").ok_or(NO_ASSERTION)?;
    let asserted = verified(state, text, client.as_ref()).await?;
    note(|known| {
        known.issuer = Some(asserted.issuer().to_owned());
        known.subject = Some(asserted.claims.subject.clone());
    });
    check_client(state, &asserted, client.as_ref())?;
    let resource = resource_of(state, form, &asserted)?;
    let subject = asserted.subject().await.map_err(|kind| EndpointError::unavailable_for(state, kind))?;
    let Some(subject) = subject else {
        return Err(refused(&asserted, client.as_ref(), "unmapped", "the host knows nobody of this name"));
    };
    let scopes = asked_scopes(form, asserted.scopes(&subject))?;
    let (of, client) = match subject {
        AssertedSubject::Person { user, registered_with } => {
            let client = client.ok_or_else(|| invalid_client(state))?;
            (person(user, registered_with, &asserted), client)
        }
        AssertedSubject::Workload(workload) => {
            check_workload(form, &asserted, client.as_ref(), &workload.client)?;
            let of = AssertedFor::Workload {
                scopes: workload.scopes,
                session: SessionId::of_workload(text),
                left: Duration::from_secs(asserted.claims.left.as_secs().max(1)),
            };
            (of, workload.client)
        }
    };
    let asked = AssertedAccess {
        scopes,
        origin: session_origin::of(state, parts, None),
        ..asserted_access(of, client, resource, &asserted)
    };
    state.issuer.asserted_access(asked).await.map_err(|error| match error {
        // A verified assertion is no guess.
        AssertedAccessError::InvalidGrant => REFUSED.no_guess(),
        AssertedAccessError::TooManySessions => TOO_MANY_SESSIONS,
        AssertedAccessError::Key(fault) => EndpointError::unsigned(&fault),
        AssertedAccessError::Store(fault) => EndpointError::unavailable(state, &fault),
    })
}

const NO_ASSERTION: EndpointError = EndpointError::invalid_request("assertion is missing.");
/// One answer for every reason. The log tells which.
const REFUSED: EndpointError = EndpointError::new(
    StatusCode::BAD_REQUEST,
    "invalid_grant",
    "The assertion is not accepted here: it is malformed, expired, used, for another client or gateway, or of an issuer \
     or a person that this gateway does not know.",
);
const TOO_MANY_SESSIONS: EndpointError = EndpointError::new(
    StatusCode::CONFLICT,
    "too_many_sessions",
    "The person has as many sessions as allowed. The assertion is not spent: end a session, then send it again.",
);

/// The confidential client that sent the request. `None`: it shows no proof, because a workload needs none beside its
/// token.
async fn proved_client(
    state: &ServiceState,
    parts: &Parts,
    form: &Form,
) -> Result<Option<ClientId>, EndpointError> {
    if state.accepts_assertions(AssertionKind::Workload) && proves_nothing(parts, form) {
        return Ok(None);
    }
    match authenticate(state, parts, form).await? {
        OauthClient::Linkable(id)
            if state.issuer.registered_client(&id).is_some_and(|client| client.is_confidential()) =>
        {
            Ok(Some(id))
        }
        _ => {
            note_reason(
                "public_client",
                "an assertion is accepted from a client with a secret of its own only",
            );
            Err(UNAUTHORIZED_CLIENT)
        }
    }
}

/// Verifies the signature and the claims of an assertion.
async fn verified(
    state: &ServiceState,
    text: &str,
    client: Option<&ClientId>,
) -> Result<Asserted, EndpointError> {
    let Some(trusted) = state.auth.trusted() else { return Err(REFUSED) };
    let refusal = match trusted.assertion(text, &state.settings.issuer).await {
        Ok(asserted) => return Ok(asserted),
        Err(refusal) => refusal,
    };
    match refusal {
        AssertionRefusal::KeysUnavailable => {
            note_reason("issuer_unavailable", "the keys of the issuer of the assertion cannot be fetched");
            return Err(EndpointError::later(state, "The assertion cannot be checked right now. Try again."));
        }
        AssertionRefusal::Untrusted { domain: None } => {
            let trusted = "no issuer whose assertions are trusted here has issued it";
            note_reason("assertion_untrusted", trusted);
        }
        AssertionRefusal::Untrusted { domain: Some(domain) } => {
            let domain = quoted(&domain);
            let unknown = format!(
                "it has no iss, and its sub names, without proof, the SPIFFE trust domain {domain}. No issuer here has this \
                 one: set ExternalIssuer::spiffe_trust_domain"
            );
            note_reason("assertion_untrusted", unknown);
        }
        AssertionRefusal::Invalid(detail) => {
            note_reason("invalid_assertion", format!("the assertion is not accepted: {detail}"));
        }
    }
    audit!("assertion_refused", reason = "invalid", client_id = client.map(tracing::field::display));
    // A client that has proved itself guesses nothing.
    Err(if client.is_some() { REFUSED.no_guess() } else { REFUSED })
}

/// An assertion about a person is good for the client alone that it was issued to.
fn check_client(
    state: &ServiceState,
    asserted: &Asserted,
    client: Option<&ClientId>,
) -> Result<(), EndpointError> {
    match (asserted.kind, client) {
        (AssertionKind::Person, None) => {
            note_reason("no_client", "the client of an identity assertion must prove who it is");
            Err(invalid_client(state))
        }
        (AssertionKind::Person, client) if asserted.claims.client.as_ref() != client => {
            let detail = "client_id of the assertion is not the client that sent it";
            Err(refused(asserted, client, "assertion_of_another_client", detail))
        }
        _ => Ok(()),
    }
}

/// A workload may show a secret or name itself too. Then it must be the client that its token stands for.
fn check_workload(
    form: &Form,
    asserted: &Asserted,
    client: Option<&ClientId>,
    workload: &ClientId,
) -> Result<(), EndpointError> {
    let is_it = |named: Option<&str>| named.is_none_or(|named| named == workload.as_str());
    if is_it(client.map(ClientId::as_str)) && is_it(form.value("client_id")) {
        return Ok(());
    }
    let detail = format!("the token stands for the client {}", quoted(workload.as_str()));
    Err(refused(asserted, client, "assertion_of_another_client", detail))
}

fn person(user: UserId, registered_with: Option<Scopes>, asserted: &Asserted) -> AssertedFor {
    let registered_with = registered_with.map(|scopes| KnownUser {
        id: user.clone(),
        scopes,
        hook_scopes: None,
        label: asserted.email().map(ToOwned::to_owned),
    });
    AssertedFor::Person { user, registered_with }
}

/// The one resource of the access: the one that the request names, if the assertion is for it too, or else the one of the
/// assertion. An assertion without a resource is for the default audiences.
fn resource_of(
    state: &ServiceState,
    form: &Form,
    asserted: &Asserted,
) -> Result<Option<Audience>, EndpointError> {
    let audiences = &state.settings.audiences;
    let asked = resource::audience(audiences, form)?;
    let Some(named) = &asserted.claims.resources else {
        return match asked {
            Some(asked) if !audiences.of_bridges.contains(&asked) => {
                Err(wrong_resource("the assertion names no resource, so it is for the default audiences"))
            }
            asked => Ok(asked),
        };
    };
    let mut ours = named.iter().filter_map(|resource| audiences.named_by(resource));
    let Some(first) = ours.next() else {
        return Err(wrong_resource("the assertion is for no resource of this gateway"));
    };
    match asked {
        Some(asked) if *first == asked || ours.any(|other| *other == asked) => Ok(Some(asked)),
        Some(_) => Err(wrong_resource("the assertion is for another resource than the request names")),
        None if ours.all(|other| other == first) => Ok(Some(first.clone())),
        None => Err(wrong_resource("the assertion is for several resources: name one in the request")),
    }
}

fn wrong_resource(detail: &'static str) -> EndpointError {
    note_reason("wrong_resource", detail);
    INVALID_TARGET
}

/// The scopes that the request names, if all of them are `granted` by the assertion, or else all of these.
fn asked_scopes(form: &Form, granted: Scopes) -> Result<Scopes, EndpointError> {
    match scope::asked(form)? {
        Some(asked) if granted.contains_all(&asked) => Ok(asked),
        Some(_) => {
            note_reason("scopes", "the assertion does not have all of the scopes");
            Err(INVALID_SCOPE)
        }
        None => Ok(granted),
    }
}

/// What the assertion gives `client`. Scopes and origin are still to be filled in.
fn asserted_access(
    of: AssertedFor,
    client: ClientId,
    resource: Option<Audience>,
    asserted: &Asserted,
) -> AssertedAccess {
    let claims = &asserted.claims;
    let issued_at = claims.issued_at.map(|at| UNIX_EPOCH + Duration::from_secs(at));
    let assertion = match (asserted.kind, claims.id.as_deref()) {
        (AssertionKind::Person, Some(id)) => Some(SpentAssertion::new(
            AssertionHash::of_message("assertion", asserted.issuer(), id),
            claims.remembered_for,
            issued_at.unwrap_or(UNIX_EPOCH),
        )),
        // A platform gives a workload one token for all its requests. So that is not spent.
        _ => issued_at.map(SpentAssertion::reusable),
    };
    AssertedAccess {
        of,
        client,
        issuer: asserted.issuer().to_owned(),
        subject: claims.subject.clone(),
        scopes: Scopes::default(),
        resource,
        assertion,
        authenticated_at: claims.authenticated_at,
        origin: Origin::unknown(),
    }
}

/// Refuses an assertion whose signature is good. The log and the audit log learn why.
fn refused(
    asserted: &Asserted,
    client: Option<&ClientId>,
    reason: &'static str,
    detail: impl Into<String>,
) -> EndpointError {
    note_reason(reason, detail);
    audit!("assertion_refused", reason, client_id = client.map(tracing::field::display),
        issuer = %asserted.issuer(), subject = %asserted.claims.subject);
    REFUSED.no_guess()
}
