//! The clients that a host registers.

use bridge_auth::BuildError;
use bridge_auth::id::ClientSecret;
use bridge_auth::issue::RegisteredClient;
use http::{Method, StatusCode};

use super::given::{
    CALLBACK, EDITOR, SERVER, SERVER_CALLBACK, SERVER_SECRET, VERIFIER, authorize, basic, code, gateway,
    post, redeem, sign_in_builder,
};
use crate::oauth::given::claims;
use crate::support::gateway::{Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    a_client_that_somebody_else_wrote_has_no_business_with_other_devices,
    a_confidential_client_must_prove_who_it_is,
    a_refresh_token_is_good_for_its_own_client_alone,
    a_client_revokes_its_own_tokens_alone,
];

async fn a_client_that_somebody_else_wrote_has_no_business_with_other_devices(db: impl Backend) {
    let own = RegisteredClient::new("own", "Our own").redirect_uri(CALLBACK).manages_devices(true);
    let gateway = Gateway::over(sign_in_builder(&db).await.client(own).build().unwrap()).await;
    let bridge = gateway.link("alice").await;
    let other = claims(&bridge)["sid"].as_str().unwrap().to_owned();
    let token = async |client: &str| {
        let code = code(&gateway, "alice", &authorize(&[("client_id", Some(client))])).await;
        redeem(&gateway, client, &code, &[]).await.text("access_token")
    };
    let (editor, own) = (token(EDITOR).await, token("own").await);
    let end_other = format!("{PREFIX}/sessions/{other}");
    for (method, path) in [
        (Method::GET, format!("{PREFIX}/sessions")),
        (Method::POST, format!("{PREFIX}/oauth-client")),
        (Method::DELETE, end_other.clone()),
    ] {
        let refused = gateway.call(method, &path, &editor).await;
        assert!(refused.is_problem(403, "insufficient_scope"), "{path} {refused:?}");
    }
    assert!(gateway.admits(&bridge).await);
    assert_eq!(gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &own).await.status, StatusCode::OK);
    assert_eq!(gateway.call(Method::DELETE, &end_other, &own).await.status, StatusCode::NO_CONTENT);
    // Its own session is its business.
    assert_eq!(
        gateway.call(Method::POST, &format!("{PREFIX}/logout"), &editor).await.status,
        StatusCode::NO_CONTENT
    );
    assert!(!gateway.admits(&editor).await);
}

async fn a_confidential_client_must_prove_who_it_is(db: impl Backend) {
    let gateway = gateway(&db).await;
    let request = authorize(&[("client_id", Some(SERVER)), ("redirect_uri", Some(SERVER_CALLBACK))]);
    let code = code(&gateway, "alice", &request).await;
    let fields = [("grant_type", "authorization_code"), ("code", &*code), ("code_verifier", VERIFIER)];
    let alone = redeem(&gateway, SERVER, &code, &[]).await;
    assert!(alone.is_oauth_error(401, "invalid_client"), "{alone:?}");
    let wrong = basic(format!("{SERVER}:{}", "x".repeat(43)));
    let wrong = send(post(&gateway, "/token", &fields).header("authorization", wrong)).await;
    assert!(wrong.is_oauth_error(401, "invalid_client"), "{wrong:?}");
    // Row L18: an empty password is the method `none`.
    let empty =
        send(post(&gateway, "/token", &fields).header("authorization", basic(format!("{SERVER}:")))).await;
    assert!(empty.is_oauth_error(401, "invalid_client"), "{empty:?}");
    let stranger = redeem(&gateway, EDITOR, &code, &[]).await;
    assert!(stranger.is_oauth_error(400, "invalid_grant"), "{stranger:?}");
    let proof = basic(format!("{SERVER}:{SERVER_SECRET}"));
    let without_verifier = &fields[..2];
    let unproven = send(post(&gateway, "/token", without_verifier).header("authorization", &proof)).await;
    assert!(unproven.is_oauth_error(400, "invalid_request"), "{unproven:?}");
    let answer = send(post(&gateway, "/token", &fields).header("authorization", &proof)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let refresh = answer.text("refresh_token");
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", &*refresh)];
    let public = [&refresh[..], &[("client_id", SERVER)]].concat();
    assert!(send(post(&gateway, "/token", &public)).await.is_oauth_error(401, "invalid_client"));
    let renewed = send(post(&gateway, "/token", &refresh).header("authorization", &proof)).await;
    assert_eq!(renewed.status, StatusCode::OK, "{renewed:?}");
}

async fn a_refresh_token_is_good_for_its_own_client_alone(db: impl Backend) {
    let gateway = gateway(&db).await;
    let code = code(&gateway, "alice", &authorize(&[])).await;
    let refresh = redeem(&gateway, EDITOR, &code, &[]).await.text("refresh_token");
    let ask = async |client: &str| {
        let fields = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", &*refresh)];
        send(post(&gateway, "/token", &fields)).await
    };
    let foreign = ask("sp_bridge").await;
    assert!(foreign.is_oauth_error(400, "invalid_grant"), "{foreign:?}");
    assert_eq!(ask(EDITOR).await.status, StatusCode::OK);
}

async fn a_client_revokes_its_own_tokens_alone(db: impl Backend) {
    let gateway = gateway(&db).await;
    let code = code(&gateway, "alice", &authorize(&[])).await;
    let token = redeem(&gateway, EDITOR, &code, &[]).await.text("access_token");
    let revoke = async |client: &str| {
        send(post(&gateway, "/revoke", &[("client_id", client), ("token", &*token)])).await
    };
    assert!(revoke("sp_bridge").await.is_oauth_error(400, "invalid_grant"));
    assert!(gateway.admits(&token).await);
    assert_eq!(revoke(EDITOR).await.status, StatusCode::OK);
    assert!(!gateway.admits(&token).await);
}

/// Each refused setting names what is wrong.
#[tokio::test]
async fn a_client_that_is_not_safe_is_refused_at_start() {
    let db = SqliteBackend::start().await;
    let named = |id: &str| RegisteredClient::new(id, "Name");
    let secret = ClientSecret::parse(SERVER_SECRET).unwrap();
    for (client, said) in [
        (named(""), "the id of the registered client"),
        (named("bridge:alice"), "the id of the registered client"),
        (named("https://a.example/c"), "the id of the registered client"),
        (named(EDITOR), "the id of the registered client"),
        (named("mcp-server"), "the id of the registered client"),
        (named("sp_bridge").secret(&secret), "the id of the registered client"),
        (RegisteredClient::new("a", " "), "the name of the registered client"),
        (named("a").redirect_uri("http://a.example/cb"), "the redirect URI of the registered client"),
        (named("a").redirect_uri("javascript:alert(1)"), "the redirect URI of the registered client"),
        (named("a").secret("short"), "the length of a registered client's secret"),
        (named("a").site("javascript:alert(1)"), "the site of the registered client"),
    ] {
        let error = sign_in_builder(&db).await.client(client).build().unwrap_err();
        assert!(error.to_string().starts_with(said), "{said}: {error}");
    }
    let without_pages = crate::oauth::given::oauth_builder(&db)
        .await
        .device_authorization_endpoint("https://gateway.example/device_authorization");
    let error = without_pages.build().unwrap_err();
    assert!(
        matches!(error, BuildError::DeviceGrant { .. }) && error.to_string().contains("Pages::new"),
        "{error}"
    );
}
