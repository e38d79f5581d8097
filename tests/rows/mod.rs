//! The rows of the checklist, each a test named after it, over HTTP on real sockets.

mod bearer;
mod challenge;
mod credential;
mod crowd;
mod floods;
mod framing;
mod hidden;
mod hooks;
mod identity;
mod routes;
mod streams;
mod trailers;

use http::StatusCode;

use crate::support::gateway::{Answer, Gateway};
use crate::support::{Backend, SqliteBackend};

/// A gateway and the token of one who is linked to it.
async fn gateway() -> (SqliteBackend, Gateway, String) {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let token = gateway.link("alice").await;
    (db, gateway, token)
}

/// Whether nobody was told anything but to bring a token.
fn is_challenge(answer: &Answer) -> bool {
    answer.is_problem(401, "credential_required") && answer.header("www-authenticate") == "Bearer"
}

/// Whether a credential was refused, for a reason that is not told.
fn is_invalid(answer: &Answer) -> bool {
    answer.is_problem(401, "invalid_token")
        && answer.header("www-authenticate") == "Bearer error=\"invalid_token\""
}

/// Whether the server still works: a linked bridge is let in, and a new one is linked.
async fn still_serves(gateway: &Gateway, token: &str) {
    assert!(gateway.admits(token).await);
    let newcomer = gateway.link("newcomer").await;
    assert!(gateway.admits(&newcomer).await);
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// The JSON that stands in an answer as it came over the socket.
fn seen(answer: &str) -> serde_json::Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {answer}"))
}

const REFUSED: [StatusCode; 2] = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED];
