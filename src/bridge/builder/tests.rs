#![cfg(feature = "sqlite")]

use std::time::Duration;

use url::Url;

use super::*;
use crate::audience::ProtectedResource;
use crate::id::{ClientSecret, Scopes};
use crate::issue::RegisteredClient;
use crate::pages::Pages;
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

#[tokio::test]
async fn a_text_that_a_setting_does_not_take_is_told_with_the_setting_and_the_value() {
    type Change = fn(BridgeBuilder) -> BridgeBuilder;
    let builders = Builders::new().await;
    let cases: [(Change, &str); 20] = [
        (|b| b.audiences(["a", "b b"]), "the audience \"b b\" must hold only visible ASCII characters"),
        (|b| b.other_audiences([""]), "the audience \"\" must not be empty"),
        (|b| b.bridge_client_id("a b"), "the client id of the bridge \"a b\" must"),
        (|b| b.call_source("a b"), "the call source \"a b\" must"),
        (|b| b.policy_version("a b"), "the policy version \"a b\" must"),
        (
            |b| b.resource_metadata("/metadata"),
            "the URL of the resource metadata \"/metadata\" must be a whole URL",
        ),
        (
            |b| b.trusted_proxies(["10.0.0.1"]),
            "the network of trusted proxies \"10.0.0.1\" must be a network",
        ),
        (|b| b.trusted_origins(["app.example"]), "the trusted origin \"app.example\" must be a whole URL"),
        (|b| b.token_endpoint("/token"), "the token endpoint \"/token\" must"),
        (|b| b.authorization_endpoint("/a"), "the authorization endpoint \"/a\" must"),
        (|b| b.introspection_endpoint("/i"), "the introspection endpoint \"/i\" must"),
        (|b| b.revocation_endpoint("/r"), "the revocation endpoint \"/r\" must"),
        (|b| b.device_authorization_endpoint("/d"), "the device authorization endpoint \"/d\" must"),
        (|b| b.jwks_uri("/jwks"), "the JWKS URI \"/jwks\" must"),
        (|b| b.verification_uri("/device"), "the verification URI \"/device\" must"),
        (|b| b.devices_uri("/devices"), "the URL of the devices page \"/devices\" must"),
        (|b| b.hook_scopes("a  b"), "the scopes of hooks \"a  b\" must be scopes"),
        (|b| b.provisioning_requires(" a"), "the scopes that provisioning requires \" a\" must be scopes"),
        (
            |b| b.protected_resource(ProtectedResource::new("https://gateway.example/mcp").scopes("a  b")),
            "the scopes of the protected resource \"a  b\" must be scopes",
        ),
        (
            |b| b.client(RegisteredClient::new("a", "A").site("editor.example")),
            "the site of the registered client \"editor.example\" must be a whole URL",
        ),
    ];
    for (change, said) in cases {
        let builder = change(builders.of("https://gateway.example"));
        // The first error is told, whatever is wrong with what comes later.
        let error = builder.code_life(Duration::ZERO).jwks_uri("other").build().unwrap_err();
        assert!(matches!(error, BuildError::InvalidText(_)), "{said}");
        assert!(error.to_string().starts_with(said), "{said}: {error}");
    }
    let pages = builders.of("https://gateway.example").pages(Pages::new("/login").scope("a b", "Words"));
    let error = pages.build().unwrap_err().to_string();
    assert!(error.starts_with("the scope on the pages \"a b\" must be one scope"), "{error}");
}

#[tokio::test]
async fn a_secret_of_the_wrong_form_is_refused_and_not_shown() {
    let builders = Builders::new().await;
    let secret = "not the form, although it is long enough";
    for builder in [
        builders.of("https://gateway.example").resource_server("tools", secret, ["mcp"]),
        builders.of("https://gateway.example").client(RegisteredClient::new("app", "App").secret(secret)),
    ] {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains("must be 1 to 128 characters of"), "{error}");
        assert!(!format!("{error} {error:?}").contains(secret));
    }
}

