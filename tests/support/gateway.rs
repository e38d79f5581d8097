//! A whole gateway on a real socket, and the people and bridges that call it.

use std::net::{Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bridge_auth::service::Operator;
use bridge_auth::{Bridge, Caller, Scopes, SessionId, SignedIn};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, DATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::{Layer, ServiceBuilder};

use super::Backend;
use super::bridge::{builder, user};

pub const PREFIX: &str = "/v1/auth/bridge";
pub const OPERATOR: &str = "Bearer the-operators-own-secret";

/// A gateway that serves until it is dropped.
pub struct Gateway {
    pub bridge: Bridge,
    pub address: SocketAddr,
    client: reqwest::Client,
    serving: JoinHandle<()>,
}

/// What came back. Two are equal when no caller can tell them apart, but for the trace id of a refusal.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Gateway {
    /// A gateway over `backend`, with keys of its own.
    pub async fn start(backend: &impl Backend) -> Self {
        Self::over(builder(backend).await.build().unwrap()).await
    }

    /// A gateway over `bridge`.
    pub async fn over(bridge: Bridge) -> Self {
        Self::with_routes(bridge, Router::new()).await
    }

    /// The same with more routes, as they stand.
    pub async fn with_routes(bridge: Bridge, more: Router) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self::on(listener, bridge, more)
    }

    /// The same on a socket whose address had to be known before.
    pub fn on(listener: TcpListener, bridge: Bridge, more: Router) -> Self {
        let address = listener.local_addr().unwrap();
        let app = app(&bridge).merge(more).into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        // A test wants to see where it is led.
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { bridge, address, client, serving }
    }

    /// A request to `path`, as it stands.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// A `POST` of JSON to an endpoint.
    pub fn post(&self, endpoint: &str, body: &Value) -> reqwest::RequestBuilder {
        self.request(Method::POST, &format!("{PREFIX}{endpoint}"))
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string())
    }

    /// `person` signs in and gets a code.
    pub async fn code(&self, person: &str) -> String {
        self.code_with(person, &json!({})).await
    }

    /// The same with a body.
    pub async fn code_with(&self, person: &str, body: &Value) -> String {
        let answer = send(self.post("/code", body).header(COOKIE, format!("login={person}"))).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.text("code")
    }

    /// A bridge presents `code`.
    pub async fn exchange(&self, code: &str) -> Answer {
        send(self.post("/session", &json!({ "code": code }))).await
    }

    /// `person` links a bridge; its token.
    pub async fn link(&self, person: &str) -> String {
        let answer = self.exchange(&self.code(person).await).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.text("token")
    }

    /// A bridge calls with its token.
    pub async fn call(&self, method: Method, path: &str, token: &str) -> Answer {
        send(self.request(method, path).bearer_auth(token)).await
    }

    /// Whether a bridge is let in with `token`.
    pub async fn admits(&self, token: &str) -> bool {
        let answer = self.call(Method::GET, "/v1/echo", token).await;
        assert!([StatusCode::OK, StatusCode::UNAUTHORIZED].contains(&answer.status), "{answer:?}");
        answer.status == StatusCode::OK
    }

    /// The operator acts.
    pub async fn operate(&self, method: Method, path: &str) -> Answer {
        send(self.request(method, &format!("/admin{path}")).header(AUTHORIZATION, OPERATOR)).await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        self.without_trace() == other.without_trace()
    }
}

impl Answer {
    /// Status, headers and body, without the trace id that the header names.
    fn without_trace(&self) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut headers = self.headers.clone();
        let trace = headers.remove("x-trace-id");
        let body = match trace.as_ref().and_then(|trace| trace.to_str().ok()) {
            Some(trace) => String::from_utf8_lossy(&self.body).replace(trace, "").into_bytes(),
            None => self.body.to_vec(),
        };
        (self.status, headers, body)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// A member of the body that is text.
    pub fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("no {member}: {self:?}")).to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Whether nobody may keep it.
    pub fn is_not_stored(&self) -> bool {
        self.header("cache-control") == "no-store" && self.header("pragma") == "no-cache"
    }

    /// Whether it is a problem document that says `status` and `code`, and may not be stored.
    pub fn is_problem(&self, status: u16, code: &str) -> bool {
        self.status == status
            && self.header("content-type") == "application/problem+json"
            && self.is_not_stored()
            && self.json()["status"] == status
            && self.json()["code"] == code
    }

    /// Whether it is an OAuth error that says `status` and `code`, and may not be stored.
    pub fn is_oauth_error(&self, status: u16, code: &str) -> bool {
        let is_allowed = |b: u8| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        self.status == status
            && self.header("content-type") == "application/json"
            && self.is_not_stored()
            && self.json()["error"] == code
            && self.text("error_description").bytes().all(is_allowed)
    }
}

/// Sends a request. `Date` is the clock's, not the answer's.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, mut headers) = (response.status(), response.headers().clone());
    headers.remove(DATE);
    Answer { status, headers, body: response.bytes().await.unwrap() }
}

fn app(bridge: &Bridge) -> Router {
    Router::new()
        .route("/v1/echo", get(echo))
        .route("/v1/panic", get(panics))
        // What it echoes is no person's alone: tests of hook clients call it too.
        .layer(bridge.layer("bridge").unwrap().admit_hook_clients())
        .nest_service(PREFIX, ServiceBuilder::new().layer(from_fn(login)).service(bridge.service()))
        .route_service("/.well-known/{*document}", bridge.well_known_service())
        .nest_service("/admin", from_fn(operators_only).layer(bridge.admin_service()))
}

/// A stand-in for the host's own login: the cookie says who it is, and may say which session the browser belongs to.
async fn login(mut request: Request, next: Next) -> Response {
    let cookie =
        request.headers().get(COOKIE).and_then(|cookie| cookie.to_str().ok()?.strip_prefix("login="));
    if let Some(cookie) = cookie {
        let (person, session) = cookie.split_once("; session=").unzip();
        let person = SignedIn::new(user(person.unwrap_or(cookie)), Scopes::parse("chat tools").unwrap());
        let session = session.map(|session| SessionId::parse(session).unwrap());
        let person = session.into_iter().fold(person, SignedIn::session);
        request.extensions_mut().insert(person);
    }
    next.run(request).await
}

/// A stand-in for the host's own guard of its operators.
async fn operators_only(mut request: Request, next: Next) -> Response {
    if request.headers().get(AUTHORIZATION).is_some_and(|value| value == OPERATOR) {
        request.extensions_mut().insert(Operator::new("olga"));
    }
    next.run(request).await
}

/// What a handler sees of who calls.
pub async fn echo(
    ConnectInfo(_): ConnectInfo<SocketAddr>,
    caller: Caller,
    headers: HeaderMap,
) -> impl IntoResponse {
    let headers: serde_json::Map<_, _> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    Json(json!({
        "user_id": caller.user_id(),
        "session_id": caller.session_id(),
        "scopes": caller.scopes(),
        "headers": headers,
    }))
}

/// The whole head that a handler sees, each value for itself, and who calls.
pub async fn head(caller: Option<Caller>, headers: HeaderMap) -> impl IntoResponse {
    let value = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<_> = headers.iter().map(|(name, sent)| (name.to_string(), value(sent))).collect();
    Json(json!({ "user_id": caller.map(|caller| caller.user_id().clone()), "headers": headers }))
}

/// A handler with a defect.
async fn panics(_: Caller) -> StatusCode {
    panic!("a defect of the host's own")
}
