//! The MCP conformance suite, and what stands between it and a server.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, Response, StatusCode};
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::repository;

/// The suite's program with its arguments.
#[must_use]
pub fn suite(arguments: &[&str]) -> Command {
    let modules = repository().join("target/stock/node_modules");
    assert!(modules.exists(), "the conformance suite is not installed: run .ci/stock");
    let mut command = Command::new(modules.join(".bin/node"));
    command.arg(modules.join("@modelcontextprotocol/conformance/dist/index.js")).args(arguments);
    command.env("NO_PROXY", "127.0.0.1,localhost").kill_on_drop(true);
    command
}

/// A port that nobody listens on.
pub async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[derive(Clone)]
struct Way {
    server: String,
    authorization: HeaderValue,
    http: Client,
}

/// Adds a token to each request that comes to `listener`, on its way to `server`: the suite can send none. All else passes
/// as it is, and `Host` and `Origin` too, because the suite tests them.
pub fn add_token(listener: TcpListener, server: &str, token: &str) {
    let authorization = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let http = Client::builder().no_proxy().build().unwrap();
    let way = Way { server: server.to_owned(), authorization, http };
    let app = Router::new().fallback(pass_on).with_state(way);
    tokio::spawn(async { axum::serve(listener, app).await });
}

async fn pass_on(State(way): State<Way>, request: Request) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.headers.insert(AUTHORIZATION, way.authorization);
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let url = format!("{}{path}", way.server);
    let sent = way.http.request(parts.method, url).headers(parts.headers).body(body).send().await;
    let Ok(answer) = sent else {
        return Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap();
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    // An event stream has no end, so it is passed on as it comes.
    let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}
