//~ E0277
//~ `Arc<SqliteStore>` is not a store
//~ goes to `Bridge::builder_with`

use std::sync::Arc;

use bridge_auth::store::SqliteStore;
use bridge_auth::token::KeyRing;
use bridge_auth::{Bridge, BridgeBuilder};

pub fn wrong(keys: KeyRing, store: Arc<SqliteStore>) -> BridgeBuilder {
    Bridge::builder("https://gateway.example", keys, store)
}
