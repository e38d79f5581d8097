//! `Authorization: Basic` with a client id and an empty password: CHECKLIST 1.L.

use http::StatusCode;
use http::header::AUTHORIZATION;
use url::form_urlencoded;

use super::given::{Hook, basic, code_grant, gateway, hook, pkce_code, post, server};
use crate::support::gateway::send;
use crate::support::{Backend as _, SqliteBackend};

#[tokio::test]
async fn row_l18_an_empty_password_is_the_method_none_for_a_public_client() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let bridge = basic("sp_bridge:");
    for named in [&[][..], &[("client_id", "sp_bridge")]] {
        let code = pkce_code(&gateway, "alice").await;
        let grant: Vec<_> = code_grant(&code).into_iter().filter(|(name, _)| *name != "client_id").collect();
        let grant = [&grant[..], named].concat();
        let opened = send(post(&gateway, "/token", &grant).header(AUTHORIZATION, &bridge)).await;
        assert_eq!(opened.status, StatusCode::OK, "{opened:?}");
        let token = opened.text("access_token");
        assert!(gateway.admits(&token).await);
        let end = post(&gateway, "/revoke", &[("token", &*token)]).header(AUTHORIZATION, &bridge);
        assert_eq!(send(end).await.status, StatusCode::OK);
        assert!(!gateway.admits(&token).await);
    }
    // It is a method like any other: there is one in a request, and it names one client.
    let code = pkce_code(&gateway, "alice").await;
    let grant = code_grant(&code);
    for (more, header) in [(("client_secret", "x"), &*bridge), (("scope", "chat"), &*basic("another:"))] {
        let fields = [&grant[..], &[more]].concat();
        let refused = send(post(&gateway, "/token", &fields).header(AUTHORIZATION, header)).await;
        assert!(refused.is_oauth_error(400, "invalid_request"), "{refused:?}");
    }
}

#[tokio::test]
async fn row_l18_an_empty_password_never_proves_a_confidential_client() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let Hook { id, .. } = hook(&gateway, "alice").await;
    let token = gateway.link("alice").await;
    let encoded: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
    let fields = [("grant_type", "client_credentials"), ("token", &token)];
    for endpoint in ["/token", "/introspect", "/revoke"] {
        for client in [&*id, &encoded, &server().id, "nobody"] {
            for named in [&[][..], &[("client_id", client)]] {
                let request = post(&gateway, endpoint, &[&fields[..], named].concat());
                let refused = send(request.header(AUTHORIZATION, basic(format!("{client}:")))).await;
                assert!(refused.is_oauth_error(401, "invalid_client"), "{endpoint} {client} {refused:?}");
            }
        }
    }
    assert!(gateway.admits(&token).await);
}
