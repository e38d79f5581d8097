//! Faults of the host's own login.

use std::future::ready;
use std::io;

use axum::Router;
use axum::routing::get;
use bridge_auth::host_login::OperatorLayer;
use bridge_auth::service::Operator;
use bridge_auth::{SignInLayer, SignedIn};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::Value;

use crate::support::bridge::builder;
use crate::support::gateway::{Gateway, send};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

fn fault<T>() -> impl Future<Output = Result<T, io::Error>> {
    ready(Err(io::Error::other("no database")))
}

#[tokio::test]
async fn the_trace_id_of_the_answer_leads_to_the_line_about_a_failed_login() {
    let sign_in = SignInLayer::from_async(|_| fault::<Option<SignedIn>>());
    let page = sign_in.clone().on_fault(|_| {
        let mut page = Response::new(Bytes::from_static(b"sorry"));
        *page.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        page
    });
    let handler = || get(|| async { "never" });
    let routes = Router::new()
        .route("/people", handler().layer(sign_in))
        .route("/page", handler().layer(page))
        .route("/operators", handler().layer(OperatorLayer::from_async(|_| fault::<Option<Operator>>())));
    let db = SqliteBackend::start().await;
    let gateway = Gateway::with_routes(builder(&db).await.build().unwrap(), routes).await;
    let record = Record::default();
    let _listening = record.listen();
    for path in ["/people", "/page", "/operators"] {
        let answer = send(gateway.request(Method::GET, path)).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-trace-id").len()), (503, 32), "{answer:?}");
        let text = record.text();
        let told = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["fields"]["trace_id"] == answer.header("x-trace-id"));
        let told: Vec<_> = told.collect();
        assert_eq!(told.len(), 1, "{text}");
        let [level, path_told, error] =
            [&told[0]["level"], &told[0]["fields"]["path"], &told[0]["fields"]["error"]];
        assert_eq!((level, path_told, error), (&"ERROR".into(), &path.into(), &"no database".into()));
    }
}
