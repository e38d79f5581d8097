//! `GET /capabilities`.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

use super::answer::json;
use crate::bridge::Bridge;

/// What this bridge really offers to those who get access here, and to those who look after it.
pub(super) fn answer(bridge: &Bridge) -> Response<Bytes> {
    #[derive(Serialize)]
    struct Capabilities {
        modes: Vec<&'static str>,
    }
    let settings = bridge.settings();
    let takes_tokens = settings.token_endpoint.is_some();
    let modes = [
        Some("session"),
        takes_tokens.then_some("oauth-client"),
        (takes_tokens && settings.refresh.at_token_endpoint).then_some("refresh"),
        settings.introspection_endpoint.is_some().then_some("introspection"),
        settings.revocation_endpoint.is_some().then_some("revocation"),
    ];
    json(StatusCode::OK, &Capabilities { modes: modes.into_iter().flatten().collect() })
}
