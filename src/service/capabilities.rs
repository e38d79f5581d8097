//! `GET /capabilities`.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

use super::answer::json;
use crate::bridge::Bridge;

/// The ways to get access that this bridge really offers.
pub(super) fn answer(bridge: &Bridge) -> Response<Bytes> {
    #[derive(Serialize)]
    struct Capabilities {
        modes: Vec<&'static str>,
    }
    let provisions = bridge.settings().token_endpoint.is_some();
    let modes = [Some("session"), provisions.then_some("oauth-client")];
    json(StatusCode::OK, &Capabilities { modes: modes.into_iter().flatten().collect() })
}
