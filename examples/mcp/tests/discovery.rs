//! A client starts with only the server's URL and its client credentials, and calls a tool. It is rmcp's own client.
//! Also tested: the documents that the client reads.

use bridge_auth::token::{Algorithm, KeyRing};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Method, Response};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{
    AuthClient, AuthError, ClientCredentialsConfig, JwtSigningAlgorithm, OAuthState,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::{Value, json};

use crate::client::{Client, call, lifecycles};
use crate::server::{Server, initialize};

/// Discovers, gets a token and connects.
async fn connect(
    server: &Server,
    credentials: ClientCredentialsConfig,
    lifecycle: ClientLifecycleMode,
) -> Result<Client, AuthError> {
    let url = server.url("/mcp");
    let mut state = OAuthState::new(&url, Some(server.http.clone())).await?;
    state.authenticate_client_credentials(credentials).await?;
    let manager = state.into_authorization_manager().unwrap();
    let transport = StreamableHttpClientTransport::with_client(
        AuthClient::new(server.http.clone(), manager),
        StreamableHttpClientTransportConfig::with_uri(url),
    );
    Ok(().serve_with_lifecycle(transport, lifecycle).await.unwrap())
}

fn with_secret(server: &Server, client: &Value, secret: &str) -> ClientCredentialsConfig {
    ClientCredentialsConfig::ClientSecret {
        client_id: text(client, "client_id"),
        client_secret: secret.to_owned(),
        scopes: vec!["hook:track".to_owned()],
        resource: Some(server.url("/mcp")),
    }
}

fn text(object: &Value, member: &str) -> String {
    object[member].as_str().unwrap().to_owned()
}

/// Asks for a token for `resource`. The client's secret is in the body.
async fn token(server: &Server, client: &Value, resource: &str) -> Response {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client["client_id"].as_str().unwrap()),
        ("client_secret", client["client_secret"].as_str().unwrap()),
        ("resource", resource),
    ];
    server.http.post(server.url("/v1/auth/bridge/token")).form(&form).send().await.unwrap()
}

#[tokio::test]
async fn a_stock_client_with_a_secret_finds_its_way_to_the_tools() {
    let server = Server::start().await;
    let client = server.provision(json!({})).await;
    for lifecycle in lifecycles() {
        let credentials = with_secret(&server, &client, client["client_secret"].as_str().unwrap());
        let connected = connect(&server, credentials, lifecycle).await.unwrap();
        let caller = call(&connected, "whoami", json!({})).await.unwrap();
        assert_eq!((&caller["user_id"], &caller["client_id"]), (&json!("alice"), &client["client_id"]));
        let tracked = call(&connected, "track", json!({ "event": "edited a file" })).await.unwrap();
        assert_eq!(tracked["user_id"], "alice");
    }
}

#[tokio::test]
async fn a_stock_client_with_a_key_finds_its_way_to_the_tools() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.pem");
    let key = KeyRing::load_or_generate(&file, Algorithm::Es256).unwrap();
    let jwks: Value = serde_json::from_str(&key.jwks()).unwrap();
    let metadata = json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks });
    let client = server.provision(metadata).await;

    let credentials = ClientCredentialsConfig::PrivateKeyJwt {
        client_id: text(&client, "client_id"),
        signing_key: std::fs::read(&file).unwrap(),
        signing_algorithm: JwtSigningAlgorithm::ES256,
        token_endpoint_audience: None,
        scopes: vec!["hook:track".to_owned()],
        resource: Some(server.url("/mcp")),
    };
    let connected = connect(&server, credentials, ClientLifecycleMode::Initialize).await.unwrap();
    assert_eq!(call(&connected, "whoami", json!({})).await.unwrap()["user_id"], "alice");
}

#[tokio::test]
async fn a_stock_client_with_a_wrong_secret_gets_no_token() {
    let server = Server::start().await;
    let client = server.provision(json!({})).await;
    let credentials = with_secret(&server, &client, &"A".repeat(43));
    let error = connect(&server, credentials, ClientLifecycleMode::Initialize).await.unwrap_err();
    assert!(error.to_string().contains("invalid_client"), "{error}");
}

#[tokio::test]
async fn row_143_the_challenge_leads_to_the_metadata_of_the_resource_and_these_to_its_server() {
    let server = Server::start().await;
    let refused = server.request(Method::POST, None).json(&initialize()).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let challenge = refused.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    let (_, rest) = challenge.split_once("resource_metadata=\"").unwrap();
    let (url, _) = rest.split_once('"').unwrap();
    assert_eq!(url, server.url("/.well-known/oauth-protected-resource/mcp"));
    assert!(challenge.contains("scope=\"hook:track\""), "{challenge}");

    let resource: Value = server.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(resource["resource"], server.url("/mcp"));
    assert_eq!(resource["authorization_servers"], json!([server.url("")]));
}

#[tokio::test]
async fn row_149_the_server_advertises_pkce_and_its_tokens_are_short() {
    let server = Server::start().await;
    let metadata = server.url("/.well-known/oauth-authorization-server");
    let metadata: Value = server.http.get(metadata).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["issuer"], server.url(""));
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));

    let client = server.provision(json!({})).await;
    let answer = token(&server, &client, &server.url("/mcp")).await;
    let granted: Value = answer.json().await.unwrap();
    assert!(granted["expires_in"].as_u64().unwrap() <= 3600, "{granted}");
}

#[tokio::test]
async fn row_151_a_resource_may_be_spelt_in_capitals_and_must_have_no_fragment() {
    let server = Server::start().await;
    let client = server.provision(json!({})).await;
    let resource = server.url("/mcp");
    for same in [resource.clone(), resource.replacen("http", "HTTP", 1)] {
        let answer = token(&server, &client, &same).await;
        assert_eq!(answer.status(), 200, "{same}");
        let granted: Value = answer.json().await.unwrap();
        let entered = server.request(Method::POST, granted["access_token"].as_str()).json(&initialize());
        assert_eq!(entered.send().await.unwrap().status(), 200, "{same}");
    }
    for other in [format!("{resource}#tools"), format!("{resource}/")] {
        let answer = token(&server, &client, &other).await;
        assert_eq!(answer.status(), 400, "{other}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_target", "{other}");
    }
}

#[tokio::test]
async fn row_153_metadata_name_the_ways_a_client_can_prove_itself() {
    let server = Server::start().await;
    let metadata = server.url("/.well-known/oauth-authorization-server");
    let metadata: Value = server.http.get(metadata).send().await.unwrap().json().await.unwrap();
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    for method in ["client_secret_basic", "client_secret_post", "private_key_jwt"] {
        assert!(methods.contains(&json!(method)), "{methods:?}");
    }
    let grants = metadata["grant_types_supported"].as_array().unwrap();
    assert!(grants.contains(&json!("client_credentials")), "{grants:?}");
}
