//! Who calls an endpoint behind the guard.

use http::StatusCode;
use http::request::Parts;

use super::answer::{Failure, Refusal};
use crate::bridge::Bridge;
use crate::caller::{Caller, CallerKind};
use crate::id::Scopes;
use crate::let_in::LetIn;
use crate::observe;
use crate::passage::{MISSING_LAYER, Passage};
use crate::reject::Rejection;

/// What the guard of one request left.
pub(super) struct Guarded<'r> {
    pub(super) caller: &'r Caller,
    passage: &'r Passage,
}

impl<'r> Guarded<'r> {
    /// The caller that a layer of this very bridge let in.
    pub(super) fn of(bridge: &Bridge, parts: &'r Parts) -> Result<Self, Failure> {
        let (let_in, passage) = LetIn::of(&parts.extensions).ok_or_else(missing_layer)?;
        let caller = let_in.caller().map_err(|rejection| refused(passage, &rejection))?;
        if bridge.vouches_for(caller) { Ok(Self { caller, passage }) } else { Err(missing_layer()) }
    }

    /// The same, when it is a person's bridge.
    pub(super) fn user(bridge: &Bridge, parts: &'r Parts) -> Result<Self, Failure> {
        let guarded = Self::of(bridge, parts)?;
        match guarded.caller.kind() {
            CallerKind::User => Ok(guarded),
            found => Err(guarded.refuse(&Rejection::CallerKind { found, required: Scopes::default() })),
        }
    }

    /// Refuses as the layer itself would.
    pub(super) fn refuse(&self, rejection: &Rejection) -> Failure {
        refused(self.passage, rejection)
    }
}

fn refused(passage: &Passage, rejection: &Rejection) -> Failure {
    observe::refused(rejection, &passage.trace);
    Failure::Guard(Box::new(passage.refusals.answer(rejection)))
}

/// A mistake in the wiring, answered so that it is found.
fn missing_layer() -> Failure {
    tracing::error!("{MISSING_LAYER}");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "missing_layer", MISSING_LAYER).into()
}
