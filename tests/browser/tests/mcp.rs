//! MCP clients, unchanged, sign a person in at the example MCP server through the browser, and call a tool as that person.

use std::net::SocketAddr;

use bridge_auth::client_metadata::ClientMetadata;
use bridge_auth::{BridgeBuilder, Scopes, SignedIn, UserId};
use browser_tests::browser::Browser;
use browser_tests::conformance::{add_token, free_port, suite};
use browser_tests::document::Document;
use browser_tests::gateway::{ALLOW, Gateway};
use browser_tests::script::Script;
use browser_tests::{repository, stock};
use example_mcp::CLIENT;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

/// The example MCP server on a free port, with its own SQLite file.
struct Server {
    example: example_mcp::Server,
    address: SocketAddr,
    _folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        Self::start_as(None).await
    }

    /// The same behind a proxy, which clients know as `issuer`.
    async fn start_as(issuer: Option<&str>) -> Self {
        Self::start_with(issuer, |builder| builder).await
    }

    /// The same with more on its bridge.
    async fn start_with(issuer: Option<&str>, more: impl FnOnce(BridgeBuilder) -> BridgeBuilder) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bridges.db");
        let own = format!("http://{address}");
        let example = example_mcp::Server::open_with(issuer.unwrap_or(&own), &file, more).await.unwrap();
        let serving = example.clone();
        tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
        Self { example, address, _folder: folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn client(&self, script: &str) -> Command {
        let mut command = stock::script(&repository(), script);
        command.env("SERVER", self.url("/mcp")).env("ISSUER", self.url(""));
        command.env("CLIENT_ID", CLIENT).env("USER", "alice");
        command
    }

    /// A token of alice, who let a bridge in.
    async fn token(&self) -> String {
        let alice = SignedIn::new(UserId::parse("alice").unwrap(), Scopes::parse("hook:track").unwrap());
        let issued = self.example.bridge().issuer().issue_code(&alice, Default::default()).await.unwrap();
        let exchange = json!({ "code": issued.code.expose() });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http.post(self.url("/v1/auth/bridge/session")).json(&exchange);
        let access: Value = request.send().await.unwrap().json().await.unwrap();
        access["token"].as_str().unwrap().to_owned()
    }
}

/// What a person does whom an MCP client sends to the browser.
async fn alice_allows(browser: &Browser, server: &Server, page: &str) {
    browser.visit(page).await;
    sign_in_as_alice(browser, server).await;
    browser.press(ALLOW).await;
}

/// Fills in the login page, if it is open.
async fn sign_in_as_alice(browser: &Browser, server: &Server) {
    if browser.url().await.starts_with(&server.url("/sign-in")) {
        browser.fill("input[name=name]", "alice").await;
        browser.press("form button").await;
    }
}

#[tokio::test]
async fn the_typescript_sdk_signs_a_person_in() {
    let server = Server::start().await;
    let browser = Browser::start().await;
    for sdk in ["@modelcontextprotocol/sdk", "@modelcontextprotocol/client"] {
        let mut client = Script::start(server.client("mcp_sign_in.mjs").env("SDK", sdk));
        let page = client.sends_to().await;
        alice_allows(&browser, &server, &page).await;
        client.succeeds().await;
    }
}

#[tokio::test]
async fn the_python_sdk_signs_a_person_in() {
    let server = Server::start().await;
    let browser = Browser::start().await;
    let mut client = Script::start(&mut server.client("mcp_sign_in.py"));
    let page = client.sends_to().await;
    alice_allows(&browser, &server, &page).await;
    client.succeeds().await;
}

#[tokio::test]
async fn clients_that_are_known_by_a_metadata_document_sign_a_person_in() {
    // The servers of documents have public addresses, and certificates that everybody trusts. This one has neither.
    let document = Document::serve("A stock client", "http://127.0.0.1/callback").await;
    let accepted =
        ClientMetadata::open().root_certificate_pem(document.root()).danger_allow_addresses(["127.0.0.1/32"]);
    let server = Server::start_with(None, |builder| builder.client_metadata(accepted)).await;
    let browser = Browser::start().await;
    for sdk in ["@modelcontextprotocol/sdk", "@modelcontextprotocol/client"] {
        let mut command = server.client("mcp_sign_in.mjs");
        command.env("SDK", sdk).env_remove("CLIENT_ID").env("CLIENT_METADATA_URL", document.url());
        signs_alice_in_unverified(&browser, &server, &document, &mut command).await;
    }
    let mut command = server.client("mcp_sign_in.py");
    command.env_remove("CLIENT_ID").env("CLIENT_METADATA_URL", document.url());
    signs_alice_in_unverified(&browser, &server, &document, &mut command).await;
}

