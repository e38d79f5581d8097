//! What the host sees in its logs and metrics: one place, so that no secret slips into either.
//!
//! Every event names things by their ids and carries no secret. With the feature `metrics`, each has a counter with
//! labels from a bounded set.

mod audit;
mod metrics;
mod requests;

pub(crate) use audit::audit;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use metrics::gauge_by;
pub(crate) use metrics::{count, describe, gauge_at, record};
pub(crate) use requests::{admitted, admitted_anonymous, admitted_external, rate_limited, refused};
