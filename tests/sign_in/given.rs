//! A gateway with all pages, the programs that ask to be let in, and the people who decide.

use bridge_auth::BridgeBuilder;
use bridge_auth::issue::RegisteredClient;
use bridge_auth::pages::Pages;
use http::Method;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION};
use url::{Url, form_urlencoded};

use crate::oauth::given::with_oauth;
pub use crate::oauth::given::{CHALLENGE, FORM, Fields, MCP, VERIFIER, basic, post};
use crate::support::Backend;
use crate::support::bridge::{ISSUER, builder};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};

/// A public client that the host registered, and where it is answered.
pub const EDITOR: &str = "editor";
pub const CALLBACK: &str = "https://editor.example/cb";
/// A confidential one.
pub const SERVER: &str = "server-app";
pub const SERVER_CALLBACK: &str = "https://app.example/cb";
pub const SERVER_SECRET: &str = "YXBwIHNlY3JldCBvZiAzMiByYW5kb20gYnl0ZXMhIQ";
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A builder with the pages, the device grant, and two registered clients.
pub async fn sign_in_builder(db: &impl Backend) -> BridgeBuilder {
    with_sign_in(builder(db).await)
}

pub fn with_sign_in(builder: BridgeBuilder) -> BridgeBuilder {
    with_pages(builder)
        .client(
            RegisteredClient::new(EDITOR, "The Editor")
                .site("https://editor.example/")
                .redirect_uri(CALLBACK)
                .redirect_uri("http://127.0.0.1/cb"),
        )
        .client(
            RegisteredClient::new(SERVER, "The Server App")
                .redirect_uri(SERVER_CALLBACK)
                .secret(SERVER_SECRET),
        )
}

/// The same without a registered client.
pub fn with_pages(builder: BridgeBuilder) -> BridgeBuilder {
    let url = |path: &str| format!("{ISSUER}{PREFIX}{path}");
    with_oauth(builder)
        .refresh_tokens(true)
        .pages(Pages::new("/login").gateway_name("The Gateway"))
        .authorization_endpoint(url("/authorize"))
        .device_authorization_endpoint(url("/device_authorization"))
}

pub async fn gateway(db: &impl Backend) -> Gateway {
    Gateway::over(sign_in_builder(db).await.build().unwrap()).await
}

/// The codes that a program got.
pub struct Codes {
    pub device: String,
    pub user: String,
}

/// `client` asks for codes, with more than it needs.
pub async fn start(gateway: &Gateway, client: &str, more: Fields<'_>) -> Codes {
    let fields = [&[("client_id", client)], more].concat();
    let answer = send(post(gateway, "/device_authorization", &fields)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    Codes { device: answer.text("device_code"), user: answer.text("user_code") }
}

/// `client` polls.
pub async fn poll(gateway: &Gateway, client: &str, codes: &Codes) -> Answer {
    let fields = [("grant_type", DEVICE_CODE), ("client_id", client), ("device_code", codes.device.as_str())];
    send(post(gateway, "/token", &fields)).await
}

/// A request of a browser without a login, not sent yet.
pub fn browse(gateway: &Gateway, method: Method, path_and_query: &str) -> reqwest::RequestBuilder {
    gateway.request(method, &format!("{PREFIX}{path_and_query}"))
}

/// A person's browser opens a page of the gateway.
pub async fn open(gateway: &Gateway, person: &str, path_and_query: &str) -> Answer {
    let request = browse(gateway, Method::GET, path_and_query);
    send(request.header(COOKIE, format!("login={person}"))).await
}

/// A person's browser sends the form of a page.
pub async fn submit(gateway: &Gateway, person: &str, path_and_query: &str, fields: Fields<'_>) -> Answer {
    send(form(gateway, path_and_query, fields).header(COOKIE, format!("login={person}"))).await
}

/// A form, not sent yet, as a page of the gateway itself sends it.
pub fn form(gateway: &Gateway, path_and_query: &str, fields: Fields<'_>) -> reqwest::RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    browse(gateway, Method::POST, path_and_query)
        .header(CONTENT_TYPE, FORM)
        .header("origin", ISSUER)
        .header("sec-fetch-site", "same-origin")
        .body(body)
}

/// The ticket in the form of a page.
pub fn ticket(page: &Answer) -> String {
    let html = html(page);
    let (_, behind) = html.split_once("name=\"ticket\"").unwrap_or_else(|| panic!("no ticket: {html}"));
    let (_, behind) = behind.split_once("value=\"").unwrap();
    behind.split_once('"').unwrap().0.to_owned()
}

pub fn html(page: &Answer) -> &str {
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{page:?}");
    std::str::from_utf8(&page.body).unwrap()
}

/// `person` sees what the program with these codes asks for, and decides.
pub async fn decide(gateway: &Gateway, person: &str, codes: &Codes, decision: &str) -> Answer {
    let shown = open(gateway, person, &format!("/device?user_code={}", codes.user)).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    let fields = [("ticket", &*ticket(&shown)), ("decision", decision)];
    submit(gateway, person, "/device", &fields).await
}

/// The path and query of a request for authorization, with `changes`: another value, or none.
pub fn authorize(changes: &[(&str, Option<&str>)]) -> String {
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", EDITOR),
        ("redirect_uri", CALLBACK),
        ("state", "xyz"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    fields.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    fields.extend(changes.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
    format!("/authorize?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
}

/// `person` is asked, and decides.
pub async fn consent(gateway: &Gateway, person: &str, request: &str, decision: &str) -> Answer {
    let shown = open(gateway, person, request).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    submit(gateway, person, request, &[("ticket", &*ticket(&shown)), ("decision", decision)]).await
}

/// Where an answer leads.
pub fn location(answer: &Answer) -> Url {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.headers[LOCATION].to_str().unwrap().parse().unwrap()
}

/// A member of the answer at a redirect.
pub fn member(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// The code that `person` lets a program have.
pub async fn code(gateway: &Gateway, person: &str, request: &str) -> String {
    member(&location(&consent(gateway, person, request, "allow").await), "code").unwrap()
}

/// `client` exchanges a code, with more than it needs.
pub async fn redeem(gateway: &Gateway, client: &str, code: &str, more: Fields<'_>) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    send(post(gateway, "/token", &[&fields, more].concat())).await
}
