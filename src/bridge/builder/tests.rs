#![cfg(feature = "sqlite")]

use std::time::Duration;

use url::Url;

use super::*;
use crate::id::ClientSecret;
use crate::store::SqliteStore;
use crate::token::{Algorithm, SigningKey};

/// Makes builders on one store.
struct Builders {
    keys: KeyRing,
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

impl Builders {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("bridges.db")).await.unwrap());
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        Self { keys, store, _folder: folder }
    }

    fn of(&self, issuer: &str) -> BridgeBuilder {
        Bridge::builder_with(issuer, self.keys.clone(), self.store.clone())
    }

    fn refuses(&self, change: impl FnOnce(BridgeBuilder) -> BridgeBuilder) -> bool {
        let builder = || self.of("https://gateway.example");
        assert!(builder().build().is_ok());
        change(builder()).build().is_err()
    }
}

#[tokio::test]
async fn an_unsafe_issuer_is_refused() {
    let builders = Builders::new().await;
    for bad in [
        "",
        "gateway.example",
        "http://gateway.example",
        "https://a/?q",
        "https://a/#f",
        "ftp://a",
        "https://u@a",
        "https://:p@a",
        " https://a",
        "https://a\n",
        "https://a/b\tc",
        "https://\u{e9}.example",
        "https:",
        "data:a",
    ] {
        assert!(builders.of(bad).build().is_err(), "{bad}");
    }
    for good in
        ["https://a", "https://a/tenant", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1"]
    {
        assert!(builders.of(good).build().is_ok(), "{good}");
    }
}

#[tokio::test]
async fn lives_outside_their_range_are_refused() {
    let builders = Builders::new().await;
    assert!(builders.refuses(|b| b.code_life(Duration::from_secs(601))));
    assert!(builders.refuses(|b| b.code_life(Duration::ZERO)));
    assert!(builders.refuses(|b| b.token_life(Duration::ZERO)));
    assert!(builders.refuses(|b| b.token_life(Duration::from_millis(1500))));
    assert!(builders.refuses(|b| b.session_life(Duration::MAX)));
    assert!(builders.refuses(|b| b.leeway(Duration::from_secs(61))));
    assert!(builders.refuses(|b| b.store_deadline(Duration::ZERO)));
    assert!(builders.refuses(|b| b.max_open_codes(0)));
    assert!(builders.refuses(|b| b.max_devices(129)));
    assert!(builders.refuses(|b| b.audiences::<&str>([])));
    assert!(builders.refuses(|b| b.prefix("v1")));
}

#[tokio::test]
async fn an_endpoint_in_the_clear_or_not_fit_for_a_challenge_is_refused() {
    let builders = Builders::new().await;
    for bad in ["http://gateway.example/t", "https://a/?x=\\", "https://a/#f", "https://u@a/", "data:a\"b"] {
        let url: Url = bad.parse().unwrap();
        assert!(builders.refuses(|b| b.token_endpoint(url.clone())), "{bad}");
        assert!(builders.refuses(|b| b.resource_metadata(url)), "{bad}");
    }
    for good in ["https://a/t?x=y", "http://127.0.0.1:8080/t", "http://localhost/t"] {
        let url: Url = good.parse().unwrap();
        assert!(!builders.refuses(|b| b.token_endpoint(url.clone())), "{good}");
        assert!(!builders.refuses(|b| b.resource_metadata(url)), "{good}");
    }
}

#[tokio::test]
async fn a_trusted_origin_that_is_more_or_less_than_one_is_refused() {
    let builders = Builders::new().await;
    let refused = |origin: &str| builders.refuses(|b| b.trusted_origins([origin]));
    for bad in ["http://app.example", "https://a/b", "https://a/?q", "https://a/#f", "https://u@a", "data:a"]
    {
        assert!(refused(bad), "{bad}");
    }
    for good in ["https://app.example", "https://app.example:8443/", "http://localhost:3000"] {
        assert!(!refused(good), "{good}");
    }
}

#[tokio::test]
async fn a_resource_server_that_could_be_taken_for_another_client_is_refused() {
    let builders = Builders::new().await;
    let secret = ClientSecret::random();
    let refused = |ids: &[&str]| {
        builders
            .refuses(|b| ids.iter().fold(b, |builder, id| builder.resource_server::<&str>(id, &secret, [])))
    };
    for ids in [&["sp_bridge"][..], &["bridge:alice"], &["mcp", "mcp"]] {
        assert!(refused(ids), "{ids:?}");
    }
    assert!(!refused(&["mcp", "bridge"]));
}

#[tokio::test]
async fn a_realm_that_breaks_its_quotes_is_refused() {
    let builders = Builders::new().await;
    assert!(builders.refuses(|b| b.realm("a\", error=\"x")));
    assert!(builders.refuses(|b| b.realm("a\r\nx")));
}
