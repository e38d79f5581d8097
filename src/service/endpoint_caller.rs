//! The caller of a guarded endpoint.

use http::StatusCode;
use http::request::Parts;

use super::answer::{EndpointError, EndpointFailure};
use super::state::ServiceState;
use crate::caller::{Caller, CallerKind};
use crate::id::Scopes;
use crate::layer_verdict::LayerVerdict;
use crate::rejection::{Refusal, Rejection};
use crate::request_context::{MISSING_LAYER, OTHER_BRIDGE, RequestContext};
use crate::telemetry::RefusedRequest;

/// The caller that the guard let in, and the context that the guard left.
pub(super) struct EndpointCaller<'r> {
    pub(super) caller: &'r Caller,
    context: &'r RequestContext,
    parts: &'r Parts,
}

impl<'r> EndpointCaller<'r> {
    /// The caller that a layer of this very bridge let in.
    pub(super) fn of(state: &ServiceState, parts: &'r Parts) -> Result<Self, EndpointFailure> {
        let (layer_verdict, context) = LayerVerdict::of(&parts.extensions).ok_or_else(missing_layer)?;
        let caller = layer_verdict
            .caller()
            .map_err(|rejection| refused(parts, context, Refusal::new(rejection, layer_verdict.known())))?;
        if state.vouches_for(caller) { Ok(Self { caller, context, parts }) } else { Err(other_bridge()) }
    }

    /// The same caller, when it is a person's bridge. A hook client is refused, and so is a program that the person let do
    /// less: their other devices are not its business.
    pub(super) fn bridge(state: &ServiceState, parts: &'r Parts) -> Result<Self, EndpointFailure> {
        let admitted = Self::of(state, parts)?;
        if acts_for_the_whole_person(state, admitted.caller) {
            return Ok(admitted);
        }
        let found = admitted.caller.kind();
        Err(admitted.refuse(Rejection::CallerKind { found, required: Scopes::default() }))
    }

    /// Refuses the request as the layer itself would.
    pub(super) fn refuse(&self, rejection: Rejection) -> EndpointFailure {
        refused(self.parts, self.context, Refusal::new(rejection, self.caller.claims().known()))
    }
}

/// Whether a caller may see and end all of a person's devices, and get a client for their hooks. A delegated token may
/// not: the hooks may have scopes that it does not have, and live longer.
pub(super) fn acts_for_the_whole_person(state: &ServiceState, caller: &Caller) -> bool {
    let is_person = caller.kind() == CallerKind::User && caller.actor().is_none();
    is_person && state.settings.may_manage_devices(caller.client_id())
}

fn refused(parts: &Parts, context: &RequestContext, refusal: Refusal) -> EndpointFailure {
    let request = RefusedRequest::of_parts(parts);
    EndpointFailure::Whole(Box::new(context.rejection_format.refuse(request, refusal, &context.trace)))
}

/// The host forgot the layer. The answer and the log say so.
fn missing_layer() -> EndpointFailure {
    tracing::error!("{MISSING_LAYER}");
    EndpointError::new(StatusCode::INTERNAL_SERVER_ERROR, "missing_layer", MISSING_LAYER).into()
}

/// The host has two bridges, and mixed them. The answer and the log say so.
fn other_bridge() -> EndpointFailure {
    tracing::error!("{OTHER_BRIDGE}");
    EndpointError::new(StatusCode::INTERNAL_SERVER_ERROR, "missing_layer", OTHER_BRIDGE).into()
}
