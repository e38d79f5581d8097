//! A page as it is sent: the HTML, and the headers that protect it.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::validate::BuildError;

/// A page, ready to be sent.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    pub(crate) headers: HeaderMap,
}

/// The stylesheet of all pages, and the policies that allow this one and nothing else.
#[derive(Debug, Clone)]
pub(super) struct Stylesheet {
    pub(super) css: String,
    /// For pages whose forms may be sent to this gateway only.
    policy: HeaderValue,
    /// For the page whose form is answered with a redirect to a program.
    redirecting_policy: HeaderValue,
}

/// Where the answer to a form of a page may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forms {
    /// To this gateway.
    Here,
    /// To a program. Chromium applies `form-action` to the redirect behind a form too, so the page cannot have it.
    Anywhere,
}

impl Stylesheet {
    pub(super) fn new(css: &str) -> Self {
        // A browser reads every line break as a line feed, and hashes what it has read.
        let css = css.replace("\r\n", "\n").replace('\r', "\n");
        let hash = STANDARD.encode(Sha256::digest(&css));
        let policy = |forms: &str| {
            let text = format!(
                "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; \
                 frame-ancestors 'none'{forms}"
            );
            HeaderValue::from_str(&text).expect("base64 is visible ASCII")
        };
        Self { policy: policy("; form-action 'self'"), redirecting_policy: policy(""), css }
    }

    /// Refuses what would end the style element, or would be read as another text than the one that was hashed.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        for unsafe_text in ["</style", "\0"] {
            if self.css.to_ascii_lowercase().contains(unsafe_text) {
                return Err(BuildError::Text {
                    what: "the stylesheet, which has",
                    value: unsafe_text.to_owned(),
                    allowed: "CSS without this text",
                });
            }
        }
        Ok(())
    }

    fn policy(&self, forms: Forms) -> HeaderValue {
        match forms {
            Forms::Here => self.policy.clone(),
            Forms::Anywhere => self.redirecting_policy.clone(),
        }
    }
}

impl Page {
    pub(super) fn new(
        status: StatusCode,
        template: &impl Template,
        sheet: &Stylesheet,
        forms: Forms,
    ) -> Self {
        let html = template.render().expect("no filter fails, and a string takes every text");
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_SECURITY_POLICY, sheet.policy(forms));
        let fixed: [(HeaderName, &str); 6] = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
            (X_FRAME_OPTIONS, "DENY"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ];
        headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
        Self { status, body: html.into(), headers }
    }

    /// Says when to try again.
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        self
    }

    pub(crate) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
