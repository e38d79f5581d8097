//! Who is let in.

use crate::caller::Caller;
use crate::external_issuer::ExternalCaller;
use crate::request_context::RequestContext;

#[derive(Debug, Clone)]
pub(crate) enum Admitted {
    /// A caller with a live session.
    Caller(Caller),
    /// A caller with an external issuer's token and no session.
    External(ExternalCaller),
}

impl Admitted {
    /// The context of the outer layer whose verdict was taken. `None`: the decision was made anew.
    pub(crate) const fn request_context(&self) -> Option<&RequestContext> {
        match self {
            Self::Caller(caller) => caller.request_context(),
            Self::External(caller) => caller.request_context(),
        }
    }
}
