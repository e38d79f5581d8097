//! Who calls an endpoint behind the guard.

use http::StatusCode;
use http::request::Parts;

use super::answer::{EndpointError, EndpointFailure};
use super::state::ServiceState;
use crate::caller::{Caller, CallerKind};
use crate::id::Scopes;
use crate::layer_verdict::LayerVerdict;
use crate::rejection::Rejection;
use crate::request_context::{MISSING_LAYER, RequestContext};

/// What the guard of one request left.
pub(super) struct EndpointCaller<'r> {
    pub(super) caller: &'r Caller,
    context: &'r RequestContext,
}

impl<'r> EndpointCaller<'r> {
    /// The caller that a layer of this very bridge let in.
    pub(super) fn of(state: &ServiceState, parts: &'r Parts) -> Result<Self, EndpointFailure> {
        let (layer_verdict, context) = LayerVerdict::of(&parts.extensions).ok_or_else(missing_layer)?;
        let caller = layer_verdict.caller().map_err(|rejection| refused(context, &rejection))?;
        if state.vouches_for(caller) { Ok(Self { caller, context }) } else { Err(missing_layer()) }
    }

    /// The same, when it is a person's bridge.
    pub(super) fn user(state: &ServiceState, parts: &'r Parts) -> Result<Self, EndpointFailure> {
        let guarded = Self::of(state, parts)?;
        match guarded.caller.kind() {
            CallerKind::User => Ok(guarded),
            found => Err(guarded.refuse(&Rejection::CallerKind { found, required: Scopes::default() })),
        }
    }

    /// Refuses as the layer itself would.
    pub(super) fn refuse(&self, rejection: &Rejection) -> EndpointFailure {
        refused(self.context, rejection)
    }
}

fn refused(context: &RequestContext, rejection: &Rejection) -> EndpointFailure {
    EndpointFailure::Guard(Box::new(context.rejection_format.refuse(rejection, &context.trace)))
}

/// A mistake in the wiring, answered so that it is found.
fn missing_layer() -> EndpointFailure {
    tracing::error!("{MISSING_LAYER}");
    EndpointError::new(StatusCode::INTERNAL_SERVER_ERROR, "missing_layer", MISSING_LAYER).into()
}
