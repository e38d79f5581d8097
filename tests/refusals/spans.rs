//! The span of a request names its caller, where the host has declared the fields.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_http::trace::TraceLayer;
use tracing::Span;
use tracing::field::Empty;
use tracing_subscriber::EnvFilter;

use crate::support::bridge::{access, builder};
use crate::support::record::{Record, hear};
use crate::support::{Backend, SqliteBackend};

fn span(request: &Request) -> Span {
    let path = request.uri().path();
    tracing::info_span!("request", path, user_id = Empty, session_id = Empty, client_id = Empty)
}

#[tokio::test]
async fn a_line_of_a_handler_names_the_user_that_the_guard_let_in() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let alice = access(&bridge, "alice", "chat").await;
    let work = || async { tracing::info!(target: "handler", "works") };
    let app = Router::new()
        .route("/work", get(work))
        .layer(bridge.layer("bridge").unwrap())
        .layer(TraceLayer::new_for_http().make_span_with(span));
    let record = Record::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_env_filter(EnvFilter::new("info"))
        .with_writer(record.clone())
        .finish();
    let _listening = hear(subscriber);
    let call = || {
        let request = Request::get("/work").header(AUTHORIZATION, alice.token.to_header_value());
        app.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    assert_eq!(call().await.unwrap().status(), StatusCode::OK);
    bridge.admin().revoke_session(&alice.session).await.unwrap();
    assert_eq!(call().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let text = record.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let worked = lines.iter().find(|line| line["target"] == "handler").unwrap();
    assert_eq!(worked["span"]["user_id"], "alice", "{worked}");
    assert_eq!(worked["span"]["session_id"], alice.session.as_str(), "{worked}");
    assert_eq!(worked["span"]["client_id"], "sp_bridge", "{worked}");
    let refused = lines.iter().find(|line| line["fields"]["message"] == "request refused").unwrap();
    assert_eq!(refused["fields"]["user_id"], "alice", "{refused}");
    assert_eq!(refused["span"]["path"], "/work", "{refused}");
}
