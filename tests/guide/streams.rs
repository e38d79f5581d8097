//! The WebSocket of `streams-and-websockets.md`, called over a socket.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::chat::sockets;
use crate::support::bridge::{access, builder};
use crate::support::{Backend as _, SqliteBackend};

/// The time that the page's handler gives, and what a busy machine adds.
const WITHIN: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(5);

/// A text frame of a client with a mask of zeros (RFC 6455 §5.2), for texts shorter than 126 bytes.
fn text_frame(text: &str) -> Vec<u8> {
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

#[tokio::test]
async fn the_websocket_of_the_page_ends_within_its_time_once_its_session_is_revoked() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let alice = access(&bridge, "alice", "").await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let app = sockets(&bridge).unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let handshake = format!(
        "GET /v1/chat HTTP/1.1\r\nHost: gateway.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: bearer, {}, chat\r\n\r\n",
        alice.token.expose()
    );
    stream.write_all(handshake.as_bytes()).await.unwrap();
    let answer = head(&mut stream).await;
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(answer.contains("sec-websocket-protocol: chat\r\n"), "{answer}");

    stream.write_all(&text_frame("hello")).await.unwrap();
    let mut echo = [0; 7];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"\x81\x05hello");

    assert!(bridge.admin().revoke_session(&alice.session).await.unwrap());
    let revoked = Instant::now();
    let mut close = [0; 4];
    timeout(WITHIN + SLACK, stream.read_exact(&mut close)).await.expect("it ends").unwrap();
    assert!(revoked.elapsed() < WITHIN + SLACK);
    // A close frame with its code (RFC 6455 §5.5.1).
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1008));
    serving.abort();
}
