//! `GET /sessions`, `DELETE /sessions/{id}`, `POST /logout`: a person looks after their own sessions.

use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use serde::{Serialize, Serializer};

use super::answer::{Answer, Failure, Refusal, Wording, json, no_content};
use super::body::RequestBody;
use super::endpoint::{self, Endpoint, one_segment};
use super::guarded::Guarded;
use crate::bridge::Bridge;
use crate::clock::since_epoch;
use crate::id::{CallSource, ClientId, Scope, SessionId};
use crate::observe::audit;
use crate::store::Session;

/// Sessions, as their owner and the operators see them.
#[derive(Serialize)]
pub(super) struct Listing<'a> {
    sessions: Vec<Entry<'a>>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<bool>,
    origin: Whence<'a>,
}

#[derive(Serialize)]
struct Whence<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_name: Option<&'a str>,
}

/// What [`SessionsService`](super::SessionsService) answers alone, nested or under the bridge's prefix.
pub(super) async fn serve(bridge: &Bridge, request: Request<RequestBody>) -> Response<Bytes> {
    let path = request.uri().path();
    let full = path.strip_prefix(bridge.settings().prefix.as_str()).and_then(Endpoint::at);
    let full = full.filter(|endpoint| matches!(endpoint, Endpoint::Sessions | Endpoint::OneSession(_)));
    let nested = || match path.strip_prefix('/')? {
        "" => Some(Endpoint::Sessions),
        rest => one_segment(rest).map(Endpoint::OneSession),
    };
    match full.or_else(nested) {
        Some(endpoint) => endpoint::serve(bridge, endpoint, request).await,
        None => Failure::from(Refusal::not_found()).into_response(Wording::Problem),
    }
}

pub(super) async fn list(bridge: &Bridge, parts: &Parts) -> Answer {
    let user = Guarded::user(bridge, parts)?;
    let sessions = bridge.admin().sessions_of(user.caller.user_id()).await;
    let sessions = sessions.map_err(|fault| Refusal::unavailable(bridge, &fault))?;
    Ok(json(StatusCode::OK, &Listing::new(&sessions, Some(user.caller.session_id()))))
}

pub(super) async fn end(bridge: &Bridge, parts: &Parts, id: &str) -> Answer {
    let user = Guarded::user(bridge, parts)?;
    let session = SessionId::parse(id).map_err(|_| Refusal::not_found())?;
    let revoked = bridge.admin().revoke_session_of(user.caller.user_id(), &session).await;
    match revoked {
        Ok(true) => Ok(no_content()),
        Ok(false) => Err(Refusal::not_found().into()),
        Err(fault) => Err(Refusal::unavailable(bridge, &fault).into()),
    }
}

pub(super) async fn log_out(bridge: &Bridge, parts: &Parts) -> Answer {
    let caller = Guarded::of(bridge, parts)?.caller;
    let (user, session) = (caller.user_id(), caller.session_id());
    let revoked = bridge.admin().revoke_session_of(user, session).await;
    revoked.map_err(|fault| Refusal::unavailable(bridge, &fault))?;
    audit!("logged_out", user_id = %user, session_id = %session);
    Ok(no_content())
}

impl<'a> Listing<'a> {
    /// A listing of `sessions`; with `current`, each says whether it is that one.
    pub(super) fn new(sessions: &'a [Session], current: Option<&SessionId>) -> Self {
        let entry = |session: &'a Session| Entry {
            id: &session.id,
            client_id: &session.client,
            call_source: &session.call_source,
            scopes: session.scopes.iter().collect(),
            created_at: session.created_at,
            renewed_at: session.renewed_at,
            expires_at: session.expires_at,
            current: current.map(|current| *current == session.id),
            origin: Whence {
                user_agent: session.origin.user_agent.as_deref(),
                address: session.origin.address,
                device_name: session.origin.device_name.as_deref(),
            },
        };
        Self { sessions: sessions.iter().map(entry).collect() }
    }
}

fn unix_seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(since_epoch(*time).as_secs())
}
