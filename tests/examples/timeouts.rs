//! How long the example gateway waits for a client.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{Gateway, alice, text};
use crate::support::process::PATIENCE;

async fn connect(gateway: &Gateway) -> TcpStream {
    TcpStream::connect(gateway.running.url.strip_prefix("http://").unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_header_that_does_not_come_in_time_ends_its_connection() {
    let gateway = Gateway::start(&["--header-timeout", "1"]).await;
    let whole = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    for sent in
        ["", "G", "GET /healthz HTTP/1.1\r\nhost:", whole, &format!("{whole}GET"), "PRI * HTTP/2.0\r\n\r\nSM"]
    {
        let mut stream = connect(&gateway).await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
        assert!(read.is_ok(), "{sent:?} holds a connection");
        assert_eq!(answer.contains("200 OK"), sent.starts_with(whole), "{sent:?}: {answer}");
    }
    // A byte now and then gains nothing.
    let mut stream = connect(&gateway).await;
    let began = Instant::now();
    while stream.write_all(b"G").await.is_ok() {
        assert!(began.elapsed() < PATIENCE, "a slow header holds a connection");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_408() {
    let gateway = Gateway::start(&["--body-timeout", "1"]).await;
    let token = text(&gateway.link(alice()).await, "token");
    for path in ["/v1/messages", "/v1/auth/bridge/session", "/demo/login"] {
        for is_dripping in [false, true] {
            let stream = connect(&gateway).await;
            let (mut received, mut sent) = stream.into_split();
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{"
            );
            sent.write_all(head.as_bytes()).await.unwrap();
            let drip = tokio::spawn(async move {
                // A byte now and then gains nothing.
                while is_dripping && sent.write_all(b" ").await.is_ok() {
                    sleep(Duration::from_millis(200)).await;
                }
                sleep(PATIENCE).await;
                drop(sent);
            });
            let mut answer = vec![0; 4096];
            let length =
                timeout(PATIENCE, received.read(&mut answer)).await.expect("it is answered").unwrap();
            let answer = String::from_utf8_lossy(&answer[..length]);
            assert!(answer.starts_with("HTTP/1.1 408 "), "{path} {is_dripping}: {answer}");
            assert!(answer.contains("the body did not arrive within 1 s"), "{path}: {answer}");
            assert!(answer.to_ascii_lowercase().contains("connection: close"), "{path}: {answer}");
            drip.abort();
        }
    }
    // Who is in time is not touched, and a refusal stays what it is.
    let answer =
        gateway.client.post(gateway.url("/v1/messages")).bearer_auth(&token).body("1").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let refused = gateway.client.post(gateway.url("/v1/messages")).body("1").send().await.unwrap();
    assert_eq!(refused.status(), 401);
}
