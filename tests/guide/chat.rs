use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use bridge_auth::authenticate::{Authenticator, TokenSource};
use bridge_auth::{Bridge, BuildError, Caller};

pub fn sockets(bridge: &Bridge) -> Result<Router, BuildError> {
    let layer = bridge.layer("bridge")?.token_from(TokenSource::WebSocketProtocol);
    let guard = bridge.authenticator("bridge")?;
    Ok(Router::new().route("/v1/chat", any(chat)).route_layer(layer).with_state(guard))
}

async fn chat(State(guard): State<Authenticator>, caller: Caller, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["chat"]).on_upgrade(move |socket| talk(socket, guard, caller))
}

async fn talk(mut socket: WebSocket, guard: Authenticator, caller: Caller) {
    let mut ended = guard.session_end(&caller, Duration::from_secs(10));
    loop {
        tokio::select! {
            () = &mut ended => break,
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => {
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
    // 1008: the client broke a rule of the server. It needs a new token before it connects again.
    let close = CloseFrame { code: 1008, reason: "the session has ended".into() };
    let _ = socket.send(Message::Close(Some(close))).await;
}
