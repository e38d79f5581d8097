//! `bridge serve`: what it lets through, and whom it turns away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::Gateway;
use super::bridge::{complaint, home_with_credential_for, linked};
use crate::support::process::{example, run, start};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

#[tokio::test]
async fn a_program_calls_the_gateway_as_the_person_and_as_nobody_else() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    let proxy = start(&mut gateway.bridge(&home, &SERVE)).await;
    let key = proxy.printed_after("local key: ");
    let url = format!("{}/v1/messages?a=%20b", proxy.url);
    for header in ["x-api-key", "x-goog-api-key"] {
        let request = gateway.client.post(&url).header(header, key).header("x-user-id", "mallory");
        let answer = request.header("x-kept", "yes").body("[1]").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let received: Value = answer.json().await.unwrap();
        assert_eq!(received["body"], serde_json::json!([1]));
        let headers = &received["headers"];
        assert_eq!((headers["x-user-id"].as_str(), headers["x-kept"].as_str()), (Some("alice"), Some("yes")));
        assert!(headers.get(header).is_none() && headers.get("authorization").is_none());
    }

    let missing = gateway.client.get(format!("{}/nothing", proxy.url)).bearer_auth(key);
    assert_eq!(missing.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn bodies_go_both_ways_as_they_come() {
    let echo = Router::new().fallback(async |body: Body| body);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = home_with_credential_for(&format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move { axum::serve(listener, echo).await });
    let proxy = start(example("bridge", home.path()).args(SERVE).args(["--key", "key"])).await;

    let (sender, receiver) = mpsc::channel::<Result<&'static str, std::io::Error>>(1);
    let body = futures_util::stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(&proxy.url).bearer_auth("key").body(reqwest::Body::wrap_stream(body));
    sender.send(Ok("one")).await.unwrap();
    let mut answer = request.send().await.unwrap().bytes_stream();
    for next in ["two", "three"] {
        assert!(!answer.next().await.unwrap().unwrap().is_empty());
        // Only now is there more to send.
        sender.send(Ok(next)).await.unwrap();
    }
    assert_eq!(answer.next().await.unwrap().unwrap(), "three");
    drop(sender);
    assert!(answer.next().await.is_none());
}

#[tokio::test]
async fn web_pages_and_whoever_has_no_key_are_turned_away() {
    let called = Arc::new(AtomicUsize::new(0));
    let counted = called.clone();
    let app = Router::new().fallback(async move || counted.fetch_add(1, Ordering::SeqCst).to_string());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = home_with_credential_for(&format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let proxy = start(example("bridge", home.path()).args(SERVE).args(["--key", "key"])).await;
    let address = proxy.url.strip_prefix("http://").unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    let [own, local, led_here] = [address, &format!("localhost:{port}"), &format!("evil.example:{port}")]
        .map(|host| format!("host: {host}"));
    let (own, local, led_here) = (own.as_str(), local.as_str(), led_here.as_str());
    let key = "authorization: Bearer key";
    for (status, lines) in [
        ("200", [own, key, ""]),
        ("200", [local, "x-api-key: key", ""]),
        ("401", [own, "", ""]),
        ("401", [own, "authorization: Bearer kez", ""]),
        ("401", [own, "authorization: Basic key", ""]),
        ("403", [own, key, "origin: https://evil.example"]),
        ("403", [own, key, "origin: null"]),
        ("403", [own, key, "sec-fetch-site: cross-site"]),
        ("403", [own, key, "sec-fetch-site: same-site"]),
        ("403", [led_here, key, ""]),
        ("403", ["host: localhost:1", key, ""]),
    ] {
        let lines: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        let request = format!("GET / HTTP/1.1\r\n{}\r\nconnection: close\r\n\r\n", lines.join("\r\n"));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
    }
    assert_eq!(called.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_proxy_listens_on_loopback_alone() {
    let home = home_with_credential_for("http://127.0.0.1:1");
    let refused = run(example("bridge", home.path()).args(["serve", "--listen", "0.0.0.0:0"])).await;
    let refused = complaint(&refused);
    assert!(refused.contains("other machines can reach"), "{refused}");
}
