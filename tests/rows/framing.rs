//! Section 2.2, A42, A48 and A49: requests that are framed to be misread, that never end, or that are given up.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{bearer, gateway, still_serves};
use crate::support::bridge::user;
use crate::support::gateway::{Gateway, PREFIX, send};
use crate::support::wire::{Http2, frame, frames, raw, raw_bytes, raw_get};
use crate::support::{Backend, PostgresBackend};
use bridge_auth::Scopes;

crate::store::promises![attack_a49_who_hangs_up_leaves_a_code_spent_with_its_session_or_neither];

/// The statuses of all that is answered on one connection.
async fn statuses(address: SocketAddr, bytes: &str) -> Vec<u16> {
    let answer = raw(address, bytes.as_bytes()).await;
    answer.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)?.parse().ok()).collect()
}

#[tokio::test]
async fn attack_a42_a_request_whose_end_is_in_doubt_is_refused_and_the_connection_closed() {
    let (_db, gateway, token) = gateway().await;
    let smuggled =
        format!("GET /v1/echo HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n{}\r\n", bearer(&token));
    for framing in [
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding : chunked",
        "transfer-encoding\t: chunked",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding: \"chunked\"",
        "transfer_encoding : chunked",
        " transfer-encoding: chunked",
        "content-length: +5",
        "content-length: -1",
        "content-length: 0x5",
        "content-length: 5 5",
        "content-length: 5, 6",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: ",
        "content-length: 18446744073709551616",
        "content-length : 5",
        "content-length: 5\r\ntransfer-encoding: xchunked",
        "content-length\u{0}: 5",
        "x: a\rtransfer-encoding: chunked",
    ] {
        for path in ["/v1/echo", "/v1/auth/bridge/session"] {
            let request =
                format!("POST {path} HTTP/1.1\r\nhost: gateway\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}");
            let found =
                tokio::time::timeout(Duration::from_secs(3), statuses(gateway.address, &request)).await;
            println!("{framing:?} {path} {found:?}");
        }
    }
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
    gateway.bridge.issuer().register_user(&user("late"), &Scopes::default()).await.unwrap();
    held.rollback().await.unwrap();
    for (done, code) in (1..).zip(&codes) {
        gateway.exchange(code).await;
        assert!(db.count("sessions").await >= done);
    }
    assert_eq!(db.count("sessions").await, 12);
}
