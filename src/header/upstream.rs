//! A request's headers on their way to an upstream: what was for this hop or for this gateway alone stays here.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    SEC_WEBSOCKET_PROTOCOL, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{is_identity, strip_misspelt};

/// The entry of `Sec-WebSocket-Protocol` before the token.
pub(crate) const BEARER_PROTOCOL: &[u8] = b"bearer";

/// What belongs to one connection whether `Connection` names it or not (RFC 9110 §7.6.1; `HTTP2-Settings` is RFC 7540
/// §3.2.1). `TE` is not among them: see [`remove_hop_by_hop`].
static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// Where programs put what proves who they are. A `_` in a received name reads as `-`.
static CREDENTIALS: [HeaderName; 11] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("cookie2"),
    HeaderName::from_static("dpop"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("x-auth-token"),
    HeaderName::from_static("x-access-token"),
    HeaderName::from_static("x-forwarded-access-token"),
];

/// What the client that sends the request on writes itself, or what this hop has answered.
static OF_THIS_REQUEST: [HeaderName; 3] = [HOST, CONTENT_LENGTH, EXPECT];

/// Makes the headers of a request that the guard has let in fit to be sent on to an upstream.
///
/// Afterwards the headers hold none of these, in any spelling:
///
/// - **what belongs to this connection:** all that [`remove_hop_by_hop`] removes;
/// - **credentials:** `Authorization`, `Proxy-Authorization`, `Cookie`, `DPoP`, and the headers for keys that programs
///   use (`X-Api-Key`, `Api-Key`, `X-Goog-Api-Key`, `X-Auth-Token`, `X-Access-Token`, `X-Forwarded-Access-Token`), and
///   from `Sec-WebSocket-Protocol` the entry `bearer` with the entry after it;
/// - **`Host` and `Content-Length`:** the HTTP client writes them for the upstream's own URL, and for the body that it
///   really sends. A length that the caller wrote could differ from the body, and split one request into two;
/// - **`Expect`:** the gateway's server has answered it.
///
/// The six [identity headers](super::IDENTITY_HEADERS) stay as the guard wrote them, also if `Connection` names them.
/// All other headers stay. `X-Forwarded-For` and its kind are then what the caller wrote: set them yourself.
///
/// Call this function first, and add your own headers to the upstream afterwards, such as its API key. A caller can
/// name any header in `Connection`, and a header that you have added before would be removed.
///
/// Without a guard in front, the identity headers are what the caller wrote: call [`strip`](super::strip), too.
///
/// # Upgrades
///
/// `Connection: upgrade` and `Upgrade` go too, so a WebSocket handshake reaches the upstream as an ordinary `GET`. To
/// pass the handshake on, look at `Upgrade` before this call. Insert both headers again after it, and copy the bytes of
/// the two connections until [`session_end`](crate::authenticate::Authenticator::session_end).
///
/// # Example
///
/// ```
/// use bridge_auth::header::prepare_for_upstream;
/// use http::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-user-id", "alice".parse()?); // The guard wrote it.
/// headers.insert("connection", "keep-alive, x-user-id, x-tracking".parse()?);
/// headers.insert("x-tracking", "1".parse()?);
/// headers.insert("cookie", "login=secret".parse()?);
/// headers.insert("accept", "text/event-stream".parse()?);
/// prepare_for_upstream(&mut headers);
///
/// let names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
/// assert_eq!(names, ["x-user-id", "accept"]);
/// # Ok::<_, http::header::InvalidHeaderValue>(())
/// ```
pub fn prepare_for_upstream(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    strip_misspelt(headers);
    let unfit = |name: &HeaderName| {
        [&CREDENTIALS[..], &HOP_BY_HOP, &OF_THIS_REQUEST].iter().any(|names| reads_as(name, names))
    };
    let unfit: Vec<HeaderName> = headers.keys().filter(|name| unfit(name)).cloned().collect();
    for name in unfit {
        headers.remove(name);
    }
    remove_bearer_protocol(headers);
}

