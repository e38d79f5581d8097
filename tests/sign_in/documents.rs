//! Clients that a metadata document describes, from the page to the token: CHECKLIST L13 to L15.

// Only parts of the server are needed here.
#[allow(dead_code)]
#[path = "../../src/client_metadata/tests/server.rs"]
mod server;

use std::net::{IpAddr, Ipv4Addr};

use bridge_auth::client_metadata::ClientMetadata;
use http::StatusCode;
use serde_json::{Value, json};

use self::server::{ROOT, Reply, Server};
use super::given::{
    authorize, browse, code, gateway, html, location, member, open, post, redeem, sign_in_builder,
};
use crate::oauth::given::claims;
use crate::support::gateway::{Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const CALLBACK: &str = "http://127.0.0.1/callback";

/// A gateway that accepts the documents of a server on this machine, and that server.
struct Scene {
    gateway: Gateway,
    server: Server,
}

impl Scene {
    async fn new(db: &impl Backend) -> Self {
        let accepted = ClientMetadata::open()
            .root_certificate_pem(&ROOT.certificate)
            .danger_allow_addresses(["127.0.0.1/32"]);
        let bridge = sign_in_builder(db).await.client_metadata(accepted).build().unwrap();
        let scene = Self { gateway: Gateway::over(bridge).await, server: Server::start().await };
        scene.serve(&json!({}));
        scene
    }

    fn id(&self) -> String {
        format!("https://127.0.0.1:{}/client.json", self.server.port())
    }

    /// Serves a good document, but for these members.
    fn serve(&self, members: &Value) {
        let mut document = json!({
            "client_id": self.id(),
            "client_name": "A Tool <script>",
            "client_uri": format!("https://127.0.0.1:{}/", self.server.port()),
            "logo_uri": "https://evil.example/logo.png",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        for (name, value) in members.as_object().unwrap() {
            document[name] = value.clone();
        }
        self.server.answer(Reply::json(&document.to_string()));
    }

    fn request(&self) -> String {
        authorize(&[
            ("client_id", Some(&self.id())),
            ("redirect_uri", Some("http://127.0.0.1:4711/callback")),
        ])
    }
}

#[tokio::test]
async fn a_client_that_nobody_registered_gets_in_with_its_document() {
    let db = SqliteBackend::start().await;
    let scene = Scene::new(&db).await;
    let code = code(&scene.gateway, "alice", &scene.request()).await;
    let answer = redeem(&scene.gateway, &scene.id(), &code, &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let token = answer.text("access_token");
    assert_eq!(claims(&token)["client_id"], scene.id());
    assert!(scene.gateway.admits(&token).await);
    let devices = scene.gateway.call(http::Method::GET, &format!("{PREFIX}/sessions"), &token).await;
    assert_eq!(devices.status, StatusCode::FORBIDDEN, "the person's other devices are not its business");
}

#[tokio::test]
async fn nobody_starts_a_device_grant_in_the_name_of_a_client_with_a_document() {
    let db = SqliteBackend::start().await;
    let scene = Scene::new(&db).await;
    let refused = send(post(&scene.gateway, "/device_authorization", &[("client_id", &scene.id())])).await;
    assert!(refused.is_oauth_error(400, "unauthorized_client"), "{refused:?}");
    assert_eq!(scene.server.connections(), 0);
}

#[tokio::test]
async fn row_l9_a_mistake_of_a_client_that_anybody_can_make_leads_nowhere_without_a_click() {
    let db = SqliteBackend::start().await;
    let scene = Scene::new(&db).await;
    let id = scene.id();
    for mistake in [("response_type", None), ("scope", Some("admin"))] {
        let redirect = ("redirect_uri", Some("http://127.0.0.1:4711/callback"));
        let request = authorize(&[("client_id", Some(&id)), redirect, mistake]);
        let answer = open(&scene.gateway, "alice", &request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
        assert!(!answer.headers.contains_key("location"));
        let html = html(&answer);
        assert!(html.contains("href=\"http://127.0.0.1:4711/callback?error="), "{html}");
    }
}

#[tokio::test]
async fn a_person_who_makes_the_gateway_look_for_many_documents_is_refused_and_others_are_not() {
    let db = SqliteBackend::start().await;
    let scene = Scene::new(&db).await;
    let mut refused = 0;
    for number in 0..30 {
        let id = format!("https://127.0.0.1:{}/{number}.json", scene.server.port());
        let answer = open(&scene.gateway, "mallory", &authorize(&[("client_id", Some(&id))])).await;
        refused += u32::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused >= 5, "{refused}");
    assert_eq!(open(&scene.gateway, "alice", &scene.request()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn row_l15_the_page_shows_both_hosts_and_loads_nothing_of_the_client() {
    let db = SqliteBackend::start().await;
    let scene = Scene::new(&db).await;
    let shown = open(&scene.gateway, "alice", &scene.request()).await;
    let html = html(&shown);
    assert!(html.contains(&format!("127.0.0.1:{}", scene.server.port())), "{html}");
    assert!(!html.contains("<script") && !html.contains("evil.example"), "{html}");
    assert!(!html.contains("<img") && !shown.header("content-security-policy").contains("https:"));
    // The person is asked each time.
    let _ = code(&scene.gateway, "alice", &scene.request()).await;
    assert!(
        super::given::html(&open(&scene.gateway, "alice", &scene.request()).await)
            .contains("name=\"ticket\"")
    );
}

#[tokio::test]
async fn row_l13_a_broken_document_shows_nothing_as_trusted() {
    let db = SqliteBackend::start().await;
    for members in [
        json!({ "client_id": "https://other.example/client.json" }),
        json!({ "redirect_uris": [] }),
        json!({ "redirect_uris": ["http://evil.example/cb"] }),
        json!({ "client_secret": "x" }),
        json!({ "token_endpoint_auth_method": "client_secret_basic" }),
        json!({ "grant_types": ["implicit"] }),
        json!({ "client_name": "x".repeat(6000) }),
    ] {
        let scene = Scene::new(&db).await;
        scene.serve(&members);
        let answer = open(&scene.gateway, "alice", &scene.request()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{members}");
        assert!(!html(&answer).contains("name=\"ticket\"") && !html(&answer).contains("A Tool"));
    }
}

#[tokio::test]
async fn row_l13_a_client_id_that_breaks_the_rules_is_invalid_client_and_fetches_nothing() {
    let db = SqliteBackend::start().await;
    let scene = Scene::new(&db).await;
    let port = scene.server.port();
    for id in [
        format!("http://127.0.0.1:{port}/client.json"),
        format!("https://127.0.0.1:{port}"),
        format!("https://127.0.0.1:{port}/client.json#x"),
        format!("https://user@127.0.0.1:{port}/client.json"),
        format!("https://127.0.0.1:{port}/a/../client.json"),
        format!("https://127.0.0.1:{port}/%2e%2e/client.json"),
    ] {
        let answer = open(&scene.gateway, "alice", &authorize(&[("client_id", Some(&id))])).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{id}");
        let refused = redeem(&scene.gateway, &id, &"0".repeat(64), &[]).await;
        assert!(refused.is_oauth_error(401, "invalid_client"), "{id} {refused:?}");
    }
    assert_eq!(scene.server.connections(), 0);
}

#[tokio::test]
async fn nothing_is_fetched_for_somebody_who_is_not_signed_in() {
    let db = SqliteBackend::start().await;
    let scene = Scene::new(&db).await;
    let answer = send(browse(&scene.gateway, http::Method::GET, &scene.request())).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let _ = redeem(&scene.gateway, &scene.id(), &"0".repeat(64), &[]).await;
    assert_eq!(scene.server.connections(), 0);
}

#[tokio::test]
async fn row_l8_the_redirect_must_be_one_of_the_document() {
    let db = SqliteBackend::start().await;
    let scene = Scene::new(&db).await;
    for other in ["https://evil.example/cb", "http://127.0.0.1:4711/other", "http://localhost:4711/callback"]
    {
        let request = authorize(&[("client_id", Some(&scene.id())), ("redirect_uri", Some(other))]);
        let answer = open(&scene.gateway, "alice", &request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{other}");
    }
    let answer = super::given::consent(&scene.gateway, "alice", &scene.request(), "deny").await;
    let url = location(&answer);
    assert_eq!((url.port(), member(&url, "error").as_deref()), (Some(4711), Some("access_denied")));
}

#[tokio::test]
async fn row_l16_documents_are_advertised_where_they_are_accepted() {
    let db = SqliteBackend::start().await;
    let metadata = async |gateway: &Gateway| {
        let path = "/.well-known/oauth-authorization-server";
        send(gateway.request(http::Method::GET, path)).await.json()
    };
    let on = metadata(&Scene::new(&db).await.gateway).await;
    assert_eq!(on["client_id_metadata_document_supported"], true);
    let off = metadata(&gateway(&db).await).await;
    assert_eq!(off.get("client_id_metadata_document_supported"), None);
}
