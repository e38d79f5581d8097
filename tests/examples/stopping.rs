//! How the example gateway stops: what it finishes, what it does not wait for, and what it ends with.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{Gateway, alice, text};
use crate::support::process::{PATIENCE, example, start_logging};

/// Less than requests in progress may take (20 s).
const SOON: Duration = Duration::from_secs(10);

async fn connect(gateway: &Gateway) -> TcpStream {
    TcpStream::connect(gateway.running.url.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Reads until there is `end`.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer comes").unwrap());
    }
    String::from_utf8(read).unwrap()
}

/// The head of a request with a body of 6 bytes, which the gateway has asked for.
async fn half_a_request(gateway: &Gateway, token: &str) -> TcpStream {
    let mut stream = connect(gateway).await;
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-length: 6\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The handler waits for the body from here on.
    assert!(read_to(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 100 Continue"));
    stream
}

#[tokio::test]
async fn a_gateway_that_is_told_to_stop_answers_what_is_under_way() {
    let mut gateway = Gateway::start(&[]).await;
    let token = text(&gateway.link(alice()).await, "token");
    let mut stream = half_a_request(&gateway, &token).await;
    gateway.running.signal("TERM").await;
    while TcpStream::connect(gateway.running.url.strip_prefix("http://").unwrap()).await.is_ok() {
        sleep(Duration::from_millis(10)).await;
    }
    // Longer than a connection without work is kept.
    sleep(Duration::from_secs(1)).await;
    stream.write_all(b"\"late\"").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"body\":\"late\""), "{answer}");
    assert!(gateway.running.ended().await.success());
}

#[tokio::test]
async fn after_sigterm_a_gateway_is_not_ready_and_goes_on_for_the_pause() {
    let home = tempfile::tempdir().unwrap();
    let mut command = example("gateway", home.path());
    command.env("BRIDGE_AUTH_DRAIN_PAUSE", "3").args(["--listen", "127.0.0.1:0"]);
    let mut gateway = Gateway::started_by(home, &mut command).await;
    let token = text(&gateway.link(alice()).await, "token");
    assert_eq!(gateway.client.get(gateway.url("/readyz")).send().await.unwrap().status(), 200);
    let told = Instant::now();
    gateway.running.signal("TERM").await;
    // Each by a connection of its own, as a balancer makes them.
    let fresh = || reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = async || fresh().get(gateway.url("/readyz")).send().await.unwrap();
    let mut answer = ready().await;
    while answer.status() == 200 {
        assert!(told.elapsed() < Duration::from_secs(1), "the signal is heard at once");
        answer = ready().await;
    }
    let status = answer.status().as_u16();
    let said: serde_json::Value = answer.json().await.unwrap();
    assert_eq!((status, said["code"].as_str()), (503, Some("draining")));
    assert_eq!(fresh().get(gateway.url("/healthz")).send().await.unwrap().status(), 200);
    let called = fresh().get(gateway.url("/v1/whoami")).bearer_auth(token).send().await.unwrap();
    assert_eq!(called.status(), 200, "what a balancer still sends is answered");
    assert!(gateway.running.ended().await.success());
    assert!(told.elapsed() >= Duration::from_secs(3), "{:?}", told.elapsed());
}

#[tokio::test]
async fn a_second_signal_or_ctrl_c_ends_the_pause() {
    for signals in [&["TERM", "TERM"][..], &["INT"]] {
        let home = tempfile::tempdir().unwrap();
        let mut command = example("gateway", home.path());
        command.env("BRIDGE_AUTH_DRAIN_PAUSE", "3600").args(["--listen", "127.0.0.1:0"]);
        let mut gateway = Gateway::started_by(home, &mut command).await;
        for (place, signal) in signals.iter().enumerate() {
            gateway.running.signal(signal).await;
            // Two signals at once may count as one.
            while place + 1 < signals.len()
                && gateway.client.get(gateway.url("/readyz")).send().await.unwrap().status() == 200
            {
                sleep(Duration::from_millis(10)).await;
            }
        }
        assert!(gateway.running.ended().await.success(), "{signals:?}");
    }
}

#[tokio::test]
async fn connections_without_a_request_hold_no_stop() {
    let mut gateway = Gateway::start(&[]).await;
    let silent = connect(&gateway).await;
    let mut idle = connect(&gateway).await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(read_to(&mut idle, r#"{"status":"live"}"#).await.starts_with("HTTP/1.1 200 OK"));
    let mut half = connect(&gateway).await;
    half.write_all(b"GET /healthz HTTP/1.1\r\nho").await.unwrap();
    let mut idle_then_half = connect(&gateway).await;
    idle_then_half.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_to(&mut idle_then_half, r#"{"status":"live"}"#).await;
    idle_then_half.write_all(b"GET ").await.unwrap();
    let mut http2 = connect(&gateway).await;
    // The preface, and empty settings.
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    http2.read_u8().await.unwrap();
    // So that all of them are accepted.
    assert_eq!(gateway.client.get(gateway.url("/readyz")).send().await.unwrap().status(), 200);

    gateway.running.signal("TERM").await;
    let ended = timeout(SOON, gateway.running.ended()).await.expect("none of them holds the stop");
    assert_eq!(ended.code(), Some(0));
    drop((silent, idle, half, idle_then_half, http2));
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_whole_answer() {
    let mut gateway = Gateway::start(&[]).await;
    let token = text(&gateway.link(alice()).await, "token");
    let mut stream = connect(&gateway).await;
    // The upstream answers with the body that it got. Axum takes 2 MB, and no socket holds the half of that.
    let length = 2_000_000;
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'a'; length]).await.unwrap();
    let head = read_to(&mut stream, "\r\n\r\n").await.to_ascii_lowercase();
    let announced: usize =
        head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    gateway.running.signal("TERM").await;
    sleep(Duration::from_secs(2)).await;
    let mut body = Vec::new();
    stream.read_to_end(&mut body).await.unwrap();
    assert!(body.len() == announced && announced > length, "{} of {announced}", body.len());
    assert!(gateway.running.ended().await.success());
}

#[tokio::test]
async fn requests_that_take_longer_than_they_may_are_cut_off_and_the_exit_is_1() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("log");
    let mut command = example("gateway", home.path());
    command.args(["--listen", "127.0.0.1:0", "--stop-timeout", "1"]);
    let running = start_logging(&mut command, &log).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut gateway = Gateway { running, home, client };
    let token = text(&gateway.link(alice()).await, "token");
    let stream = half_a_request(&gateway, &token).await;
    gateway.running.signal("TERM").await;
    assert_eq!(gateway.running.ended().await.code(), Some(1));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("requests still ran 1 s after the stop, and were cut off (connections: 1)"),
        "{log}"
    );
    drop(stream);
}
