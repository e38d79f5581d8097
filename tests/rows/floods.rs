//! Section 2.2, A48 and A49: requests that are too much, that never end, or that are given up.

use std::time::Duration;

use bridge_auth::{Scopes, SignedIn};
use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{bearer, gateway, still_serves};
use crate::support::bridge::user;
use crate::support::gateway::{Gateway, PREFIX, send};
use crate::support::wire::{h2, raw, raw_get};
use crate::support::{Backend, PostgresBackend};

crate::store::promises![attack_a49_who_hangs_up_leaves_a_code_spent_with_its_session_or_neither];

#[tokio::test]
async fn attack_a48_a_rapid_reset_or_a_head_without_end_costs_the_attacker_the_connection() {
    let (_db, gateway, token) = gateway().await;
    // CVE-2023-44487: many streams, each given up at once; then one that is not.
    let resets = |times: u32| {
        let reset = |n: u32| [h2::get(2 * n + 1, "/v1/echo", &[]), h2::cancel(2 * n + 1)].concat();
        let kept = h2::get(2 * times + 1, "/v1/echo", &[]);
        (0..times).flat_map(reset).chain(kept).collect::<Vec<u8>>()
    };
    // CVE-2024-27316 and its like: one head that is continued again and again, with many fields or with nothing.
    let continued = |fields: &[u8], times| {
        let head = h2::unended(h2::get(1, "/v1/echo", &[]));
        let last = h2::frame(h2::CONTINUATION, h2::END_HEADERS, 1, &[]);
        [head, h2::frame(h2::CONTINUATION, 0, 1, fields).repeat(times), last].concat()
    };
    let fields = h2::field("x-a", &"y".repeat(100)).repeat(100);
    for (few, flood) in [
        (resets(3), resets(5_000)),
        (continued(&fields[..106], 3), continued(&fields, 2_000)),
        (continued(&[], 3), continued(&[], 200_000)),
    ] {
        let answered = h2::answers(gateway.address, &few).await;
        assert!(answered.contains(&h2::HEADERS), "a few do no harm: {answered:?}");
        let (found, bob) = tokio::join!(h2::answers(gateway.address, &flood), gateway.link("bob"));
        assert!(!found.contains(&h2::HEADERS), "it hangs up before: {found:?}");
        assert!(gateway.admits(&bob).await, "others are served meanwhile");
    }
    still_serves(&gateway, &token).await;
}

#[tokio::test]
async fn attack_a48_headers_without_measure_are_refused() {
    let (_db, gateway, token) = gateway().await;
    let dots = ".".repeat(10_000);
    for credential in ["a".repeat(9000), "a".repeat(60_000), dots] {
        let (status, answer) = raw_get(gateway.address, "/v1/echo", bearer(&credential)).await;
        assert_eq!(status, 431, "{answer:.200}");
        assert!(answer.contains("credential_too_large"), "{answer:.400}");
    }
    // More than the server reads at all: it says so itself, or hangs up.
    let many: String = (0..1_000_000).map(|n| format!("x-{n}: y\r\n")).collect();
    for lines in [many, bearer(&"a".repeat(1 << 20))] {
        let request = format!("GET /v1/echo HTTP/1.1\r\nhost: gateway\r\n{lines}\r\n");
        let answer = raw(gateway.address, request.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer:.200}");
    }
    still_serves(&gateway, &token).await;
}

#[tokio::test]
async fn attack_a48_no_body_is_unpacked_and_none_is_read_past_its_limit() {
    let (_db, gateway, token) = gateway().await;
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let packed = vec![0x1f; 10_000];
        let request = gateway.post("/session", &json!({})).header("content-encoding", coding).body(packed);
        assert!(send(request).await.is_oauth_error(400, "invalid_request"), "{coding}");
    }
    let huge = format!(r#"{{"code":"{}"}}"#, "a".repeat(8 << 20));
    let request = gateway.post("/session", &json!({})).body(huge).send().await;
    // The server may hang up on what it does not read.
    assert!(request.is_err() || request.unwrap().status() == StatusCode::PAYLOAD_TOO_LARGE);
    still_serves(&gateway, &token).await;
}

