//! `GET /sessions`, `DELETE /sessions/{id}`, `POST /logout`: a person manages their own sessions.

use std::net::IpAddr;
use std::time::SystemTime;

use http::request::Parts;
use http::{StatusCode, Uri};
use serde::{Serialize, Serializer};
use url::form_urlencoded;

use super::answer::{Answer, EndpointError, json, no_content};
use super::endpoint_caller::EndpointCaller;
use super::state::ServiceState;
use crate::caller::Caller;
use crate::clock::since_epoch;
use crate::id::{CallSource, ClientId, Scope, SessionId, UserId};
use crate::store::{Device, DevicePage, DeviceQuery};
use crate::telemetry::audit;

/// A page of devices, for their owner and for operators. Each device is a session with its credentials and its hook
/// session.
#[derive(Serialize)]
pub(super) struct Listing<'a> {
    /// Who the owner is, for the owner's bridge: a client must not read that from its token (RFC 9068 §6).
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a UserId>,
    sessions: Vec<Entry<'a>>,
    /// The cursor of the next page. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a SessionId,
    client_id: &'a ClientId,
    call_source: &'a CallSource,
    scopes: Vec<&'a Scope>,
    #[serde(serialize_with = "unix_seconds")]
    created_at: SystemTime,
    #[serde(serialize_with = "unix_seconds")]
    renewed_at: SystemTime,
    #[serde(serialize_with = "unix_seconds")]
    expires_at: SystemTime,
    #[serde(serialize_with = "unix_seconds")]
    ends_at: SystemTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<bool>,
    origin: OriginEntry<'a>,
    /// Since when the device has a hook secret, and since when a hook key.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook_session: Option<HookSession<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegated_sessions: Option<u64>,
}

#[derive(Serialize)]
struct HookSession<'a> {
    id: &'a SessionId,
    #[serde(serialize_with = "unix_seconds")]
    created_at: SystemTime,
    #[serde(serialize_with = "unix_seconds")]
    renewed_at: SystemTime,
    #[serde(serialize_with = "unix_seconds")]
    expires_at: SystemTime,
}

#[derive(Serialize)]
struct OriginEntry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
}

pub(super) async fn list(state: &ServiceState, parts: &Parts) -> Answer {
    let user = EndpointCaller::bridge(state, parts)?;
    let page = state.admin.devices_of(user.caller.user_id(), &asked(&parts.uri)?).await;
    let page = page.map_err(|fault| EndpointError::unavailable(state, &fault))?;
    Ok(json(StatusCode::OK, &Listing::new(&page, Some(user.caller))))
}

/// The page that the query asks for. Unknown parameters are ignored.
pub(super) fn asked(uri: &Uri) -> Result<DeviceQuery, EndpointError> {
    let mut query = DeviceQuery::default();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match &*name {
            "limit" => query.limit = page_limit(&value).ok_or(NO_PAGE)?,
            "cursor" => query.after = Some(value.parse().map_err(|_| NO_PAGE)?),
            _ => {}
        }
    }
    Ok(query)
}

/// The `limit` of a query: how many entries a page has. `None`: it is not a number from 1 to 1000.
pub(super) fn page_limit(value: &str) -> Option<u32> {
    value.parse().ok().filter(|limit| (1..=1000).contains(limit))
}

const NO_PAGE: EndpointError = EndpointError::invalid_request(
    "limit must be 1 to 1000. cursor must be the next_cursor of the page before.",
);

pub(super) async fn end(state: &ServiceState, parts: &Parts, id: &str) -> Answer {
    let user = EndpointCaller::bridge(state, parts)?;
    let session = SessionId::parse(id).map_err(|_| EndpointError::not_found())?;
    let revoked = state.admin.revoke_session_of(user.caller.user_id(), &session).await;
    match revoked {
        Ok(true) => Ok(no_content()),
        Ok(false) => Err(EndpointError::not_found().into()),
        Err(fault) => Err(EndpointError::unavailable(state, &fault).into()),
    }
}

pub(super) async fn log_out(state: &ServiceState, parts: &Parts) -> Answer {
    let caller = EndpointCaller::of(state, parts)?.caller;
    let (user, session) = (caller.user_id(), caller.session_id());
    let revoked = state.admin.revoke_session_of(user, session).await;
    revoked.map_err(|fault| EndpointError::unavailable(state, &fault))?;
    audit!("logged_out", user_id = %user, session_id = %session);
    Ok(no_content())
}

impl<'a> Listing<'a> {
    /// Lists a page of devices. For their `owner`, each entry says whether it is the current session.
    pub(super) fn new(page: &'a DevicePage, owner: Option<&'a Caller>) -> Self {
        let current = owner.map(Caller::session_id);
        Self {
            user_id: owner.map(Caller::user_id),
            sessions: page.devices.iter().map(|device| Entry::new(device, current)).collect(),
            next_cursor: page.next.as_ref().map(ToString::to_string),
        }
    }
}

impl<'a> Entry<'a> {
    fn new(device: &'a Device, current: Option<&SessionId>) -> Self {
        let Device { session, secret_since, key_since, hook_session, delegated } = device;
        let seconds = |time: &Option<SystemTime>| time.map(|time| since_epoch(time).as_secs());
        Self {
            id: &session.id,
            client_id: &session.client,
            call_source: &session.call_source,
            scopes: session.scopes.iter().collect(),
            created_at: session.created_at,
            renewed_at: session.renewed_at,
            expires_at: session.expires_at,
            ends_at: session.ends_at,
            current: current.map(|current| *current == session.id),
            origin: OriginEntry {
                user_agent: session.origin.user_agent.as_deref(),
                address: session.origin.address,
                device_name: session.origin.device_name.as_deref(),
                issuer: session.origin.issuer.as_deref(),
            },
            secret_since: seconds(secret_since),
            key_since: seconds(key_since),
            hook_session: hook_session.as_ref().map(|hooks| HookSession {
                id: &hooks.id,
                created_at: hooks.created_at,
                renewed_at: hooks.renewed_at,
                expires_at: hooks.expires_at,
            }),
            delegated_sessions: (*delegated > 0).then_some(*delegated),
        }
    }
}

fn unix_seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(since_epoch(*time).as_secs())
}
