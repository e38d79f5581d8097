//! Whom the layers let in for a request, as its extensions say.

use http::Extensions;

use crate::caller::Caller;
use crate::foreign::ForeignCaller;
use crate::id::Scopes;
use crate::passage::Passage;
use crate::reject::Rejection;

/// Whom the innermost layer let in for a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LetIn<'r> {
    Caller(&'r Caller),
    Foreign(&'r ForeignCaller),
    Nobody,
}

impl<'r> LetIn<'r> {
    /// `None` where no layer ran.
    pub(crate) fn of(extensions: &'r Extensions) -> Option<(Self, &'r Passage)> {
        if let Some(caller) = extensions.get::<Caller>()
            && let Some(passage) = caller.passage()
        {
            return Some((Self::Caller(caller), passage));
        }
        if let Some(caller) = extensions.get::<ForeignCaller>()
            && let Some(passage) = caller.passage()
        {
            return Some((Self::Foreign(caller), passage));
        }
        Some((Self::Nobody, extensions.get::<Passage>()?))
    }

    /// The caller with a session.
    pub(crate) fn caller(self) -> Result<&'r Caller, Rejection> {
        match self {
            Self::Caller(caller) => Ok(caller),
            Self::Foreign(_) => Err(Rejection::ForeignCaller { required: Scopes::default() }),
            Self::Nobody => Err(Rejection::NoCredential),
        }
    }

    /// The caller without one.
    #[cfg(feature = "axum")]
    pub(crate) fn foreign_caller(self) -> Result<&'r ForeignCaller, Rejection> {
        match self {
            Self::Foreign(caller) => Ok(caller),
            Self::Caller(caller) => {
                Err(Rejection::CallerKind { found: caller.kind(), required: Scopes::default() })
            }
            Self::Nobody => Err(Rejection::NoCredential),
        }
    }
}
