//! The TypeScript SDK of MCP, in its two generations, run by the script in the crate's `tests/stock`.

use std::fs::copy;
use std::path::Path;

use serde_json::json;
use tempfile::Builder;
use tokio::process::Command;

use crate::server::Server;

#[tokio::test]
async fn the_typescript_sdk_finds_its_way_to_a_tool() {
    let server = Server::start().await;
    let client = server.provision(json!({})).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let installed = root.join("target/stock");
    assert!(installed.join("installed").exists(), "the stock clients are not installed: run .ci/stock");
    // Node looks for imports in the script's folder.
    let script = Builder::new().suffix(".mjs").tempfile_in(&installed).unwrap();
    copy(root.join("tests/stock/mcp.mjs"), script.path()).unwrap();

    for sdk in ["@modelcontextprotocol/sdk", "@modelcontextprotocol/client"] {
        let mut node = Command::new("node");
        node.arg(script.path())
            .env("SDK", sdk)
            .env("SERVER", server.url("/mcp"))
            .env("ISSUER", server.url(""))
            .env("CLIENT_ID", client["client_id"].as_str().unwrap())
            .env("CLIENT_SECRET", client["client_secret"].as_str().unwrap())
            .kill_on_drop(true);
        let output = node.output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && output.stdout.ends_with(b"ok\n"), "{sdk}: {told}");
    }
}
