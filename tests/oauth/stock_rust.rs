//! The stock OAuth client of Rust, unchanged, against a gateway on a real socket.

use bridge_auth::Freshness;
use http::header::HOST;
use oauth2::basic::{BasicClient, BasicErrorResponseType, BasicTokenType};
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, IntrospectionUrl, PkceCodeVerifier, RequestTokenError, RevocationUrl, Scope,
    StandardRevocableToken, TokenIntrospectionResponse, TokenResponse, TokenUrl,
};

use super::given::{Hook, VERIFIER, gateway, hook, oauth_builder, pkce_code, server};
use crate::support::Backend;
use crate::support::bridge::ISSUER;
use crate::support::gateway::{Gateway, PREFIX};

crate::store::promises![
    a_stock_client_gets_a_token_introspects_it_and_revokes_it,
    a_stock_client_exchanges_a_code_and_refreshes,
    a_stock_client_understands_how_it_is_refused,
];

type Stock = BasicClient<EndpointNotSet, EndpointNotSet, EndpointSet, EndpointSet, EndpointSet>;

/// A client set up as its documentation says.
fn stock(id: &str, secret: Option<&str>) -> Stock {
    let url = |path: &str| format!("{ISSUER}{PREFIX}{path}");
    let client = BasicClient::new(ClientId::new(id.to_owned()))
        .set_token_uri(TokenUrl::new(url("/token")).unwrap())
        .set_introspection_url(IntrospectionUrl::new(url("/introspect")).unwrap())
        .set_revocation_url(RevocationUrl::new(url("/revoke")).unwrap());
    match secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.to_owned())),
        None => client,
    }
}

/// Sends what the client asks for to the gateway, as TLS in front of it would.
async fn send(gateway: &Gateway, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let (parts, body) = request.into_parts();
    let sent = gateway
        .request(parts.method, parts.uri.path())
        .headers(parts.headers)
        .header(HOST, "gateway.example");
    let answer = sent.body(body).send().await?;
    let mut response = HttpResponse::new(Vec::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    *response.body_mut() = answer.bytes().await?.to_vec();
    Ok(response)
}

async fn a_stock_client_gets_a_token_introspects_it_and_revokes_it(db: impl Backend) {
    let gateway = gateway(&db).await;
    let http = |request| send(&gateway, request);
    for person in ["alice@example.com", "100%+sure:x"] {
        let access = crate::support::bridge::access(&gateway.bridge, person, "chat").await;
        let hook = super::given::hook_of(&gateway, access.token.expose()).await;
        for auth_type in [AuthType::BasicAuth, AuthType::RequestBody] {
            let client = stock(&hook.id, Some(&hook.secret)).set_auth_type(auth_type.clone());
            let asked = client.exchange_client_credentials().add_scope(Scope::new("hook:track".to_owned()));
            let granted = asked.request_async(&http).await.unwrap();
            assert_eq!(granted.token_type(), &BasicTokenType::Bearer);
            assert_eq!(granted.expires_in().unwrap().as_secs(), 3600);
            assert_eq!(granted.scopes().unwrap(), &[Scope::new("hook:track".to_owned())]);
            let token = granted.access_token();
            assert!(gateway.admits(token.secret()).await);

            let known = client.introspect(token).request_async(&http).await.unwrap();
            assert!(known.active());
            assert_eq!(known.client_id().unwrap().as_str(), hook.id);
            assert_eq!((known.username(), known.sub()), (Some(person), Some(hook.id.as_str())));
            let server = stock(&server().id, Some(&server().secret)).set_auth_type(auth_type);
            assert!(server.introspect(token).request_async(&http).await.unwrap().active());

            let revocable = StandardRevocableToken::AccessToken(token.clone());
            client.revoke_token(revocable).unwrap().request_async(&http).await.unwrap();
            assert!(!gateway.admits(token.secret()).await);
            assert!(!client.introspect(token).request_async(&http).await.unwrap().active());
        }
    }
}

async fn a_stock_client_exchanges_a_code_and_refreshes(db: impl Backend) {
    let bridge = oauth_builder(&db).await.freshness(Freshness::watched()).refresh_tokens(true);
    let gateway = Gateway::over(bridge.build().unwrap()).await;
    let http = |request| send(&gateway, request);
    let client = stock("sp_bridge", None).set_auth_type(AuthType::RequestBody);
    let code = AuthorizationCode::new(pkce_code(&gateway, "alice").await);
    let exchange = client.exchange_code(code).set_pkce_verifier(PkceCodeVerifier::new(VERIFIER.to_owned()));
    let granted = exchange.request_async(&http).await.unwrap();
    assert!(gateway.admits(granted.access_token().secret()).await);
    let renewed = client.exchange_refresh_token(granted.refresh_token().unwrap());
    let renewed = renewed.request_async(&http).await.unwrap();
    for token in [granted.access_token(), renewed.access_token()] {
        assert!(gateway.admits(token.secret()).await);
    }
    let revocable = StandardRevocableToken::RefreshToken(renewed.refresh_token().unwrap().clone());
    client.revoke_token(revocable).unwrap().request_async(&http).await.unwrap();
    for token in [granted.access_token(), renewed.access_token()] {
        assert!(!gateway.admits(token.secret()).await);
    }
}

async fn a_stock_client_understands_how_it_is_refused(db: impl Backend) {
    let gateway = gateway(&db).await;
    let http = |request| send(&gateway, request);
    let hook = hook(&gateway, "alice").await;
    let wrong = Hook { secret: "wrong".to_owned(), ..hook.clone() };
    for (client, scope, reason) in [
        (&wrong, "hook:track", BasicErrorResponseType::InvalidClient),
        (&hook, "admin", BasicErrorResponseType::InvalidScope),
    ] {
        let asked = stock(&client.id, Some(&client.secret));
        let asked = asked.exchange_client_credentials().add_scope(Scope::new(scope.to_owned()));
        match asked.request_async(&http).await {
            Err(RequestTokenError::ServerResponse(error)) => assert_eq!(error.error(), &reason),
            other => panic!("{other:?}"),
        }
    }
}
