//! Whom the layers let in, as the extensions of a request say.

use http::Extensions;

use crate::caller::Caller;
use crate::external_issuer::ExternalCaller;
use crate::id::Scopes;
use crate::rejection::Rejection;
use crate::request_context::RequestContext;
use crate::telemetry::Known;

/// Whom the innermost layer let in for a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LayerVerdict<'r> {
    Caller(&'r Caller),
    External(&'r ExternalCaller),
    Anonymous,
}

impl<'r> LayerVerdict<'r> {
    /// Reads the verdict of the innermost layer. `None`: no layer ran.
    pub(crate) fn of(extensions: &'r Extensions) -> Option<(Self, &'r RequestContext)> {
        if let Some(caller) = extensions.get::<Caller>()
            && let Some(context) = caller.request_context()
        {
            return Some((Self::Caller(caller), context));
        }
        if let Some(caller) = extensions.get::<ExternalCaller>()
            && let Some(context) = caller.request_context()
        {
            return Some((Self::External(caller), context));
        }
        Some((Self::Anonymous, extensions.get::<RequestContext>()?))
    }

    /// Who was let in, for the log.
    pub(crate) fn known(self) -> Known {
        match self {
            Self::Caller(caller) => caller.claims().known(),
            Self::External(caller) => caller.claims().known(),
            Self::Anonymous => Known::default(),
        }
    }

    /// The caller, when it has a session.
    pub(crate) fn caller(self) -> Result<&'r Caller, Rejection> {
        match self {
            Self::Caller(caller) => Ok(caller),
            Self::External(_) => Err(Rejection::ExternalCaller { required: Scopes::default() }),
            Self::Anonymous => Err(Rejection::NoCredential),
        }
    }

    /// The caller, when it has no session.
    #[cfg(feature = "axum")]
    pub(crate) fn external_caller(self) -> Result<&'r ExternalCaller, Rejection> {
        match self {
            Self::External(caller) => Ok(caller),
            Self::Caller(caller) => {
                Err(Rejection::CallerKind { found: caller.kind(), required: Scopes::default() })
            }
            Self::Anonymous => Err(Rejection::NoCredential),
        }
    }
}