/// How long a slow client may take is for the server (hyper's time-out of headers) and the host's own time-out to say.
#[tokio::test]
async fn attack_a48_slow_and_half_open_clients_hinder_nobody() {
    let (_db, gateway, token) = gateway().await;
    let body = format!(
        "POST {PREFIX}/session HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{{"
    );
    let begun = ["", "G", "GET /v1/echo HTTP/1.1\r\nhost: a\r\nx-a:", "PRI * HTTP/2.0\r\n\r\nSM", &body];
    let opened = (0..200).map(async |n| {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(begun[n % begun.len()].as_bytes()).await.unwrap();
        stream
    });
    let slow = join_all(opened).await;
    timeout(Duration::from_secs(20), still_serves(&gateway, &token)).await.expect("others are served");
    drop(slow);
    still_serves(&gateway, &token).await;
}

/// More hang up than any pool has connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_a49_who_hangs_up_while_judged_takes_no_look_up_along() {
    let db = PostgresBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let token = gateway.link("alice").await;
    let mut holder = db.client().await;
    let held = holder.transaction().await.unwrap();
    held.batch_execute("LOCK TABLE bridge_auth.sessions IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let asked = (0..60).map(async |_| {
        let request = gateway.request(Method::GET, "/v1/echo").bearer_auth(&token).send();
        timeout(Duration::from_millis(100), request).await.is_err()
    });
    assert!(join_all(asked).await.into_iter().all(|hung_up| hung_up));
    held.rollback().await.unwrap();
    still_serves(&gateway, &token).await;
}

/// Presents `code` and hangs up after `patience`, whatever has come back by then.
async fn hang_up(gateway: &Gateway, code: &str, patience: Duration) {
    let body = json!({ "code": code }).to_string();
    let request = format!(
        "POST {PREFIX}/session HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    sleep(patience).await;
}

/// More hang up than any pool has connections, at every moment of an exchange.
///
/// What was begun may end late, and no matter when: once the code has been presented again it is spent, and
/// one session is there for it.
async fn attack_a49_who_hangs_up_leaves_a_code_spent_with_its_session_or_neither(db: impl Backend) {
    const CALLERS: u64 = 40;
    let gateway = Gateway::start(&db).await;
    let mut spent = 0;
    for caller in 0..CALLERS {
        let code = gateway.code("alice").await;
        hang_up(&gateway, &code, Duration::from_micros(100 << (caller / 4))).await;
        spent += u64::from(gateway.exchange(&code).await.status == StatusCode::BAD_REQUEST);
        assert_eq!(db.count("sessions").await, caller + 1);
    }
    assert!(spent > 0, "some exchanges ran to their end");
}

/// The server is made to wait where it locks the user, so that each client hangs up in the transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_a49_who_hangs_up_in_the_transaction_takes_no_place_in_the_pool() {
    let db = PostgresBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let mut codes = Vec::new();
    for person in 0..12 {
        codes.push(gateway.code(&format!("person{person}")).await);
    }
    let mut holder = db.client().await;
    let held = holder.transaction().await.unwrap();
    held.batch_execute("SELECT FROM bridge_auth.users FOR UPDATE").await.unwrap();
    for code in &codes {
        hang_up(&gateway, code, Duration::from_millis(60)).await;
    }
    // Each of those who hung up still waits on the server; none of them holds a place here.
    gateway.bridge.issuer().register_user(&SignedIn::new(user("late"), Scopes::default())).await.unwrap();
    held.rollback().await.unwrap();
    for (done, code) in (1..).zip(&codes) {
        gateway.exchange(code).await;
        assert!(db.count("sessions").await >= done);
    }
    assert_eq!(db.count("sessions").await, 12);
}
