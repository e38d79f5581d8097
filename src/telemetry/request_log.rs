//! How refused requests are told in the log: where they went, where they came from, and how many lines are written.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Request, Uri};

use super::known::Known;
use super::requests::{RefusedLine, RefusedWith, hears_refusals, refused};
use super::shown::shown_path;
use crate::client_address::AddressSettings;

/// Finds the template of the route in the extensions of a request.
pub(crate) type FindRoute = Arc<dyn for<'e> Fn(&'e Extensions) -> Option<&'e str> + Send + Sync>;

/// How a bridge tells of refused requests.
#[derive(Default)]
pub(crate) struct RequestLog {
    addresses: AddressSettings,
    /// `None`: the path is told instead.
    route: Option<FindRoute>,
    strangers: Budget,
    known: Budget,
}

/// The head of a refused request.
#[derive(Clone, Copy)]
pub(crate) struct RefusedRequest<'r> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    extensions: &'r Extensions,
}

/// The template of the route of one of our own endpoints, in the extensions of a request to it.
#[derive(Clone)]
pub(crate) struct OwnRoute(pub(crate) String);

impl<'r> RefusedRequest<'r> {
    pub(crate) fn of<B>(request: &'r Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    pub(crate) fn of_parts(parts: &'r Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }

    pub(crate) fn path(self) -> &'r str {
        self.uri.path()
    }
}

impl RequestLog {
    pub(crate) fn new(addresses: AddressSettings, route: Option<FindRoute>) -> Self {
        Self { addresses, route, ..Self::default() }
    }

    /// The address that a request came from. `None`: it is not known.
    pub(crate) fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        self.addresses.find(headers, extensions)
    }

    /// Counts and logs a refused request: one line, unless too many come.
    ///
    /// A refusal that is charged to a rate limit is always logged, because the limit bounds it. Of all others a flood
    /// leaves lines out. The next line says how many.
    pub(crate) fn refused(
        &self,
        request: RefusedRequest<'_>,
        with: RefusedWith<'_>,
        known: &Known,
        trace: &dyn fmt::Display,
    ) {
        if !hears_refusals() {
            return;
        }
        let budget = if known.is_somebody() { &self.known } else { &self.strangers };
        let Some(left_out) = budget.spend(known.charged.is_some()) else { return };
        refused(&RefusedLine {
            with,
            method: request.method.as_str(),
            route: self.route_of(request),
            address: self.addresses.find(request.headers, request.extensions),
            known,
            trace,
            left_out: (left_out > 0).then_some(left_out),
        });
    }

    /// The template of the route. Without one, the path.
    fn route_of<'r>(&self, request: RefusedRequest<'r>) -> Cow<'r, str> {
        let own = request.extensions.get::<OwnRoute>().map(|OwnRoute(template)| template.as_str());
        let found = || self.route.as_ref().and_then(|find| find(request.extensions));
        match own.or_else(found) {
            Some(template) => template.into(),
            None => shown_path(request.uri.path()).into(),
        }
    }
}

impl fmt::Debug for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestLog")
    }
}

/// How many lines a flood may write.
pub(crate) struct Budget {
    lines: RateLimiter<
        NotKeyed,
        InMemoryState,
        MonotonicClock,
        NoOpMiddleware<<MonotonicClock as governor::clock::Clock>::Instant>,
    >,
    left_out: AtomicU64,
}

impl Budget {
    const A_SECOND: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
    const AT_ONCE: NonZeroU32 = NonZeroU32::new(1000).expect("not zero");

    /// Whether a line may be written, and how many were left out before it.
    pub(crate) fn spend(&self, always: bool) -> Option<u64> {
        if self.lines.check().is_ok() || always {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Default for Budget {
    fn default() -> Self {
        let quota = Quota::per_second(Self::A_SECOND).allow_burst(Self::AT_ONCE);
        Self { lines: RateLimiter::direct_with_clock(quota, MonotonicClock), left_out: AtomicU64::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_lines_out_and_says_how_many() {
        let budget = Budget::default();
        let written = (0..5000).filter(|_| budget.spend(false).is_some()).count();
        // A slow machine earns more while this runs.
        assert!((1000..3000).contains(&written), "{written}");
        assert_eq!(budget.spend(true), Some(5000 - written as u64));
        assert_eq!(budget.spend(true), Some(0));
    }

    #[test]
    fn the_template_of_the_host_is_told_or_else_the_path() {
        #[derive(Clone)]
        struct Matched(&'static str);
        let mut request = Request::get("/people/alice?code=secret").body(()).unwrap();
        let mut log = RequestLog::default();
        assert_eq!(log.route_of(RefusedRequest::of(&request)), "/people/alice");
        log.route = Some(Arc::new(|extensions| extensions.get::<Matched>().map(|matched| matched.0)));
        assert_eq!(log.route_of(RefusedRequest::of(&request)), "/people/alice");
        request.extensions_mut().insert(Matched("/people/{id}"));
        assert_eq!(log.route_of(RefusedRequest::of(&request)), "/people/{id}");
        request.extensions_mut().insert(OwnRoute("/token".to_owned()));
        assert_eq!(log.route_of(RefusedRequest::of(&request)), "/token");
    }
}
