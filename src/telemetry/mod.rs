//! Logs and metrics of the host, in one place: so no secret gets into either.
//!
//! Every event names everything by ids, and has no secret in it. With the feature `metrics` each event has a counter,
//! whose labels are from a bounded set.

mod audit;
mod metrics;
mod requests;

pub(crate) use audit::audit;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use metrics::gauge_by;
pub(crate) use metrics::{count, describe, gauge_at, record};
pub(crate) use requests::{admitted, admitted_anonymous, admitted_external, rate_limited, refused};
