//! The hosts that a mock scan "finds": its targets, with ranges expanded up to a cap.
//!
//! Simple on purpose: what is submitted has been checked before, and what is no address here is taken for a host name.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

/// A host of a mock scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MockHost {
    /// As it was asked for: an address or a name.
    pub(super) name: String,
    pub(super) address: IpAddr,
    pub(super) fqdn: String,
}

impl MockHost {
    fn at(address: IpAddr) -> Self {
        let fqdn = format!("host-{}.mock.example", address.to_string().replace([':', '.'], "-"));
        Self { name: address.to_string(), address, fqdn }
    }

    fn named(name: &str) -> Self {
        // 198.18.0.0/15 is set aside for tests (RFC 2544).
        let [.., high, low] = hash(name).to_be_bytes();
        Self { name: name.to_owned(), address: Ipv4Addr::new(198, 18, high, low).into(), fqdn: name.to_owned() }
    }
}

/// The hosts behind a list of targets, each once, in order; at most `cap` of every network or range.
pub(super) fn expand(targets: &str, cap: usize) -> Vec<MockHost> {
    let mut seen = HashSet::new();
    targets
        .split(|c: char| c == ',' || c == ';' || c.is_whitespace())
        .filter(|target| !target.is_empty())
        .flat_map(|target| expand_one(target, cap))
        .filter(|host| seen.insert(host.name.clone()))
        .collect()
}

fn expand_one(target: &str, cap: usize) -> Vec<MockHost> {
    if let Ok(address) = target.parse() {
        return vec![MockHost::at(address)];
    }
    if let Ok(network) = target.parse::<IpNet>() {
        return network.hosts().take(cap).map(MockHost::at).collect();
    }
    match target.split_once('-').and_then(|(first, last)| range(first, last, cap)) {
        Some(addresses) => addresses.into_iter().map(MockHost::at).collect(),
        None => vec![MockHost::named(target)],
    }
}

/// The addresses of `first-last`, where `last` may be the last number of an IPv4 address only.
fn range(first: &str, last: &str, cap: usize) -> Option<Vec<IpAddr>> {
    let first: IpAddr = first.parse().ok()?;
    let last = match (first, last.parse::<u8>()) {
        (IpAddr::V4(first), Ok(number)) => {
            let [a, b, c, _] = first.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, number))
        }
        _ => last.parse().ok()?,
    };
    Some(match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            (first.to_bits()..=last.to_bits()).take(cap).map(|bits| Ipv4Addr::from_bits(bits).into()).collect()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            (first.to_bits()..=last.to_bits()).take(cap).map(|bits| Ipv6Addr::from_bits(bits).into()).collect()
        }
        _ => return None,
    })
}

/// FNV-1a: the same for ever, on every machine.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", &[])]
    #[case("192.0.2.1", &["192.0.2.1"])]
    #[case("192.0.2.1, 192.0.2.2;192.0.2.1", &["192.0.2.1", "192.0.2.2"])]
    #[case("192.0.2.0/30", &["192.0.2.1", "192.0.2.2"])]
    #[case("192.0.2.7/32", &["192.0.2.7"])]
    #[case("10.0.0.0/8", &["10.0.0.1", "10.0.0.2", "10.0.0.3"])]
    #[case("192.0.2.254-192.0.3.1", &["192.0.2.254", "192.0.2.255", "192.0.3.0"])]
    #[case("192.0.2.9-10", &["192.0.2.9", "192.0.2.10"])]
    #[case("192.0.2.10-9", &[])]
    #[case("2001:db8::1-2001:db8::2", &["2001:db8::1", "2001:db8::2"])]
    #[case("2001:db8::/64", &["2001:db8::", "2001:db8::1", "2001:db8::2"])]
    #[case("web-1.example", &["web-1.example"])]
    #[case("web-1.example web-1.example", &["web-1.example"])]
    fn targets_become_hosts(#[case] targets: &str, #[case] names: &[&str]) {
        let hosts = expand(targets, 3);
        assert_eq!(hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), names);
    }
}
