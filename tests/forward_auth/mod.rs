//! Forward authentication: what the service answers, and what real proxies make of it.

mod proxies;
mod service;

use std::sync::Arc;

use axum::Router;
use bridge_auth::service::ForwardAuthService;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Scopes};

use crate::support::bridge::{access, builder_over};
use crate::support::counting::Counting;
use crate::support::gateway::Gateway;
use crate::support::{Backend, SqliteBackend};

/// A gateway that answers proxies, over a store that can be broken.
struct Scene {
    gateway: Gateway,
    store: Arc<Counting>,
    /// Alice's token. She may chat.
    alice: String,
    /// Bob's token. He may not.
    bob: String,
    _db: SqliteBackend,
}

impl Scene {
    async fn start() -> Self {
        let db = SqliteBackend::start().await;
        let store = Arc::new(Counting::new(db.open().await));
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let bridge = builder_over(store.clone(), keys).build().unwrap();
        let alice = access(&bridge, "alice", "chat").await.token.expose().to_owned();
        let bob = access(&bridge, "bob", "").await.token.expose().to_owned();
        let routes = routes(&bridge);
        Self { gateway: Gateway::with_routes(bridge, routes).await, store, alice, bob, _db: db }
    }
}

fn routes(bridge: &Bridge) -> Router {
    let layer = || bridge.layer("bridge").unwrap().require_scopes(Scopes::parse("chat").unwrap());
    Router::new()
        .nest_service("/auth", ForwardAuthService::new(layer()))
        .nest_service("/auth-503", ForwardAuthService::new(layer()).faults_as_503())
        .nest_service("/auth-optional", ForwardAuthService::new(layer().optional().identity_headers(false)))
}
