//! The ports that a scan was to look at, as plugin 19506 and policies write them: `default`, `all`, `1-65535`, `80,443`,
//! `T:1-1000,U:53`.

use std::{collections::BTreeSet, mem};

use crate::results::texts::{NAME_CHARS, clean};

/// The longest text that is read.
const MOST_BYTES: usize = 1 << 20;
/// The most ranges whose texts are kept of those that were put together: the first in order.
const MOST_PARTS: usize = 16;
/// Ports of which every list of usual services has had, so that a scan of the `default` range looks at them. The list itself,
/// of about 4,790 ports, is the scanner's and not in the export.
const USUAL: [u16; 52] = [
    7, 9, 13, 19, 21, 22, 23, 25, 37, 53, 69, 79, 80, 88, 110, 111, 113, 119, 123, 135, 137, 138, 139, 143, 161, 162,
    179, 389, 443, 445, 464, 500, 512, 513, 514, 515, 548, 554, 587, 631, 636, 873, 993, 995, 1433, 1434, 1521, 1723,
    2049, 3306, 3389, 8080,
];

/// How a port is reached, for a scan of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// First and last port of a row.
type Span = (u16, u16);

/// A range of ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PortRange {
    /// What it was put together of, as written and shortened: in order, the same ports once, however they were written. So
    /// it does not matter in which order ranges are put together.
    parts: Vec<(Option<Ports>, Box<str>)>,
    /// `None` when a text cannot be read.
    ports: Option<Ports>,
}

/// Rows in order that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Ports {
    /// Also those of the scanner's list.
    with_default: bool,
    tcp: Vec<Span>,
    udp: Vec<Span>,
}

impl PortRange {
    /// Reads a range; an empty one says nothing.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let ports = if text.len() <= MOST_BYTES { Ports::read(text) } else { None };
        (!text.is_empty()).then(|| Self::of(text, ports))
    }

    /// Every port.
    pub(crate) fn all() -> Self {
        Self::of("all", Ports::read("all"))
    }

    fn of(text: &str, ports: Option<Ports>) -> Self {
        Self { parts: vec![(ports.clone(), clean(text, NAME_CHARS / 2).into())], ports }
    }

    /// As it is written, shortened.
    pub(crate) fn text(&self) -> String {
        let texts: BTreeSet<&str> = self.parts.iter().map(|(_, text)| &**text).collect();
        clean(&texts.into_iter().collect::<Vec<_>>().join(", "), NAME_CHARS / 2)
    }

    /// Whether both are the same ports, however they are written.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        if self.ports.is_none() { self.parts == other.parts } else { self.ports == other.ports }
    }

    /// Whether the range has the port for certain.
    pub(crate) fn has(&self, port: u16, transport: Transport) -> bool {
        let Some(ports) = &self.ports else { return false };
        let spans = if transport == Transport::Tcp { &ports.tcp } else { &ports.udp };
        let after = spans.partition_point(|(first, _)| *first <= port);
        let is_listed = after.checked_sub(1).is_some_and(|at| port <= spans[at].1);
        is_listed || (ports.with_default && USUAL.contains(&port))
    }

    /// The ports of both: two scans of a host looked at either.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut together = [&self.parts[..], &other.parts].concat();
        together.sort_unstable();
        together.dedup_by(|later, first| later.0 == first.0 && (first.0.is_some() || later.1 == first.1));
        together.truncate(MOST_PARTS);
        let ports = self.ports.as_ref().zip(other.ports.as_ref()).map(|(one, another)| Ports {
            with_default: one.with_default || another.with_default,
            tcp: merged([&one.tcp[..], &another.tcp].concat()),
            udp: merged([&one.udp[..], &another.udp].concat()),
        });
        Self { parts: together, ports }
    }

    /// How many rows it has.
    pub(crate) fn len(&self) -> usize {
        let rows = |ports: &Ports| ports.tcp.len() + ports.udp.len();
        let parts = self.parts.iter().filter_map(|(ports, _)| ports.as_ref());
        parts.chain(&self.ports).map(rows).sum()
    }
}

