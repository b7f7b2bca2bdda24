//! The hosts behind a scan's `text_targets`.
//!
//! Written apart from the library's own target sets on purpose: a simulator that shared their faults would hide them.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
};

/// The hosts of a target list, in the order of their first mention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expansion {
    /// The hosts kept, each once.
    pub(crate) hosts: Vec<String>,
    /// How many hosts were dropped because the limit was reached.
    pub(crate) trimmed: u64,
}

/// A target that is no address, range or host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetsError {
    /// The piece of the list that could not be read.
    pub(crate) target: String,
}

impl std::fmt::Display for TargetsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is not a target", self.target)
    }
}

impl std::error::Error for TargetsError {}

/// Expands addresses, CIDR blocks, `a-b` and `a.b.c.d-e` ranges, host names and `name[address]`, separated by commas or space, to at
/// most `limit` hosts. A block includes its network and broadcast address. Blocks and ranges are for IPv4 only, as in
/// Tenable's documentation.
///
/// # Errors
/// When a piece of the list is none of these. An empty list is not an error here.
pub(crate) fn expand(text: &str, limit: usize) -> Result<Expansion, TargetsError> {
    let mut expansion = Expansion { hosts: Vec::new(), trimmed: 0 };
    let mut seen = HashSet::new();
    for piece in text.split(|c: char| c == ',' || c == ';' || c.is_whitespace()).filter(|piece| !piece.is_empty()) {
        let span = Span::parse(piece).ok_or_else(|| TargetsError { target: piece.to_owned() })?;
        // It is walked only while it may still add to the list.
        let mut walked = 0;
        while walked < span.count() && expansion.hosts.len() < limit {
            let host = span.host(walked);
            walked += 1;
            if seen.insert(host.clone()) {
                expansion.hosts.push(host);
            }
        }
        expansion.trimmed += span.count() - walked;
    }
    Ok(expansion)
}

/// One piece of the list.
enum Span {
    /// A name, or an IPv6 address.
    One(String),
    V4 {
        first: u32,
        last: u32,
    },
}

impl Span {
    fn parse(piece: &str) -> Option<Self> {
        if let Some((address, bits)) = piece.split_once('/') {
            return Self::block(address.parse().ok()?, bits.parse().ok()?);
        }
        // A name that is not to be resolved.
        if let Some((name, address)) = piece.strip_suffix(']').and_then(|piece| piece.split_once('[')) {
            let address = address.parse::<IpAddr>().ok()?;
            return is_host_name(name).then(|| Self::One(format!("{name}[{address}]")));
        }
        match piece.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => return Some(Self::V4 { first: address.into(), last: address.into() }),
            Ok(IpAddr::V6(address)) => return Some(Self::One(address.to_string())),
            Err(_) => {}
        }
        // A `-` also stands in host names: only what begins with an address is a range.
        if let Some((first, last)) = piece.split_once('-')
            && let Ok(first) = first.parse::<IpAddr>()
        {
            return Self::range(first, last);
        }
        is_host_name(piece).then(|| Self::One(piece.to_owned()))
    }

    fn block(address: Ipv4Addr, bits: u32) -> Option<Self> {
        let host_bits = u32::MAX.checked_shr(bits).unwrap_or(0);
        let first = u32::from(address) & !host_bits;
        (bits <= 32).then_some(Self::V4 { first, last: first | host_bits })
    }

    fn range(first: IpAddr, last: &str) -> Option<Self> {
        let IpAddr::V4(first) = first else { return None };
        let last = match last.parse::<u8>() {
            Ok(octet) => {
                let [a, b, c, _] = first.octets();
                Ipv4Addr::new(a, b, c, octet)
            }
            Err(_) => last.parse().ok()?,
        };
        (first <= last).then(|| Self::V4 { first: first.into(), last: last.into() })
    }

    fn count(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::V4 { first, last } => u64::from(last - first) + 1,
        }
    }

    fn host(&self, index: u64) -> String {
        match self {
            Self::One(name) => name.clone(),
            Self::V4 { first, .. } => {
                Ipv4Addr::from(first.saturating_add(u32::try_from(index).unwrap_or(u32::MAX))).to_string()
            }
        }
    }
}

fn is_host_name(text: &str) -> bool {
    // Digits and dots only would be a mistyped address.
    text.len() <= 253
        && text.chars().any(|c| c.is_ascii_alphabetic())
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_is_expanded() {
        let cases: [(&str, &[&str]); 8] = [
            ("192.0.2.7", &["192.0.2.7"]),
            ("192.0.2.7, 192.0.2.7\n192.0.2.8", &["192.0.2.7", "192.0.2.8"]),
            ("192.0.2.9/31", &["192.0.2.8", "192.0.2.9"]),
            ("192.0.2.254-192.0.3.1", &["192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.3.1"]),
            ("192.0.2.5-6", &["192.0.2.5", "192.0.2.6"]),
            ("2001:db8::1,2001:DB8:0::1", &["2001:db8::1"]),
            ("db.test[192.0.2.1],db.test[2001:db8::1]", &["db.test[192.0.2.1]", "db.test[2001:db8::1]"]),
            ("web-1.example.test db_2", &["web-1.example.test", "db_2"]),
        ];
        for (text, hosts) in cases {
            let expansion = expand(text, 100).unwrap();
            assert_eq!(expansion.hosts, hosts, "{text}");
            assert_eq!(expansion.trimmed, 0, "{text}");
        }
    }

    #[test]
    fn the_limit_is_kept_and_the_rest_is_counted() {
        let expansion = expand("10.0.0.0/8 192.0.2.1", 4).unwrap();
        assert_eq!(expansion.hosts, ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        assert_eq!(expansion.trimmed, (1 << 24) - 4 + 1);
        assert_eq!(expand("0.0.0.0/0", 2).unwrap().trimmed, (1 << 32) - 2);
        assert_eq!(expand("255.255.255.255/32", 4).unwrap().hosts, ["255.255.255.255"]);
    }

    #[test]
    fn what_is_no_target_is_named() {
        let texts = ["300.1.1.1", "192.0.2.0/33", "192.0.2.9-192.0.2.1", "-x.test", "a..b", "192.0.2.1-::1", "*"];
        for text in texts.into_iter().chain(["::10/127", "::1-::3", "db.test[x]", "[192.0.2.1]", "a..b[192.0.2.1]"]) {
            assert_eq!(expand(text, 4).unwrap_err().target, text);
        }
    }
}
