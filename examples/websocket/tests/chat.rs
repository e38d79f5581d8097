//! The WebSocket over real sockets, with a stock client.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bridge_auth::issue::AccessRequest;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Scopes, SignedIn, UserId};
use futures_util::{SinkExt as _, StreamExt as _};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Server {
    bridge: Bridge,
    url: String,
    _folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("bridges.db")).await.unwrap();
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let bridge = Bridge::builder("http://127.0.0.1", keys, store).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/v1/chat", listener.local_addr().unwrap());
        let app = example_websocket::app(&bridge).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { bridge, url, _folder: folder }
    }

    async fn token(&self) -> String {
        let alice = UserId::parse("alice").unwrap();
        let issuer = self.bridge.issuer();
        issuer.register_user(&SignedIn::new(alice.clone(), Scopes::default())).await.unwrap();
        let access = issuer.open_access(AccessRequest::for_user(alice, Scopes::default())).await.unwrap();
        access.token.expose().to_owned()
    }

    /// Connects with one header more, and returns the protocol that the server chose.
    async fn connect(
        &self,
        name: HeaderName,
        value: &str,
    ) -> Result<(Socket, Option<HeaderValue>), StatusCode> {
        let mut request = self.url.as_str().into_client_request().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        match connect_async(request).await {
            Ok((socket, answer)) => {
                Ok((socket, answer.headers().get(header::SEC_WEBSOCKET_PROTOCOL).cloned()))
            }
            Err(Error::Http(refusal)) => Err(refusal.status()),
            Err(other) => panic!("{other}"),
        }
    }
}

async fn next(socket: &mut Socket) -> Message {
    timeout(PATIENCE, socket.next()).await.expect("the server speaks").unwrap().unwrap()
}

#[tokio::test]
async fn a_token_is_taken_from_authorization_and_from_the_subprotocols() {
    let server = Server::start().await;
    let token = server.token().await;
    let (mut socket, chosen) =
        server.connect(header::AUTHORIZATION, &format!("Bearer {token}")).await.unwrap();
    assert_eq!(chosen, None, "none was offered");
    socket.send("hello".into()).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("alice: hello"));

    let offered = format!("bearer, {token}, chat");
    let (mut socket, chosen) = server.connect(header::SEC_WEBSOCKET_PROTOCOL, &offered).await.unwrap();
    assert_eq!(chosen.unwrap(), "chat");
    socket.send("hello".into()).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("alice: hello"));
}

#[tokio::test]
async fn who_has_no_good_token_gets_no_connection() {
    let server = Server::start().await;
    for (name, value) in [
        (header::ACCEPT, "*/*"),
        (header::AUTHORIZATION, "Bearer a.b.c"),
        (header::SEC_WEBSOCKET_PROTOCOL, "chat"),
        (header::SEC_WEBSOCKET_PROTOCOL, "bearer, a.b.c, chat"),
    ] {
        assert_eq!(server.connect(name, value).await.err(), Some(StatusCode::UNAUTHORIZED), "{value}");
    }
    let query = format!("{}?access_token={}", server.url, server.token().await);
    assert!(
        matches!(connect_async(query).await, Err(Error::Http(refusal)) if refusal.status() == 401),
        "it is not read there"
    );
}

#[tokio::test]
async fn a_connection_is_closed_when_its_session_ends() {
    let server = Server::start().await;
    let authorization = format!("Bearer {}", server.token().await);
    let (mut socket, _) = server.connect(header::AUTHORIZATION, &authorization).await.unwrap();
    server.bridge.admin().revoke_user(&UserId::parse("alice").unwrap()).await.unwrap();
    let revoked = Instant::now();
    let Message::Close(Some(frame)) = next(&mut socket).await else { panic!("a close was expected") };
    assert_eq!((frame.code, &*frame.reason), (CloseCode::Policy, "the session has ended"));
    assert!(revoked.elapsed() < Duration::from_secs(7), "5 s, and something for a busy machine");
    assert_eq!(
        server.connect(header::AUTHORIZATION, &authorization).await.err(),
        Some(StatusCode::UNAUTHORIZED)
    );
}
