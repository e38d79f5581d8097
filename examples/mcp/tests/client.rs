//! rmcp's own client.

use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientInitializeError, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use serde_json::{Value, json};

use crate::server::Server;

pub(crate) type Client = RunningService<RoleClient, ()>;

/// Both ways to begin: with MCP sessions, and without them (since revision 2026-07-28).
pub(crate) fn lifecycles() -> [ClientLifecycleMode; 2] {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    [ClientLifecycleMode::Initialize, ClientLifecycleMode::Discover { preferred_versions }]
}

async fn connect(
    server: &Server,
    token: Option<&str>,
    lifecycle: ClientLifecycleMode,
) -> Result<Client, ClientInitializeError> {
    let config = StreamableHttpClientTransportConfig::with_uri(server.url("/mcp"));
    let config = match token {
        Some(token) => config.auth_header(token),
        None => config,
    };
    let transport = StreamableHttpClientTransport::with_client(server.http.clone(), config);
    ().serve_with_lifecycle(transport, lifecycle).await
}

pub(crate) async fn call(
    client: &Client,
    tool: &'static str,
    arguments: Value,
) -> Result<Value, ServiceError> {
    let arguments = arguments.as_object().unwrap().clone();
    let request = CallToolRequestParams::new(tool).with_arguments(arguments);
    Ok(client.call_tool(request).await?.structured_content.unwrap())
}

#[tokio::test]
async fn a_linked_bridge_calls_tools_that_know_its_person() {
    let server = Server::start().await;
    let token = server.link("alice", "hook:track").await;
    for lifecycle in lifecycles() {
        let client = connect(&server, Some(&token), lifecycle).await.unwrap();
        let tools = client.list_all_tools().await.unwrap();
        assert_eq!(tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>(), ["track", "whoami"]);

        let caller = call(&client, "whoami", json!({})).await.unwrap();
        assert_eq!(caller["user_id"], "alice");
        assert_eq!(caller["scopes"], json!(["hook:track"]));

        let tracked = call(&client, "track", json!({ "event": "edited a file" })).await.unwrap();
        assert_eq!(tracked, json!({ "user_id": "alice", "event": "edited a file" }));
        client.cancel().await.unwrap();
    }
}

#[tokio::test]
async fn a_client_without_a_token_is_told_to_get_one() {
    let server = Server::start().await;
    for lifecycle in lifecycles() {
        let error = connect(&server, None, lifecycle).await.unwrap_err();
        assert!(format!("{error:?}").contains("AuthRequired"), "{error:?}");
    }
}

#[tokio::test]
async fn a_client_whose_session_was_revoked_is_refused_at_its_next_call() {
    let server = Server::start().await;
    for lifecycle in lifecycles() {
        let token = server.link("alice", "").await;
        let client = connect(&server, Some(&token), lifecycle).await.unwrap();
        call(&client, "whoami", json!({})).await.unwrap();

        let logout = server.http.post(server.url("/v1/auth/bridge/logout")).bearer_auth(&token);
        assert_eq!(logout.send().await.unwrap().status(), 204);

        let error = call(&client, "whoami", json!({})).await.unwrap_err();
        assert!(format!("{error:?}").contains("AuthRequired"), "{error:?}");
    }
}

#[tokio::test]
async fn a_client_that_lacks_a_scope_is_told_which() {
    let server = Server::start().await;
    let token = server.link("alice", "hook:govern").await;
    for lifecycle in lifecycles() {
        let client = connect(&server, Some(&token), lifecycle).await.unwrap();
        let error = call(&client, "track", json!({ "event": "edited a file" })).await.unwrap_err();
        assert!(format!("{error:?}").contains("required_scope: Some(\"hook:track\")"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends_also_while_clients_are_connected() {
    let server = Server::start().await;
    let token = server.link("alice", "").await;
    let client = connect(&server, Some(&token), ClientLifecycleMode::Initialize).await.unwrap();
    call(&client, "whoami", json!({})).await.unwrap();
    server.stop.send(()).unwrap();
    server.served.await.unwrap().unwrap();
    drop(client);
}
