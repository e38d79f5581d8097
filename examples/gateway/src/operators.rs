//! The check in front of `/admin`. A host decides who is an operator. Here it is anyone who has one token.
//!
//! A program sends the token as `Bearer`. A browser can do that only with a script, so it may send `Basic`: the token is
//! the password, and the user name is what the operator is called.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bridge_auth::host_login::OperatorLayer;
use bridge_auth::service::Operator;
use subtle::ConstantTimeEq;

/// What an operator is called who gives no name.
const NAMELESS: &str = "operator";
const CHALLENGES: [&str; 2] = ["Bearer realm=\"operators\"", "Basic realm=\"operators\", charset=\"UTF-8\""];
/// Longer than any name.
const MAX_NAME: usize = 64;

/// The token that an operator must send.
#[derive(Clone)]
pub struct AdminToken(Arc<str>);

/// Lets only operators in, and tells the endpoints behind it who acts. The audit log needs the name.
pub fn layer(token: AdminToken) -> OperatorLayer {
    let layer = OperatorLayer::new(move |parts| token.operator(&parts.headers).map(Operator::new));
    CHALLENGES.into_iter().fold(layer, |layer, text| layer.challenge(HeaderValue::from_static(text)))
}

impl AdminToken {
    pub fn new(token: String) -> Self {
        Self(token.into())
    }

    /// The name of the operator who sent these headers; `None`: the token is missing or wrong.
    fn operator(&self, headers: &HeaderMap) -> Option<String> {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        let (scheme, value) = line.to_str().ok()?.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.is(value).then(|| NAMELESS.to_owned());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
        let (name, token) = pair.split_once(':')?;
        // The name is the operator's own word: all operators have one token.
        let name = Some(name).filter(|name| !name.is_empty() && name.len() <= MAX_NAME).unwrap_or(NAMELESS);
        self.is(token).then(|| name.to_owned())
    }

    /// Compares in constant time, so that the time of an answer says nothing about how much of the token was right.
    fn is(&self, token: &str) -> bool {
        token.as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}
