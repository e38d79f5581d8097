//! What all endpoints of one bridge share.

use std::fmt;
use std::sync::Arc;

use super::health::Health;
use super::pages::SignInPages;
use crate::authenticate::AuthState;
use crate::background_task::Background;
use crate::caller::Caller;
use crate::drain::DrainLimits;
#[cfg(feature = "jwks-http")]
use crate::event_stream::EventStreams;
use crate::id::ClientId;
use crate::issue::{Admin, IssueSettings, Issuer};
use crate::layer::BridgeAuthLayer;
use crate::rate_limit::Limits;
use crate::rejection::{Challenge, RejectionFormat};
use crate::security_events::Receiver;
use crate::token::{AssertionKind, KeyRing};

pub(crate) struct ServiceState {
    pub(crate) settings: Arc<IssueSettings>,
    pub(crate) keys: KeyRing,
    pub(crate) auth: Arc<AuthState>,
    pub(crate) rejection_format: Arc<RejectionFormat>,
    /// The layer around the guarded endpoints.
    pub(crate) own_layer: BridgeAuthLayer,
    pub(crate) issuer: Issuer,
    pub(crate) admin: Admin,
    /// What takes the revocations of external issuers.
    pub(crate) receiver: Receiver,
    /// The event streams that this gateway asks external issuers for.
    #[cfg(feature = "jwks-http")]
    pub(crate) event_streams: EventStreams,
    /// The limits on attempts. `None`: they are off.
    pub(crate) limits: Option<Limits>,
    /// How much of a body is drained that an endpoint has not read.
    pub(crate) drain: DrainLimits,
    /// The path under which the endpoints are reached.
    pub(crate) prefix: String,
    /// The pages for people. `None`: there are none.
    pub(crate) pages: Option<SignInPages>,
    /// The client that requests of Claude Code's login are of. `None`: the profile is off.
    pub(crate) gateway_login: Option<ClientId>,
    pub(crate) health: Health,
    /// The task of [`Bridge::maintain`](crate::Bridge::maintain).
    pub(crate) maintenance: Background,
}

impl ServiceState {
    /// What every challenge says.
    pub(super) fn challenge(&self) -> &Challenge {
        &self.rejection_format.challenge
    }

    /// In how many seconds a caller may try again what cannot be done now.
    pub(super) fn retry_after(&self) -> u64 {
        self.challenge().retry_after.as_secs().max(1)
    }

    /// Whether the authorization endpoint is ours.
    pub(super) fn has_authorize(&self) -> bool {
        self.pages.is_some() && self.settings.endpoints.authorization.is_some()
    }

    /// Whether the token endpoint takes assertions of this kind.
    pub(super) fn accepts_assertions(&self, kind: AssertionKind) -> bool {
        self.auth.trusted().is_some_and(|trusted| trusted.accept_assertions(kind))
    }

    /// Whether the token endpoint takes assertions.
    pub(super) fn accepts_any_assertion(&self) -> bool {
        self.accepts_assertions(AssertionKind::Person) || self.accepts_assertions(AssertionKind::Workload)
    }

    /// Whether a layer of this very bridge let `caller` in.
    pub(super) fn vouches_for(&self, caller: &Caller) -> bool {
        caller.is_vouched_for_by(self.auth.authority())
    }
}

impl fmt::Debug for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceState").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}
