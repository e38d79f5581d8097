//! Section 2.2, A30 to A34: credentials that are doubled, malformed, or somewhere else.

use http::header::{AUTHORIZATION, COOKIE};
use http::{Method, StatusCode};

use super::{REFUSED, gateway, is_challenge, still_serves};
use crate::support::gateway::{Gateway, send};
use crate::support::wire::{Http2, raw_get};

#[tokio::test]
async fn attack_a30_two_credentials_are_refused_over_http_1_and_http_2_in_either_order() {
    let (_db, gateway, token) = gateway().await;
    let good = format!("Bearer {token}");
    let http2 = Http2::connect(gateway.address).await;
    let (other, basic) = ("Bearer a.b.c", "Basic YTpi");
    for pair in [[&good, other], [other, &good], [&good, &good], [basic, &good], [&good, basic]] {
        let lines: String = pair.iter().map(|value| format!("authorization: {value}\r\n")).collect();
        let (status, answer) = raw_get(gateway.address, "/v1/echo", &lines).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.contains("error=\"invalid_request\""), "{answer}");
        let headers = pair.map(|value| (AUTHORIZATION.as_str(), value));
        assert_eq!(http2.send("GET", "/v1/echo", &headers).await.status, StatusCode::BAD_REQUEST);
        let joined = pair.join(", ");
        let (status, answer) =
            raw_get(gateway.address, "/v1/echo", format!("authorization: {joined}\r\n")).await;
        assert!(matches!(status, 400 | 401), "{answer}");
        let joined = http2.send("GET", "/v1/echo", &[(AUTHORIZATION.as_str(), &joined)]).await;
        assert!(REFUSED.contains(&joined.status), "{joined:?}");
    }
    let alone = http2.send("GET", "/v1/echo", &[(AUTHORIZATION.as_str(), &good)]).await;
    assert_eq!(alone.status, StatusCode::OK);
}

/// The status for an `Authorization` line of these bytes, and whether the answer names an error.
async fn status_of(gateway: &Gateway, value: &[u8]) -> (u16, bool) {
    let line = [b"authorization:", value, b"\r\n"].concat();
    let (status, answer) = raw_get(gateway.address, "/v1/echo", line).await;
    assert!(status != 401 || answer.contains("www-authenticate: Bearer"), "{answer}");
    (status, answer.contains("error=\""))
}

#[tokio::test]
async fn attack_a31_a_malformed_credential_is_refused_and_nothing_panics() {
    let (_db, gateway, token) = gateway().await;
    let with = |before: &str, after: &str| [before.as_bytes(), token.as_bytes(), after.as_bytes()].concat();
    let malformed: [&[u8]; 18] = [
        b" Bearer",
        b" Bearer   ",
        b" Bearer =",
        b" Bearer ==",
        b"",
        b"   ",
        &with(" Bearer \"", "\""),
        &with(" Bearer\t", ""),
        &with(" Bearer \t", ""),
        &with(" Bearer: ", ""),
        &with(" \"Bearer\" ", ""),
        &with(" Bearer ", " x"),
        &with(" Bearer ", ",x"),
        &with(" Bearer token=", ""),
        &with(" Bearer\u{a0}", ""),
        &with(" Bearer ", "\u{a0}"),
        &with(" Bearer ", "\u{e9}"),
        b" Bearer \xff\xfe",
    ];
    for value in malformed {
        let shown = String::from_utf8_lossy(value);
        assert_eq!(status_of(&gateway, value).await, (400, true), "{shown}");
    }
    // Another scheme, or only a token: no credential of ours.
    for value in [with(" BearerX ", ""), with(" Bear ", ""), with(" ", "")] {
        assert_eq!(status_of(&gateway, &value).await, (401, false));
    }
    // Of the form of a token, and none of ours.
    for value in [with(" Bearer ", "="), with(" Bearer .", ""), with(" Bearer ", ".")] {
        assert_eq!(status_of(&gateway, &value).await, (401, true));
    }
    // White space around a header's value is not part of it (RFC 9110 §5.5).
    assert_eq!(status_of(&gateway, &with(" \t  Bearer ", " \t ")).await, (200, false));
    still_serves(&gateway, &token).await;
}

#[tokio::test]
async fn attack_a32_the_scheme_is_compared_in_ascii_alone() {
    let (_db, gateway, token) = gateway().await;
    // Small capital B, Cyrillic letters, full-width B, dotless and combining letters, an overlong `B`.
    let schemes: [&[u8]; 7] = [
        "\u{299}earer".as_bytes(),
        "B\u{435}arer".as_bytes(),
        "\u{ff22}earer".as_bytes(),
        "Be\u{3b1}rer".as_bytes(),
        "Bearer\u{301}".as_bytes(),
        "\u{feff}Bearer".as_bytes(),
        b"\xc1\x82earer",
    ];
    for scheme in schemes {
        let value = [b" ", scheme, b" ", token.as_bytes()].concat();
        assert_eq!(status_of(&gateway, &value).await, (400, true), "{}", String::from_utf8_lossy(scheme));
    }
}

#[tokio::test]
async fn attack_a33_another_scheme_is_challenged_without_an_error() {
    let (_db, gateway, token) = gateway().await;
    for scheme in ["Basic", "Negotiate", "NTLM", "Digest", "DPoP", "GNAP", "Token", "MAC"] {
        let request = gateway.request(Method::GET, "/v1/echo");
        let answer = send(request.header(AUTHORIZATION, format!("{scheme} {token}"))).await;
        assert!(is_challenge(&answer), "{scheme} {answer:?}");
    }
}

#[tokio::test]
async fn attack_a34_a_token_counts_in_the_authorization_header_alone() {
    let (_db, gateway, token) = gateway().await;
    let get = |path: &str| gateway.request(Method::GET, path);
    let bearer = format!("Bearer {token}");
    let elsewhere = [
        get(&format!("/v1/echo?access_token={token}")),
        get("/v1/echo").header(COOKIE, format!("access_token={token}; authorization={token}")),
        get("/v1/echo").header("proxy-authorization", &bearer),
        get("/v1/echo").header("x-forwarded-authorization", &bearer),
        get("/v1/echo").header("x-authorization", &bearer),
        get("/v1/echo").header("x-access-token", &token),
        get("/v1/echo").header("sec-websocket-protocol", format!("bearer, {token}")),
        get("/v1/echo").header("authorization_", &bearer),
        gateway
            .request(Method::POST, "/v1/echo")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("access_token={token}")),
    ];
    for request in elsewhere {
        let shown = format!("{request:?}");
        assert!(is_challenge(&send(request).await), "{shown}");
    }
}
