//! A small upstream that stands for a model provider. It answers with what it received.

use std::future::IntoFuture as _;

use anyhow::Result;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use bridge_auth::header::prepare_for_upstream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::app::to_json;

/// The client of the upstream.
pub struct Upstream {
    client: reqwest::Client,
    url: String,
}

/// Starts the upstream on a free loopback port. It ends with the process.
pub async fn start() -> Result<Upstream> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1/messages", listener.local_addr()?);
    let app = Router::new().route("/v1/messages", post(receive));
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(Upstream { client: reqwest::Client::builder().no_proxy().build()?, url })
}

impl Upstream {
    /// Sends the body to the upstream, with the headers that are meant for it.
    pub async fn post(
        &self,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Value), reqwest::Error> {
        prepare_for_upstream(&mut headers);
        let answer = self.client.post(&self.url).headers(headers).body(body).send().await?;
        Ok((answer.status(), answer.json().await?))
    }
}

async fn receive(method: Method, headers: HeaderMap, body: Bytes) -> Json<Value> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
    Json(json!({ "method": method.as_str(), "headers": to_json(&headers), "body": body }))
}
