//! What one caller has of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What one caller has: an IPv4 address, or a /64 network of IPv6, where one caller has any number of addresses. Behind
/// a translator all of IPv4 is in one such network (RFC 6052 §2.1), so there the IPv4 address inside counts.
pub(super) fn network(address: IpAddr) -> IpAddr {
    let IpAddr::V6(address) = address.to_canonical() else { return address.to_canonical() };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into()
        }
        [a, b, c, d, ..] => Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into(),
    }
}
