//! A server to test, and how to call it.

use std::net::SocketAddr;

use bridge_auth::{Bridge, BridgeBuilder, Scopes, SignedIn, UserId};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The newest revision of MCP that has sessions.
pub(crate) const WITH_SESSIONS: &str = "2025-11-25";

/// A server on a free port, with its own SQLite file.
pub(crate) struct Server {
    pub(crate) bridge: Bridge,
    pub(crate) http: reqwest::Client,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) served: JoinHandle<anyhow::Result<()>>,
    address: SocketAddr,
    _folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|builder, _| builder).await
    }

    /// The same with more on its bridge, whose issuer is told.
    pub(crate) async fn start_with(more: impl FnOnce(BridgeBuilder, &str) -> BridgeBuilder) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridges.db");
        let issuer = format!("http://{address}");
        let server =
            example_mcp::Server::open_with(&issuer, &path, |builder| more(builder, &issuer)).await.unwrap();
        let bridge = server.bridge().clone();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move { server.serve(listener, async { drop(stopped.await) }).await });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { bridge, http, stop, served, address, _folder: folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Links a bridge for the person `name` as bridges do, and returns its token.
    pub(crate) async fn link(&self, name: &str, scopes: &str) -> String {
        let person = SignedIn::new(user(name), Scopes::parse(scopes).unwrap());
        let issued = self.bridge.issuer().issue_code(&person, Default::default()).await.unwrap();
        let exchange = json!({ "code": issued.code.expose() });
        let request = self.http.post(self.url("/v1/auth/bridge/session")).json(&exchange);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let access: Value = answer.json().await.unwrap();
        access["token"].as_str().unwrap().to_owned()
    }

    /// Provisions a hook client for alice as bridges do, and returns the server's answer.
    pub(crate) async fn provision(&self, metadata: Value) -> Value {
        let token = self.link("alice", "hook:govern hook:track").await;
        let request = self.http.post(self.url("/v1/auth/bridge/oauth-client")).bearer_auth(token);
        let answer = request.json(&metadata).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// A request to the MCP server, as clients make it.
    pub(crate) fn request(&self, method: Method, token: Option<&str>) -> RequestBuilder {
        let request = self
            .http
            .request(method, self.url("/mcp"))
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", WITH_SESSIONS);
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Opens an MCP session, and returns its id.
    pub(crate) async fn open(&self, token: &str) -> String {
        let answer = self.request(Method::POST, Some(token)).json(&initialize()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let session = answer.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let request = self.request(Method::POST, Some(token)).header("mcp-session-id", &session);
        assert_eq!(request.json(&initialized).send().await.unwrap().status(), 202);
        session
    }

    /// Calls a tool in a session.
    pub(crate) async fn call(&self, token: Option<&str>, session: &str, tool: &str) -> Response {
        let request = self.request(Method::POST, token).header("mcp-session-id", session);
        request.json(&call(tool)).send().await.unwrap()
    }
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub(crate) fn initialize() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": WITH_SESSIONS,
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    }})
}

fn call(tool: &str) -> Value {
    let arguments = if tool == "track" { json!({ "event": "edited a file" }) } else { json!({}) };
    json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": tool,
        "arguments": arguments,
    }})
}

/// The tool's answer, from the event stream that contains it.
pub(crate) async fn result(answer: Response) -> Value {
    assert_eq!(answer.status(), 200);
    let events = answer.text().await.unwrap();
    let data = events.lines().filter_map(|line| line.strip_prefix("data:"));
    let message = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let mut results = message.filter_map(|message| message.pointer("/result/structuredContent").cloned());
    results.next().unwrap_or_else(|| panic!("no result in {events}"))
}
