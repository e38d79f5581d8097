//! The OpenAPI document, held against a real gateway: every documented answer is given, and every answer is as documented.

mod book;
mod exchanges;
mod operators;
mod pages;
mod revocations;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use bridge_auth::audience::ProtectedResource;
use bridge_auth::issue::{AccessRequest, TokenExchange};
use bridge_auth::rate_limit::RateLimits;
use bridge_auth::{BridgeBuilder, Scopes};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};
use reqwest::RequestBuilder;
use rusqlite::Connection;
use serde_json::{Value, json};

use self::book::Book;
use crate::oauth::given::{
    CHALLENGE, FORM, MCP, TOOLS, VERIFIER, claims, code_grant, hook_of, oauth_builder, pkce_code, post,
    server,
};
use crate::sign_in::given::sign_in_builder;
use crate::support::bridge::{ISSUER, user};
use crate::support::gateway::{Gateway, OPERATOR, PREFIX, send};
use crate::support::{Backend, ListedByAdmin as _, SqliteBackend};

/// What a session may call a minute.
const CALLS: u32 = 30;

/// The gateway with everything on, where one failure is one too many for a while.
async fn everything(db: &SqliteBackend) -> Gateway {
    let set = |builder: BridgeBuilder| {
        builder
            .refresh_tokens(true)
            .session_refresh_tokens(true)
            .max_devices(1)
            .token_exchange(TokenExchange::new())
            .provisioning_requires(Scopes::parse("chat").unwrap())
            .rate_limits(
                RateLimits::default().failure_cost(10_000).codes_per_person(10).calls_per_session(CALLS),
            )
            .protected_resource(ProtectedResource::new(ISSUER).name("The gateway"))
            .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
            .trusted_proxies(["127.0.0.0/8"])
    };
    let bridge = set(sign_in_builder(db).await)
        .audit_trail(operators::Trail)
        .trust(revocations::issuer())
        .build()
        .unwrap();
    let document = format!("{PREFIX}/openapi.json");
    let route = revocations::routes(&bridge).route_service(&document, bridge.openapi_service());
    Gateway::with_routes(bridge, route).await
}

/// One operation of the gateway's, by its path in the document.
struct Operation<'g> {
    gateway: &'g Gateway,
    name: String,
}

impl Operation<'_> {
    fn request(&self) -> RequestBuilder {
        let (method, path) = self.name.split_once(' ').unwrap();
        let path = path.replace("{user}", "alice").replace("{client}", "sp_bridge");
        let path = path.replace("{id}", "sess_of_nobody");
        self.gateway.request(method.to_uppercase().parse().unwrap(), &path)
    }
}

fn bridge_operation(method: &str, path: &str) -> String {
    format!("{method} {PREFIX}{path}")
}

#[tokio::test]
async fn every_documented_answer_is_given_and_is_as_documented() {
    let db = SqliteBackend::start().await;
    let gateway = everything(&db).await;
    let mut book = Book::of(&gateway).await;
    link(&gateway, &mut book).await;
    sessions(&gateway, &mut book).await;
    oauth(&gateway, &mut book).await;
    bound_to_a_resource(&gateway, &mut book).await;
    exchanges::tokens(&gateway, &mut book).await;
    discovery(&gateway, &mut book).await;
    operators::acts(&gateway, &mut book).await;
    operators::people(&gateway, &mut book).await;
    operators::page(&gateway, &mut book).await;
    pages::device(&gateway, &db, &mut book).await;
    pages::consent(&gateway, &mut book).await;
    pages::devices(&gateway, &mut book).await;
    revocations::answers(&gateway, &mut book).await;
    revocations::bodies(&gateway, &mut book).await;
    bodies(&gateway, &mut book).await;
    too_many(&gateway, &db, &mut book).await;
    pages::too_many(&gateway, &mut book).await;
    revocations::too_many(&gateway, &mut book).await;
    store_down(&gateway, &db, &mut book).await;
    assert_eq!(book.unseen(), []);
}

