//! The address of a caller. Forwarded headers count only when a trusted proxy sent them.

mod forwarded;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{FORWARDED, HeaderName};
use http::{Extensions, HeaderMap, HeaderValue};
use ipnet::IpNet;

use forwarded::hops_from_the_right;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Finds the peer address in the extensions of a request.
type FindPeer = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

/// How to find the address of a caller.
#[derive(Clone)]
pub(crate) struct AddressSettings {
    pub(crate) peer: FindPeer,
    /// The networks of proxies whose header is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) forwarded_header: ForwardedHeader,
}

impl Default for AddressSettings {
    fn default() -> Self {
        Self {
            peer: Arc::new(|extensions| Some(extensions.get::<PeerAddr>()?.0)),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
        }
    }
}

/// The header in which the proxies say where a request came from.
///
/// Exactly one header is read. The other is not, whoever sends it: otherwise a client could choose by sending the one
/// that its proxy does not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: a list of addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239): the parameter `for` of each element. A hidden address (`unknown`, `_name`) and an element
    /// that is malformed end the walk: then the proxy that wrote the element counts as the client.
    Forwarded,
}

/// The address at the other end of the socket.
///
/// A server that is not axum puts it into the extensions of each request. An axum server may do so too. The address is
/// recorded with the sessions that are opened. It also decides whether forwarded headers are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub IpAddr);

impl AddressSettings {
    /// The address that a request came from. `None`: it is not known.
    pub(crate) fn find(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = (self.peer)(extensions)?;
        Some(client_address(self.forwarded_header, peer, headers, &self.trusted_proxies))
    }
}

/// The address of the client behind `peer`.
///
/// Each proxy appends to the header the address that called it.
fn client_address(header: ForwardedHeader, peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let name = match header {
        ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
        ForwardedHeader::Forwarded => FORWARDED,
    };
    let lines = headers.get_all(name).iter().rev().map(HeaderValue::as_bytes);
    match header {
        ForwardedHeader::XForwardedFor => {
            walk(peer, lines.flat_map(|line| line.rsplit(|byte| *byte == b',').map(parse_hop)), trusted)
        }
        ForwardedHeader::Forwarded => walk(peer, lines.flat_map(hops_from_the_right), trusted),
    }
}

/// The walk begins at the end of the list, and goes on while the current address is a trusted proxy. Entries further
/// left prove nothing.
fn walk(peer: IpAddr, mut hops: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNet]) -> IpAddr {
    let mut address = peer.to_canonical();
    while trusted.iter().any(|network| network.contains(&address)) {
        match hops.next().flatten() {
            Some(hop) => address = hop,
            None => break,
        }
    }
    address
}

/// Parses an address. Some proxies write a port behind it.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().map(|socket| socket.ip());
    Some(bare.parse().or_else(|_| with_port()).ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(peer: &str, lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        found_by(ForwardedHeader::XForwardedFor, peer, &lines)
    }

    fn found_by(header: ForwardedHeader, peer: &str, lines: &[(&'static str, &str)]) -> String {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        lines.iter().map(line).for_each(|(name, value)| _ = headers.append(name, value));
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        client_address(header, peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn the_standard_header_is_walked_like_the_other() {
        let found = |peer: &str, lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
            found_by(ForwardedHeader::Forwarded, peer, &lines)
        };
        assert_eq!(found("203.0.113.9", &["for=198.51.100.1"]), "203.0.113.9");
        assert_eq!(
            found("10.0.0.1", &["for=192.0.2.66, for=198.51.100.1;proto=https, for=10.0.0.2"]),
            "198.51.100.1"
        );
        assert_eq!(
            found("10.0.0.1", &["for=192.0.2.66", "for=198.51.100.1", "for=10.0.0.2"]),
            "198.51.100.1"
        );
        assert_eq!(found("fd00::1", &["for=\"[2001:db8::7]:4711\""]), "2001:db8::7");
        assert_eq!(found("10.0.0.1", &["for=10.0.0.3"]), "10.0.0.3");
        for hidden in ["unknown", "_hidden", "\"", ""] {
            let line = format!("for=198.51.100.1, for={hidden}, for=10.0.0.2");
            assert_eq!(found("10.0.0.1", &[&line]), "10.0.0.2", "{hidden:?}");
        }
    }

    #[test]
    fn attack_the_header_that_no_proxy_writes_is_not_read() {
        let both = [("forwarded", "for=192.0.2.66"), ("x-forwarded-for", "198.51.100.1")];
        assert_eq!(found_by(ForwardedHeader::XForwardedFor, "10.0.0.1", &both), "198.51.100.1");
        assert_eq!(found_by(ForwardedHeader::Forwarded, "10.0.0.1", &both), "192.0.2.66");
        assert_eq!(found_by(ForwardedHeader::XForwardedFor, "10.0.0.1", &both[..1]), "10.0.0.1");
        assert_eq!(found_by(ForwardedHeader::Forwarded, "10.0.0.1", &both[1..]), "10.0.0.1");
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(found("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(found("203.0.113.9", &[]), "203.0.113.9");
    }

    #[test]
    fn the_last_address_that_no_trusted_proxy_has_counts() {
        assert_eq!(found("10.0.0.1", &["192.0.2.66, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(found("10.0.0.1", &["192.0.2.66, 198.51.100.1", "10.0.0.2"]), "198.51.100.1");
        assert_eq!(found("10.0.0.1", &["198.51.100.1", "192.0.2.66"]), "192.0.2.66");
        assert_eq!(found("::ffff:10.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(found("fd00::1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(found("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(found("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_read() {
        assert_eq!(found("10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(found("10.0.0.1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(found("10.0.0.1", &["[2001:db8::7]"]), "2001:db8::7");
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk() {
        for garbage in ["unknown", "", "_hidden", "1.2.3", "198.51.100.1 198.51.100.2", "198.51.100.1;x"] {
            let line = format!("198.51.100.1, {garbage}, 10.0.0.2");
            assert_eq!(found("10.0.0.1", &[&line]), "10.0.0.2", "{garbage:?}");
        }
    }

    proptest! {
        #[test]
        fn what_a_client_sends_itself_changes_nothing(spoofed in "[ -~]{0,60}", client in any::<[u8; 4]>()) {
            let client = IpAddr::from(client);
            prop_assume!(!"10.0.0.0/8".parse::<IpNet>().unwrap().contains(&client));
            let line = format!("{spoofed}, {client}");
            prop_assert_eq!(found("10.0.0.1", &[&line]), client.to_string());
            prop_assert_eq!(found("10.0.0.1", &[&spoofed, &client.to_string()]), client.to_string());
        }

        #[test]
        fn the_walk_never_panics(lines in proptest::collection::vec(any::<Vec<u8>>(), 0..4)) {
            let lines: Vec<_> = lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
            let everyone = ["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
            for (header, name) in
                [(ForwardedHeader::XForwardedFor, X_FORWARDED_FOR), (ForwardedHeader::Forwarded, FORWARDED)]
            {
                let sent = lines.iter().map(|line| (name.clone(), line.clone()));
                let mut headers = HeaderMap::new();
                sent.for_each(|(name, line)| _ = headers.append(name, line));
                let _ = client_address(header, [10, 0, 0, 1].into(), &headers, &everyone);
            }
        }
    }
}
