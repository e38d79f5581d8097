//! `GET /device` and `POST /device`: a person lets a program in by its code (RFC 8628 §3.3).

use http::Method;
use http::request::Parts;

use super::Shown;
use super::query::Query;
use super::visit::{Visit, name_of, not_found, page};
use crate::id::{Scopes, UserCode};
use crate::issue::{LinkableClient, SignedIn};
use crate::pages::{AuthorizeProblem, DeviceConfirmView, DeviceEntryView, MessageView, Mistake};
use crate::service::answer::{Answer, EndpointFailure, RefusedPage};
use crate::service::rate_limited;
use crate::service::request_body::RequestBody;
use crate::service::state::ServiceState;
use crate::store::{DecideDeviceGrantError, Decision, DeviceGrant};

pub(in crate::service) async fn answer(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    let site = state.pages.as_ref().filter(|_| state.settings.endpoints.device_authorization.is_some());
    let site = site.ok_or_else(not_found)?;
    let visit = Visit::new(state, site, parts, &site.verification_uri);
    if parts.method == Method::POST { decide(&visit, body).await } else { show(&visit).await }
}

/// Shows the form for the code, or what a program with this code asks for. It changes nothing.
async fn show(visit: &Visit<'_>) -> Answer {
    let person = visit.signed_in()?;
    let query = Query::of(&visit.parts.uri);
    let typed = query.as_ref().and_then(|query| query.value("user_code").ok().flatten());
    let Some(typed) = typed else { return Ok(ask_for_code(visit, person, "", None)) };
    let Ok(code) = UserCode::parse(typed) else {
        return Err(ask_again(visit, person, typed, Mistake::NotACode));
    };
    let guess = visit.within(rate_limited::guess(visit.state, visit.parts, &person.user_id).await)?;
    let found = visit.state.issuer.device_grant(&code).await;
    match found.map_err(|fault| visit.unavailable(&fault))? {
        Some(grant) => confirm(visit, person, code, &grant).await,
        None => {
            guess.failed();
            Err(ask_again(visit, person, typed, Mistake::Unknown))
        }
    }
}

/// The form again, with the mistake.
fn ask_again(visit: &Visit<'_>, person: &SignedIn, typed: &str, mistake: Mistake) -> EndpointFailure {
    let (code, detail) = match mistake {
        Mistake::NotACode => ("malformed_user_code", "what was typed has not the form of a user code"),
        Mistake::Unknown => ("unknown_user_code", "no program waits with this user code"),
    };
    let response = ask_for_code(visit, person, typed, Some(mistake));
    EndpointFailure::Page(Box::new(RefusedPage { response, code, detail }))
}

fn ask_for_code(
    visit: &Visit<'_>,
    person: &SignedIn,
    typed: &str,
    mistake: Option<Mistake>,
) -> http::Response<bytes::Bytes> {
    let view = DeviceEntryView { person: name_of(person), not_you: &visit.not_you(), mistake, typed };
    page(visit.site.pages.device_entry(&view))
}

async fn confirm(visit: &Visit<'_>, person: &SignedIn, code: UserCode, grant: &DeviceGrant) -> Answer {
    let client = visit.state.issuer.registered_client(&grant.client);
    let client = client.ok_or_else(|| visit.refuse_request(AuthorizeProblem::UnknownClient))?;
    let scopes = offered(person, grant.scopes.as_ref(), &client);
    let shown = Shown::Device { user_code: code, client: grant.client.clone(), scopes: scopes.clone() };
    let ticket = visit.state.issuer.ticket(&person.user_id, shown);
    let view = DeviceConfirmView {
        person: name_of(person),
        not_you: &visit.not_you(),
        code: &code.to_string(),
        program: &client.name,
        site: client.shown_site(),
        address: grant.origin.address,
        user_agent: grant.origin.user_agent.as_deref(),
        scopes: &scopes,
        resource: grant.resource.as_ref().map(AsRef::as_ref),
        ticket: &ticket.map_err(|fault| visit.unsigned(&fault))?,
    };
    Ok(page(visit.site.pages.device_confirm(&view)))
}

/// The scopes that a client may get: those that it asked for, of those that the person's bridges may have.
pub(super) fn offered(person: &SignedIn, asked: Option<&Scopes>, client: &LinkableClient) -> Scopes {
    let narrowed = |scopes: Scopes, most: Option<&Scopes>| match most {
        Some(most) => scopes.intersection(most),
        None => scopes,
    };
    narrowed(narrowed(person.scopes.clone(), asked), client.scopes.as_ref())
}

/// Stores the decision of a person who saw the program, its place and its scopes.
async fn decide(visit: &Visit<'_>, body: RequestBody) -> Answer {
    let form = visit.form(body).await?;
    let person = visit.signed_in()?;
    let ticket = form.value("ticket").unwrap_or_default();
    let ticket = visit.state.issuer.read_ticket::<Shown>(ticket, &person.user_id);
    let Some(Shown::Device { user_code, client, scopes }) = ticket.map(|ticket| ticket.shown) else {
        return Err(visit.refuse(MessageView::PageExpired));
    };
    let decision = match form.value("decision") {
        Some("allow") => Decision::Allow(scopes),
        Some("deny") => Decision::Deny,
        _ => return Err(visit.refuse_request(AuthorizeProblem::Malformed)),
    };
    visit.within(rate_limited::decision_of(visit.state, &person.user_id).await)?;
    let is_allowed = matches!(decision, Decision::Allow(_));
    let issuer = &visit.state.issuer;
    let decided = issuer.decide_device_grant(person, user_code, client.clone(), decision).await;
    decided.map_err(|error| match error {
        DecideDeviceGrantError::NotWaiting => visit.refuse(MessageView::CodeExpired),
        DecideDeviceGrantError::UnknownUser | DecideDeviceGrantError::UserDisabled => {
            visit.refuse(MessageView::AccountDisabled)
        }
        DecideDeviceGrantError::Store(fault) => visit.unavailable(&fault),
    })?;
    if !is_allowed {
        return Ok(page(visit.site.pages.message(&MessageView::DeviceDenied)));
    }
    let found = issuer.registered_client(&client);
    let program = found.as_ref().map_or(client.as_str(), |client| &client.name);
    Ok(page(visit.site.pages.message(&MessageView::DeviceAllowed { program })))
}