async fn link(gateway: &Gateway, book: &mut Book) {
    let code = bridge_operation("post", "/code");
    let ask = |body: Value| gateway.post("/code", &body).header(COOKIE, "login=alice");
    let issued = book.call(&code, 201, ask(json!({}))).await;
    book.call(&code, 400, ask(json!({ "code_challenge": "x" }))).await;
    book.call(&code, 400, ask(json!({ "code_challenge": null }))).await;
    book.call(&code, 201, ask(json!({ "resource": TOOLS }))).await;
    let unknown = book.call(&code, 400, ask(json!({ "resource": "https://evil.example" }))).await;
    assert_eq!(unknown.text("code"), "invalid_target");
    book.call(&code, 401, gateway.post("/code", &json!({}))).await;
    book.call(&code, 403, ask(json!({})).header("sec-fetch-site", "cross-site")).await;

    let session = bridge_operation("post", "/session");
    let exchange = |code: &str| gateway.post("/session", &json!({ "code": code }));
    let opened = book.call(&session, 200, exchange(&issued.text("code"))).await;
    assert!(opened.json()["refresh_token"].is_string());
    book.call(&session, 400, exchange("x")).await;
    let taken = opened.json()["headers"]["x-session-id"].as_str().unwrap().to_owned();
    let code = gateway.code("bob").await;
    book.call(&session, 409, exchange(&code).header("x-session-id", taken)).await;
    let capabilities = bridge_operation("get", "/capabilities");
    book.call(&capabilities, 200, gateway.request(Method::GET, &format!("{PREFIX}/capabilities"))).await;
}

async fn sessions(gateway: &Gateway, book: &mut Book) {
    let token = gateway.link("carol").await;
    let hook = hook_of(gateway, &gateway.link("dave").await).await.token(gateway).await;
    for (method, path, may_hook) in
        [("get", "/sessions", false), ("delete", "/sessions/{id}", false), ("post", "/logout", true)]
    {
        let name = bridge_operation(method, path);
        let operation = Operation { gateway, name: name.clone() };
        book.call(&name, 401, operation.request()).await;
        book.call(&name, 401, operation.request().bearer_auth("x.y.z")).await;
        book.call(&name, 400, operation.request().bearer_auth(&token).bearer_auth(&token)).await;
        if !may_hook {
            book.call(&name, 403, operation.request().bearer_auth(&hook)).await;
        }
    }
    let list = bridge_operation("get", "/sessions");
    let all = |token: &str| gateway.request(Method::GET, &format!("{PREFIX}/sessions")).bearer_auth(token);
    pages(gateway, book, &list, &token).await;
    let listed = book.call(&list, 200, all(&token)).await;
    let end = bridge_operation("delete", "/sessions/{id}");
    let gone = gateway.request(Method::DELETE, &format!("{PREFIX}/sessions/sess_of_nobody"));
    book.call(&end, 404, gone.bearer_auth(&token)).await;
    let id = listed.json()["sessions"][0]["id"].as_str().unwrap().to_owned();
    let own = gateway.request(Method::DELETE, &format!("{PREFIX}/sessions/{id}"));
    book.call(&end, 204, own.bearer_auth(&token)).await;
    let token = gateway.link("carol").await;
    let log_out = gateway.request(Method::POST, &format!("{PREFIX}/logout")).bearer_auth(&token);
    book.call(&bridge_operation("post", "/logout"), 204, log_out).await;
}

/// One device of a person's a page, with all that hangs on it.
async fn pages(gateway: &Gateway, book: &mut Book, list: &str, token: &str) {
    hook_of(gateway, token).await.token(gateway).await;
    gateway.link("carol").await;
    let page =
        |query: &str| gateway.request(Method::GET, &format!("{PREFIX}/sessions?{query}")).bearer_auth(token);
    let operators_page = |query: &str| {
        let path = format!("/admin/users/carol/sessions?{query}");
        gateway.request(Method::GET, &path).header(AUTHORIZATION, OPERATOR)
    };
    let operators_list = "get /admin/users/{user}/sessions";
    let [mut of_owner, mut of_operator] = ["limit=1".to_owned(), "limit=1".to_owned()];
    let mut last = Value::Null;
    for number in 1..=2 {
        let (own, theirs) = (page(&of_owner), operators_page(&of_operator));
        let own = book.call(list, 200, own).await.json();
        let theirs = book.call(operators_list, 200, theirs).await.json();
        for (listed, query) in [(&own, &mut of_owner), (&theirs, &mut of_operator)] {
            assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{number}");
            assert_eq!(listed["next_cursor"].is_string(), number == 1, "{listed}");
            *query = format!("limit=1&cursor={}", listed["next_cursor"].as_str().unwrap_or_default());
        }
        last = own["sessions"][0].clone();
        assert!(last["current"].is_boolean() && theirs["sessions"][0]["current"].is_null());
    }
    assert!(last["secret_since"].is_u64() && last["key_since"].is_null(), "{last}");
    assert!(last["hook_session"]["id"].is_string() && last["ends_at"].is_u64(), "{last}");
    for malformed in ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor="] {
        book.call(list, 400, page(malformed)).await;
        book.call(operators_list, 400, operators_page(malformed)).await;
    }
}

