//! The rotation of keys as [`KeyRing`] tells it, under load: no good token is ever refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use bridge_auth::issue::AccessRequest;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Scopes, SignedIn};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::RwLock;

use crate::support::bridge::{builder_with, user};
use crate::support::{Backend, SqliteBackend};

const REQUESTS: usize = 10_000;

/// The tokens that have not expired; whoever calls with one holds it for so long.
type Tokens = Arc<RwLock<Vec<HeaderMap>>>;

fn new_key() -> SigningKey {
    SigningKey::generate(Algorithm::EdDsa).unwrap()
}

async fn token(bridge: &Bridge) -> HeaderMap {
    let request = AccessRequest::for_user(user("alice"), Scopes::default());
    let access = bridge.issuer().open_access(request).await.unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, access.token.to_header_value())])
}

/// Calls until `done`, both nodes by turns; counts the calls, and fails at the first refusal.
async fn call(nodes: [Bridge; 2], tokens: Tokens, calls: Arc<AtomicUsize>, done: Arc<AtomicBool>) {
    let guards = nodes.map(|node| node.authenticator("bridge").unwrap());
    while !done.load(Ordering::Relaxed) || calls.load(Ordering::Relaxed) < REQUESTS {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        let tokens = tokens.read().await;
        let headers = &tokens[call % tokens.len()];
        guards[call / 7 % 2].authenticate(headers).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_through_rotations_on_two_nodes_meet_no_false_refusal() {
    let backend = SqliteBackend::start().await;
    let first = new_key();
    let mut nodes = Vec::new();
    for own in [first.clone(), first] {
        nodes.push(builder_with(&backend, KeyRing::new(own).unwrap()).await.build().unwrap());
    }
    let nodes: [Bridge; 2] = nodes.try_into().unwrap();
    nodes[0].issuer().register_user(&SignedIn::new(user("alice"), Scopes::default())).await.unwrap();
    let tokens: Tokens = Arc::new(RwLock::new(vec![token(&nodes[0]).await]));
    let (calls, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let callers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(call(nodes.clone(), tokens.clone(), calls.clone(), done.clone())))
        .collect();

    for _ in 0..20 {
        let (next, old) = (new_key(), nodes[0].keys().signing_key_id());
        for node in &nodes {
            node.keys().publish(next.verifying_key().clone()).unwrap();
        }
        let mut fresh = Vec::new();
        for node in &nodes {
            node.keys().rotate(next.clone()).unwrap();
            // Until the last node has rotated, tokens of both keys are issued.
            for node in &nodes {
                fresh.push(token(node).await);
                tokens.write().await.push(fresh[fresh.len() - 1].clone());
            }
        }
        // What the old key signed expires: the tokens made since the last node rotated stay.
        *tokens.write().await = fresh.split_off(2);
        for node in &nodes {
            assert!(node.keys().remove(&old).unwrap());
        }
    }
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(calls.load(Ordering::Relaxed) >= REQUESTS);
}

/// One key file for all, and another name of Ed25519 on one gateway after the other.
#[tokio::test]
async fn row_69_the_name_of_ed25519_changes_gateway_by_gateway_and_no_token_is_refused() {
    let backend = SqliteBackend::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.key");
    let node = async |algorithm| {
        let keys = KeyRing::load_or_generate(&file, algorithm).unwrap();
        builder_with(&backend, keys).await.build().unwrap()
    };
    let (old, new) = (node(Algorithm::EdDsa).await, node(Algorithm::Ed25519).await);
    assert_eq!(old.keys().signing_key_id(), new.keys().signing_key_id());
    old.issuer().register_user(&SignedIn::new(user("alice"), Scopes::default())).await.unwrap();
    for (signer, name) in [(&old, "EdDSA"), (&new, "Ed25519")] {
        let headers = token(signer).await;
        let text = headers[AUTHORIZATION].to_str().unwrap();
        let head = text.strip_prefix("Bearer ").unwrap().split('.').next().unwrap();
        let head = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
        assert!(head.contains(&format!(r#""alg":"{name}""#)), "{head}");
        assert!(signer.keys().jwks().contains(&format!(r#""alg":"{name}""#)));
        for guard in [&old, &new] {
            guard.authenticator("bridge").unwrap().authenticate(&headers).await.unwrap();
        }
    }
    // The change in a running gateway.
    let before = token(&old).await;
    let pem = std::fs::read_to_string(&file).unwrap();
    old.keys().rotate(SigningKey::from_pem(Algorithm::Ed25519, &pem).unwrap()).unwrap();
    for headers in [before, token(&old).await] {
        for guard in [&old, &new] {
            guard.authenticator("bridge").unwrap().authenticate(&headers).await.unwrap();
        }
    }
}
