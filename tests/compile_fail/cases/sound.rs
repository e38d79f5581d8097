// The right way to write what the other cases write wrongly.

use std::sync::Arc;
use std::time::Duration;

use bridge_auth::authenticate::TokenSource;
use bridge_auth::id::{Audience, UserId};
use bridge_auth::rejection::Rejection;
use bridge_auth::store::{SqliteStore, Store};
use bridge_auth::token::KeyRing;
use bridge_auth::{Bridge, BridgeBuilder, BridgeSettings, Caller, Freshness, Granted, SignedIn, required_scopes, scopes};

const PUBLISH: &str = "docs:publish";

required_scopes! {
    pub struct CanPublish = [PUBLISH, "docs:write"];
}

pub fn takes(caller: Granted<CanPublish>) -> Caller {
    caller.into_caller()
}

pub fn builder(keys: KeyRing, store: SqliteStore) -> BridgeBuilder {
    Bridge::builder("https://gateway.example", keys, store)
        .token_endpoint("https://gateway.example/token")
        .jwks_uri(String::from("https://gateway.example/jwks.json"))
        .audiences([Audience::parse("bridge").unwrap()])
        .freshness(Freshness::Watched { max_lag: Duration::from_secs(1) })
        .settings(BridgeSettings::default())
}

pub fn shared(keys: KeyRing, store: Arc<dyn Store>) -> BridgeBuilder {
    Bridge::builder_with("https://gateway.example", keys, store)
}

pub fn signed_in(user: UserId) -> SignedIn {
    let _ = SignedIn::try_new("alice", "docs:publish");
    let _ = TokenSource::header("x-api-key");
    let _ = Rejection::NoCredential;
    SignedIn::new(user, scopes!(PUBLISH, "models:call"))
}
