//! The other server's parties as actors: by an actor token in a token exchange, and by `act` in a token that is mapped to a
//! session (RFC 8693 §2.1, §4.1).

use std::time::Duration;

use bridge_auth::Scopes;
use bridge_auth::external_issuer::{
    ExternalIssuer, ExternalSessions, ExternalSubject, HttpJwks, IdentityAssertions, Workload,
};
use bridge_auth::issue::{AccessRequest, RegisteredClient, TokenExchange};
use bridge_auth::token::Actor;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::provider::{assertion_claims, know, provider, sign};
use super::server::{Answering, AuthorizationServer, Key};
use super::sessions::Table;
use super::{Ahead, HERE, partner};
use crate::oauth::given::{Hook, claims, oauth_builder, post};
use crate::oauth::token_exchange::{ACCESS, GRANT, JWT};
use crate::support::bridge::{ISSUER, access, user};
use crate::support::gateway::{Answer, Gateway, send};
use crate::support::{Backend, SqliteBackend};

const SECRET: &str = "c2VjcmV0IG9mIGFuIGFnZW50LCAzMiByYW5kb20gYnl0ZXM";

async fn trusting(db: &impl Backend, issuer: ExternalIssuer) -> Gateway {
    let planner = RegisteredClient::new("planner", "Planner").secret(SECRET).exchanges_tokens(true);
    let builder = oauth_builder(db).await.token_exchange(TokenExchange::new()).client(planner).trust(issuer);
    Gateway::over(builder.build().unwrap()).await
}

/// The server, whose parties have the sessions that `table` names.
fn mapped_by(server: &AuthorizationServer, table: &Table) -> ExternalIssuer {
    let source = HttpJwks::new(server.jwks_url()).unwrap();
    ExternalIssuer::new(server.issuer(), source, ExternalSessions::mapped(table.clone()))
        .audience(HERE, "bridge")
        .keys_deadline(Duration::from_secs(20))
}

/// The planner exchanges `subject` for `actor`.
async fn exchange(gateway: &Gateway, subject: &str, actor: &str) -> Answer {
    let planner = Hook { id: "planner".to_owned(), secret: SECRET.to_owned() };
    let fields = [
        ("grant_type", GRANT),
        ("subject_token", subject),
        ("subject_token_type", ACCESS),
        ("actor_token", actor),
        ("actor_token_type", JWT),
    ];
    planner.send(gateway, "/token", &fields).await
}

#[tokio::test]
async fn m6_an_actor_token_of_a_trusted_issuer_names_its_party_with_its_issuer() {
    let db = SqliteBackend::start().await;
    let server = AuthorizationServer::start(Ahead::default()).await;
    let gateway = trusting(&db, partner(&server)).await;
    let alice = gateway.link("alice").await;
    for audience in [json!(HERE), json!([ISSUER, "https://other.example"]), json!(ISSUER)] {
        let actor = server.token_with(&json!({ "aud": audience }));
        let answer = exchange(&gateway, &alice, &actor).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let said = claims(&answer.text("access_token"));
        assert_eq!(said["act"], json!({ "sub": "them|7", "iss": server.issuer() }));
        assert!(said["exp"].as_u64() <= claims(&actor)["exp"].as_u64(), "no longer than the actor's token");
    }
}

#[tokio::test]
async fn an_actor_token_that_is_for_others_or_not_good_names_nobody() {
    let db = SqliteBackend::start().await;
    let server = AuthorizationServer::start(Ahead::default()).await;
    let gateway = trusting(&db, partner(&server)).await;
    let alice = gateway.link("alice").await;
    let with = |claims: Value| server.token_with(&claims);
    let stranger = Key::new("first");
    let unknown = AuthorizationServer::start(Ahead::default()).await;
    for bad in [
        with(json!({ "aud": "https://other.example" })),
        with(json!({ "aud": [] })),
        with(json!({ "aud": format!("{ISSUER}/") })),
        with(json!({ "exp": 1_700_000_000 })),
        with(json!({ "sub": "a\u{202e}b" })),
        with(json!({ "act": { "sub": "other" } })),
        with(json!({ "act": "other" })),
        with(json!({ "nonce": "n" })),
        stranger.sign(&server.claims()),
        unknown.token(),
        server.key.sign_under(&json!({ "alg": "EdDSA", "kid": "first", "typ": "JWT" }), &server.claims()),
    ] {
        let answer = exchange(&gateway, &alice, &bad).await;
        assert!(answer.is_oauth_error(400, "invalid_request"), "{} {answer:?}", claims(&bad));
    }
    // Its own token is no subject token: only its issuer knows what may be done with it.
    let answer = exchange(&gateway, &server.token(), &server.token()).await;
    assert!(answer.is_oauth_error(400, "invalid_request"), "{answer:?}");
}

