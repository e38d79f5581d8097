//! Callers of the other server that the host maps to sessions: held to the row like everyone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bridge_auth::external_issuer::{
    ExternalClaims, ExternalIssuer, ExternalSessions, HttpJwks, SessionMapper,
};
use bridge_auth::store::{StoreError, StoreErrorKind};
use bridge_auth::{Freshness, Scopes, SessionId};
use http::{Method, StatusCode};
use serde_json::json;

use super::server::AuthorizationServer;
use super::{Ahead, HERE};
use crate::support::Backend;
use crate::support::bridge::{access, builder, user};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};

crate::store::promises![
    a_mapped_caller_is_the_person_of_the_session_and_dies_with_it,
    a_mapped_caller_that_was_seen_before_dies_with_its_session_on_a_watched_bridge_too,
    a_mapping_that_fails_or_finds_nothing_lets_nobody_in,
    a_mapped_caller_may_use_the_endpoints_of_its_person,
];

/// The host's own table of who is who.
#[derive(Debug, Clone, Default)]
pub(super) struct Table(Arc<Rows>);

#[derive(Debug, Default)]
pub(super) struct Rows {
    sessions: Mutex<HashMap<String, SessionId>>,
    asked: AtomicUsize,
}

#[async_trait]
impl SessionMapper for Table {
    async fn session(&self, claims: &ExternalClaims) -> Result<Option<SessionId>, StoreError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        match claims.subject() {
            "down" => Err(StoreError::new(StoreErrorKind::Unavailable, "the table is down")),
            "slow" => std::future::pending().await,
            subject => Ok(self.0.sessions.lock().unwrap().get(subject).cloned()),
        }
    }
}

impl Table {
    pub(super) fn map(&self, subject: &str, session: &SessionId) {
        self.0.sessions.lock().unwrap().insert(subject.to_owned(), session.clone());
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }
}

async fn start(db: &impl Backend, freshness: Freshness) -> (AuthorizationServer, Table, Gateway) {
    let server = AuthorizationServer::start(Ahead::default()).await;
    let table = Table::default();
    let source = HttpJwks::new(server.jwks_url()).unwrap();
    let issuer = ExternalIssuer::new(server.issuer(), source, ExternalSessions::mapped(table.clone()))
        .audience(HERE, "bridge")
        .allow_scopes(Scopes::parse("read").unwrap())
        .keys_deadline(Duration::from_secs(20));
    let builder = builder(db).await.freshness(freshness).trust(issuer);
    let gateway = Gateway::over(builder.build().unwrap()).await;
    (server, table, gateway)
}

async fn call(gateway: &Gateway, token: &str) -> Answer {
    gateway.call(Method::GET, "/v1/echo", token).await
}

async fn a_mapped_caller_is_the_person_of_the_session_and_dies_with_it(db: impl Backend) {
    let (server, table, gateway) = start(&db, Freshness::Strict).await;
    let access = access(&gateway.bridge, "alice", "chat").await;
    table.map("them|7", &access.session);
    let token = server.token();
    for _ in 0..3 {
        let answer = call(&gateway, &token).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let seen = answer.json();
        assert_eq!((&seen["user_id"], &seen["session_id"]), (&json!("alice"), &json!(access.session)));
        assert_eq!(seen["scopes"], "read", "of the token's scopes, those allowed for its issuer");
        assert_eq!(
            (&seen["headers"]["x-user-id"], &seen["headers"]["x-client-id"]),
            (&json!("alice"), &json!("sp_bridge"))
        );
    }
    assert_eq!(table.asked(), 1, "the answer is remembered");
    let declared =
        gateway.request(Method::GET, "/v1/echo").bearer_auth(&token).header("x-session-id", "sess_other");
    assert!(send(declared).await.is_problem(401, "invalid_token"));

    gateway.bridge.admin().revoke_session(&access.session).await.unwrap();
    let refused = call(&gateway, &token).await;
    assert!(refused.is_problem(401, "invalid_token"), "{refused:?}");
    assert_eq!(call(&gateway, &token).await.status, 401);
    let next = crate::support::bridge::access(&gateway.bridge, "alice", "chat").await;
    table.map("them|7", &next.session);
    assert_eq!(call(&gateway, &token).await.json()["session_id"], json!(next.session), "mapped anew");
    gateway.bridge.admin().disable_user(&user("alice")).await.unwrap();
    assert_eq!(call(&gateway, &token).await.status, 401);
}

async fn a_mapped_caller_that_was_seen_before_dies_with_its_session_on_a_watched_bridge_too(
    db: impl Backend,
) {
    let (server, table, gateway) = start(&db, Freshness::watched()).await;
    let access = access(&gateway.bridge, "alice", "chat").await;
    table.map("them|7", &access.session);
    let token = server.token();
    for _ in 0..20 {
        assert_eq!(call(&gateway, &token).await.status, StatusCode::OK);
    }
    gateway.bridge.admin().revoke_session(&access.session).await.unwrap();
    assert_eq!(call(&gateway, &token).await.status, StatusCode::UNAUTHORIZED);
}

async fn a_mapping_that_fails_or_finds_nothing_lets_nobody_in(db: impl Backend) {
    let (server, table, gateway) = start(&db, Freshness::Strict).await;
    let token = |subject: &str| server.token_with(&json!({ "sub": subject }));
    table.map("lost", &SessionId::random());
    for subject in ["nobody", "lost"] {
        let answer = call(&gateway, &token(subject)).await;
        assert!(answer.is_problem(401, "invalid_token"), "{subject}: {answer:?}");
    }
    for subject in ["down", "slow"] {
        let answer = call(&gateway, &token(subject)).await;
        assert!(answer.is_problem(503, "temporarily_unavailable"), "{subject}: {answer:?}");
    }
    let asked = table.asked();
    let elsewhere = server.token_with(&json!({ "sub": "nobody", "aud": "https://other.example" }));
    assert_eq!(call(&gateway, &elsewhere).await.status, StatusCode::UNAUTHORIZED);
    let forged = super::server::Key::new(&server.key.id).sign(&server.claims());
    assert_eq!(call(&gateway, &forged).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(table.asked(), asked, "only a good token for this gateway is worth asking for");
    let access = access(&gateway.bridge, "alice", "chat").await;
    table.map("nobody", &access.session);
    assert_eq!(call(&gateway, &token("nobody")).await.status, StatusCode::OK, "a no is not remembered");
}

async fn a_mapped_caller_may_use_the_endpoints_of_its_person(db: impl Backend) {
    let (server, table, gateway) = start(&db, Freshness::Strict).await;
    let access = access(&gateway.bridge, "alice", "chat").await;
    table.map("them|7", &access.session);
    let token = server.token();
    let sessions = gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &token).await;
    assert_eq!(sessions.json()["sessions"][0]["current"], true, "{sessions:?}");
    let left = gateway.call(Method::POST, &format!("{PREFIX}/logout"), &token).await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    assert_eq!(call(&gateway, &token).await.status, StatusCode::UNAUTHORIZED);
}
