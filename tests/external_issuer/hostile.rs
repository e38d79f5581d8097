//! Tokens that are made to be taken for another's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use serde_json::json;
use tokio::net::TcpListener;

use super::server::{AuthorizationServer, Key};
use super::{Ahead, WINDOW, World, app, ask, partner};
use crate::support::bridge::{ISSUER, access, builder_with};
use crate::support::{Backend, SqliteBackend};

#[tokio::test]
async fn row_83_a_key_proves_tokens_of_its_own_issuer_alone() {
    let (clock, backend) = (Ahead::default(), SqliteBackend::start().await);
    let [server, other] =
        [AuthorizationServer::start(clock.clone()).await, AuthorizationServer::start(clock.clone()).await];
    let ours = Key::new("ours");
    let ring = KeyRing::new(SigningKey::from_pem(Algorithm::EdDsa, &ours.pem()).unwrap()).unwrap();
    let our_id = ring.signing_key_id();
    let builder = builder_with(&backend, ring).await.clock(clock.clone());
    let bridge = builder.trust(partner(&server)).trust(partner(&other)).build().unwrap();
    let app = app(&bridge);
    for good in [&server, &other] {
        assert_eq!(ask(&app, "/who", &good.token(), &[]).await.status, 200);
    }
    let own = access(&bridge, "alice", "read").await.token.expose().to_owned();
    let now = server.claims()["iat"].clone();
    let more = json!({ "iss": ISSUER, "aud": ["bridge"], "nbf": now, "sid": "sess_1", "auth_time": 1 });
    let mut our_claims = server.claims();
    our_claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let named = |id: &str| json!({ "alg": "EdDSA", "kid": id, "typ": "at+jwt" });
    for (what, token) in [
        ("our key, their issuer", ours.sign_under(&named(&our_id), &server.claims())),
        ("our key, their issuer and kid", ours.sign_under(&named("first"), &server.claims())),
        ("their key, our issuer", server.key.sign(&our_claims)),
        ("their key, our issuer and kid", server.key.sign_under(&named(&our_id), &our_claims)),
        ("another's key, their issuer", other.key.sign(&server.claims())),
        ("another's key and kid, their issuer", other.key.sign_under(&named("other"), &server.claims())),
        ("their key, no issuer", server.token_with(&json!({ "iss": "https://nobody.example" }))),
    ] {
        clock.pass(WINDOW);
        let answer = ask(&app, "/who", &token, &[]).await;
        assert!(answer.is_problem(401, "invalid_token"), "{what}: {answer:?}");
    }
    let answer = ask(&app, "/who", &own, &[]).await;
    assert_eq!(answer.status, 403, "our own is no external caller: {answer:?}");
}

#[tokio::test]
async fn row_65_the_issuer_is_matched_exactly() {
    let world = World::start().await;
    assert_eq!(world.status(&world.server.token()).await, 200);
    let issuer = world.server.issuer();
    for other in [
        json!(format!("{issuer}/")),
        json!(issuer.to_uppercase()),
        json!(issuer.replace("http", "HTTP")),
        json!(issuer.replace("127.0.0.1", "localhost")),
        json!(format!(" {issuer}")),
        json!([issuer]),
        json!([issuer, issuer]),
        json!({ "iss": issuer }),
        json!(null),
        json!(7),
    ] {
        let answer = world.call(&world.server.token_with(&json!({ "iss": other }))).await;
        assert!(answer.is_problem(401, "invalid_token"), "{other}: {answer:?}");
    }
    let twice = world.server.claims().to_string().replacen('{', "{\"iss\":\"https://a.example\",", 1);
    let twice = world.server.key.sign_under(&world.server.key.header(), &twice);
    assert!(world.call(&twice).await.is_problem(401, "invalid_token"));
    assert_eq!(world.server.fetches(), 1, "none of them was worth a look");
}

#[tokio::test]
async fn a6_no_header_of_a_token_makes_the_gateway_connect_or_brings_its_own_key() {
    let world = World::start().await;
    assert_eq!(world.status(&world.server.token()).await, 200);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let listening = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let attacker = Key::new("first");
    for (member, value) in [
        ("jwk", attacker.jwk()),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!(["AAAA"])),
        ("jku", json!("file:///etc/passwd")),
        ("jku", json!("http://169.254.169.254/latest")),
        ("crit", json!(["jku"])),
        ("iss", json!(url)),
    ] {
        world.clock.pass(WINDOW);
        for key in [&attacker, &world.server.key] {
            let mut header = key.header();
            header[member] = value.clone();
            let answer = world.call(&key.sign_under(&header, &world.server.claims())).await;
            assert!(answer.is_problem(401, "invalid_token"), "{member}: {answer:?}");
        }
    }
    assert_eq!((connections.load(Ordering::SeqCst), world.server.fetches()), (0, 1));
    listening.abort();
}

#[tokio::test]
async fn a7_a_hostile_kid_is_refused_without_a_fetch() {
    let world = World::start().await;
    assert_eq!(world.status(&world.server.token()).await, 200);
    world.clock.pass(WINDOW);
    for kid in [
        json!(""),
        json!("a b"),
        json!("a\r\nset-cookie: b"),
        json!("\0"),
        json!("k".repeat(129)),
        json!(7),
        json!(null),
        json!(["first"]),
    ] {
        let header = json!({ "alg": "EdDSA", "kid": kid, "typ": "at+jwt" });
        let answer = world.call(&world.server.key.sign_under(&header, &world.server.claims())).await;
        assert!(answer.is_problem(401, "invalid_token"), "{kid}: {answer:?}");
    }
    assert_eq!(world.server.fetches(), 1);
    for kid in ["../../dev/null", "' OR 1=1--", "http://127.0.0.1/"] {
        world.clock.pass(WINDOW);
        let header = json!({ "alg": "EdDSA", "kid": kid, "typ": "at+jwt" });
        let answer = world.call(&world.server.key.sign_under(&header, &world.server.claims())).await;
        assert!(answer.is_problem(401, "invalid_token"), "{kid}: {answer:?}");
    }
}