#[tokio::test]
async fn an_actor_whose_issuer_cannot_be_reached_may_be_good() {
    let db = SqliteBackend::start().await;
    let server = AuthorizationServer::start(Ahead::default()).await;
    server.answer(Answering::Nothing);
    let gateway = trusting(&db, partner(&server).keys_deadline(Duration::from_millis(50))).await;
    let alice = gateway.link("alice").await;
    let answer = exchange(&gateway, &alice, &server.token()).await;
    assert!(answer.is_oauth_error(503, "temporarily_unavailable"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn an_actor_that_is_mapped_to_a_session_acts_only_while_the_session_is_live() {
    let db = SqliteBackend::start().await;
    let (server, table) = (AuthorizationServer::start(Ahead::default()).await, Table::default());
    let gateway = trusting(&db, mapped_by(&server, &table)).await;
    let (alice, bob) = (gateway.link("alice").await, access(&gateway.bridge, "bob", "chat").await);
    assert!(exchange(&gateway, &alice, &server.token()).await.is_oauth_error(400, "invalid_request"));
    table.map("them|7", &bob.session);
    let acting = exchange(&gateway, &alice, &server.token()).await.text("access_token");
    assert!(gateway.admits(&acting).await);
    gateway.bridge.admin().revoke_session(&bob.session).await.unwrap();
    assert!(!gateway.admits(&acting).await, "what was exchanged before ends too");
    assert!(gateway.admits(&alice).await);
    assert!(exchange(&gateway, &alice, &server.token()).await.is_oauth_error(400, "invalid_request"));
}

#[tokio::test]
async fn who_is_mapped_to_a_session_acts_no_longer_than_that_session_lives() {
    let db = SqliteBackend::start().await;
    let (server, table) = (AuthorizationServer::start(Ahead::default()).await, Table::default());
    let gateway = trusting(&db, mapped_by(&server, &table)).await;
    let alice = gateway.link("alice").await;
    know(&gateway.bridge, "bob").await;
    let short = AccessRequest::for_user(user("bob"), Scopes::default()).session_life(Duration::from_secs(60));
    let bob = gateway.bridge.issuer().open_access(short).await.unwrap();
    table.map("them|7", &bob.session);
    let actor = server.token();
    let said = claims(&exchange(&gateway, &alice, &actor).await.text("access_token"));
    let life = said["exp"].as_u64().unwrap() - said["iat"].as_u64().unwrap();
    assert!(life <= 60 && claims(&actor)["exp"].as_u64() > said["exp"].as_u64(), "{said}");
}

#[tokio::test]
async fn an_exchange_makes_no_sign_in_younger_that_an_assertion_told_of() {
    let db = SqliteBackend::start().await;
    let server = AuthorizationServer::start(Ahead::default()).await;
    let issuer = provider(&server).identity_assertions(IdentityAssertions::new());
    let gateway = trusting(&db, issuer).await;
    know(&gateway.bridge, "alice").await;
    let mut claims_of_alice = assertion_claims(&server, "idp|alice");
    let signed_in = claims_of_alice["iat"].as_u64().unwrap() - 7200;
    claims_of_alice["client_id"] = json!("planner");
    claims_of_alice["auth_time"] = json!(signed_in);
    claims_of_alice.as_object_mut().unwrap().remove("resource");
    let planner = Hook { id: "planner".to_owned(), secret: SECRET.to_owned() };
    let assertion = sign(&server, &claims_of_alice);
    let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &*assertion)];
    let mut answer = planner.send(&gateway, "/token", &form).await;
    for depth in 0..3 {
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.text("access_token");
        assert_eq!(claims(&token)["auth_time"], json!(signed_in), "{depth}");
        let fields = [("grant_type", GRANT), ("subject_token", &*token), ("subject_token_type", ACCESS)];
        answer = planner.send(&gateway, "/token", &fields).await;
    }
}

#[tokio::test]
async fn a_caller_that_is_mapped_to_a_session_shows_who_acts_and_never_hides_it() {
    let db = SqliteBackend::start().await;
    let (server, table) = (AuthorizationServer::start(Ahead::default()).await, Table::default());
    let gateway = trusting(&db, mapped_by(&server, &table)).await;
    table.map("them|7", &access(&gateway.bridge, "alice", "chat").await.session);
    let actor = async |act: Value| {
        let bearer = format!("Bearer {}", server.token_with(&json!({ "act": act }))).parse().unwrap();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
        let caller = gateway.bridge.authenticator("bridge").unwrap().authenticate(&headers).await;
        caller.map(|caller| caller.actor().cloned())
    };
    let shown = actor(json!({ "sub": "agent", "act": { "sub": "planner", "iss": "https://third.example" } }));
    let shown: Actor = shown.await.unwrap().unwrap();
    assert_eq!((shown.subject(), shown.issuer()), ("agent", Some(&*server.issuer())));
    let earlier = shown.actor().unwrap();
    assert_eq!((earlier.subject(), earlier.issuer()), ("planner", Some("https://third.example")));
    for odd in [json!({}), json!("agent"), json!({ "client_id": "agent" }), json!({ "sub": "" })] {
        assert!(actor(odd.clone()).await.is_err(), "{odd}");
    }
}

#[tokio::test]
async fn a_workload_acts_by_its_own_token_and_is_no_person_to_act_for() {
    let db = SqliteBackend::start().await;
    let server = AuthorizationServer::start(Ahead::default()).await;
    let runner = |_: &ExternalSubject| Some(Workload::new("runner".parse().ok()?, Scopes::default()));
    let gateway = trusting(&db, partner(&server).workloads(runner)).await;
    let alice = gateway.link("alice").await;
    let mut claims_of_pod = server.claims();
    claims_of_pod["aud"] = json!([ISSUER]);
    let header = json!({ "alg": "EdDSA", "kid": server.key.id });
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &*server.key.sign_under(&header, &claims_of_pod)),
    ];
    let answer = send(post(&gateway, "/token", &form)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let runner = answer.text("access_token");
    let acting = exchange(&gateway, &alice, &runner).await.text("access_token");
    assert_eq!(claims(&acting)["act"], json!({ "sub": "runner" }));
    assert!(gateway.admits(&acting).await);
    let answer = exchange(&gateway, &runner, &alice).await;
    assert!(answer.is_oauth_error(400, "invalid_request"), "{answer:?}");
    let session = claims(&runner)["sid"].as_str().unwrap().parse().unwrap();
    gateway.bridge.admin().revoke_session(&session).await.unwrap();
    assert!(exchange(&gateway, &alice, &runner).await.is_oauth_error(400, "invalid_request"));
    assert!(!gateway.admits(&acting).await && gateway.admits(&alice).await);
}
