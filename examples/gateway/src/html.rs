//! The frame of the example's own pages: a title, a body, a stylesheet, and headers that keep other sites out.

use anyhow::Result;
use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use bridge_auth::pages::Pages;

/// No `form-action`: Chromium applies it to the redirects behind a form too, and the way on from the login may lead to
/// the address of a program (`/authorize`).
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";
const POLICY_WITH_SCRIPT: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }} · Example gateway</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/login/style.css">
{% if let Some(script) = script %}<script type="module" src="{{ script }}"></script>{% endif %}
<header><p class="gateway">Example gateway</p></header>
<main>
<h1>{{ title }}</h1>
{{ body|safe }}
</main>
</html>
"#
)]
struct Frame<'a> {
    title: &'a str,
    script: Option<&'a str>,
    /// HTML: the text of another template.
    body: &'a str,
}

/// A page without a script.
pub fn page(title: &str, body: &impl Template) -> Result<Response> {
    framed(title, None, &body.render()?)
}

/// A page with one script of this gateway.
#[allow(dead_code, reason = "the login with passkeys needs it")]
pub fn page_with_script(title: &str, script: &str, body: &impl Template) -> Result<Response> {
    framed(title, Some(script), &body.render()?)
}

/// What a person is told when the login cannot work now.
pub fn sorry() -> Response {
    let body = "<p>This does not work at the moment. Try again in a minute.</p>";
    let retry = [(header::RETRY_AFTER, "5")];
    let page = framed("Not available", None, body).unwrap_or_else(|_| ().into_response());
    (StatusCode::SERVICE_UNAVAILABLE, retry, page).into_response()
}

fn framed(title: &str, script: Option<&str>, body: &str) -> Result<Response> {
    let text = Frame { title, script, body }.render()?;
    let policy = if script.is_some() { POLICY_WITH_SCRIPT } else { POLICY };
    Ok((headers(policy), Html(text)).into_response())
}

fn headers(policy: &'static str) -> HeaderMap {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with it, Chromium sends `Origin: null` with a form, and the form would be refused.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

/// `GET /login/style.css`.
pub async fn style() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "max-age=300"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, format!("{}{}", Pages::STYLESHEET, include_str!("style.css")))
}
