//! What the log tells of refused requests, and the trace id that leads from an answer to its line.

mod clients;
mod guard;
mod limits;
mod logins;
mod spans;

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath};
use bridge_auth::BridgeBuilder;
use serde_json::Value;

use crate::support::gateway::Answer;
use crate::support::record::Record;

/// A bridge that knows the addresses of its callers, and the routes of its host.
fn told(builder: BridgeBuilder) -> BridgeBuilder {
    builder
        .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
        .route_template(|extensions| Some(extensions.get::<MatchedPath>()?.as_str()))
}

/// The fields of the lines about refused requests.
fn lines(record: &Record) -> Vec<Value> {
    let text = record.text();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let refused = lines.filter(|line| line["fields"]["message"] == "request refused");
    refused
        .map(|mut line| {
            assert_eq!(
                (&line["level"], &line["target"]),
                (&"INFO".into(), &"bridge_auth::telemetry::requests".into())
            );
            line["fields"].take()
        })
        .collect()
}

/// The one line about the request that was answered so.
fn line_of(record: &Record, answer: &Answer) -> Value {
    let trace = answer.header("x-trace-id");
    assert_eq!(trace.len(), 32, "{answer:?}");
    let mut lines: Vec<_> = lines(record).into_iter().filter(|line| line["trace_id"] == trace).collect();
    assert_eq!(lines.len(), 1, "{answer:?}\n{lines:?}");
    lines.remove(0)
}
