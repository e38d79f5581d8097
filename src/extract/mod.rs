//! What handlers take as arguments: types that say who calls.
//!
//! Each of [`Caller`], [`UserId`], [`SessionId`], [`ClientId`], [`PolicyVersion`], [`CallSource`], [`Scopes`] (the
//! granted ones), [`TraceId`] and [`Granted`] is an extractor, and so is an `Option` of each. They read what
//! [`BridgeAuthLayer`](crate::BridgeAuthLayer) left in the request, and never a header.
//!
//! | the layer | `Caller` | `Option<Caller>` |
//! |---|---|---|
//! | let a caller in | the caller | `Some` |
//! | is optional, and no credential was sent | 401, as the layer would answer | `None` |
//! | let in an [`ExternalCaller`], which is an extractor of its own | 403 | `None` |
//! | is missing | 500, and the body says what to add | 500 |

mod extractor_rejection;
mod required_scopes;

pub use extractor_rejection::{CallerRejection, MissingLayer, Refused};
pub use required_scopes::{Granted, RequiredScopes};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::caller::Caller;
use crate::external_issuer::ExternalCaller;
use crate::id::{CallSource, ClientId, PolicyVersion, Scopes, SessionId, TraceId, UserId};
use crate::layer_verdict::LayerVerdict;
use crate::request_context::RequestContext;

/// The verdict that the layer left in the request. It is there whenever a layer ran.
fn layer_verdict(parts: &Parts) -> Result<(LayerVerdict<'_>, &RequestContext), MissingLayer> {
    LayerVerdict::of(&parts.extensions).ok_or(MissingLayer)
}

/// Makes an extractor, and its optional form, for a part of the caller.
macro_rules! extract_from_caller {
    ($find:ident: $($part:ty, |$caller:ident| $read:expr;)*) => {$(
        impl<S: Sync> FromRequestParts<S> for $part {
            type Rejection = CallerRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, CallerRejection> {
                let found = layer_verdict(parts)?;
                let $caller = found.0.$find().map_err(|rejection| Refused::new(found, parts, rejection))?;
                Ok($read)
            }
        }

        impl<S: Sync> OptionalFromRequestParts<S> for $part {
            type Rejection = MissingLayer;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, MissingLayer> {
                Ok(layer_verdict(parts)?.0.$find().ok().map(|$caller| $read))
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
    external_caller:
    ExternalCaller, |caller| caller.for_handler();
}

impl<S: Sync> FromRequestParts<S> for TraceId {
    type Rejection = MissingLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingLayer> {
        layer_verdict(parts).map(|(_, context)| context.trace.id())
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for TraceId {
    type Rejection = MissingLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, MissingLayer> {
        layer_verdict(parts).map(|(_, context)| Some(context.trace.id()))
    }
}