async fn oauth(gateway: &Gateway, book: &mut Book) {
    let provision = bridge_operation("post", "/oauth-client");
    let person = gateway.link("erin").await;
    let client =
        |token: &str| gateway.request(Method::POST, &format!("{PREFIX}/oauth-client")).bearer_auth(token);
    let provisioned = book.call(&provision, 200, client(&person)).await;
    let devices = gateway.bridge.admin().sessions_of(&user("erin")).await.unwrap();
    let ends_at = devices[0].ends_at.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(provisioned.json()["client_secret_expires_at"], ends_at);
    let full = book.call(&provision, 409, client(&gateway.link("erin").await)).await;
    assert_eq!(full.json()["devices"][0]["session_id"], devices[0].id.as_str());
    assert_eq!(full.json()["devices"].as_array().unwrap().len(), 1);
    let narrow = AccessRequest::for_user(user("erin"), Scopes::parse("tools").unwrap());
    let narrow = gateway.bridge.issuer().open_access(narrow).await.unwrap();
    let lacking = book.call(&provision, 403, client(narrow.token.expose())).await;
    assert!(lacking.header("www-authenticate").contains("error=\"insufficient_scope\", scope=\"chat\""));
    let with_key = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": { "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] },
    });
    let json_body =
        |body: &Value| client(&person).header(CONTENT_TYPE, "application/json").body(body.to_string());
    let given = book.call(&provision, 200, json_body(&with_key)).await;
    assert!(given.json()["jwks"]["keys"][0]["kid"].is_string());
    book.call(&provision, 400, json_body(&json!({ "jwks_uri": "https://evil.example" }))).await;
    book.call(&provision, 401, client("x.y.z")).await;
    let hook = hook_of(gateway, &gateway.link("frank").await).await;
    book.call(&provision, 403, client(&hook.token(gateway).await)).await;

    let token = bridge_operation("post", "/token");
    let grant = [("grant_type", "client_credentials")];
    let as_hook = |request: RequestBuilder| request.header(AUTHORIZATION, hook.basic());
    let granted = book.call(&token, 200, as_hook(post(gateway, "/token", &grant))).await;
    book.call(&token, 400, as_hook(post(gateway, "/token", &[]))).await;
    book.call(&token, 401, post(gateway, "/token", &grant)).await;
    let code = pkce_code(gateway, "grace").await;
    let exchanged = book.call(&token, 200, post(gateway, "/token", &code_grant(&code))).await;
    let refresh = exchanged.text("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("client_id", "sp_bridge"), ("refresh_token", &refresh)];
    let refreshed = book.call(&token, 200, post(gateway, "/token", &fields)).await;
    let code = pkce_code(gateway, "grace").await;
    let sessions = gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &person).await;
    let taken = sessions.json()["sessions"][0]["id"].as_str().unwrap().to_owned();
    let declared = post(gateway, "/token", &code_grant(&code)).header("x-session-id", taken);
    book.call(&token, 409, declared).await;

    let introspect = bridge_operation("post", "/introspect");
    let look_at = |fields: &[(&str, &str)]| post(gateway, "/introspect", fields);
    let (access, refresh) = (granted.text("access_token"), refreshed.text("refresh_token"));
    let active = book.call(&introspect, 200, as_hook(look_at(&[("token", &access)]))).await;
    assert_eq!(active.json()["active"], true);
    let inactive = book.call(&introspect, 200, as_hook(look_at(&[("token", "x")]))).await;
    assert_eq!(inactive.json(), json!({ "active": false }));
    let by_server = look_at(&[("token", &refresh)]).header(AUTHORIZATION, server().basic());
    assert_eq!(book.call(&introspect, 200, by_server).await.json()["active"], true);
    book.call(&introspect, 400, as_hook(look_at(&[]))).await;
    book.call(&introspect, 401, look_at(&[("token", &access)])).await;

    let revoke = bridge_operation("post", "/revoke");
    let end = |fields: &[(&str, &str)]| post(gateway, "/revoke", fields);
    book.call(&revoke, 400, as_hook(end(&[]))).await;
    book.call(&revoke, 401, end(&[("token", &access)])).await;
    book.call(&revoke, 200, as_hook(end(&[("token", &access)]))).await;
}

