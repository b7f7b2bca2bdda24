//! The addresses that nobody may scan.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ScopeError;
use crate::targets::{TargetPiece, TargetSet};

/// Addresses that stand for no host, for many, or for whoever is on the same link: first, last, what they are, and as a
/// network. What can be asked of a cloud's machines at 169.254.169.254 is among them.
const RESERVED: [(IpAddr, IpAddr, &str, &str); 7] = [
    (v4([0, 0, 0, 0]), v4([0, 255, 255, 255]), "unspecified", "0.0.0.0/8"),
    (v4([169, 254, 0, 0]), v4([169, 254, 255, 255]), "link-local", "169.254.0.0/16"),
    (v4([224, 0, 0, 0]), v4([239, 255, 255, 255]), "multicast", "224.0.0.0/4"),
    (v4([255, 255, 255, 255]), v4([255, 255, 255, 255]), "broadcast", "255.255.255.255"),
    (v6(0, 0), v6(0, 0), "unspecified", "::"),
    (v6(0xfe80, 0), v6(0xfebf, 0xffff), "link-local", "fe80::/10"),
    (v6(0xff00, 0), v6(0xffff, 0xffff), "multicast", "ff00::/8"),
];

/// Refuses targets with such an address among them. Names are not looked up.
pub(super) fn check(targets: &TargetSet) -> Result<(), ScopeError> {
    for piece in targets.pieces() {
        let TargetPiece::Addresses { first, last } = piece else { continue };
        // All IPv4 addresses come before all IPv6 addresses, so a range of one family overlaps none of the other.
        let found = RESERVED.iter().find(|(from, to, ..)| first <= *to && *from <= last);
        if let Some((.., kind, network)) = found {
            return Err(ScopeError::Reserved { target: piece.to_string(), kind, network });
        }
    }
    Ok(())
}

const fn v4([a, b, c, d]: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// The address that begins with `first` and has `rest` in all other places.
const fn v6(first: u16, rest: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(first, rest, rest, rest, rest, rest, rest, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_reserved_address_is_named_with_its_kind() {
        for (targets, target, kind) in [
            ("0.0.0.0/0", "0.0.0.0/0", "unspecified"),
            ("0.0.0.0", "0.0.0.0", "unspecified"),
            ("10.0.0.1,169.254.169.254", "169.254.169.254", "link-local"),
            ("169.253.255.250-169.254.0.0", "169.253.255.250-169.254.0.0", "link-local"),
            ("::ffff:169.254.169.254", "169.254.169.254", "link-local"),
            ("224.0.0.1", "224.0.0.1", "multicast"),
            ("239.255.255.255", "239.255.255.255", "multicast"),
            ("223.255.255.255-224.0.0.0", "223.255.255.255-224.0.0.0", "multicast"),
            ("255.255.255.255", "255.255.255.255", "broadcast"),
            ("::ffff:255.255.255.255", "255.255.255.255", "broadcast"),
            ("::", "::", "unspecified"),
            ("::/0", "0.0.0.0/0", "unspecified"),
            ("::/127", "::/127", "unspecified"),
            ("fe80::1", "fe80::1", "link-local"),
            ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
            ("ff02::1", "ff02::1", "multicast"),
            ("2001:db8::/32,f000::/4", "f000::/4", "link-local"),
        ] {
            let Err(ScopeError::Reserved { target: named, kind: said, .. }) = check(&targets.parse().unwrap()) else {
                panic!("{targets} is accepted");
            };
            assert_eq!((named.as_str(), said), (target, kind), "{targets}");
        }
    }

    #[test]
    fn what_lies_beside_them_is_not_refused() {
        for targets in [
            "1.0.0.0,169.253.255.255,169.255.0.0,223.255.255.255,240.0.0.0",
            "127.0.0.1,127.0.0.0/8,::1",
            "fec0::1,fe7f:ffff::1,feff::1",
            "10.0.0.0/8,db.example",
        ] {
            assert_eq!(check(&targets.parse().unwrap()), Ok(()), "{targets}");
        }
    }
}
