//! `GET /capabilities`.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

use super::answer::json;
use super::state::ServiceState;

/// What this bridge offers to the programs that get access here, and to the servers around it.
pub(super) fn answer(state: &ServiceState) -> Response<Bytes> {
    #[derive(Serialize)]
    struct Capabilities {
        modes: Vec<&'static str>,
    }
    let settings = &state.settings;
    let takes_tokens = settings.endpoints.token.is_some();
    let modes = [
        Some("session"),
        takes_tokens.then_some("oauth-client"),
        (takes_tokens && settings.refresh.at_token_endpoint).then_some("refresh"),
        (takes_tokens && settings.endpoints.device_authorization.is_some()).then_some("device-code"),
        (takes_tokens && state.has_authorize()).then_some("authorize"),
        (takes_tokens && settings.token_exchange.is_some()).then_some("token-exchange"),
        settings.endpoints.introspection.is_some().then_some("introspection"),
        settings.endpoints.revocation.is_some().then_some("revocation"),
    ];
    json(StatusCode::OK, &Capabilities { modes: modes.into_iter().flatten().collect() })
}