async fn bound_to_a_resource(gateway: &Gateway, book: &mut Book) {
    let token = bridge_operation("post", "/token");
    let bound = json!({ "code_challenge": CHALLENGE, "code_challenge_method": "S256", "resource": TOOLS });
    let code = gateway.code_with("grace", &bound).await;
    let other = [&code_grant(&code)[..], &[("resource", MCP)]].concat();
    let wrong = book.call(&token, 400, post(gateway, "/token", &other)).await;
    assert_eq!(wrong.text("error"), "invalid_target");
    let exchange = json!({ "code": code, "code_verifier": VERIFIER });
    let opened =
        book.call(&bridge_operation("post", "/session"), 200, gateway.post("/session", &exchange)).await;
    assert_eq!(claims(&opened.text("token"))["aud"], json!([TOOLS]));
    let refresh = opened.text("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("client_id", "sp_bridge"), ("refresh_token", &refresh)];
    let other = [&fields[..], &[("resource", MCP)]].concat();
    let wrong = book.call(&token, 400, post(gateway, "/token", &other)).await;
    assert_eq!(wrong.text("error"), "invalid_target");
}

async fn discovery(gateway: &Gateway, book: &mut Book) {
    for path in [
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/tools",
    ] {
        book.call(&format!("get {path}"), 200, gateway.request(Method::GET, path)).await;
    }
}

/// What is too large, and what is of another type.
async fn bodies(gateway: &Gateway, book: &mut Book) {
    let token = gateway.link("ivan").await;
    for (path, media_type) in [
        ("/code", "application/json"),
        ("/session", "application/json"),
        ("/oauth-client", "application/json"),
        ("/token", FORM),
        ("/introspect", FORM),
        ("/revoke", FORM),
        ("/device_authorization", FORM),
    ] {
        let name = bridge_operation("post", path);
        let request = || {
            let request =
                gateway.request(Method::POST, &format!("{PREFIX}{path}")).header(COOKIE, "login=ivan");
            if path == "/oauth-client" { request.bearer_auth(&token) } else { request }
        };
        let large = request().header(CONTENT_TYPE, media_type).body("x".repeat(17 * 1024));
        book.call(&name, 413, large).await;
        book.call(&name, 415, request().header(CONTENT_TYPE, "text/plain").body("x")).await;
    }
}

async fn too_many(gateway: &Gateway, db: &SqliteBackend, book: &mut Book) {
    const SOURCE: &str = "198.51.100.1";
    let session = bridge_operation("post", "/session");
    let guess = || gateway.post("/session", &json!({ "code": "x" }));
    book.call_from(SOURCE, &session, 400, guess()).await;
    book.call_from(SOURCE, &session, 429, guess()).await;
    for path in ["/token", "/introspect", "/revoke", "/device_authorization"] {
        let request = post(gateway, path, &[("token", "x")]);
        book.call_from(SOURCE, &bridge_operation("post", path), 429, request).await;
    }
    let ask = || gateway.post("/code", &json!({})).header(COOKIE, "login=mallory");
    while send(ask()).await.status == 201 {}
    book.call(&bridge_operation("post", "/code"), 429, ask()).await;
    let token = gateway.link("niaj").await;
    for (method, path) in [("get", "/sessions"), ("post", "/oauth-client"), ("delete", "/sessions/{id}")] {
        while gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &token).await.status == 200 {}
        let name = bridge_operation(method, path);
        let request = Operation { gateway, name: name.clone() }.request().bearer_auth(&token);
        book.call(&name, 429, request).await;
    }
    // The first that is done ends the session; so none is done yet.
    let name = bridge_operation("post", "/logout");
    let log_out = || Operation { gateway, name: name.clone() }.request().bearer_auth(&token);
    let writer = Connection::open(db.path()).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut under_way: FuturesUnordered<_> = (0..=CALLS).map(|_| send(log_out())).collect();
    assert_eq!(under_way.next().await.unwrap().status, 429);
    book.call(&name, 429, log_out()).await;
    writer.execute_batch("ROLLBACK").unwrap();
}

