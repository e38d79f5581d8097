//! A WebSocket behind the guard of `bridge-auth`.
//!
//! A program sends its token in `Authorization`. A page in a browser cannot set that header, and offers the token as a
//! subprotocol. The connection is closed when its session ends.

use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::close_code::POLICY;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use bridge_auth::authenticate::{Authenticator, TokenSource};
use bridge_auth::{Bridge, Caller};

/// How long a connection may live after its session has ended.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// The endpoints for bridges, and the WebSocket at `/v1/chat`.
///
/// # Errors
///
/// The bridge issues no tokens for the audience `bridge`.
pub fn app(bridge: &Bridge) -> Result<Router> {
    let layer = bridge.layer("bridge")?.token_from(TokenSource::WebSocketProtocol);
    Ok(Router::new()
        .route("/v1/chat", any(chat))
        .route_layer(layer)
        .with_state(bridge.authenticator("bridge")?)
        .nest_service("/v1/auth/bridge", bridge.service()))
}

/// The guard has let the handshake in. The layer has removed the token from the subprotocols, so that `chat` alone is
/// left to choose.
async fn chat(State(guard): State<Authenticator>, caller: Caller, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["chat"]).on_upgrade(move |socket| talk(socket, guard, caller))
}

/// Answers each text until one of the two sides ends it, or the session does.
async fn talk(mut socket: WebSocket, guard: Authenticator, caller: Caller) {
    let mut session_end = guard.session_end(&caller, ENDS_WITHIN);
    loop {
        tokio::select! {
            () = &mut session_end => break,
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => {
                    let answer = format!("{}: {text}", caller.user_id());
                    // A client that reads nothing must not keep the session's end waiting.
                    tokio::select! {
                        () = &mut session_end => break,
                        sent = socket.send(answer.into()) => if sent.is_err() { return },
                    }
                }
                // A ping is answered by axum.
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
    let close = CloseFrame { code: POLICY, reason: "the session has ended".into() };
    let _ = tokio::time::timeout(ENDS_WITHIN, socket.send(Message::Close(Some(close)))).await;
}
