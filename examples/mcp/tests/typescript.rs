//! The TypeScript SDK of MCP, in its two generations, run by the script in the crate's `tests/stock`.

use serde_json::json;

use crate::server::Server;
use crate::stock;

#[tokio::test]
async fn the_typescript_sdk_finds_its_way_to_a_tool() {
    let server = Server::start().await;
    let client = server.provision(json!({})).await;
    for sdk in ["@modelcontextprotocol/sdk", "@modelcontextprotocol/client"] {
        let mut command = stock::script(&crate::repository(), "mcp.mjs");
        command
            .env("SDK", sdk)
            .env("SERVER", server.url("/mcp"))
            .env("ISSUER", server.url(""))
            .env("CLIENT_ID", client["client_id"].as_str().unwrap())
            .env("CLIENT_SECRET", client["client_secret"].as_str().unwrap());
        stock::succeeds(&mut command).await;
    }
}
