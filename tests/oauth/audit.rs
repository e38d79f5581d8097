//! What the host's log tells of the OAuth endpoints: who did what, and no secret (CHECKLIST A71, A79).

use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::given::{
    Hook, SERVER_SECRET, VERIFIER, code_grant, hook_of, oauth_builder, pkce_code, post, server,
};
use crate::support::gateway::{Gateway, send};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

/// Walks through the endpoints, well and badly; the secrets that were on the way.
async fn walk(gateway: &Gateway) -> Vec<String> {
    let code = pkce_code(gateway, "alice").await;
    let linked = send(post(gateway, "/token", &code_grant(&code))).await;
    let (access, refresh) = (linked.text("access_token"), linked.text("refresh_token"));
    let grant = [("grant_type", "refresh_token"), ("client_id", "sp_bridge"), ("refresh_token", &refresh)];
    let renewed = send(post(gateway, "/token", &grant)).await;
    let hook = hook_of(gateway, &access).await;
    let token = hook.token(gateway).await;
    let canary = "a-secret-that-is-wrong".to_owned();
    let wrong = Hook { secret: canary.clone(), ..hook.clone() };
    wrong.ask(gateway, &[]).await;
    // Name and secret in each other's place, as it happens.
    let swapped = Hook { id: hook.secret.clone(), secret: hook.id.replace(':', "-") };
    swapped.ask(gateway, &[]).await;
    let swapped = [("grant_type", "refresh_token"), ("client_id", &*refresh), ("refresh_token", "sp_bridge")];
    send(post(gateway, "/token", &swapped)).await;
    let assertion = "canary.of-an.assertion".to_owned();
    let shown = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ];
    send(post(gateway, "/token", &shown)).await;
    let path = format!("/token?client_secret={canary}&client_id=x");
    send(post(gateway, &path, &[("code", &canary)]).header(AUTHORIZATION, hook.basic())).await;
    for token in [&token, &renewed.text("refresh_token"), &canary] {
        server().send(gateway, "/introspect", &[("token", token)]).await;
    }
    hook.send(gateway, "/revoke", &[("token", &token)]).await;
    let end = [("client_id", "sp_bridge"), ("token", &renewed.text("refresh_token"))];
    send(post(gateway, "/revoke", &end)).await;
    send(post(gateway, "/token", &grant)).await;
    send(post(gateway, "/token", &code_grant(&code))).await;
    vec![
        code,
        VERIFIER.to_owned(),
        access,
        refresh,
        renewed.text("access_token"),
        renewed.text("refresh_token"),
        hook.basic().replace("Basic ", ""),
        hook.secret,
        token,
        canary,
        assertion,
        SERVER_SECRET.to_owned(),
    ]
}

#[tokio::test]
async fn attack_a71_a79_every_act_is_logged_and_no_secret_is() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::over(oauth_builder(&db).await.refresh_tokens(true).build().unwrap()).await;
    let record = Record::default();
    let secrets = {
        let _guard = record.listen();
        walk(&gateway).await
    };
    let text = record.text();
    let audit = record.audit();
    for (event, client) in [
        ("refreshed", json!("sp_bridge")),
        ("client_refused", json!("bridge:alice")),
        ("client_access_opened", json!("bridge:alice")),
        ("token_revoked", json!("bridge:alice")),
        ("token_revoked", json!("sp_bridge")),
        ("refresh_refused", json!("sp_bridge")),
    ] {
        let is_it = |fields: &&Value| fields["event"] == event && fields["client_id"] == client;
        assert!(audit.iter().any(|fields| is_it(&fields)), "{event} {client} is not in {audit:#?}");
    }
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} was logged");
    }
}
