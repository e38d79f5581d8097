//! Removes tokens from what the inner service sees: whoever sees a bearer token can use it.

use std::ops::Not;

use http::header::{COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memmem;

use crate::authenticate::{Authenticator, Recognized};
use crate::header::BEARER_PROTOCOL;

/// Removes every part that holds `token`: a pair of `Cookie`, an entry of `Sec-WebSocket-Protocol`, the value of any
/// other header.
pub(super) fn remove_token(headers: &mut HeaderMap, token: &[u8]) {
    let finder = memmem::Finder::new(token);
    remove_carriers(headers, token.len(), |part| finder.find(part).is_some());
}

/// Removes the entry of `Sec-WebSocket-Protocol` that stands before the token.
pub(super) fn remove_marker(headers: &mut HeaderMap) {
    remove_from(headers, &SEC_WEBSOCKET_PROTOCOL, &mut |entry| entry.trim_ascii() == BEARER_PROTOCOL);
}

/// Removes every part that holds a token that was issued here, wherever it stands, still valid or not.
///
/// After [`MOST_SIGNATURES`] checks no more signatures are checked. Then every part with the form of a token of ours is
/// removed.
pub(super) fn remove_own_tokens(headers: &mut HeaderMap, authenticator: &Authenticator) {
    let mut left = MOST_SIGNATURES;
    remove_carriers(headers, LEAST_BYTES, |part| {
        candidates(part).any(|token| match left {
            0 => true,
            _ => match authenticator.recognize(token) {
                Recognized::Ours => true,
                Recognized::Forged => {
                    left -= 1;
                    false
                }
                Recognized::Other => false,
            },
        })
    });
}

/// How many signatures may be checked for one request.
const MOST_SIGNATURES: u32 = 4;

/// No acceptable token is shorter, from this issuer or an external one: the signature alone takes 86 characters.
pub(super) const LEAST_BYTES: usize = 100;

/// Removes the parts for which `carries` returns true.
///
/// A value of fewer than `least` bytes holds no such part, and neither does a value for which `carries` returns false
/// as a whole.
fn remove_carriers(headers: &mut HeaderMap, least: usize, mut carries: impl FnMut(&[u8]) -> bool) {
    let long = headers.iter().filter(|(_, value)| value.len() >= least);
    let found = long.filter(|(_, value)| carries(value.as_bytes()));
    // Usually there is none, and no header is looked up by name.
    let mut names: Vec<HeaderName> = found.map(|(name, _)| name.clone()).collect();
    names.dedup();
    for name in names {
        remove_from(headers, &name, &mut carries);
    }
}

fn remove_from(headers: &mut HeaderMap, name: &HeaderName, carries: &mut impl FnMut(&[u8]) -> bool) {
    let sent = headers.get_all(name);
    let kept: Vec<_> = sent.iter().filter_map(|value| without_carriers(name, value, carries)).collect();
    if sent.iter().eq(&kept) {
        return;
    }
    // Not through the entry API: its `insert_mult` panics when a header has three values (http 1.5.0).
    headers.remove(name);
    for value in kept {
        headers.append(name, value);
    }
}

/// What is left of `value`, or `None` when nothing is left.
fn without_carriers(
    name: &HeaderName,
    value: &HeaderValue,
    carries: &mut impl FnMut(&[u8]) -> bool,
) -> Option<HeaderValue> {
    let separator = match name {
        name if *name == COOKIE => b';',
        name if *name == SEC_WEBSOCKET_PROTOCOL => b',',
        _ => return carries(value.as_bytes()).not().then(|| value.clone()),
    };
    let mut is_whole = true;
    let mut kept = Vec::with_capacity(value.len());
    for part in value.as_bytes().split(|byte| *byte == separator) {
        if carries(part) {
            is_whole = false;
            continue;
        }
        if !kept.is_empty() {
            kept.push(separator);
        }
        kept.extend_from_slice(if kept.is_empty() { part.trim_ascii_start() } else { part });
    }
    if is_whole {
        return Some(value.clone());
    }
    let mut kept = HeaderValue::from_bytes(&kept).ok().filter(|kept| !kept.is_empty())?;
    kept.set_sensitive(value.is_sensitive());
    Some(kept)
}

/// The encoded beginning of a JSON object.
const BEGINNING: &[u8] = b"eyJ";

/// Finds text with the form of a token of ours: three segments of base64url with dots between them. The first segment
/// holds the beginning of a JSON object.
///
/// The work is linear in the length of the value: only the first beginning in each segment counts.
fn candidates(value: &[u8]) -> impl Iterator<Item = &str> {
    // Most values hold no beginning of a token. This shows at once.
    let value = memmem::find(value, BEGINNING).map_or(&[][..], |_| value);
    let is_dotted = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let runs = value.split(move |byte| !is_dotted(byte)).filter(|run| run.len() >= LEAST_BYTES);
    runs.filter_map(|run| std::str::from_utf8(run).ok()).flat_map(|run| {
        let ends = memchr::memchr_iter(b'.', run.as_bytes()).chain([run.len()]);
        let starts = [0].into_iter().chain(memchr::memchr_iter(b'.', run.as_bytes()).map(|dot| dot + 1));
        starts.zip(ends.clone()).zip(ends.skip(2)).filter_map(move |((start, first), last)| {
            let begin = start + run.get(start..first)?.find("eyJ")?;
            run.get(begin..last).filter(|token| token.len() >= LEAST_BYTES)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> String {
        format!("eyJ{}.{}.{}", "h".repeat(60), "p".repeat(200), "s".repeat(86))
    }

    fn sent(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(&value.replace("{T}", &token())).unwrap())
        };
        lines.iter().map(line).fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    }

    fn left(lines: &[(&'static str, &str)]) -> Vec<String> {
        let mut headers = sent(lines);
        remove_token(&mut headers, token().as_bytes());
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn of_lists_the_part_goes_and_of_all_else_the_value() {
        assert_eq!(left(&[("cookie", "a=b;token={T}; c=d")]), ["cookie: a=b; c=d"]);
        assert_eq!(left(&[("cookie", "token={T}; c=d")]), ["cookie: c=d"]);
        assert_eq!(
            left(&[("sec-websocket-protocol", "{T},{T} , chat, v2")]),
            ["sec-websocket-protocol: chat, v2"]
        );
        let none: [&str; 0] = [];
        assert_eq!(left(&[("cookie", "token={T}"), ("x-a", "b, {T}")]), none);
    }

    #[test]
    fn other_values_of_the_name_stay_in_their_order() {
        for place in 0..4 {
            let mut lines = vec![("x-a", "1"), ("x-a", "2"), ("x-a", "3")];
            lines.insert(place, ("x-a", "{T}"));
            assert_eq!(left(&lines), ["x-a: 1", "x-a: 2", "x-a: 3"], "{place}");
        }
    }

    #[test]
    fn what_is_left_of_a_sensitive_value_is_sensitive() {
        let mut headers = sent(&[("cookie", "a=b; token={T}")]);
        headers.get_mut(COOKIE).unwrap().set_sensitive(true);
        remove_token(&mut headers, token().as_bytes());
        assert!(headers[COOKIE].is_sensitive());
    }

    #[test]
    fn a_token_is_found_whatever_it_is_wrapped_in() {
        let token = token();
        for around in [
            "{T}",
            "Bearer {T}",
            "key-{T}",
            "v1.{T}",
            "{T}.more",
            "a={T}&b",
            "[\"{T}\"]",
            "a.b.c.{T}.d",
            "{T}, x",
            "\u{e9}{T}",
        ] {
            let value = around.replace("{T}", &token);
            assert!(candidates(value.as_bytes()).any(|found| found == token), "{around}");
        }
        for other in
            ["", "eyJ", "eyJ.a.b", "a.b.c", &"a".repeat(500), &"eyJ.".repeat(200), &token.replace('.', "")]
        {
            let found: Vec<_> = candidates(other.as_bytes()).collect();
            assert!(found.is_empty(), "{other} {found:?}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics_and_what_is_taken_was_there(value in any::<Vec<u8>>(), padding in "[eyJ.a]{0,300}") {
            let value = [&value[..], padding.as_bytes()].concat();
            for found in candidates(&value) {
                prop_assert!(memmem::find(&value, found.as_bytes()).is_some());
                prop_assert_eq!(found.split('.').count(), 3);
            }
        }

        #[test]
        fn a_token_is_in_no_header_afterwards(before in "[ -~]{0,20}", after in "[ -~]{0,20}") {
            for name in ["cookie", "sec-websocket-protocol", "x-api-key"] {
                let value = format!("{before}{}{after}", token());
                let mut headers = sent(&[(name, &value), (name, "a=b")]);
                remove_token(&mut headers, token().as_bytes());
                prop_assert!(headers.values().all(|value| memmem::find(value.as_bytes(), token().as_bytes()).is_none()));
                prop_assert!(headers.get_all(name).iter().any(|value| value == "a=b"));
            }
        }
    }
}
