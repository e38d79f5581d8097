//! `GET /health`: how fresh this gateway is.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

use crate::service::answer::json;
use crate::service::state::ServiceState;
use crate::store::{Replication, StoreErrorKind};

/// The status of the watcher. A member whose value is not known yet is absent.
#[derive(Serialize)]
struct Health {
    proven: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    faults: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_fault: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    look_up_ms: Option<u64>,
    batch_size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<Pool>,
    /// How many requests were answered 503, by cause.
    unavailable: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Pool {
    size: usize,
    connections_out: usize,
    last_wait_ms: u64,
}

pub(super) fn answer(state: &ServiceState) -> Response<Bytes> {
    let status = state.auth.watch_status();
    let health = Health {
        proven: status.proven,
        age_ms: status.age.map(milliseconds),
        faults: status.faults,
        last_fault: status.last_fault.map(StoreErrorKind::as_str),
        replication: status.replication.map(Replication::as_str),
        look_up_ms: status.look_up_time.map(milliseconds),
        batch_size: status.batch_size,
        pool: status.pool.map(|pool| Pool {
            size: pool.size,
            connections_out: pool.connections_out,
            last_wait_ms: milliseconds(pool.last_wait),
        }),
        unavailable: status.unavailable.iter().map(|(cause, count)| (cause.as_str(), *count)).collect(),
    };
    json(StatusCode::OK, &health)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
