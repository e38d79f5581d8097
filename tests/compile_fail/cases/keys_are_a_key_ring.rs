//~ E0308
//~ expected `KeyRing`, found `&str`

use bridge_auth::store::SqliteStore;
use bridge_auth::{Bridge, BridgeBuilder};

pub fn wrong(store: SqliteStore) -> BridgeBuilder {
    Bridge::builder("https://gateway.example", "gateway.key", store)
}
