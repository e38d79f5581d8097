//! What handlers take as arguments: who calls, in types.
//!
//! Each of [`Caller`], [`UserId`], [`SessionId`], [`ClientId`], [`PolicyVersion`], [`CallSource`],
//! [`Scopes`] (those granted), [`TraceId`] and [`Granted`] is an extractor, and so is an `Option` of each.
//! They read what [`BridgeAuthLayer`](crate::BridgeAuthLayer) left in the request, never a header.
//!
//! | the layer | `Caller` | `Option<Caller>` |
//! |---|---|---|
//! | let a caller in | the caller | `Some` |
//! | is optional, and there was no credential | 401, as the layer would answer | `None` |
//! | let in a [`ForeignCaller`], which is an extractor of its own | 403 | `None` |
//! | is missing | 500, and the body says what to add | 500 |

mod granted;
mod rejection;

pub use granted::{Granted, RequiredScopes};
pub use rejection::{CallerRejection, MissingLayer, Refused};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::caller::Caller;
use crate::foreign::ForeignCaller;
use crate::id::{CallSource, ClientId, PolicyVersion, Scopes, SessionId, TraceId, UserId};
use crate::let_in::LetIn;
use crate::passage::Passage;

/// What the layer left, which is there whenever it ran.
fn let_in(parts: &Parts) -> Result<(LetIn<'_>, &Passage), MissingLayer> {
    LetIn::of(&parts.extensions).ok_or(MissingLayer)
}

/// Makes an extractor, and its optional form, of a part of the caller.
macro_rules! extract_from_caller {
    ($find:ident: $($part:ty, |$caller:ident| $read:expr;)*) => {$(
        impl<S: Sync> FromRequestParts<S> for $part {
            type Rejection = CallerRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, CallerRejection> {
                let (let_in, passage) = let_in(parts)?;
                let $caller = let_in.$find().map_err(|rejection| Refused::new(passage, &rejection))?;
                Ok($read)
            }
        }

        impl<S: Sync> OptionalFromRequestParts<S> for $part {
            type Rejection = MissingLayer;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, MissingLayer> {
                Ok(let_in(parts)?.0.$find().ok().map(|$caller| $read))
            }
        }
    )*};
}

extract_from_caller! {
    caller:
    Caller, |caller| caller.for_handler();
    UserId, |caller| caller.user_id().clone();
    SessionId, |caller| caller.session_id().clone();
    ClientId, |caller| caller.client_id().clone();
    PolicyVersion, |caller| caller.policy_version().clone();
    CallSource, |caller| caller.call_source().clone();
    Scopes, |caller| caller.scopes().clone();
}

extract_from_caller! {
    foreign_caller:
    ForeignCaller, |caller| caller.for_handler();
}

impl<S: Sync> FromRequestParts<S> for TraceId {
    type Rejection = MissingLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingLayer> {
        let_in(parts).map(|(_, passage)| passage.trace.id())
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for TraceId {
    type Rejection = MissingLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, MissingLayer> {
        let_in(parts).map(|(_, passage)| Some(passage.trace.id()))
    }
}
