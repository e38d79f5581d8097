//! A bridge over a real database, and shortcuts to what the tests need of it.

use std::sync::Arc;

use bridge_auth::issue::{Access, AccessRequest};
use bridge_auth::store::Store;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, BridgeBuilder, Scopes, SignedIn, UserId};

use super::Backend;

pub const ISSUER: &str = "https://gateway.example";

/// A builder over a handle of `backend` with a key of its own.
pub async fn builder(backend: &impl Backend) -> BridgeBuilder {
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    builder_with(backend, keys).await
}

/// A builder over another handle of `backend` with these keys: another node of the same gateway.
pub async fn builder_with(backend: &impl Backend, keys: KeyRing) -> BridgeBuilder {
    builder_over(backend.open().await, keys)
}

/// A builder over this very store.
pub fn builder_over(store: Arc<dyn Store>, keys: KeyRing) -> BridgeBuilder {
    let endpoint = format!("{ISSUER}/token");
    Bridge::builder_with(ISSUER, keys, store).token_endpoint(endpoint)
}

/// Access for `name`, who becomes known by this, with `scopes`.
pub async fn access(bridge: &Bridge, name: &str, scopes: &str) -> Access {
    let (user, scopes) = (user(name), Scopes::parse(scopes).unwrap());
    bridge.issuer().register_user(&SignedIn::new(user.clone(), scopes.clone())).await.unwrap();
    bridge.issuer().open_access(AccessRequest::for_user(user, scopes)).await.unwrap()
}

pub fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}
