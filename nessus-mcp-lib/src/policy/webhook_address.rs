//! Which addresses a webhook may have.
//!
//! Whoever can name a webhook, or change what its name stands for, lets this machine send requests. So only addresses
//! of the public Internet are taken, unless the policy says that a webhook stands elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not of the public Internet: address, length of the prefix, and what they are.
const V4: [(Ipv4Addr, u32, Kind); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8, Kind::Never("wildcard")),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Kind::Private("private")),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Kind::Private("private (of a provider)")),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Kind::Private("loopback")),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Kind::Private("link-local")),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Kind::Private("private")),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Kind::Private("reserved")),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Kind::Private("documentation")),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Kind::Never("reserved")),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Kind::Private("private")),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Kind::Private("benchmark")),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Kind::Private("documentation")),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Kind::Private("documentation")),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Kind::Never("multicast")),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Kind::Never("reserved or broadcast")),
];

/// Whether an operator may want a webhook at such an address.
#[derive(Clone, Copy)]
enum Kind {
    Private(&'static str),
    Never(&'static str),
}

/// What kind of address this is, if a webhook may not have it.
pub(crate) fn forbidden(address: IpAddr, allow_private: bool) -> Option<&'static str> {
    let kind = match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => of_v6(address),
    };
    match kind? {
        Kind::Private(_) if allow_private => None,
        Kind::Private(kind) | Kind::Never(kind) => Some(kind),
    }
}

fn of_v4(address: Ipv4Addr) -> Option<Kind> {
    let found = V4.iter().find(|(network, length, _)| {
        let mask = u32::MAX << (32 - length);
        address.to_bits() & mask == network.to_bits()
    });
    found.map(|(.., kind)| *kind)
}

fn of_v6(address: Ipv6Addr) -> Option<Kind> {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Kind::Never("wildcard")),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Kind::Private("loopback")),
        // An IPv4 address in another spelling: mapped, and translated.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        // Through a tunnel to an IPv4 address.
        [0x2002, high, low, ..] => embedded(high, low).or(Some(Kind::Private("tunnel"))),
        [0x2001, 0, ..] => Some(Kind::Private("tunnel")),
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Some(Kind::Private("documentation")),
        [0x2000..=0x3fff, ..] => None,
        [0xfe80..=0xfebf, ..] => Some(Kind::Private("link-local")),
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Some(Kind::Private("private")),
        [0xff00..=0xffff, ..] => Some(Kind::Never("multicast")),
        _ => Some(Kind::Never("reserved")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("127.0.0.1", "loopback", true)]
    #[case("127.255.255.254", "loopback", true)]
    #[case("::1", "loopback", true)]
    #[case("::ffff:127.0.0.1", "loopback", true)]
    #[case("64:ff9b::7f00:1", "loopback", true)]
    #[case("2002:7f00:1::", "loopback", true)]
    #[case("10.1.2.3", "private", true)]
    #[case("172.31.255.255", "private", true)]
    #[case("192.168.1.1", "private", true)]
    #[case("100.64.0.1", "private (of a provider)", true)]
    #[case("fd00:ec2::254", "private", true)]
    #[case("fec0::1", "private", true)]
    #[case("169.254.169.254", "link-local", true)]
    #[case("::ffff:169.254.169.254", "link-local", true)]
    #[case("fe80::1", "link-local", true)]
    #[case("2001::1", "tunnel", true)]
    #[case("2001:db8::1", "documentation", true)]
    #[case("0.0.0.0", "wildcard", false)]
    #[case("::", "wildcard", false)]
    #[case("::ffff:0.0.0.0", "wildcard", false)]
    #[case("224.0.0.1", "multicast", false)]
    #[case("ff02::1", "multicast", false)]
    #[case("255.255.255.255", "reserved or broadcast", false)]
    #[case("::7f00:1", "reserved", false)]
    #[case("100::1", "reserved", false)]
    fn what_is_not_of_the_internet_is_refused(#[case] address: &str, #[case] kind: &str, #[case] may_be_allowed: bool) {
        let address = address.parse().unwrap();
        assert_eq!(forbidden(address, false), Some(kind));
        assert_eq!(forbidden(address, true), (!may_be_allowed).then_some(kind));
    }

    #[rstest]
    #[case("8.8.8.8")]
    #[case("172.32.0.1")]
    #[case("100.128.0.1")]
    #[case("169.253.255.255")]
    #[case("2606:4700::1111")]
    #[case("64:ff9b::808:808")]
    #[case("::ffff:8.8.8.8")]
    fn what_is_of_the_internet_is_taken(#[case] address: &str) {
        assert_eq!(forbidden(address.parse().unwrap(), false), None);
    }
}
