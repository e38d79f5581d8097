//! The operators' page: they find people, see their devices and events, and end what must end.

use http::request::Parts;
use http::{Method, StatusCode};

use super::devices::{program, row};
use super::query::Query;
use super::visit::{Visit, not_found, page};
use crate::id::{SessionId, UserId};
use crate::issue::{AuditEvent, AuditTrailError};
use crate::pages::{
    AuthorizeProblem, EventRow, Events, FoundPerson, Health, Notice, OperatorsView, PersonView,
};
use crate::service::admin::{Operator, acts, events};
use crate::service::answer::{Answer, EndpointFailure};
use crate::service::request_body::RequestBody;
use crate::service::state::ServiceState;
use crate::session::WatchStatus;
use crate::store::{DeviceCursor, DeviceQuery, Replication, StoreError, StoreErrorKind, UserPage, UserQuery};

pub(in crate::service) async fn answer(
    state: &ServiceState,
    operator: &Operator,
    parts: &Parts,
    body: RequestBody,
) -> Answer {
    let site = state.pages.as_ref().ok_or_else(not_found)?;
    let visit = Visit::of_operator(state, site, parts);
    if parts.method == Method::POST {
        let (user, notice) = act(&visit, operator, body).await?;
        return person(&visit, operator, &user, None, Some(notice)).await;
    }
    let query = Query::of(&parts.uri).filter(|query| !query.has_repeated());
    let query = query.ok_or_else(|| malformed(&visit))?;
    let value = |name| query.value(name).ok().flatten();
    match value("user") {
        None => search(&visit, operator, &query, None).await,
        Some(user) => {
            let cursor = value("cursor").map(str::parse).transpose().map_err(|_| malformed(&visit))?;
            match UserId::parse(user) {
                Ok(user) => person(&visit, operator, &user, cursor, None).await,
                Err(_) => search(&visit, operator, &query, Some(Notice::UnknownPerson)).await,
            }
        }
    }
}

/// Does what the form asks for. Returns whom it was about, and what to say.
async fn act(
    visit: &Visit<'_>,
    operator: &Operator,
    body: RequestBody,
) -> Result<(UserId, Notice), EndpointFailure> {
    let form = visit.form(body).await?;
    let state = visit.state;
    let unavailable = |fault: StoreError| visit.unavailable(&fault);
    let user = form.value("user").and_then(|user| UserId::parse(user).ok());
    let user = user.ok_or_else(|| malformed(visit))?;
    let (found, done, otherwise) = match form.value("action") {
        Some("end") => {
            let session = form.value("session").and_then(|session| SessionId::parse(session).ok());
            let session = session.ok_or_else(|| malformed(visit))?;
            let found = acts::end_session(state, operator, &session).await;
            (found.map_err(unavailable)?, Notice::DeviceEnded, Notice::AlreadyEnded)
        }
        Some("end_all") => {
            let revoked = acts::end_all(state, operator, &user).await.map_err(unavailable)?;
            (revoked.is_some(), Notice::AllEnded, Notice::UnknownPerson)
        }
        Some("disable") => {
            let found = acts::disable(state, operator, &user).await.map_err(unavailable)?;
            (found, Notice::PersonDisabled, Notice::UnknownPerson)
        }
        Some("enable") => {
            let found = acts::enable(state, operator, &user).await.map_err(unavailable)?;
            (found, Notice::PersonEnabled, Notice::UnknownPerson)
        }
        _ => return Err(malformed(visit)),
    };
    Ok((user, if found { done } else { otherwise }))
}

/// The page with the search. A query without text finds everyone.
async fn search(visit: &Visit<'_>, operator: &Operator, query: &Query, notice: Option<Notice>) -> Answer {
    let value = |name| query.value(name).ok().flatten();
    let text = value("q").unwrap_or_default();
    let found = if query.has("q") { Some(find(visit, text.trim(), value("after")).await?) } else { None };
    let next = found.as_ref().and_then(|found| found.next.as_ref());
    let people = found.as_ref().map(|found| {
        let people = found.users.iter().map(|user| FoundPerson {
            id: user.id.as_str(),
            label: user.label.as_deref(),
            is_disabled: user.disabled,
        });
        people.collect()
    });
    let status = visit.state.auth.watch_status();
    let view = OperatorsView {
        operator: &operator.name,
        query: text,
        found: people,
        next: next.map(UserId::as_str),
        health: health(&status),
        notice,
    };
    let mut answer = page(visit.site.pages.operators(&view));
    if notice == Some(Notice::UnknownPerson) {
        *answer.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(answer)
}

async fn find(visit: &Visit<'_>, text: &str, after: Option<&str>) -> Result<UserPage, EndpointFailure> {
    let mut asked = UserQuery::new(text);
    asked.after = after.map(UserId::parse).transpose().map_err(|_| malformed(visit))?;
    visit.state.admin.users(&asked).await.map_err(|fault| visit.unavailable(&fault))
}

fn health(status: &WatchStatus) -> Health<'_> {
    Health {
        is_proven: status.proven,
        age: status.age,
        faults: status.faults,
        last_fault: status.last_fault.map(StoreErrorKind::as_str),
        replication: status.replication.map(Replication::as_str),
        look_up_time: status.look_up_time,
        connections: status.pool.map(|pool| (pool.connections_out, pool.size)),
        unavailable: status.unavailable.iter().map(|(_, count)| count).sum(),
    }
}

/// The page with one person.
async fn person(
    visit: &Visit<'_>,
    operator: &Operator,
    user: &UserId,
    cursor: Option<DeviceCursor>,
    notice: Option<Notice>,
) -> Answer {
    let unavailable = |fault: StoreError| visit.unavailable(&fault);
    let state = visit.state;
    let Some(known) = state.admin.user(user).await.map_err(unavailable)? else {
        return search(visit, operator, &Query::default(), Some(Notice::UnknownPerson)).await;
    };
    let asked = DeviceQuery { after: cursor, ..DeviceQuery::default() };
    let found = state.admin.devices_of(user, &asked).await.map_err(unavailable)?;
    let kept = events::kept(state, user).await;
    let details: Vec<_> = kept.iter().flatten().map(details).collect();
    let next = found.next.as_ref().map(ToString::to_string);
    let names: Vec<_> = found.devices.iter().map(|device| program(state, &device.session.client)).collect();
    let view = PersonView {
        operator: &operator.name,
        id: user.as_str(),
        label: known.label.as_deref(),
        is_disabled: known.disabled,
        devices: found.devices.iter().zip(&names).map(|(device, name)| row(device, name, None)).collect(),
        next: next.as_deref(),
        events: shown(&kept, &details),
        notice,
    };
    Ok(page(visit.site.pages.person(&view)))
}

fn shown<'a>(kept: &'a Result<Vec<AuditEvent>, AuditTrailError>, details: &'a [String]) -> Events<'a> {
    match kept {
        Ok(events) => {
            let rows = events.iter().zip(details);
            Events::Kept(
                rows.map(|(event, details)| EventRow { at: event.at, name: &event.name, details }).collect(),
            )
        }
        Err(AuditTrailError::NotKept) => Events::NotKept,
        Err(AuditTrailError::TimedOut | AuditTrailError::Failed(_)) => Events::Unavailable,
    }
}

/// The fields of an event in one line.
fn details(event: &AuditEvent) -> String {
    event.fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn malformed(visit: &Visit<'_>) -> EndpointFailure {
    visit.refuse_request(AuthorizeProblem::Malformed)
}
