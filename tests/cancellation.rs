//! Clients that hang up in the middle of an exchange: the code is spent with its session, or neither.

use std::time::Duration;

use bridge_auth::Scopes;
use http::StatusCode;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::support::bridge::user;
use crate::support::gateway::{Gateway, PREFIX};
use crate::support::{Backend, PostgresBackend};

crate::store::promises![who_hangs_up_leaves_a_code_spent_with_its_session_or_neither];

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
async fn who_hangs_up_leaves_a_code_spent_with_its_session_or_neither(db: impl Backend) {
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
async fn who_hangs_up_in_the_transaction_takes_no_place_in_the_pool() {
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
