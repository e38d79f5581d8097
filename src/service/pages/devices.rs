//! `GET /devices` and `POST /devices`: a person sees what they have let in, and ends it.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};

use super::query::Query;
use super::visit::{Visit, name_of, not_found, page};
use crate::id::{ClientId, SessionId, UserId};
use crate::issue::SignedIn;
use crate::layer_verdict::LayerVerdict;
use crate::pages::{AuthorizeProblem, DeviceRow, DevicesView, Notice};
use crate::service::answer::{Answer, EndpointFailure};
use crate::service::endpoint_caller::acts_for_the_whole_person;
use crate::service::rate_limited;
use crate::service::request_body::RequestBody;
use crate::service::state::ServiceState;
use crate::store::{Device, DeviceQuery};

pub(in crate::service) async fn answer(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    let site = state.pages.as_ref().ok_or_else(not_found)?;
    let visit = Visit::new(state, site, parts, &site.devices_uri);
    if parts.method != Method::POST {
        return list(&visit, &person(&visit)?, None).await;
    }
    let form = visit.form(body).await?;
    let person = person(&visit)?;
    visit.within(rate_limited::end_for(state, &person.user_id).await)?;
    let notice = match (form.value("end"), form.value("end_others")) {
        (Some(session), None) => end(&visit, &person.user_id, session).await?,
        (None, Some(_)) => end_others(&visit, &person).await?,
        _ => return Err(visit.refuse_request(AuthorizeProblem::Malformed)),
    };
    list(&visit, &person, Some(notice)).await
}

/// The person. A caller that the layer let in is one too, and their session is this one.
fn person(visit: &Visit<'_>) -> Result<SignedIn, EndpointFailure> {
    if let Some((LayerVerdict::Caller(caller), _)) = LayerVerdict::of(&visit.parts.extensions)
        && visit.state.vouches_for(caller)
        && acts_for_the_whole_person(visit.state, caller)
    {
        let person = SignedIn::new(caller.user_id().clone(), caller.scopes().clone());
        return Ok(person.session(caller.session_id().clone()));
    }
    visit.signed_in().cloned()
}

async fn list(visit: &Visit<'_>, person: &SignedIn, notice: Option<Notice>) -> Answer {
    let query = Query::of(&visit.parts.uri);
    let cursor = query.as_ref().and_then(|query| query.value("cursor").ok().flatten());
    let after = cursor.map(str::parse).transpose();
    let after = after.map_err(|_| visit.refuse_request(AuthorizeProblem::Malformed))?;
    let asked = DeviceQuery { after, ..DeviceQuery::default() };
    let found = visit.state.admin.devices_of(&person.user_id, &asked).await;
    let found = found.map_err(|fault| visit.unavailable(&fault))?;
    let next = found.next.as_ref().map(ToString::to_string);
    let names: Vec<_> =
        found.devices.iter().map(|device| program(visit.state, &device.session.client)).collect();
    let this_one = person.session.as_ref();
    let rows = found.devices.iter().zip(&names).map(|(device, program)| row(device, program, this_one));
    let view = DevicesView {
        person: name_of(person),
        not_you: &visit.not_you(),
        devices: rows.collect(),
        has_this_one: this_one.is_some(),
        notice,
        next: next.as_deref(),
    };
    Ok(shown(visit, &view))
}

fn shown(visit: &Visit<'_>, view: &DevicesView<'_>) -> Response<Bytes> {
    page(visit.site.pages.devices(view))
}

/// The name of a device's program.
pub(in crate::service) fn program(state: &ServiceState, client: &ClientId) -> String {
    let registered = state.issuer.registered_client(client).map(|client| client.name.clone());
    registered.unwrap_or_else(|| client.to_string())
}

/// A device, as a list shows it.
pub(in crate::service) fn row<'a>(
    device: &'a Device,
    program: &'a str,
    this_one: Option<&SessionId>,
) -> DeviceRow<'a> {
    let Device { session, secret_since, key_since, hook_session, delegated, .. } = device;
    DeviceRow {
        id: session.id.as_str(),
        name: session.origin.device_name.as_deref().unwrap_or_default(),
        program,
        user_agent: session.origin.user_agent.as_deref(),
        address: session.origin.address,
        scopes: &session.scopes,
        created_at: session.created_at,
        renewed_at: session.renewed_at,
        ends_at: session.ends_at,
        is_this_one: this_one == Some(&session.id),
        has_hooks: secret_since.is_some() || key_since.is_some() || hook_session.is_some(),
        has_agents: *delegated > 0,
    }
}

async fn end(visit: &Visit<'_>, person: &UserId, session: &str) -> Result<Notice, EndpointFailure> {
    let Ok(session) = SessionId::parse(session) else { return Ok(Notice::AlreadyEnded) };
    let ended = visit.state.admin.revoke_session_of(person, &session).await;
    let ended = ended.map_err(|fault| visit.unavailable(&fault))?;
    Ok(if ended { Notice::DeviceEnded } else { Notice::AlreadyEnded })
}

/// Ends all devices but this one. When no device is this one, everything that the person has let in ends.
async fn end_others(visit: &Visit<'_>, person: &SignedIn) -> Result<Notice, EndpointFailure> {
    let admin = &visit.state.admin;
    let (ended, notice) = match &person.session {
        Some(this_one) => (admin.revoke_others(&person.user_id, this_one).await, Notice::OthersEnded),
        None => (admin.revoke_user(&person.user_id).await, Notice::AllEnded),
    };
    ended.map_err(|fault| visit.unavailable(&fault))?;
    Ok(notice)
}
