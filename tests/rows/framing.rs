//! Section 2.2, A42: requests that are framed to be misread. Most of it is hyper's to refuse; the whole stack is tested.

use std::net::SocketAddr;

use super::{bearer, gateway, still_serves};
use crate::support::gateway::PREFIX;
use crate::support::wire::{h2, raw};

/// The statuses of all that is answered on one connection.
async fn statuses(address: SocketAddr, bytes: &str) -> Vec<u16> {
    let answer = raw(address, bytes.as_bytes()).await;
    answer.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)?.parse().ok()).collect()
}

#[tokio::test]
async fn attack_a42_a_request_whose_end_is_in_doubt_is_refused_and_the_connection_closed() {
    let (_db, gateway, token) = gateway().await;
    let smuggled =
        format!("GET /v1/echo HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n{}\r\n", bearer(&token));
    for framing in [
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding : chunked",
        "transfer-encoding\t: chunked",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding: \"chunked\"",
        "transfer_encoding : chunked",
        " transfer-encoding: chunked",
        "content-length: +5",
        "content-length: -1",
        "content-length: 0x5",
        "content-length: 5 5",
        "content-length: 5, 6",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: ",
        "content-length: 18446744073709551616",
        "content-length : 5",
        "content-length: 5\r\ntransfer-encoding: xchunked",
        "content-length\u{0}: 5",
        "x: a\rtransfer-encoding: chunked",
    ] {
        for path in ["/v1/echo", "/v1/auth/bridge/session"] {
            let request =
                format!("POST {path} HTTP/1.1\r\nhost: gateway\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}");
            assert_eq!(statuses(gateway.address, &request).await, [400], "{framing:?} {path}");
        }
    }
    still_serves(&gateway, &token).await;
}

/// What stands in the body of a refused request is never taken for a request.
///
/// hyper takes `Transfer-Encoding` beside `Content-Length` at its word and hides the latter (RFC 9112 §6.3 lets it),
/// and a bare LF for a line's end: what follows is then a request, and judged like any other.
#[tokio::test]
async fn attack_a42_what_is_smuggled_is_no_request_or_is_judged_as_one() {
    let (_db, gateway, token) = gateway().await;
    let last = "GET /v1/echo HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
    let smuggled = format!("GET /v1/echo HTTP/1.1\r\nhost: gateway\r\n{}\r\n", bearer(&token));
    let length = smuggled.len();
    let post = |lines: &str| format!("POST /v1/echo HTTP/1.1\r\nhost: gateway\r\n{lines}\r\n");
    for (credential, status) in [(String::new(), 401), (bearer(&token), 405)] {
        for request in [
            post(&format!("content-length: {length}\r\n{credential}")) + &smuggled,
            post(&format!("transfer-encoding: chunked\r\n{credential}"))
                + &format!("{length:x}\r\n{smuggled}\r\n0\r\n\r\n"),
            post(&format!("content-length: 5\r\ntransfer-encoding: chunked\r\n{credential}")) + "0\r\n\r\n",
            post(&format!("transfer-encoding: chunked\r\ncontent-length: 5\r\n{credential}")) + "0\r\n\r\n",
        ] {
            let found = statuses(gateway.address, &(request.clone() + last)).await;
            // The server may hang up instead of reading on.
            assert!(found == [status, 401] || found == [status], "{request:?} {found:?}");
        }
    }
    let bare = post("transfer-encoding: chunked\r\n").replace("\r\n", "\n");
    let found = statuses(gateway.address, &format!("{bare}0\n\n{last}")).await;
    assert!(found.iter().all(|status| matches!(status, 400 | 401)), "{found:?}");
    still_serves(&gateway, &token).await;
}

#[tokio::test]
async fn attack_a42_a_body_in_bad_chunks_is_refused_and_nothing_after_it_is_served() {
    let (_db, gateway, token) = gateway().await;
    let head = format!(
        "POST {PREFIX}/session HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let smuggled =
        format!("GET /v1/echo HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n{}\r\n", bearer(&token));
    for chunk in [
        "0x2\r\n{}",
        "+2\r\n{}",
        "-2\r\n{}",
        "2 2\r\n{}",
        "g\r\n{}",
        "\r\n{}",
        "fffffffffffffffff\r\n{}",
        "2;a=\"\n\"\r\n{}",
        "2\n{}",
        "2\r{}",
        "2\r\n{}{}",
    ] {
        let found = statuses(gateway.address, &format!("{head}{chunk}\r\n0\r\n\r\n{smuggled}")).await;
        assert!(found == [400] || found.is_empty(), "{chunk:?} {found:?}");
    }
    still_serves(&gateway, &token).await;
}

#[tokio::test]
async fn attack_a42_no_line_break_gets_in_through_a_field_of_http_2() {
    let (_db, gateway, token) = gateway().await;
    for (name, value) in [
        ("x-a", "b\r\nx-user-id: admin"),
        ("x-a", "b\nx-user-id: admin"),
        ("x-a", "b\0"),
        ("x-a: b\r\nx-user-id", "admin"),
        ("x-user-id ", "admin"),
        ("X-User-Id", "admin"),
        ("", "admin"),
        ("connection", "x-user-id"),
        ("transfer-encoding", "chunked"),
        (":path", "/.well-known/jwks.json"),
    ] {
        let found = h2::answers(gateway.address, &h2::get(1, "/v1/echo", &[(name, value)])).await;
        let is_answered = |kind: u8| matches!(kind, h2::HEADERS | h2::DATA);
        assert!(!found.iter().any(|kind| is_answered(*kind)), "{name:?} {value:?} {found:?}");
        assert!(found.iter().any(|kind| matches!(*kind, h2::RST_STREAM | h2::GOAWAY)), "{found:?}");
    }
    let plain = h2::answers(gateway.address, &h2::get(1, "/v1/echo", &[("x-a", "b")])).await;
    assert!(plain.contains(&h2::HEADERS), "what is well-formed is answered: {plain:?}");
    still_serves(&gateway, &token).await;
}
