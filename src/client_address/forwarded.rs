//! `Forwarded` (RFC 7239): the addresses of the hops, the last one first.
//!
//! This is no parser of a crate: those read from the left, where the client writes. There one quote of the client can
//! swallow what a proxy appended. This one reads from the right, and what a client wrote never changes what stands right
//! of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The hop that each element of one header line names, from the right. `None`: the element names no address, or is
/// malformed. Nothing left of such an element may be believed.
pub(super) fn hops_from_the_right(line: &[u8]) -> impl Iterator<Item = Option<IpAddr>> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let Some(comma) = last_comma(line) else { return Some(address_in(line)) };
        let (before, element) = line.split_at_checked(comma)?;
        rest = Some(before);
        Some(element.strip_prefix(b",").and_then(address_in))
    })
}

/// Where the last comma outside of quotes is. A quote that does not fit ends the search: then the whole text is one
/// element, and malformed.
fn last_comma(line: &[u8]) -> Option<usize> {
    let mut is_quoted = false;
    for (place, byte) in line.iter().enumerate().rev() {
        match byte {
            b',' if !is_quoted => return Some(place),
            b'"' => {
                let before = line.get(..place)?;
                let is_escaped = before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
                match (is_quoted, is_escaped) {
                    (true, true) => {}
                    (false, true) => return None,
                    (_, false) => is_quoted = !is_quoted,
                }
            }
            _ => {}
        }
    }
    None
}

/// The address in the parameter `for` of one element (RFC 7239 §4). `None`: there is none, or the element is malformed.
fn address_in(element: &[u8]) -> Option<IpAddr> {
    // RFC 7239 has four parameters. Each new one is compared with all before it, so there must not be many.
    const MOST_PARAMETERS: usize = 16;
    let mut names: Vec<&[u8]> = Vec::new();
    let mut node = None;
    let mut rest = trimmed(element);
    while let [first, ..] = rest {
        if *first == b';' {
            rest = trimmed(rest.get(1..)?);
            continue;
        }
        let (name, value, behind) = pair(rest)?;
        // A parameter stands in an element once (§4).
        if names.len() == MOST_PARAMETERS || names.iter().any(|seen| seen.eq_ignore_ascii_case(name)) {
            return None;
        }
        names.push(name);
        if name.eq_ignore_ascii_case(b"for") {
            node = Some(value);
        }
        rest = trimmed(behind);
        if !rest.is_empty() && !rest.starts_with(b";") {
            return None;
        }
    }
    address_of(&node?)
}

/// `name=value`, and what stands behind it.
fn pair(text: &[u8]) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let (name, behind) = token(text)?;
    let behind = behind.strip_prefix(b"=")?;
    if let Some(quoted) = behind.strip_prefix(b"\"") {
        let (value, behind) = until_quote(quoted)?;
        return Some((name, value, behind));
    }
    let (value, behind) = token(behind)?;
    Some((name, value.to_vec(), behind))
}

/// A token (RFC 9110 §5.6.2) at the beginning of `text`, and what stands behind it.
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let end = text.iter().position(|byte| !is_token(byte)).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(token, _)| !token.is_empty())
}

/// The rest of a quoted string (RFC 9110 §5.6.4) whose first quote was read, and what stands behind it.
fn until_quote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut bytes = text.iter();
    loop {
        match bytes.next()? {
            b'"' => return Some((value, bytes.as_slice())),
            b'\\' => value.push(*bytes.next()?),
            byte => value.push(*byte),
        }
    }
}

/// The address of a node (RFC 7239 §6): `192.0.2.1`, `[2001:db8::1]`, each with a port or without one. `unknown` and
/// names that begin with `_` hide the address.
fn address_of(node: &[u8]) -> Option<IpAddr> {
    let node = std::str::from_utf8(node).ok()?;
    if let Some(bracketed) = node.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return is_port(port).then(|| IpAddr::from(address).to_canonical());
    }
    let end = node.find(':').unwrap_or(node.len());
    let (address, port) = node.split_at_checked(end)?;
    let address: Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(address.into())
}

/// Whether `text` is nothing, or a colon and a port. A port may be hidden too.
fn is_port(text: &str) -> bool {
    let is_hidden = |port: &str| {
        let hidden = port.strip_prefix('_').filter(|hidden| !hidden.is_empty());
        hidden.is_some_and(|hidden| hidden.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)))
    };
    let is_number =
        |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| is_number(port) || is_hidden(port))
}

