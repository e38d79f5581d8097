//! The layer and its options.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use tower_layer::Layer;

use super::decide::{Decision, decide};
use super::service::BridgeAuth;
use crate::authenticate::Authenticator;
use crate::caller::CallerKind;
use crate::id::Scopes;
use crate::passage::Refusals;
use crate::reject::RejectionBody;

/// Lets in only requests with a valid token and a live session, and tells the inner service who calls.
///
/// Made by [`Bridge::layer`](crate::Bridge::layer). For each request it
///
/// - removes every identity header the client sent, however spelt, on every path,
/// - authenticates the request ([`Authenticator::authenticate`] says how),
/// - puts a [`Caller`](crate::Caller) into the extensions and writes the six identity headers,
/// - removes `Authorization`, so that no service behind it can store or forward the token,
/// - marks the answer `Cache-Control: private` (unless it says otherwise) and `Vary: authorization`.
///
/// A refused request never reaches the inner service. It is answered with the status, challenge and body
/// that [`Rejection`](crate::Rejection) documents.
#[derive(Debug, Clone)]
#[must_use = "a layer guards nothing until a service is wrapped in it"]
pub struct BridgeAuthLayer {
    guard: Arc<Guard>,
}

/// What every service of one layer shares.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) authenticator: Authenticator,
    pub(super) refusals: Refusals,
    pub(super) optional: bool,
    pub(super) forward_authorization: bool,
}

impl BridgeAuthLayer {
    pub(crate) fn new(authenticator: Authenticator, refusals: Refusals) -> Self {
        let guard = Guard { authenticator, refusals, optional: false, forward_authorization: false };
        Self { guard: Arc::new(guard) }
    }

    /// Lets requests without a credential in, as nobody: `Option<Caller>` is then `None`.
    ///
    /// A credential that is sent must still be good: an invalid one is refused, not ignored. Default: a
    /// credential is required.
    pub fn optional(self) -> Self {
        self.change(|guard| guard.optional = true)
    }

    /// Requires all of `scopes` of every caller, and names all of them to those who must get a token. Default: none.
    pub fn require_scopes(self, scopes: Scopes) -> Self {
        self.change(|guard| {
            if !scopes.is_empty() {
                Arc::make_mut(&mut guard.refusals.challenge).scopes = scopes.clone();
            }
            guard.authenticator = guard.authenticator.clone().require_scopes(scopes);
        })
    }

    /// Requires callers of this kind. Default: any.
    pub fn require_kind(self, kind: CallerKind) -> Self {
        self.change(|guard| guard.authenticator = guard.authenticator.clone().require_kind(kind))
    }

    /// Writes the bodies of refusals. Default: [`ProblemJson`](crate::ProblemJson).
    pub fn rejection_body(self, body: impl RejectionBody) -> Self {
        self.change(|guard| guard.refusals.body = Arc::new(body))
    }

    /// Leaves `Authorization` on the request for the inner service. Default: it is removed.
    ///
    /// Whoever sees a bearer token can use it: do this only for a service that must verify it again.
    pub fn insecure_forward_authorization(self) -> Self {
        self.change(|guard| guard.forward_authorization = true)
    }

    /// The decision over one request, for the endpoints: the head to go on with, or the refusal.
    pub(crate) async fn admit(&self, parts: Parts) -> Result<Parts, Response<Bytes>> {
        match decide(&self.guard, parts) {
            Decision::Made(verdict) => verdict,
            Decision::Pending(verdict) => verdict.await,
        }
    }

    fn change(self, change: impl FnOnce(&mut Guard)) -> Self {
        let mut guard = Arc::unwrap_or_clone(self.guard);
        change(&mut guard);
        Self { guard: Arc::new(guard) }
    }
}

impl<S> Layer<S> for BridgeAuthLayer {
    type Service = BridgeAuth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BridgeAuth::new(inner, self.guard.clone())
    }
}
