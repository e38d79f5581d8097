//! The address of a caller. Forwarded headers count only when a trusted proxy sent them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::HeaderName;
use http::{Extensions, HeaderMap, HeaderValue};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Finds the peer address in the extensions of a request.
type FindPeer = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

/// How to find the address of a caller.
#[derive(Clone)]
pub(crate) struct AddressSettings {
    pub(crate) peer: FindPeer,
    /// The networks of proxies whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
}

impl Default for AddressSettings {
    fn default() -> Self {
        Self {
            peer: Arc::new(|extensions| Some(extensions.get::<PeerAddr>()?.0)),
            trusted_proxies: Vec::new(),
        }
    }
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
        let forwarded = headers.get_all(X_FORWARDED_FOR).iter();
        Some(client_address(peer, forwarded, &self.trusted_proxies))
    }
}

/// The address of the client behind `peer`.
///
/// Each proxy appends to `X-Forwarded-For` the address that called it. So the walk begins at the end of the list, and
/// goes on while the current address is a trusted proxy. Entries further left prove nothing.
fn client_address<'h>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'h HeaderValue>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut address = peer.to_canonical();
    let mut hops = forwarded.rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    while trusted.iter().any(|network| network.contains(&address)) {
        match hops.next().and_then(parse_hop) {
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
        let lines: Vec<_> = lines.iter().map(|line| HeaderValue::from_str(line).unwrap()).collect();
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        client_address(peer.parse().unwrap(), lines.iter(), &trusted).to_string()
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
            let _ = client_address([10, 0, 0, 1].into(), lines.iter(), &everyone);
        }
    }
}
