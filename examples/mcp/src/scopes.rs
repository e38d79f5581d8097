//! The scopes that single tools need.
//!
//! A caller that lacks a scope gets 403 and a challenge that names the scope, as MCP's authorization requires. So its
//! client can get a better token. When a tool runs, the answer has already begun. So the scopes are checked before
//! that.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts as _, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bridge_auth::Granted;
use bridge_auth::required_scopes;
use http::StatusCode;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest};

/// The largest request that rmcp accepts by default, in bytes.
const LIMIT: usize = 4 * 1024 * 1024;

required_scopes! {
    /// May write to the audit track.
    struct HookTrack = ["hook:track"];
}

/// Lets a call of a tool pass only with the scopes that the tool needs.
pub(crate) async fn require(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let granted = match called_tool(&body).as_deref() {
        Some("track") => Granted::<HookTrack>::from_request_parts(&mut parts, &()).await.map(drop),
        _ => Ok(()),
    };
    match granted {
        Ok(()) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(refused) => refused.into_response(),
    }
}

/// The tool that a message calls. It is parsed exactly as rmcp does, so that a message cannot mean one tool here and
/// another one there.
fn called_tool(body: &[u8]) -> Option<String> {
    match serde_json::from_slice(body).ok()? {
        ClientJsonRpcMessage::Request(message) => match message.request {
            ClientRequest::CallToolRequest(call) => Some(call.params.name.into_owned()),
            _ => None,
        },
        _ => None,
    }
}
