//! Scopes in a handler's signature.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use super::extractor_rejection::{CallerRejection, Refused};
use super::layer_verdict;
use crate::caller::Caller;
use crate::id::{CheckedScopes, Scopes};
use crate::rejection::Rejection;

/// Scopes that a handler requires, as a type.
///
/// [`required_scopes!`](crate::required_scopes!) makes one. Text that is not one scope does not compile, also when the trait is
/// implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which scopes it stands for",
    label = "declare it with `bridge_auth::required_scopes!`",
    note = "`required_scopes! {{ pub struct CallModels = [\"models:call\"]; }}` declares `CallModels`, and `Granted<CallModels>` requires the scope"
)]
pub trait RequiredScopes: Send + Sync + 'static {
    /// The required scopes, all of them.
    const SCOPES: &'static [&'static str];
}

/// Declares types that stand for required scopes.
///
/// Each scope is a literal or a constant. A text that is not one scope does not compile.
///
/// ```
/// const PUBLISH: &str = "docs:publish";
///
/// bridge_auth::required_scopes! {
///     /// May write to the audit track.
///     pub struct HookTrack = ["hook:track"];
///     /// May publish. Both scopes are required.
///     pub struct CanPublish = [PUBLISH, "docs:write"];
/// }
///
/// async fn track(caller: bridge_auth::Granted<HookTrack>) -> String {
///     format!("tracked for {}", caller.user_id())
/// }
/// ```
#[macro_export]
macro_rules! required_scopes {
    ($($(#[$meta:meta])* $visibility:vis struct $name:ident = [$($scope:expr),+ $(,)?];)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        $visibility struct $name;

        impl $crate::extract::RequiredScopes for $name {
            const SCOPES: &'static [&'static str] = &[$($scope),+];
        }

        const _: $crate::id::CheckedScopes = $crate::id::CheckedScopes::one_each(&[$($scope),+]);
    )+};
}

/// A [`Caller`] that holds all scopes of `R`.
///
/// A handler that takes one is never called without them.
///
/// A caller that lacks one of the scopes is refused with 403 `insufficient_scope`. `Option<Granted<R>>` refuses it too.
/// `None` means: the request is anonymous, or its token is an external issuer's and has no session here.
///
/// The layer drains the body of a request that it refuses, and an extractor can't: axum has dropped the body by then. A client
/// that sends a large upload before it reads may find its connection closed, and not hear this 403. For such routes call
/// [`BridgeAuthLayer::require_scopes`](crate::BridgeAuthLayer::require_scopes) too.
pub struct Granted<R> {
    caller: Caller,
    required: PhantomData<fn() -> R>,
}

impl<R: RequiredScopes> Granted<R> {
    /// The caller.
    #[must_use]
    pub fn into_caller(self) -> Caller {
        self.caller
    }

    /// A host that implements `RequiredScopes` by hand is held to the same check.
    const CHECKED: CheckedScopes = CheckedScopes::one_each(R::SCOPES);

    fn check(caller: &Caller) -> Result<Self, Rejection> {
        let required = Self::CHECKED;
        if R::SCOPES.iter().all(|scope| caller.scopes().contains(scope)) {
            return Ok(Self { caller: caller.for_handler(), required: PhantomData });
        }
        Err(Rejection::InsufficientScope { required: Scopes::checked(required) })
    }
}

impl<R> Deref for Granted<R> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl<R> Clone for Granted<R> {
    fn clone(&self) -> Self {
        Self { caller: self.caller.clone(), required: PhantomData }
    }
}

impl<R> fmt::Debug for Granted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Granted").field(&self.caller).finish()
    }
}

impl<S: Sync, R: RequiredScopes> FromRequestParts<S> for Granted<R> {
    type Rejection = CallerRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, CallerRejection> {
        let found = layer_verdict(parts)?;
        let granted = found.0.caller().and_then(Self::check);
        Ok(granted.map_err(|rejection| Refused::new(found, parts, rejection))?)
    }
}

impl<S: Sync, R: RequiredScopes> OptionalFromRequestParts<S> for Granted<R> {
    type Rejection = CallerRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, CallerRejection> {
        let found = layer_verdict(parts)?;
        let granted = found.0.caller().ok().map(Self::check).transpose();
        Ok(granted.map_err(|rejection| Refused::new(found, parts, rejection))?)
    }
}