impl Ports {
    fn read(text: &str) -> Option<Self> {
        let mut ports = Self::default();
        // A letter holds for what follows, up to the next one.
        let mut only = None;
        for word in text.split([',', ';', ' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()) {
            let mut word = word;
            for (letter, transport) in [('T', Transport::Tcp), ('U', Transport::Udp)] {
                let rest = word.strip_prefix([letter, letter.to_ascii_lowercase()]);
                if let Some(rest) = rest.and_then(|rest| rest.strip_prefix(':')) {
                    only = Some(transport);
                    word = rest;
                }
            }
            if word.is_empty() {
                continue;
            }
            if word.eq_ignore_ascii_case("default") {
                ports.with_default = true;
                continue;
            }
            let span = if word.eq_ignore_ascii_case("all") { (0, u16::MAX) } else { span(word)? };
            if only != Some(Transport::Udp) {
                ports.tcp.push(span);
            }
            if only != Some(Transport::Tcp) {
                ports.udp.push(span);
            }
        }
        ports.tcp = merged(mem::take(&mut ports.tcp));
        ports.udp = merged(mem::take(&mut ports.udp));
        Some(ports)
    }
}

/// `80`, `1-1000`, `-1000`, `1000-`.
fn span(word: &str) -> Option<Span> {
    let Some((first, last)) = word.split_once('-') else {
        let port = word.parse().ok()?;
        return Some((port, port));
    };
    let first = if first.is_empty() { 1 } else { first.parse().ok()? };
    let last = if last.is_empty() { u16::MAX } else { last.parse().ok()? };
    (first <= last).then_some((first, last))
}

/// In order, and what touches joined. Port 0 is the host itself, which every scan looks at.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    for span in &mut spans {
        if span.0 <= 1 {
            span.0 = 0;
        }
    }
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::new();
    for (first, last) in spans {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined.shrink_to_fit();
    joined
}

#[cfg(test)]
mod tests {
    use super::{
        Transport::{Tcp, Udp},
        *,
    };

    fn range(text: &str) -> PortRange {
        PortRange::read(text).unwrap()
    }

    #[test]
    fn ranges_are_read_as_they_are_written() {
        for (text, there, missing) in [
            ("1-65535", vec![(1, Tcp), (65_535, Udp)], vec![]),
            ("all", vec![(1, Tcp), (65_535, Udp)], vec![]),
            ("80,443", vec![(80, Tcp), (443, Udp)], vec![(8443, Tcp), (81, Tcp)]),
            (" 443 , 80-90\n", vec![(85, Tcp), (443, Tcp)], vec![(91, Tcp), (79, Tcp)]),
            ("T:1-1000,U:53", vec![(1000, Tcp), (53, Udp)], vec![(1001, Tcp), (54, Udp), (1000, Udp)]),
            ("t:80,443,u:53,161", vec![(443, Tcp), (161, Udp)], vec![(161, Tcp), (443, Udp)]),
            ("T:80", vec![(80, Tcp)], vec![(80, Udp)]),
            ("-100,60000-", vec![(1, Tcp), (65_535, Tcp)], vec![(101, Tcp)]),
            ("default", vec![(443, Tcp), (161, Udp)], vec![(48_211, Tcp)]),
            ("default,48211", vec![(443, Tcp), (48_211, Tcp)], vec![(48_212, Tcp)]),
            ("whatever", vec![], vec![(80, Tcp)]),
            ("80-70", vec![], vec![(80, Tcp)]),
            ("70000", vec![], vec![(80, Tcp)]),
        ] {
            let range = range(text);
            for (port, transport) in there {
                assert!(range.has(port, transport), "{text}: {port} {transport:?}");
            }
            for (port, transport) in missing {
                assert!(!range.has(port, transport), "{text}: {port} {transport:?}");
            }
        }
        assert_eq!(PortRange::read(" "), None);
    }

    #[test]
    fn ranges_are_the_same_however_they_are_written() {
        for (one, another) in [("80,443", "443, 80"), ("1-65535", "all"), ("0-65535", "1-"), ("1-10,11-20", "1-20")] {
            assert!(range(one).is_same(&range(another)), "{one} {another}");
            assert_eq!(range(one).union(&range(another)), range(another).union(&range(one)));
        }
        for (one, another) in [("80", "443"), ("default", "default,1-"), ("T:80", "80"), ("x", "y")] {
            assert!(!range(one).is_same(&range(another)), "{one} {another}");
        }
        let both = range("80").union(&range("T:443"));
        assert!(both.has(443, Tcp) && both.has(80, Udp) && !both.has(443, Udp));
        assert_eq!(both, range("T:443").union(&range("80")));
        let ranges = ["1-65535", "all", "2", "x", "1,2", "1-2", "1"].map(range);
        for one in &ranges {
            for another in &ranges {
                for third in &ranges {
                    assert_eq!(one.union(another).union(third), third.union(one).union(another));
                }
            }
        }
    }
}
