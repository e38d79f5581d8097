//! What a host's closure says about a request, now or later.

use std::pin::Pin;
use std::sync::Arc;

use http::Extensions;
use http::request::Parts;

use super::answers::Refused;
use super::login_fault::LoginFault;
use crate::issue::SignedIn;
use crate::service::Operator;

/// Who sends a request.
pub(super) enum Identity {
    Person(Box<SignedIn>),
    Operator(Operator),
    Nobody,
}

/// What becomes of a request.
pub(super) enum Verdict {
    GoesOn(Identity),
    Refused(Refused),
}

/// Judges a request by its head, and removes from the head what an outer layer said.
pub(super) type Judge = Arc<dyn Fn(&mut Parts) -> Said<Verdict> + Send + Sync>;

/// What is asked of the host's login.
pub(super) type Find<T> = Arc<dyn Fn(&Parts) -> Said<Result<T, LoginFault>> + Send + Sync>;

/// Something that is known now or later.
pub(super) enum Said<T> {
    Now(T),
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T: Send + 'static> Said<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U + Send + 'static) -> Said<U> {
        match self {
            Self::Now(value) => Said::Now(change(value)),
            Self::Later(waiting) => Said::Later(Box::pin(async move { change(waiting.await) })),
        }
    }
}

/// Asks a closure that knows at once.
pub(super) fn now<T: Send + 'static>(find: impl Fn(&Parts) -> T + Send + Sync + 'static) -> Find<T> {
    Arc::new(move |parts| Said::Now(Ok(find(parts))))
}

/// Asks a closure that has to wait.
pub(super) fn later<T, A, F, Fut, E>(find: F) -> Find<T>
where
    F: Fn(&Parts) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<A, E>> + Send + 'static,
    A: Into<T> + 'static,
    E: Into<LoginFault> + 'static,
    T: Send + 'static,
{
    Arc::new(move |parts| {
        let found = find(parts);
        Said::Later(Box::pin(async move { found.await.map(Into::into).map_err(Into::into) }))
    })
}

impl Identity {
    pub(super) fn enter(self, extensions: &mut Extensions) {
        match self {
            Self::Person(person) => drop(extensions.insert(*person)),
            Self::Operator(operator) => drop(extensions.insert(operator)),
            Self::Nobody => {}
        }
    }
}
