//! The check in front of `/admin`. A host decides who is an operator. Here it is anyone who has one token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{AppendHeaders, IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bridge_auth::service::Operator;
use subtle::ConstantTimeEq;

use super::app::AppState;

/// The token that an operator must send.
#[derive(Clone)]
pub struct AdminToken(Arc<str>);

/// Lets only operators in, and tells the endpoints behind it who acts. The audit log needs the name.
pub async fn check(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if !state.admin_token.is_shown_in(request.headers()) {
        let challenge = AppendHeaders([
            (header::WWW_AUTHENTICATE, "Bearer realm=\"operators\""),
            // A browser asks its person for the token, as the password of any name.
            (header::WWW_AUTHENTICATE, "Basic realm=\"operators\", charset=\"UTF-8\""),
        ]);
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    request.extensions_mut().insert(Operator::new("operator"));
    next.run(request).await
}

impl AdminToken {
    pub fn new(token: String) -> Self {
        Self(token.into())
    }

    /// Whether a program sent the token (`Bearer`), or a browser (`Basic`). The endpoints refuse what a page of another
    /// site makes a browser send.
    fn is_shown_in(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match shown.and_then(|value| value.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => self.is(token.as_bytes()),
            Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
                let pair = BASE64_STANDARD.decode(pair.trim()).unwrap_or_default();
                let colon = pair.iter().position(|byte| *byte == b':');
                colon.is_some_and(|colon| self.is(&pair[colon + 1..]))
            }
            _ => false,
        }
    }

    /// Compares in constant time, so that the time of an answer says nothing about how much of the token was right.
    fn is(&self, token: &[u8]) -> bool {
        token.ct_eq(self.0.as_bytes()).into()
    }
}
