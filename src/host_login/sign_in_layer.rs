//! The layer that says who is signed in.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use tower_layer::Layer;

use super::answers::{Fault, Refused};
use super::judge::{Find, Identity, Judge, Verdict, later, now};
use super::login_fault::{FaultLog, LoginFault};
use super::service::Identify;
use crate::issue::SignedIn;

type OnFault = Arc<dyn Fn(&LoginFault) -> Response<Bytes> + Send + Sync>;

/// Tells the endpoints behind it who is signed in, as the host's own login knows it.
///
/// The closure gets the head of each request. The person whom it returns goes into the extensions, as [`SignedIn`]. With
/// `None` nobody is signed in: `POST /code` answers 401, the pages send the browser to the login, and the endpoints for
/// bridges do not care. The layer refuses nobody.
///
/// It is the one authority. A `SignedIn` that an outer middleware has inserted is removed, also when the closure returns
/// `None`.
///
/// ```
/// use bridge_auth::{Bridge, Scopes, SignInLayer, SignedIn, UserId};
///
/// fn endpoints(bridge: &Bridge) -> axum::Router {
///     axum::Router::new().nest_service("/v1/auth/bridge", bridge.service()).layer(SignInLayer::new(|parts| {
///         // The identity that an authenticating proxy in front of this gateway has verified.
///         let user = parts.headers.get("x-verified-user")?.to_str().ok()?;
///         Some(SignedIn::new(UserId::parse(user).ok()?, Scopes::default()))
///     }))
/// }
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until a service is wrapped in it"]
pub struct SignInLayer {
    find: Find<Option<SignedIn>>,
    /// `None`: the default.
    on_fault: Option<OnFault>,
    faults: Arc<FaultLog>,
}

impl SignInLayer {
    /// A layer whose closure knows at once who is signed in.
    pub fn new(find: impl Fn(&Parts) -> Option<SignedIn> + Send + Sync + 'static) -> Self {
        Self::of(now(find))
    }

    /// A layer that asks something that takes time, such as a database.
    ///
    /// The closure reads from the head what it needs, and returns a future that owns it. An error is a fault of the
    /// login, and no verdict: the request is answered with 503, and the error is logged.
    ///
    /// ```
    /// # use bridge_auth::{SignInLayer, SignedIn};
    /// # #[derive(Clone)] struct Logins;
    /// # impl Logins { async fn find(&self, _: &str) -> Result<Option<SignedIn>, std::io::Error> { Ok(None) } }
    /// fn sign_in(logins: Logins) -> SignInLayer {
    ///     SignInLayer::from_async(move |parts| {
    ///         let cookie = parts.headers.get("cookie").and_then(|value| value.to_str().ok()).map(str::to_owned);
    ///         let logins = logins.clone();
    ///         async move {
    ///             match cookie {
    ///                 Some(cookie) => logins.find(&cookie).await,
    ///                 None => Ok(None),
    ///             }
    ///         }
    ///     })
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// When the request is dropped, so is the future.
    pub fn from_async<F, Fut, E>(find: F) -> Self
    where
        F: Fn(&Parts) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<SignedIn>, E>> + Send + 'static,
        E: Into<LoginFault> + 'static,
    {
        Self::of(later(find))
    }

    /// What the answer is when the login fails. Default: 503 as `application/problem+json`, with `Retry-After: 1`.
    ///
    /// Write a page here when people see it. The status should be 503: the person may be signed in. The header
    /// `x-trace-id` is added: the line in the log has the same id.
    pub fn on_fault(
        mut self,
        answer: impl Fn(&LoginFault) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.on_fault = Some(Arc::new(answer));
        self
    }

    fn of(find: Find<Option<SignedIn>>) -> Self {
        Self { find, on_fault: None, faults: Arc::default() }
    }

    fn judge(&self) -> Judge {
        let Self { find, on_fault, faults } = self.clone();
        Arc::new(move |parts| {
            parts.extensions.remove::<SignedIn>();
            let (on_fault, log) = (on_fault.clone(), faults.clone());
            find(parts).map(move |found| match found {
                Ok(Some(person)) => Verdict::GoesOn(Identity::Person(Box::new(person))),
                Ok(None) => Verdict::GoesOn(Identity::Nobody),
                Err(fault) => {
                    let answer = on_fault.map(|answer| Box::new(answer(&fault)));
                    Verdict::Refused(Refused::Fault(Fault { fault, log, answer }))
                }
            })
        })
    }
}

impl<S> Layer<S> for SignInLayer {
    type Service = Identify<S>;

    fn layer(&self, inner: S) -> Identify<S> {
        Identify::new(inner, self.judge())
    }
}

impl fmt::Debug for SignInLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignInLayer")
    }
}
