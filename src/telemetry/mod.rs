//! Logs and metrics of the host, in one place: so no secret gets into either.
//!
//! Every event names everything by ids, and has no secret in it. With the feature `metrics` each event has a counter,
//! whose labels are from a bounded set.

mod audit;
mod known;
mod metrics;
mod request_log;
mod requests;
mod shown;

pub(crate) use audit::audit;
pub(crate) use known::{Known, ReachedLimit, note, note_reason, noting};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use metrics::gauge_by;
pub(crate) use metrics::{MEASURES, answered, count, describe, gauge_at, record};
pub(crate) use request_log::{Budget, FindRoute, OwnRoute, RefusedRequest, RequestLog};
pub(crate) use requests::{
    RefusedWith, admitted, admitted_anonymous, admitted_external, count_limited, count_refused,
    hears_refusals,
};
pub(crate) use shown::{quoted, quoted_list, shown_path};
