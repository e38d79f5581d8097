//! The six identity headers: their names, how they are removed from a client's request, and how they are written. Also:
//! which headers of a request are sent on to an upstream.

mod request_head;
mod upstream;

pub(crate) use request_head::{Changes, Head, Lines, OwnedLines};
pub(crate) use upstream::BEARER_PROTOCOL;
pub use upstream::{prepare_for_upstream, remove_hop_by_hop};

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue};

/// `x-user-id`: the person that the request is for.
pub const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// `x-session-id`: the session that the request belongs to.
pub const X_SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
/// `x-trace-id`: the W3C trace-id of the request.
pub const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
/// `x-client-id`: the OAuth client that calls.
pub const X_CLIENT_ID: HeaderName = HeaderName::from_static("x-client-id");
/// `x-policy-version`: the version of the host's policy that the request is judged by.
pub const X_POLICY_VERSION: HeaderName = HeaderName::from_static("x-policy-version");
/// `x-call-source`: the kind of program that calls.
pub const X_CALL_SOURCE: HeaderName = HeaderName::from_static("x-call-source");

/// The identity headers, in the order of the documentation.
pub const IDENTITY_HEADERS: [HeaderName; 6] =
    [X_USER_ID, X_SESSION_ID, X_TRACE_ID, X_CLIENT_ID, X_POLICY_VERSION, X_CALL_SOURCE];

/// Sets of identity headers, with one bit for each place: all of them, and `x-trace-id` alone.
pub(crate) const ALL: u8 = 0b11_1111;
pub(crate) const TRACE: u8 = 0b100;

/// The same names. A static need not be copied to be read.
static NAMES: [HeaderName; 6] = IDENTITY_HEADERS;

/// Removes every identity header from `headers`, in every spelling.
///
/// A name counts as an identity header if it is one when each `_` is read as `-`. Servers behind the gateway that turn
/// names into variables (CGI, WSGI) cannot tell the two apart. If a `Connection` header names an identity header, this
/// name is removed from it: otherwise a proxy behind the gateway would drop the trusted header as hop-by-hop.
pub fn strip(headers: &mut HeaderMap) {
    strip_misspelt(headers);
    for name in &NAMES {
        headers.remove(name);
    }
    strip_connection(headers);
}

/// Removes the identity headers in another spelling.
fn strip_misspelt(headers: &mut HeaderMap) {
    let misspelt: Vec<HeaderName> =
        headers.keys().filter(|name| is_misspelt(name.as_str())).cloned().collect();
    for name in misspelt {
        headers.remove(name);
    }
}

/// Removes the names of identity headers from `Connection`.
fn strip_connection(headers: &mut HeaderMap) {
    if headers.get_all(CONNECTION).iter().any(names_identity) {
        let kept: Vec<HeaderValue> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(connection_options)
            .filter(|option| !is_identity(option))
            .filter_map(|option| HeaderValue::from_str(option).ok())
            .collect();
        headers.remove(CONNECTION);
        for option in kept {
            headers.append(CONNECTION, option);
        }
    }
}

fn is_misspelt(name: &str) -> bool {
    name.starts_with('x') && name.bytes().any(|b| b == b'_') && is_identity(name)
}

fn is_identity(name: &str) -> bool {
    let same =
        |byte: u8, reserved: u8| byte.to_ascii_lowercase() == reserved || (byte == b'_' && reserved == b'-');
    NAMES.iter().any(|reserved| {
        let reserved = reserved.as_str();
        name.len() == reserved.len() && name.bytes().zip(reserved.bytes()).all(|(a, b)| same(a, b))
    })
}

/// Whether `Connection` names an identity header. A value that is not ASCII cannot be read, so it counts as naming one.
fn names_identity(connection: &HeaderValue) -> bool {
    connection.to_str().is_err() || connection_options(connection).any(is_identity)
}

fn connection_options(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or("").split(',').map(str::trim).filter(|option| !option.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_is_stripped() {
        let mut headers = HeaderMap::new();
        for name in IDENTITY_HEADERS {
            let name = name.as_str();
            for spelt in
                [name.to_owned(), name.to_uppercase(), name.replace('-', "_"), name.replacen('-', "_", 1)]
            {
                let spelt = HeaderName::from_bytes(spelt.as_bytes()).unwrap();
                headers.append(spelt.clone(), HeaderValue::from_static("admin"));
                headers.append(spelt, HeaderValue::from_static("root"));
            }
        }
        headers.insert("x-user-idx", HeaderValue::from_static("kept"));
        strip(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("x-user-idx"));
    }

    #[test]
    fn connection_keeps_what_names_no_identity_header() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("keep-alive, X-User-Id"));
        headers.append(CONNECTION, HeaderValue::from_static("x_session_id,upgrade"));
        strip(&mut headers);
        let kept: Vec<_> = headers.get_all(CONNECTION).iter().collect();
        assert_eq!(kept, ["keep-alive", "upgrade"]);
    }

    proptest! {
        #[test]
        fn no_header_that_reads_as_an_identity_header_survives(
            which in 0_usize..6,
            spelling in proptest::collection::vec((any::<bool>(), any::<bool>()), 20),
            value in "[ -~]{0,20}",
        ) {
            let spelt: String = IDENTITY_HEADERS[which].as_str().chars().zip(spelling).map(|(c, (upper, under))| {
                if c == '-' && under { '_' } else if upper { c.to_ascii_uppercase() } else { c }
            }).collect();
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_bytes(spelt.as_bytes()).unwrap(), HeaderValue::from_str(&value).unwrap());
            strip(&mut headers);
            prop_assert!(headers.is_empty());
        }
    }
}