/// Removes the headers that belong to one connection (RFC 9110 §7.6.1). A proxy does this to requests, and to the
/// answers of its upstream.
///
/// These go: every header that `Connection` names; `Connection`, `Keep-Alive`, `Proxy-Connection`,
/// `Proxy-Authenticate`, `Proxy-Authorization`, `Trailer`, `Transfer-Encoding`, `Upgrade` and `HTTP2-Settings`.
///
/// `TE: trailers` stays, without the other codings of `TE`: gRPC needs it (RFC 9110 §10.1.4, RFC 9113 §8.2.2). The six
/// [identity headers](super::IDENTITY_HEADERS) stay even if `Connection` names them.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // As bytes: one strange byte must not hide the other names of its line.
    let lines =
        headers.get_all(CONNECTION).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let named: Vec<HeaderName> = lines
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| *name != TE && !is_identity(name.as_str()))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    let takes_trailers = headers.get_all(TE).iter().any(names_trailers);
    headers.remove(TE);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

fn names_trailers(te: &HeaderValue) -> bool {
    let codings = te.as_bytes().split(|byte| *byte == b',');
    codings.map(<[u8]>::trim_ascii).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// Whether `name` is one of `reserved` when each `_` is read as `-`, as servers do that turn names into variables.
fn reads_as(name: &HeaderName, reserved: &[HeaderName]) -> bool {
    let same = |(byte, reserved): (u8, u8)| byte == reserved || (byte == b'_' && reserved == b'-');
    let name = name.as_str();
    let is = |reserved: &str| name.len() == reserved.len() && name.bytes().zip(reserved.bytes()).all(same);
    reserved.iter().any(|reserved| is(reserved.as_str()))
}

/// Removes the entry `bearer` and the token after it. The two may stand on different lines.
fn remove_bearer_protocol(headers: &mut HeaderMap) {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut entries =
        lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).peekable();
    let mut kept = Vec::new();
    let mut is_found = false;
    while let Some(entry) = entries.next() {
        if entry.eq_ignore_ascii_case(BEARER_PROTOCOL) {
            is_found = true;
            entries.next();
        } else if !entry.is_empty() {
            kept.push(entry);
        }
    }
    if is_found {
        let kept = HeaderValue::from_bytes(&kept.join(&b", "[..]));
        headers.remove(SEC_WEBSOCKET_PROTOCOL);
        if let Some(kept) = kept.ok().filter(|kept| !kept.is_empty()) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{IDENTITY_HEADERS, X_USER_ID};
    use proptest::prelude::*;

    fn sent(lines: &[(&str, &[u8])]) -> HeaderMap {
        lines.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
            headers
        })
    }

    /// What is left of `lines`, with `; ` between them.
    fn left(lines: &[(&str, &[u8])]) -> String {
        let mut headers = sent(lines);
        prepare_for_upstream(&mut headers);
        let line =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        headers.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    /// `name` in capitals, and with `_` for some and for all `-`.
    fn spellings(name: &str) -> [String; 4] {
        [name.to_owned(), name.to_uppercase(), name.replace('-', "_"), name.replacen('-', "_", 1)]
    }

    #[test]
    fn nothing_of_this_hop_is_sent_on_in_any_spelling() {
        for name in HOP_BY_HOP.iter().chain(&OF_THIS_REQUEST).flat_map(|name| spellings(name.as_str())) {
            assert_eq!(left(&[(&name, b"x"), (&name, b"y"), ("x-kept", b"1")]), "x-kept: 1", "{name}");
        }
    }

    #[test]
    fn no_credential_is_sent_on_in_any_spelling() {
        for name in CREDENTIALS.iter().flat_map(|name| spellings(name.as_str())) {
            assert_eq!(
                left(&[(&name, b"secret"), (&name, b"secret"), ("x-kept", b"1")]),
                "x-kept: 1",
                "{name}"
            );
        }
    }

    #[test]
    fn what_connection_names_goes_however_the_list_is_written() {
        for connection in [
            &b"x-hop"[..],
            b"X-Hop",
            b"close,x-hop",
            b",, \t x-hop\t ,",
            b"\xff, x-hop",
            b"\"a, x-hop",
            b"keep-alive, x-hop, x-user-id",
        ] {
            assert_eq!(left(&[("connection", connection), ("x-hop", b"1"), ("x-hop", b"2")]), "");
        }
        let two_lines: [(&str, &[u8]); 4] =
            [("connection", b"x-a"), ("CONNECTION", b"x-b"), ("x-a", b"1"), ("x-b", b"1")];
        assert_eq!(left(&two_lines), "");
    }

    #[test]
    fn attack_a37_the_identity_headers_outlive_a_connection_that_names_them() {
        for name in &IDENTITY_HEADERS {
            for named in spellings(name.as_str()) {
                let lines: [(&str, &[u8]); 2] = [("connection", named.as_bytes()), (name.as_str(), b"alice")];
                assert_eq!(left(&lines), format!("{name}: alice"), "{named}");
            }
        }
    }

    #[test]
    fn an_identity_header_in_another_spelling_goes() {
        assert_eq!(
            left(&[("x_user_id", b"mallory"), ("x-user_id", b"mallory"), ("x-user-id", b"alice")]),
            "x-user-id: alice"
        );
    }

    #[test]
    fn of_te_only_trailers_are_left() {
        for te in [&b"trailers"[..], b"Trailers", b"gzip;q=0.5, trailers", b"deflate ,\ttrailers"] {
            assert_eq!(left(&[("te", te), ("connection", b"te")]), "te: trailers");
        }
        for te in [&b""[..], b"gzip", b"trailersx", b"trailers;q=1", b"\xff"] {
            assert_eq!(left(&[("te", te)]), "");
        }
        assert_eq!(left(&[("te", b"gzip"), ("te", b"trailers"), ("te", b"trailers")]), "te: trailers");
    }

    #[test]
    fn the_callers_host_and_length_are_not_the_upstreams() {
        let lines: [(&str, &[u8]); 4] = [
            ("host", b"gateway.example"),
            ("content-length", b"5"),
            ("expect", b"100-continue"),
            ("accept", b"*/*"),
        ];
        assert_eq!(left(&lines), "accept: */*");
    }

    #[test]
    fn a_handshake_is_an_ordinary_request_without_its_token() {
        let handshake = |protocols: &[&'static [u8]]| {
            let mut lines: Vec<(&str, &[u8])> =
                vec![("connection", b"Upgrade"), ("upgrade", b"websocket"), ("sec-websocket-version", b"13")];
            lines.extend(protocols.iter().map(|line| ("sec-websocket-protocol", *line)));
            left(&lines)
        };
        for protocols in
            [&[&b"bearer, token, chat"[..]][..], &[b"chat,bearer,token"], &[b"Bearer", b" token ,chat"]]
        {
            assert_eq!(handshake(protocols), "sec-websocket-version: 13; sec-websocket-protocol: chat");
        }
        for protocols in [&[&b"bearer, token"[..]][..], &[b"bearer"], &[b"bearer, a, bearer, b"], &[]] {
            assert_eq!(handshake(protocols), "sec-websocket-version: 13");
        }
        assert_eq!(handshake(&[b"chat, v2"]), "sec-websocket-version: 13; sec-websocket-protocol: chat, v2");
    }

    #[test]
    fn all_else_stays_with_its_values_in_their_order() {
        let lines: [(&str, &[u8]); 5] = [
            ("accept", b"a"),
            ("accept", b"b"),
            ("content-type", b"application/json"),
            ("x-api-keys", b"1"),
            ("traceparent", b"00-1-1-00"),
        ];
        let kept =
            "accept: a; accept: b; content-type: application/json; x-api-keys: 1; traceparent: 00-1-1-00";
        assert_eq!(left(&lines), kept);
    }

    proptest! {
        #[test]
        fn no_headers_panic_and_a_second_call_changes_nothing(
            lines in proptest::collection::vec(
                ("(connection|te|cookie|x[-_]api[-_]key|x-user-id|upgrade|sec-websocket-protocol|x-[a-c])", any::<Vec<u8>>()), 0..8),
            named in "(x-[a-c]|te|x-user-id|cookie|,| ){0,6}",
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in &lines {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
                }
            }
            headers.append(CONNECTION, HeaderValue::from_str(&named).unwrap());
            let identity: Vec<_> = headers.get_all(X_USER_ID).iter().cloned().collect();
            prepare_for_upstream(&mut headers);
            prop_assert!(headers.get_all(X_USER_ID).iter().eq(&identity));
            for name in HOP_BY_HOP.iter().chain(&CREDENTIALS) {
                prop_assert!(!headers.contains_key(name));
            }
            let once = headers.clone();
            prepare_for_upstream(&mut headers);
            prop_assert_eq!(headers, once);
        }
    }
}
