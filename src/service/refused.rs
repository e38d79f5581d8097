//! What is done with each request that an endpoint refuses: one line in the log, and the trace id in the answer.

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use super::admin::Operator;
use super::answer::{Answer, Wording};
use super::state::ServiceState;
use crate::header::Head;
use crate::id::Trace;
use crate::issue::SignedIn;
use crate::layer_verdict::LayerVerdict;
use crate::telemetry::{Known, RefusedRequest, noting};

/// The answer. A refusal is logged, with what was noted while the request was answered.
pub(super) async fn or_told(
    state: &ServiceState,
    parts: &Parts,
    wording: Wording,
    answering: impl Future<Output = Answer>,
) -> Response<Bytes> {
    let (answer, noted) = noting(answering).await;
    answer.unwrap_or_else(|failure| {
        let verdict = LayerVerdict::of(&parts.extensions);
        let trace =
            verdict.map_or_else(|| Trace::of(&Head::of(&parts.headers, &[])).0, |(_, context)| context.trace);
        let trace = trace.id();
        if let Some(with) = failure.told() {
            let known = noted.or(sender(parts));
            let request = RefusedRequest::of_parts(parts);
            state.rejection_format.request_log.refused(request, with, &known, &trace);
        }
        failure.into_response(wording, &trace)
    })
}

/// Who sent the request, as a layer or the host has found out.
fn sender(parts: &Parts) -> Known {
    let caller = LayerVerdict::of(&parts.extensions).map(|(verdict, _)| verdict.known()).unwrap_or_default();
    let person = parts.extensions.get::<SignedIn>();
    caller.or(Known {
        user: person.map(|person| person.user_id.clone()),
        session: person.and_then(|person| person.session.clone()),
        operator: parts.extensions.get::<Operator>().map(|operator| operator.name.clone()),
        ..Known::default()
    })
}
