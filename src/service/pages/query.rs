//! The query of a page: each parameter once (RFC 6749 §3.1).

use std::collections::BTreeMap;

use http::Uri;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

/// The parameters of a query.
#[derive(Default)]
pub(super) struct Query(BTreeMap<String, Vec<String>>);

/// A parameter is there more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeated;

impl Query {
    /// Reads the query of `uri`. `None`: it is not UTF-8.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let query = uri.query().unwrap_or_default();
        // The parser would replace bytes that are not UTF-8.
        percent_decode_str(query).decode_utf8().ok()?;
        let mut parameters = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            parameters.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Some(Self(parameters))
    }

    /// The parameter `name`. A parameter without a value counts as absent.
    pub(super) fn value(&self, name: &str) -> Result<Option<&str>, Repeated> {
        match self.0.get(name).map(Vec::as_slice) {
            None => Ok(None),
            Some([value]) => Ok(Some(value.as_str()).filter(|value| !value.is_empty())),
            Some(_) => Err(Repeated),
        }
    }

    /// Whether the parameter is there, also without a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All values of a parameter that may be repeated.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a parameter other than `resource` is repeated.
    pub(super) fn has_repeated(&self) -> bool {
        self.0.iter().any(|(name, values)| values.len() > 1 && name != "resource")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(query: &str) -> Option<Query> {
        Query::of(&format!("/authorize?{query}").parse().unwrap())
    }

    #[test]
    fn a_parameter_counts_once_and_only_with_a_value() {
        let query = of("a=1&b=&c=x+y%2Bz&d=1&d=2&resource=x&resource=y").unwrap();
        assert_eq!(query.value("a"), Ok(Some("1")));
        assert_eq!(query.value("b"), Ok(None));
        assert_eq!(query.value("c"), Ok(Some("x y+z")));
        assert_eq!(query.value("d"), Err(Repeated));
        assert_eq!(query.value("e"), Ok(None));
        assert!(query.has_repeated());
        assert!(!of("resource=x&resource=y&a=1").unwrap().has_repeated());
        assert!(of("a=%ff").is_none());
    }

    proptest! {
        #[test]
        fn reading_never_panics(query in "[!-~]{0,60}") {
            if let Ok(uri) = format!("/authorize?{query}").parse() {
                let _ = Query::of(&uri).map(|query| query.has_repeated());
            }
        }
    }
}
