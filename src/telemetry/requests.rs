//! Events about requests.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use tracing::field::display;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span};

use super::known::Known;
use super::metrics::count;
use super::shown::{Shown, cut};
use crate::id::{ClientId, SessionId, Trace, UserId};

/// A caller with a session was let in.
#[inline]
pub(crate) fn admitted(user: &UserId, session: &SessionId, client: &ClientId, trace: &Trace) {
    count("bridge_auth_admitted_total", "caller");
    name_user(user, Some(session), Some(client));
    tracing::trace!(user_id = %user, session_id = %session, trace_id = %trace, "request admitted");
}

/// An external caller was let in.
pub(crate) fn admitted_external(issuer: &str, subject: &str, trace: &Trace) {
    count("bridge_auth_admitted_total", "external");
    tracing::trace!(issuer, subject, trace_id = %trace, "request of an external caller admitted");
}

/// A request without a credential was let in behind an optional layer.
pub(crate) fn admitted_anonymous() {
    count("bridge_auth_admitted_total", "anonymous");
}

/// What a request is refused with.
#[derive(Clone, Copy)]
pub(crate) struct RefusedWith<'a> {
    pub(crate) status: u16,
    pub(crate) code: &'a str,
    pub(crate) reason: &'static str,
    /// What is wrong, when nothing more exact is known.
    pub(crate) words: &'a dyn fmt::Display,
}

/// A line of the log about a refused request.
pub(super) struct RefusedLine<'a> {
    pub(super) with: RefusedWith<'a>,
    pub(super) method: &'a str,
    pub(super) route: Cow<'a, str>,
    pub(super) address: Option<IpAddr>,
    pub(super) known: &'a Known,
    pub(super) trace: &'a dyn fmt::Display,
    /// How many such lines were left out before this one.
    pub(super) left_out: Option<u64>,
}

/// Whether somebody hears of refused requests. If not, nothing is found out about them.
pub(crate) fn hears_refusals() -> bool {
    tracing::enabled!(Level::INFO)
}

/// A request was refused.
pub(super) fn refused(line: &RefusedLine<'_>) {
    let RefusedLine { with, known, .. } = line;
    let words = with.words.to_string();
    let limit = known.limit.as_ref();
    let short = |text: &str| Shown { text, most: 64 }.to_string();
    tracing::info!(
        code = with.code,
        reason = known.reason.unwrap_or(with.reason),
        status = with.status,
        detail = cut(known.detail.as_deref().unwrap_or(&words), 600),
        method = short(line.method),
        route = cut(&line.route, 256),
        address = line.address.map(display),
        user_id = known.user.as_ref().map(display),
        session_id = known.session.as_ref().map(display),
        client_id = known.client.as_ref().map(display),
        actor = known.actor.as_deref().map(|chain| cut(chain, 256)),
        claimed_client_id = known.claimed_client.as_ref().map(display),
        operator = known.operator.as_deref().map(short),
        issuer = known.issuer.as_deref(),
        subject = known.subject.as_deref().map(short),
        limit = limit.map(|limit| limit.by),
        limit_of = limit.and_then(|limit| limit.of.as_deref()),
        retry_after = limit.map(|limit| limit.retry_after),
        charged = known.charged,
        left_out = line.left_out,
        trace_id = %line.trace,
        "request refused"
    );
    if let Some(user) = &known.user {
        name_user(user, known.session.as_ref(), known.client.as_ref());
    }
}

/// Counts a request that a layer, an extractor or a guarded endpoint refused.
pub(crate) fn count_refused(reason: &'static str) {
    count("bridge_auth_refused_total", reason);
}

/// Counts an attempt that was refused before its secret or code was checked: there were too many. `by` is the limit.
pub(crate) fn count_limited(by: &'static str) {
    count("bridge_auth_limited_total", by);
}

/// Puts the caller into the current span, where the span has declared the fields.
#[inline]
fn name_user(user: &UserId, session: Option<&SessionId>, client: Option<&ClientId>) {
    // Without a subscriber this one comparison is all that it costs.
    if LevelFilter::current() != LevelFilter::OFF {
        name_user_in(&Span::current(), user, session, client);
    }
}

#[inline(never)]
fn name_user_in(span: &Span, user: &UserId, session: Option<&SessionId>, client: Option<&ClientId>) {
    span.record("user_id", display(user));
    session.map(|session| span.record("session_id", display(session)));
    client.map(|client| span.record("client_id", display(client)));
}
