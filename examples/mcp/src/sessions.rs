//! MCP sessions that only their own caller can use.
//!
//! Revisions of MCP before 2026-07-28 keep a session between requests, and rmcp identifies it only by an id. An id is
//! not a credential. So each request is judged by its token, and the id that a client sees is sealed to the person that
//! the session was created for.

use std::fmt;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::{Caller, UserId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, HeaderValue, StatusCode};
use sha2::Sha256;

const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// The key that seals the ids. It lives as long as the sessions, which are in this process.
#[derive(Clone)]
pub(crate) struct SessionSeal {
    key: [u8; 32],
}

/// Removes the seal from the id in a request, and adds it to the id in an answer. An id of another caller counts as
/// unknown.
pub(crate) async fn bind(
    State(seal): State<SessionSeal>,
    caller: Caller,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(sealed) = request.headers_mut().remove(&MCP_SESSION_ID) {
        let Some(id) = seal.open(caller.user_id(), &sealed) else {
            let why = "there is no MCP session with this id for this caller: start a new one";
            return (StatusCode::NOT_FOUND, why).into_response();
        };
        request.headers_mut().insert(MCP_SESSION_ID, id);
    }
    let mut response = next.run(request).await;
    if let Some(id) = response.headers().get(&MCP_SESSION_ID) {
        let sealed = seal.close(caller.user_id(), id);
        response.headers_mut().insert(MCP_SESSION_ID, sealed);
    }
    response
}

impl SessionSeal {
    pub(crate) fn random() -> Self {
        Self { key: rand::random() }
    }

    /// Returns the id, a dot and the tag.
    fn close(&self, user: &UserId, id: &HeaderValue) -> HeaderValue {
        let tag = URL_SAFE_NO_PAD.encode(self.tag(user, id.as_bytes()).finalize().into_bytes());
        let sealed = [id.as_bytes(), b".", tag.as_bytes()].concat();
        HeaderValue::from_bytes(&sealed)
            .expect("a header value with visible ASCII after it is a header value")
    }

    fn open(&self, user: &UserId, sealed: &HeaderValue) -> Option<HeaderValue> {
        let (id, tag) = sealed.to_str().ok()?.rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        self.tag(user, id.as_bytes()).verify_slice(&tag).ok()?;
        HeaderValue::from_str(id).ok()
    }

    fn tag(&self, user: &UserId, id: &[u8]) -> Hmac<Sha256> {
        let mut tag = Hmac::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        // A user id has no control characters, so the zero byte separates the parts clearly.
        for part in [user.as_str().as_bytes(), b"\0", id] {
            tag.update(part);
        }
        tag
    }
}

impl fmt::Debug for SessionSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSeal")
    }
}