#[tokio::test]
async fn text_and_the_type_itself_make_the_same_bridge() {
    let builders = Builders::new().await;
    let text = builders
        .of("https://gateway.example")
        .token_endpoint("https://gateway.example/token")
        .audiences(["mcp"])
        .hook_scopes("a b")
        .resource_server("tools", "a".repeat(32), ["mcp"]);
    let parsed = builders
        .of("https://gateway.example")
        .token_endpoint(Url::parse("https://gateway.example/token").unwrap())
        .audiences([Audience::parse("mcp").unwrap()])
        .hook_scopes(Scopes::parse("a b").unwrap())
        .resource_server(
            ClientId::parse("tools").unwrap(),
            ClientSecret::parse(&"a".repeat(32)).unwrap(),
            [Audience::parse("mcp").unwrap()],
        );
    let [text, parsed] = [text, parsed].map(|builder| {
        let settings = builder.build().unwrap().state.settings.clone();
        let server = &settings.clients.resource_servers[0];
        let tools = (server.client.clone(), server.audiences.clone(), server.secret.as_bytes().to_vec());
        (
            settings.endpoints.token.clone(),
            settings.audiences.of_bridges.clone(),
            settings.hooks.scopes.clone(),
            tools,
        )
    });
    assert!(text == parsed);
}

fn urls(bridge: &Bridge) -> [Option<&str>; 6] {
    let endpoints = &bridge.state.settings.endpoints;
    [
        &endpoints.token,
        &endpoints.introspection,
        &endpoints.revocation,
        &endpoints.jwks,
        &endpoints.authorization,
        &endpoints.device_authorization,
    ]
    .map(|url| url.as_ref().map(Url::as_str))
}

#[tokio::test]
async fn one_call_names_the_endpoints_under_the_issuer_and_the_prefix() {
    let builders = Builders::new().await;
    let root = "https://gateway.example";
    for (issuer, prefix, base) in [
        (root, "/v1/auth/bridge", "https://gateway.example/v1/auth/bridge"),
        ("https://gateway.example/", "/auth", "https://gateway.example/auth"),
        ("https://gateway.example/tenant", "/auth", "https://gateway.example/tenant/auth"),
        ("https://gateway.example/a/b/", "", "https://gateway.example/a/b"),
        ("http://127.0.0.1:8080", "/auth", "http://127.0.0.1:8080/auth"),
    ] {
        let plain = builders.of(issuer).oauth().prefix(prefix).build().unwrap();
        let at = |path: &str| format!("{base}{path}");
        let [token, introspection, revocation, jwks, authorization, device] = urls(&plain);
        assert_eq!(token, Some(&*at("/token")), "{issuer}");
        assert_eq!(introspection, Some(&*at("/introspect")));
        assert_eq!(revocation, Some(&*at("/revoke")));
        assert_eq!(jwks, Some(&*at("/.well-known/jwks.json")));
        assert_eq!((authorization, device), (None, None), "they need the pages");
        let pages = builders.of(issuer).oauth().prefix(prefix).pages(Pages::new("/login")).build().unwrap();
        let [.., authorization, device] = urls(&pages);
        assert_eq!(authorization, Some(&*at("/authorize")));
        assert_eq!(device, Some(&*at("/device_authorization")));
    }
    assert_eq!(urls(&builders.of(root).build().unwrap()), [None; 6], "nothing is on by itself");
}

#[tokio::test]
async fn an_endpoint_that_is_named_keeps_its_name() {
    let builders = Builders::new().await;
    let own: Url = "https://tokens.example/t".parse().unwrap();
    let builder = || builders.of("https://gateway.example");
    for builder in
        [builder().oauth().token_endpoint(own.clone()), builder().token_endpoint(own.clone()).oauth()]
    {
        let bridge = builder.build().unwrap();
        let [token, introspection, ..] = urls(&bridge);
        assert_eq!(token, Some(own.as_str()));
        assert_eq!(introspection, Some("https://gateway.example/v1/auth/bridge/introspect"));
    }
    let refused = builder().oauth().prefix("auth").build().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the prefix \"auth\" must be empty, or a path that begins with '/' and does not end with it"
    );
}
