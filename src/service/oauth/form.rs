//! The body of an OAuth request: `application/x-www-form-urlencoded`, each parameter once (RFC 6749 §3.2, appendix B).

use std::collections::BTreeMap;

use http::Uri;
use http::request::Parts;
use percent_encoding::percent_decode;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::TOKEN_EXCHANGE;
use crate::service::answer::EndpointError;
use crate::service::request_body::RequestBody;

/// The parameters of one request. They may be secrets, so this type has no `Debug`.
#[derive(Default)]
pub(in crate::service) struct Form(BTreeMap<String, Vec<Zeroizing<String>>>);

impl Form {
    /// Reads the body of a request. Refuses a request with a secret in the query.
    pub(in crate::service) async fn read(parts: &Parts, body: RequestBody) -> Result<Self, EndpointError> {
        if names_secret(&parts.uri) {
            return Err(SECRET_IN_QUERY);
        }
        Self::parse(&body.form(&parts.headers).await?)
    }

    fn parse(body: &[u8]) -> Result<Self, EndpointError> {
        // The form parser would replace bytes that are not UTF-8.
        if percent_decode(body).decode_utf8().is_err() {
            return Err(NOT_UTF8);
        }
        let mut parameters = BTreeMap::<String, Vec<Zeroizing<String>>>::new();
        for (name, value) in form_urlencoded::parse(body) {
            parameters.entry(name.into_owned()).or_default().push(Zeroizing::new(value.into_owned()));
        }
        let form = Self(parameters);
        // `resource` may be repeated (RFC 8707 §2), and `audience` in a token exchange (RFC 8693 §2.1).
        let has_audiences = form.value("grant_type") == Some(TOKEN_EXCHANGE);
        let may_repeat = |name: &str| name == "resource" || (name == "audience" && has_audiences);
        if form.0.iter().any(|(name, values)| values.len() > 1 && !may_repeat(name)) {
            return Err(REPEATED);
        }
        Ok(form)
    }

    /// The parameter `name`. A parameter without a value counts as absent (RFC 6749 §3.2).
    pub(in crate::service) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// All values of a parameter that may be repeated.
    pub(in crate::service) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(|value| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Whether the query names a parameter that belongs in the body only. Servers on the way would log it.
fn names_secret(uri: &Uri) -> bool {
    const SECRETS: [&str; 11] = [
        "client_secret",
        "client_assertion",
        "assertion",
        "code",
        "code_verifier",
        "refresh_token",
        "access_token",
        "token",
        "subject_token",
        "actor_token",
        "password",
    ];
    let query = uri.query().unwrap_or("").as_bytes();
    form_urlencoded::parse(query).any(|(name, _)| SECRETS.contains(&&*name))
}

/// Introspection and revocation need a token (RFC 7009 §2.1, RFC 7662 §2.1).
pub(in crate::service) const NO_TOKEN: EndpointError = EndpointError::invalid_request("token is missing.");
const SECRET_IN_QUERY: EndpointError = EndpointError::invalid_request(
    "The query holds a secret. Replace that secret, and send the new one in the body.",
);
const NOT_UTF8: EndpointError = EndpointError::invalid_request("The body is not UTF-8.");
const REPEATED: EndpointError = EndpointError::invalid_request("A parameter is sent more than once.");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(body: &str, name: &str) -> Option<String> {
        Form::parse(body.as_bytes()).ok().and_then(|form| form.value(name).map(ToOwned::to_owned))
    }

    #[test]
    fn a_parameter_without_a_value_is_absent() {
        for body in ["scope=", "scope", "", "&", "=", "scope=&a=b", "x=scope"] {
            assert_eq!(value(body, "scope"), None, "{body}");
        }
        assert_eq!(value("a=b&scope=x+y%2Bz&%", "scope").as_deref(), Some("x y+z"));
    }

    #[test]
    fn a_repeated_parameter_is_refused_but_a_resource_and_the_audience_of_an_exchange() {
        for body in ["a=1&a=2", "a=1&a=1", "a=&a=1", "a&a", "scope=x&%73cope=y"] {
            assert!(Form::parse(body.as_bytes()).is_err(), "{body}");
        }
        let form = Form::parse(b"resource=x&resource=y&resource=").ok().unwrap();
        assert_eq!(form.values("resource").collect::<Vec<_>>(), ["x", "y"]);
        let exchange = format!("audience=a&audience=b&grant_type={TOKEN_EXCHANGE}");
        let form = Form::parse(exchange.as_bytes()).ok().unwrap();
        assert_eq!(form.values("audience").collect::<Vec<_>>(), ["a", "b"]);
        assert!(Form::parse(b"audience=a&audience=b").is_err());
        assert!(Form::parse(format!("{exchange}&grant_type={TOKEN_EXCHANGE}").as_bytes()).is_err());
    }

    #[test]
    fn what_is_not_utf8_is_refused() {
        for body in [&b"a=\xff"[..], b"a=%ff", b"%c3=%a9", b"a=%ed%a0%80"] {
            assert!(Form::parse(body).is_err(), "{body:?}");
        }
        assert_eq!(value("a=%c3%a9", "a").as_deref(), Some("é"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(body in any::<Vec<u8>>()) {
            let _ = Form::parse(&body);
        }
    }
}
