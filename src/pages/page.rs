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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::settings::Pages;

    /// The relative luminance of a color such as `#1a1f26` (WCAG 2.2).
    fn luminance(color: &str) -> f64 {
        let part = |at| f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
        let linear = |v: f64| if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5))
    }

    #[test]
    fn all_colors_have_the_contrast_that_people_need() {
        let palettes: Vec<BTreeMap<&str, &str>> = Pages::STYLESHEET
            .split(":root {")
            .skip(1)
            .map(|block| {
                let lines = block.split_once('}').unwrap().0.lines();
                let colors = lines.filter_map(|line| line.trim().strip_prefix("--")?.split_once(": "));
                colors.map(|(name, color)| (name, color.trim_end_matches(';'))).collect()
            })
            .collect();
        assert_eq!(palettes.len(), 2, "light and dark");
        // WCAG 2.2, level AA: 1.4.3 for text, 1.4.11 for what shows a control.
        let text = ["text", "muted", "link", "good", "bad"].map(|color| (color, "card", 4.5));
        let outside = ["text", "muted", "link"].map(|color| (color, "ground", 4.5));
        let boxes = ["warning-ground", "notice-ground"].map(|ground| ("text", ground, 4.5));
        let others = [("on-accent", "accent", 4.5), ("control", "card", 3.0), ("accent", "card", 3.0)];
        for palette in &palettes {
            for (color, ground, least) in [&text[..], &outside, &boxes, &others].concat() {
                let (a, b) = (luminance(palette[color]), luminance(palette[ground]));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast >= least, "{color} on {ground}: {contrast:.2}");
            }
        }
    }
}
