//! Who is let in.

use crate::caller::Caller;
use crate::external_issuer::ExternalCaller;
use crate::request_context::RequestContext;

/// Who is let in.
#[derive(Debug, Clone)]
pub(crate) enum Admitted {
    /// With a live session.
    Caller(Caller),
    /// With another issuer's token, and no session.
    External(ExternalCaller),
}

impl Admitted {
    /// What the layer left on whose word it was taken; nothing where it was found out anew.
    pub(crate) const fn request_context(&self) -> Option<&RequestContext> {
        match self {
            Self::Caller(caller) => caller.request_context(),
            Self::External(caller) => caller.request_context(),
        }
    }
}