async fn signs_alice_in_unverified(
    browser: &Browser,
    server: &Server,
    document: &Document,
    client: &mut Command,
) {
    let mut client = Script::start(client);
    let page = client.sends_to().await;
    browser.visit(&page).await;
    sign_in_as_alice(browser, server).await;
    let (page, url) = (browser.text().await, browser.url().await);
    for shown in ["does not know this program", "A stock client", document.host()] {
        assert!(page.contains(shown), "{shown} is not in {page} at {url}");
    }
    browser.is_good("consent-unverified").await;
    browser.press(ALLOW).await;
    client.succeeds().await;
}

#[tokio::test]
async fn rmcp_signs_a_person_in() {
    let server = Server::start().await;
    let browser = Browser::start().await;
    let url = server.url("/mcp");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut state = OAuthState::new(&url, Some(http.clone())).await.unwrap();
    // Nobody listens there: what the browser was sent back with stands in its address bar.
    let redirect = format!("http://127.0.0.1:{}/callback", free_port().await);
    let request = AuthorizationRequest::new(&redirect).with_preregistered_client(CLIENT);
    state.start_authorization(request).await.unwrap();
    let page = state.get_authorization_url().await.unwrap();
    alice_allows(&browser, &server, &page).await;
    let landed = browser.arrives_at(&redirect).await;
    state.handle_callback_url(&landed).await.unwrap();

    let manager = state.into_authorization_manager().unwrap();
    let transport = StreamableHttpClientTransport::with_client(
        AuthClient::new(http, manager),
        StreamableHttpClientTransportConfig::with_uri(url),
    );
    let client = ().serve_with_lifecycle(transport, ClientLifecycleMode::Initialize).await.unwrap();
    let told = client.call_tool(CallToolRequestParams::new("whoami")).await.unwrap();
    assert_eq!(told.structured_content.unwrap()["user_id"], "alice");
}

#[tokio::test]
async fn the_conformance_suite_passes_the_authorization_server() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    let (url, port) = (&gateway.running.url, free_port().await.to_string());
    let arguments =
        ["authorization", "--url", url, "--client-id", "sp_bridge", "--resource", url, "--port", &port];
    let mut suite = Script::start(&mut suite(&arguments));
    browser.visit(&suite.sends_to().await).await;
    browser.press(ALLOW).await;
    let told = suite.succeeds().await;
    assert!(told.contains("authorization-code-grant: 1 passed, 0 failed"), "{told}");
    assert!(!told.contains("SKIPPED") && !told.contains("WARNING"), "{told}");
}

/// The scenarios that ask for no tool, resource or prompt of the suite's own server.
const SERVER_SCENARIOS: [(&str, &[&str]); 2] = [
    (
        "2025-11-25",
        &[
            "server-initialize",
            "server-session-lifecycle",
            "ping",
            "tools-list",
            "server-sse-multiple-streams",
            "dns-rebinding-protection",
        ],
    ),
    (
        "2026-07-28",
        &[
            "server-stateless",
            "tools-list",
            "server-sse-multiple-streams",
            "dns-rebinding-protection",
            "http-header-validation",
        ],
    ),
];

/// How many checks have passed, of what the suite says, such as "Passed: 3/3, 0 failed, 0 warnings".
fn passed(told: &str) -> u32 {
    let count = told.lines().find_map(|line| line.strip_prefix("Passed: ")?.split_once('/'));
    count.map_or(0, |(passed, _)| passed.parse().unwrap())
}

#[tokio::test]
async fn the_conformance_suite_passes_the_mcp_server() {
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", way.local_addr().unwrap());
    let server = Server::start_as(Some(&issuer)).await;
    add_token(way, &server.url(""), &server.token().await);
    let (url, known) = (format!("{issuer}/mcp"), repository().join("tests/stock/conformance.yml"));
    for (revision, scenarios) in SERVER_SCENARIOS {
        for scenario in scenarios {
            let arguments = ["server", "--url", &url, "--scenario", scenario, "--spec-version", revision];
            let told =
                Script::start(suite(&arguments).arg("--expected-failures").arg(&known)).succeeds().await;
            assert!(passed(&told) > 0, "{scenario}: {told}");
        }
    }
}