async fn store_down(gateway: &Gateway, db: &SqliteBackend, book: &mut Book) {
    let token = gateway.link("judy").await;
    let hook = hook_of(gateway, &token).await;
    let shown = pages::shown(gateway, book).await;
    db.break_down();
    pages::store_down(gateway, book, &shown).await;
    operators::store_down(gateway, book).await;
    revocations::store_down(gateway, book).await;
    for (method, path) in
        [("post", "/oauth-client"), ("get", "/sessions"), ("delete", "/sessions/{id}"), ("post", "/logout")]
    {
        let name = bridge_operation(method, path);
        let request = Operation { gateway, name: name.clone() }.request().bearer_auth(&token);
        book.call(&name, 503, request).await;
    }
    let code = gateway.post("/code", &json!({})).header(COOKIE, "login=judy");
    book.call(&bridge_operation("post", "/code"), 503, code).await;
    let exchange = gateway.post("/session", &json!({ "code": "0".repeat(64) }));
    book.call(&bridge_operation("post", "/session"), 503, exchange).await;
    for path in ["/token", "/introspect", "/revoke"] {
        let fields = [("grant_type", "client_credentials"), ("token", token.as_str())];
        let request = post(gateway, path, &fields).header(AUTHORIZATION, hook.basic());
        book.call(&bridge_operation("post", path), 503, request).await;
    }
    for name in [
        "get /admin/users/{user}/sessions",
        "delete /admin/users/{user}/sessions",
        "delete /admin/clients/{client}/sessions",
        "post /admin/users/{user}/disable",
        "post /admin/users/{user}/enable",
        "delete /admin/sessions/{id}",
    ] {
        let request = Operation { gateway, name: name.to_owned() }.request().header(AUTHORIZATION, OPERATOR);
        book.call(name, 503, request).await;
    }
}

#[tokio::test]
async fn where_pkce_is_required_a_code_without_a_challenge_is_refused_as_documented() {
    let db = SqliteBackend::start().await;
    let bridge = oauth_builder(&db).await.require_pkce(true).build().unwrap();
    let document = format!("{PREFIX}/openapi.json");
    let route = Router::new().route_service(&document, bridge.openapi_service());
    let gateway = Gateway::with_routes(bridge, route).await;
    let mut book = Book::of(&gateway).await;
    let code = bridge_operation("post", "/code");
    let ask = |body: Value| gateway.post("/code", &body).header(COOKIE, "login=alice");
    let refused = book.call(&code, 400, ask(json!({}))).await;
    assert_eq!(refused.text("code"), "invalid_request");
    let with_challenge = json!({ "code_challenge": CHALLENGE, "code_challenge_method": "S256" });
    book.call(&code, 201, ask(with_challenge)).await;
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere_and_every_component_is_used() {
    let db = SqliteBackend::start().await;
    let book = Book::of(&everything(&db).await).await;
    let text = book.document.to_string();
    for (kind, components) in book.document["components"].as_object().unwrap() {
        for name in components.as_object().unwrap().keys().filter(|_| kind != "securitySchemes") {
            assert!(text.contains(&format!("\"#/components/{kind}/{name}\"")), "{kind} {name} is never used");
        }
    }
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(book.document.pointer(pointer).is_some(), "{pointer}");
    }
    for schema in book.document["components"]["schemas"].as_object().unwrap().keys() {
        let reference = json!({ "$ref": format!("#/components/schemas/{schema}") });
        let whole = json!({ "allOf": [reference], "components": book.document["components"] });
        assert!(jsonschema::validator_for(&whole).is_ok(), "{schema}");
    }
    assert_eq!(book.document["info"]["version"], env!("CARGO_PKG_VERSION"));
}
