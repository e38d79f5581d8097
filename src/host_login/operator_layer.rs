//! The layer that lets only operators in.

use std::fmt;
use std::sync::Arc;

use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use tower_layer::Layer;

use super::answers::{Fault, Problem, Refused};
use super::judge::{Find, Identity, Judge, Verdict, later, now};
use super::login_fault::{FaultLog, LoginFault};
use super::service::Identify;
use crate::service::Operator;
use crate::telemetry::RequestLog;

/// Lets only operators in, and tells the endpoints behind it who acts.
///
/// The closure gets the head of each request. The [`Operator`] whom it returns goes into the extensions, for
/// [`AdminService`](crate::service::AdminService) and for routes of your own. Nobody else reaches the inner service:
///
/// | the closure returns | answer |
/// |---|---|
/// | `None` or [`FoundOperator::Nobody`] | 401 `operator_required`, with the [challenges](Self::challenge) |
/// | [`FoundOperator::NotAnOperator`] | 403 `not_an_operator` |
/// | an error ([`from_async`](Self::from_async)) | 503 `temporarily_unavailable`, with `Retry-After: 1` |
///
/// These answers are problem documents (RFC 9457) with the trace id of the request, and the log has a line with it. Up to
/// 32 MiB of the body of a refused request are read and thrown away, so a client that sends all before it reads hears
/// the answer. An `Operator` that an outer middleware has inserted is removed.
///
/// Compare a secret in constant time, and give each operator a name of their own: the audit log has the name.
///
/// ```
/// use bridge_auth::Bridge;
/// use bridge_auth::host_login::OperatorLayer;
/// use bridge_auth::service::Operator;
///
/// fn operators(bridge: &Bridge) -> axum::Router {
///     let operators = OperatorLayer::new(|parts| {
///         // What your own guard, outside of this layer, has found out.
///         let team_member: &String = parts.extensions.get()?;
///         Some(Operator::new(team_member))
///     });
///     // A line about a refusal then has the route and the address, as the bridge finds them.
///     let operators = bridge.log_refusals_of(operators);
///     axum::Router::new().nest_service("/admin", bridge.admin_service()).layer(operators)
/// }
/// ```
#[derive(Clone)]
#[must_use = "a layer guards nothing until a service is wrapped in it"]
pub struct OperatorLayer {
    find: Find<FoundOperator>,
    /// Empty: the default.
    challenges: Vec<HeaderValue>,
    log: Arc<RequestLog>,
    faults: Arc<FaultLog>,
}

/// Whom the host found behind a request for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundOperator {
    /// An operator.
    Operator(Operator),
    /// Nobody: no credential was sent, or a wrong one.
    Nobody,
    /// Somebody whom the host knows, and who is no operator.
    NotAnOperator,
}

impl OperatorLayer {
    /// A layer whose closure knows at once who the operator is: an `Option<Operator>` or a [`FoundOperator`].
    pub fn new<R>(find: impl Fn(&Parts) -> R + Send + Sync + 'static) -> Self
    where
        R: Into<FoundOperator>,
    {
        Self::of(now(move |parts| find(parts).into()))
    }

    /// A layer that asks something that takes time, such as a database.
    ///
    /// The closure reads from the head what it needs, and returns a future that owns it. An error is a fault, and no
    /// verdict: the request is answered with 503, and the error is logged.
    ///
    /// # Cancel safety
    ///
    /// When the request is dropped, so is the future.
    pub fn from_async<F, Fut, R, E>(find: F) -> Self
    where
        F: Fn(&Parts) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: Into<FoundOperator> + 'static,
        E: Into<LoginFault> + 'static,
    {
        Self::of(later(find))
    }

    /// Adds a challenge to the 401 (`WWW-Authenticate`, RFC 9110 §11.6.1), such as `Basic realm="operators"`. Default:
    /// `Bearer realm="operators"` alone.
    pub fn challenge(mut self, challenge: HeaderValue) -> Self {
        self.challenges.push(challenge);
        self
    }

    /// Logs what it refuses as `log` says.
    pub(crate) fn logged_by(mut self, log: Arc<RequestLog>) -> Self {
        self.log = log;
        self
    }

    fn of(find: Find<FoundOperator>) -> Self {
        Self { find, challenges: Vec::new(), log: Arc::default(), faults: Arc::default() }
    }

    fn judge(&self) -> Judge {
        let layer = Arc::new(self.clone());
        Arc::new(move |parts| {
            parts.extensions.remove::<Operator>();
            let asked = layer.clone();
            (layer.find)(parts).map(move |found| asked.verdict(found))
        })
    }

    fn verdict(&self, found: Result<FoundOperator, LoginFault>) -> Verdict {
        match found {
            Ok(FoundOperator::Operator(operator)) => Verdict::GoesOn(Identity::Operator(operator)),
            Ok(FoundOperator::Nobody) => Verdict::Refused(self.unauthenticated()),
            Ok(FoundOperator::NotAnOperator) => {
                let detail = "This account is not one of an operator.";
                Verdict::Refused(self.refuse(
                    StatusCode::FORBIDDEN,
                    "not_an_operator",
                    detail,
                    HeaderMap::new(),
                ))
            }
            Err(fault) => {
                let log = self.faults.clone();
                Verdict::Refused(Refused::Fault(Fault { fault, log, answer: None }))
            }
        }
    }

    fn unauthenticated(&self) -> Refused {
        const DEFAULT: HeaderValue = HeaderValue::from_static("Bearer realm=\"operators\"");
        let detail = "Only an operator may call this.";
        let mut headers = HeaderMap::new();
        for challenge in &self.challenges {
            headers.append(WWW_AUTHENTICATE, challenge.clone());
        }
        headers.entry(WWW_AUTHENTICATE).or_insert(DEFAULT);
        self.refuse(StatusCode::UNAUTHORIZED, "operator_required", detail, headers)
    }

    fn refuse(
        &self,
        status: StatusCode,
        code: &'static str,
        detail: &'static str,
        headers: HeaderMap,
    ) -> Refused {
        Refused::Problem(Problem { status, code, detail, headers, log: self.log.clone() })
    }
}

impl From<Option<Operator>> for FoundOperator {
    fn from(found: Option<Operator>) -> Self {
        found.map_or(Self::Nobody, Self::Operator)
    }
}

impl From<Operator> for FoundOperator {
    fn from(operator: Operator) -> Self {
        Self::Operator(operator)
    }
}

impl<S> Layer<S> for OperatorLayer {
    type Service = Identify<S>;

    fn layer(&self, inner: S) -> Identify<S> {
        Identify::new(inner, self.judge())
    }
}

impl fmt::Debug for OperatorLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorLayer").field("challenges", &self.challenges).finish_non_exhaustive()
    }
}