/// Without the white space around it (RFC 9110 §5.6.3).
fn trimmed(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(begin, |last| last + 1);
    text.get(begin..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hops(line: &str) -> Vec<String> {
        let told = |hop: Option<IpAddr>| hop.map_or("-".to_owned(), |address| address.to_string());
        hops_from_the_right(line.as_bytes()).map(told).collect()
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        assert_eq!(hops(r#"for="_gazonk""#), ["-"]);
        assert_eq!(hops(r#"For="[2001:db8:cafe::17]:4711""#), ["2001:db8:cafe::17"]);
        assert_eq!(hops("for=192.0.2.60;proto=http;by=203.0.113.43"), ["192.0.2.60"]);
        assert_eq!(hops("for=192.0.2.43, for=198.51.100.17"), ["198.51.100.17", "192.0.2.43"]);
        assert_eq!(
            hops(r#"for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown"#),
            ["-", "2001:db8:cafe::17", "192.0.2.43"]
        );
        assert_eq!(hops("for=_hidden, for=_SEVKISEK"), ["-", "-"]);
        assert_eq!(hops(r#"by=_x;for="192.0.2.1:_port";host="a,b\"c";proto=https"#), ["192.0.2.1"]);
        assert_eq!(hops(r#"for="[::ffff:192.0.2.1]""#), ["192.0.2.1"]);
        assert_eq!(hops("proto=https ; FOR=192.0.2.1"), ["192.0.2.1"]);
        assert_eq!(hops(";;for=192.0.2.1;"), ["192.0.2.1"]);
    }

    #[test]
    fn attack_an_element_with_many_parameters_names_no_address_and_costs_little() {
        let many: Vec<_> = (0..60_000).map(|number| format!("p{number}=x")).collect();
        assert_eq!(hops(&format!("for=192.0.2.1;{}", many.join(";"))), ["-"]);
        assert_eq!(hops(&format!("for=192.0.2.1;{}", many[..15].join(";"))), ["192.0.2.1"]);
    }

    #[test]
    fn what_is_malformed_names_no_address() {
        for element in [
            "",
            " ",
            "for",
            "for=",
            "=192.0.2.1",
            "for =192.0.2.1",
            "for= 192.0.2.1",
            "for=192.0.2.1;for=192.0.2.1",
            "for=192.0.2.1;FOR=192.0.2.2",
            "for=192.0.2.1;proto=a;proto=b",
            "for=192.0.2.1 192.0.2.2",
            "for=192.0.2.1:80",
            "for=[2001:db8::1]",
            "for=\"2001:db8::1\"",
            "for=\"[192.0.2.1]\"",
            "for=\"[2001:db8::1%eth0]\"",
            "for=\"192.0.2.1:\"",
            "for=\"192.0.2.1:123456\"",
            "for=\"192.0.2.1:-1\"",
            "for=\"192.0.2.1:_\"",
            "for=\" 192.0.2.1\"",
            "for=\"192.0.2.1",
            "for=192.0.2.1\"",
            "for=\"192.0.2.1\\\"",
            "for=192.0.2",
            "for=0300.0.2.1",
            "for=3221225985",
            "by=192.0.2.1",
            "x-for=192.0.2.1",
            "192.0.2.1",
            "for:192.0.2.1",
        ] {
            assert_eq!(hops(element)[0], "-", "{element:?}");
        }
    }

    #[test]
    fn attack_no_quote_of_a_client_reaches_what_a_proxy_appended() {
        for spoofed in [
            "for=\"",
            "for=\"192.0.2.66",
            "for=192.0.2.66\"",
            "for=\"192.0.2.66\\",
            "for=\"a\\\"",
            "\"\"\"",
            "\\",
            "for=192.0.2.66;host=\"x",
            ",,,\",\"",
        ] {
            assert_eq!(hops(&format!("{spoofed}, for=198.51.100.1"))[0], "198.51.100.1", "{spoofed}");
            let quoted = format!("{spoofed}, for=\"[2001:db8::7]:443\";proto=https");
            assert_eq!(hops(&quoted)[0], "2001:db8::7", "{spoofed}");
        }
    }

    proptest! {
        #[test]
        fn what_a_client_wrote_changes_nothing_right_of_it(spoofed in "[ -~]{0,60}", client in any::<[u8; 4]>()) {
            let client = Ipv4Addr::from(client);
            for appended in [format!("for={client}"), format!("by=_p;for=\"{client}:80\";host=\"a\"")] {
                let found = hops_from_the_right(format!("{spoofed}, {appended}").as_bytes()).next();
                prop_assert_eq!(found, Some(Some(IpAddr::from(client))));
            }
        }

        #[test]
        fn every_address_is_found_as_a_proxy_writes_it(address in any::<u128>(), port in any::<u16>()) {
            let address = Ipv6Addr::from(address);
            let line = format!("for=\"[{address}]:{port}\"");
            let found: Vec<_> = hops_from_the_right(line.as_bytes()).collect();
            prop_assert_eq!(found, [Some(IpAddr::from(address).to_canonical())]);
        }

        #[test]
        fn no_bytes_panic_or_go_on_for_ever(line in any::<Vec<u8>>(), text in "[for=\"\\\\,;: \\[\\].0-9a-f]{0,80}") {
            for line in [&line[..], text.as_bytes()] {
                prop_assert!(hops_from_the_right(line).count() <= line.len() + 1);
            }
        }
    }
}
