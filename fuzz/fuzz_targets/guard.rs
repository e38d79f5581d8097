//! The guard: any request, on layers that read the token in every place.

#![no_main]
#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use std::convert::Infallible;
use std::sync::OnceLock;

use bridge_auth::authenticate::TokenSource;
use bridge_auth::header::prepare_for_upstream;
use bridge_auth::{Bridge, BridgeAuthLayer, Caller};
use bridge_auth_fuzz::{Gateway, answer_is_sound, request};
use http::{Request, Response};
use libfuzzer_sys::fuzz_target;
use tower::{Layer as _, service_fn};

fuzz_target!(|bytes: &[u8]| {
    let gateway = Gateway::get();
    let live = gateway.live();
    let layers = LAYERS.get_or_init(|| layers(&gateway.bridge));
    for (layer, optional) in layers {
        let Some(asked) = request(bytes, &live.filled_in()) else { return };
        let answer = gateway.ask(layer.layer(service_fn(handler)), asked);
        answer_is_sound(&answer);
        let let_in = answer.status() == 204;
        assert!(let_in || matches!(answer.status().as_u16(), 400 | 401 | 403 | 431), "{}", answer.status());
        if let_in && !optional {
            assert!(answer.extensions().get::<Caller>().is_some(), "nobody is let in without a caller");
        }
    }
});

/// Answers with what it was told about its caller. Fails when the request still has what a client made up.
async fn handler<B>(request: Request<B>) -> Result<Response<String>, Infallible> {
    let mut upstream = request.headers().clone();
    prepare_for_upstream(&mut upstream);
    for gone in ["authorization", "cookie", "connection", "content-length", "upgrade"] {
        assert!(!upstream.contains_key(gone), "{gone} does not go to an upstream");
    }
    let caller = request.extensions().get::<Caller>().cloned();
    let mut answer = Response::builder().status(204).body(String::new()).unwrap();
    let named: Vec<_> = request.headers().get_all("x-user-id").iter().collect();
    match caller {
        Some(caller) => {
            assert_eq!(named, [caller.user_id().as_str()], "the identity is the token's");
            let tells = |value: &http::HeaderValue| {
                value.as_bytes().windows(20).any(|part| part == b"eyJ0eXAiOiJhdCtqd3Qi")
            };
            assert!(!request.headers().values().any(tells), "the token stops at the guard");
            answer.extensions_mut().insert(caller);
        }
        None => assert!(named.is_empty(), "nobody has no identity"),
    }
    for name in request.headers().keys() {
        let spelled = name.as_str().replace('_', "-");
        assert!(
            spelled == name.as_str() || !IDENTITY.contains(&&*spelled),
            "{name} reads as an identity header"
        );
    }
    Ok(answer)
}

const IDENTITY: [&str; 6] =
    ["x-user-id", "x-session-id", "x-trace-id", "x-client-id", "x-policy-version", "x-call-source"];

static LAYERS: OnceLock<[(BridgeAuthLayer, bool); 2]> = OnceLock::new();

fn layers(bridge: &Bridge) -> [(BridgeAuthLayer, bool); 2] {
    let everywhere = bridge
        .layer("bridge")
        .unwrap()
        .optional()
        .admit_hook_clients()
        .token_from(TokenSource::Cookie("token".into()))
        .token_from(TokenSource::Header(http::HeaderName::from_static("x-api-key")))
        .token_from(TokenSource::WebSocketProtocol);
    [(bridge.layer("bridge").unwrap(), false), (everywhere, true)]
}
