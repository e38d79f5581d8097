//! Section 2.7, N9: what stands in the trailers of a request is the client's word, and changes nothing of who calls.

use axum::extract::Request;
use axum::routing::post;
use axum::{Json, Router};
use bridge_auth::{Caller, UserId};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{bearer, seen};
use crate::support::bridge::{access, builder};
use crate::support::gateway::Gateway;
use crate::support::wire::raw;
use crate::support::{Backend, SqliteBackend};

/// What a handler knows of the caller before and after it has read the body, trailers and all.
async fn read(caller: Option<Caller>, user: Option<UserId>, request: Request) -> Json<Value> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().is_some_and(|trailers| trailers.contains_key("x-user-id"));
    let after = parts.extensions.get::<Caller>().map(|caller| caller.user_id().clone());
    Json(json!({
        "caller": caller.map(|caller| caller.user_id().clone()), "user": user, "after": after,
        "header": parts.headers.get("x-user-id").map(|value| value.to_str().unwrap()),
        "authorization": parts.headers.contains_key("authorization"), "trailers": trailers,
    }))
}

async fn gateway() -> (SqliteBackend, Gateway, [String; 2]) {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let alice = access(&bridge, "alice", "").await.token.expose().to_owned();
    let bob = access(&bridge, "bob", "").await.token.expose().to_owned();
    let layer = || bridge.layer("bridge").unwrap();
    let routes = Router::new()
        .route("/required", post(read))
        .layer(layer())
        .merge(Router::new().route("/optional", post(read)).layer(layer().optional()));
    (db, Gateway::with_routes(bridge, routes).await, [alice, bob])
}

fn says(seen: &Value, user: Option<&str>) -> bool {
    ["caller", "user", "after", "header"].iter().all(|member| seen[*member] == json!(user))
        && seen["authorization"] == false
        && seen["trailers"] == true
}

#[tokio::test]
async fn attack_n9_trailers_of_http_1_say_nothing_of_who_calls() {
    let (_db, gateway, [alice, bob]) = gateway().await;
    let send = async |path: &str, credential: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
             trailer: x-user-id, authorization\r\nte: trailers\r\n{credential}\r\n\
             2\r\nhi\r\n0\r\nx-user-id: admin\r\nauthorization: Bearer {bob}\r\n\r\n"
        );
        raw(gateway.address, request.as_bytes()).await
    };
    assert!(says(&seen(&send("/required", &bearer(&alice)).await), Some("alice")));
    assert!(says(&seen(&send("/optional", "").await), None));
    assert!(send("/required", "").await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn attack_n9_trailers_of_http_2_say_nothing_of_who_calls() {
    let (_db, gateway, [alice, bob]) = gateway().await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut send = async |path: &str, credential: Option<&str>| {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-user-id", HeaderValue::from_static("admin"));
        trailers.insert("authorization", HeaderValue::from_str(&format!("Bearer {bob}")).unwrap());
        let frames = [Frame::data(Bytes::from("hi")), Frame::trailers(trailers)];
        let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, std::convert::Infallible>)));
        let request = http::Request::post(format!("http://gateway{path}"));
        let request = match credential {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let answer = sender.send_request(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        (parts.status.as_u16(), body.collect().await.unwrap().to_bytes())
    };
    let (status, body) = send("/required", Some(&alice)).await;
    assert!(status == 200 && says(&serde_json::from_slice(&body).unwrap(), Some("alice")), "{body:?}");
    let (status, body) = send("/optional", None).await;
    assert!(status == 200 && says(&serde_json::from_slice(&body).unwrap(), None), "{body:?}");
    assert_eq!(send("/required", None).await.0, 401);
}
