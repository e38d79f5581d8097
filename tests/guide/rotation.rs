//! What `rotation.md` says of the pepper.

use bridge_auth::Bridge;
use bridge_auth::issue::{ClientAccessError, HookClient};
use bridge_auth::store::Origin;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::support::bridge::{access, builder_with};
use crate::support::{Backend as _, SqliteBackend};

async fn hook_access(bridge: &Bridge, hook: &HookClient) -> Result<(), ClientAccessError> {
    bridge.issuer().client_access(&hook.id, &hook.secret, None, Origin::unknown()).await.map(drop)
}

#[tokio::test]
async fn another_pepper_makes_the_secrets_of_hooks_worthless_and_nothing_else() {
    let db = SqliteBackend::start().await;
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let with = async |pepper: &str| builder_with(&db, keys.clone()).await.pepper(pepper).build().unwrap();
    let before = with("a pepper of thirty-two bytes, or more").await;
    let after = with("another pepper of thirty-two or more").await;

    let alice = access(&before, "alice", "").await;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, alice.token.to_header_value())]);
    let guard = after.authenticator("bridge").unwrap();
    let caller = guard.authenticate(&headers).await.expect("a token has no pepper");
    let old = before.issuer().provision_client(&caller).await.unwrap();
    hook_access(&before, &old).await.unwrap();
    assert!(matches!(hook_access(&after, &old).await, Err(ClientAccessError::InvalidClient)));

    let new = after.issuer().provision_client(&caller).await.unwrap();
    hook_access(&after, &new).await.unwrap();
    assert!(matches!(hook_access(&before, &new).await, Err(ClientAccessError::InvalidClient)));
    guard.authenticate(&headers).await.unwrap();
}
