//! Results and errors.

use askama::Template;
use http::StatusCode;

use super::frame::Frame;
use super::page::{Forms, Page};
use super::phrase::Phrase;
use super::settings::Pages;
use super::texts::MessageTexts;

/// A result or an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageView<'a> {
    DeviceAllowed {
        /// The name of the program.
        program: &'a str,
    },
    DeviceDenied,
    /// The code is too old or was answered: since the page was shown, somebody was faster.
    CodeExpired,
    /// The ticket is too old, or is of another person.
    PageExpired,
    /// The ticket was spent.
    ConsentUsed,
    BadRequest {
        what: AuthorizeProblem,
    },
    /// A program that nobody here vouches for made a mistake. The browser goes back to it only by a click.
    ReturnToProgram {
        /// The host that the link leads to.
        host: &'a str,
        link: &'a str,
    },
    CrossSite,
    TooManyAttempts {
        seconds: u64,
    },
    Unavailable {
        /// When to try again, in seconds. `None`: when somebody has repaired the gateway.
        retry_after: Option<u64>,
    },
    AccountDisabled,
}

/// Why a request of a program cannot be answered at its redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthorizeProblem {
    UnknownClient,
    /// The client's metadata document could not be read, or is not good.
    ClientMetadata,
    /// The request names no redirect, and not exactly one is registered.
    RedirectMissing,
    /// The redirect is not registered.
    RedirectUnknown,
    /// Parameters are missing, repeated or malformed.
    Malformed,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    frame: Frame<'a>,
    title: &'a str,
    /// What happened, if the title does not say it all.
    detail: Option<Phrase<'a>>,
    next: Phrase<'a>,
    /// Whether this is good news.
    is_good: bool,
    /// Where to go on, and its text.
    link: Option<(&'a str, Phrase<'a>)>,
}

impl MessageView<'_> {
    fn status(&self) -> StatusCode {
        match self {
            Self::DeviceAllowed { .. } | Self::DeviceDenied => StatusCode::OK,
            Self::CodeExpired
            | Self::PageExpired
            | Self::BadRequest { .. }
            | Self::ReturnToProgram { .. } => StatusCode::BAD_REQUEST,
            Self::ConsentUsed => StatusCode::CONFLICT,
            Self::CrossSite | Self::AccountDisabled => StatusCode::FORBIDDEN,
            Self::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The title, and what to do next.
    fn words<'t>(&self, t: &'t MessageTexts) -> (&'t str, &'t str) {
        match self {
            Self::DeviceAllowed { .. } => (&t.allowed, &t.allowed_next),
            Self::DeviceDenied => (&t.denied, &t.denied_next),
            Self::CodeExpired => (&t.code_expired, &t.code_expired_next),
            Self::PageExpired => (&t.page_expired, &t.page_expired_next),
            Self::ConsentUsed => (&t.answered, &t.answered_next),
            Self::BadRequest { .. } => (&t.bad_request, &t.bad_request_next),
            Self::ReturnToProgram { .. } => (&t.bad_request, &t.return_next),
            Self::CrossSite => (&t.cross_site, &t.cross_site_next),
            Self::TooManyAttempts { .. } => (&t.too_many, &t.too_many_next),
            Self::Unavailable { .. } => (&t.unavailable, &t.unavailable_next),
            Self::AccountDisabled => (&t.disabled, &t.disabled_next),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyAttempts { seconds } => Some(*seconds),
            Self::Unavailable { retry_after } => *retry_after,
            _ => None,
        }
    }
}

impl AuthorizeProblem {
    fn text(self, t: &MessageTexts) -> &str {
        match self {
            Self::UnknownClient => &t.unknown_client,
            Self::ClientMetadata => &t.client_metadata,
            Self::RedirectMissing => &t.redirect_missing,
            Self::RedirectUnknown => &t.redirect_unknown,
            Self::Malformed => &t.malformed,
        }
    }
}

impl Pages {
    /// A result or an error.
    pub(crate) fn message(&self, view: &MessageView<'_>) -> Page {
        let t = &self.texts.messages;
        let frame = Frame { pages: self, person: None, has_form: false };
        let seconds = view.retry_after().map(|seconds| seconds.to_string()).unwrap_or_default();
        let (title, next) = view.words(t);
        let next = frame.phrase(next).with("seconds", &seconds);
        let next = match *view {
            MessageView::DeviceAllowed { program } => next.with("program", program),
            MessageView::ReturnToProgram { host, .. } => next.with("host", host),
            _ => next,
        };
        let detail = match *view {
            MessageView::BadRequest { what } => Some(frame.phrase(what.text(t))),
            _ => None,
        };
        let is_good = matches!(view, MessageView::DeviceAllowed { .. });
        let link = match *view {
            MessageView::CodeExpired => Some(("?", frame.phrase(&t.another_code))),
            MessageView::ReturnToProgram { host, link } => {
                Some((link, frame.phrase(&t.return_link).with("host", host)))
            }
            _ => None,
        };
        let page = MessagePage { frame, title, detail, next, is_good, link };
        let page = Page::new(view.status(), &page, &self.stylesheet, Forms::Here);
        match view.retry_after() {
            Some(seconds) => page.retry_after(seconds),
            None => page,
        }
    }
}
