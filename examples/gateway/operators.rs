//! The check in front of `/admin`. A host decides who is an operator. Here it is anyone who has one token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bridge_auth::service::Operator;
use subtle::ConstantTimeEq;

use super::app::AppState;

/// The token that an operator must send.
#[derive(Clone)]
pub struct AdminToken(Arc<str>);

/// Lets only operators in, and tells the endpoints behind it who acts. The audit log needs the name.
pub async fn check(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if !state.admin_token.is_shown_in(request.headers()) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"operators\"")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    request.extensions_mut().insert(Operator::new("operator"));
    next.run(request).await
}

impl AdminToken {
    pub fn new(token: String) -> Self {
        Self(token.into())
    }

    /// Compares in constant time, so that the time of an answer says nothing about how much of the token was right.
    fn is_shown_in(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        shown.and_then(|value| value.split_once(' ')).is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && bool::from(token.as_bytes().ct_eq(self.0.as_bytes()))
        })
    }
}
