//! What an export says about which machine a host is.

use std::net::IpAddr;

use super::super::{
    fields::FieldId,
    host::Host,
    host_names::{self, as_address, plain},
};

/// Where a name of a machine was found, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Source {
    Fqdn,
    ReverseDns,
    Fqdns,
    Hostname,
    Netbios,
}

/// The most names, and the most hardware addresses, that are kept of a host: the first in order.
const MOST: usize = 64;

/// A hardware address.
pub(super) type Mac = [u8; 6];

/// The evidence of one host, in a form that can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostEvidence {
    /// What was scanned, in lower case and without a trailing dot: a name, an address, or the URL of a web application.
    name: Box<str>,
    address: Option<IpAddr>,
    /// Sorted, each once; those looked up in DNS come first.
    names: Vec<(Source, Box<str>)>,
    /// Sorted, each once.
    macs: Vec<Mac>,
}

impl HostEvidence {
    /// Evidence of a host of which only `ReportHost/@name` is known.
    pub(crate) fn named(name: &str) -> Self {
        let name = plain(name);
        Self { address: as_address(&name), name: name.into(), ..Self::default() }
    }

    /// What is kept of a host.
    pub(crate) fn of(host: &Host) -> Self {
        const ONE_TEXT: [FieldId; 6] = [
            FieldId::HostIp,
            FieldId::HostFqdn,
            FieldId::HostRdns,
            FieldId::Hostname,
            FieldId::NetbiosName,
            FieldId::MacAddress,
        ];
        let mut evidence = Self::named(&host.name);
        for id in ONE_TEXT {
            if let Some(value) = host.get(id) {
                evidence.note(id.field().xml, value);
            }
        }
        host.listed_names().for_each(|name| evidence.add_name(Source::Fqdns, name));
        evidence
    }

    /// Takes in a tag of the `HostProperties`; those that say nothing about the identity are left out.
    pub(crate) fn note(&mut self, tag: &str, value: &str) {
        match tag {
            "host-ip" => self.address = as_address(value).or(self.address),
            "host-fqdn" => self.add_name(Source::Fqdn, value),
            "host-rdns" => self.add_name(Source::ReverseDns, value),
            "host-fqdns" => host_names::listed(value).iter().for_each(|name| self.add_name(Source::Fqdns, name)),
            "hostname" => self.add_name(Source::Hostname, value),
            "netbios-name" => self.add_name(Source::Netbios, host_names::of_netbios(value)),
            "mac-address" => {
                for mac in value.split_whitespace().filter_map(read_mac) {
                    insert(&mut self.macs, mac);
                }
            }
            _ => {}
        }
    }

    /// Takes in the evidence of another block of the same host.
    pub(crate) fn merge(&mut self, other: &Self) {
        // A name says more than an address; of two that say as much, the order of the blocks must not decide.
        let rank = |evidence: &Self| (evidence.hostname().is_none(), evidence.name.clone());
        if rank(other) < rank(self) {
            self.name.clone_from(&other.name);
        }
        self.address = match (self.address, other.address) {
            (Some(one), Some(another)) => Some(one.min(another)),
            (one, another) => one.or(another),
        };
        for name in &other.names {
            insert(&mut self.names, name.clone());
        }
        for mac in &other.macs {
            insert(&mut self.macs, *mac);
        }
    }

    /// Without hardware addresses for which `tells` is false.
    pub(super) fn with_macs(&self, tells: impl Fn(&Mac) -> bool) -> Self {
        Self { macs: self.macs.iter().copied().filter(tells).collect(), ..self.clone() }
    }

    /// What was scanned.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The address that was scanned.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    pub(super) fn macs(&self) -> &[Mac] {
        &self.macs
    }

    /// The name that was scanned, when it is no address.
    pub(crate) fn hostname(&self) -> Option<&str> {
        machine_name(&self.name)
    }

    /// Every name of the machine, the one that was scanned among them; some may come twice.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.hostname().into_iter().chain(self.names.iter().map(|(_, name)| &**name))
    }

    /// The name that DNS has for the machine: the one that was scanned, or else the first that was looked up.
    pub(super) fn dns_name(&self) -> Option<&str> {
        let looked_up = self.names.iter().find(|(source, _)| *source <= Source::Fqdns);
        // The target as it was written tells two web applications of one site apart.
        if self.hostname().is_some() { Some(&self.name) } else { looked_up.map(|(_, name)| &**name) }
    }

    fn add_name(&mut self, source: Source, value: &str) {
        let name = plain(value);
        // A list in a form that is not known says nothing.
        if let Some(name) = machine_name(&name).filter(|name| !name.contains(char::is_whitespace)) {
            insert(&mut self.names, (source, name.into()));
        }
    }
}

/// The machine's name in a plain name: without scheme, port and path, where it is a URL. Addresses, and names that every
/// machine has for itself, are none.
fn machine_name(name: &str) -> Option<&str> {
    let name = host_names::of_target(name).trim_end_matches('.');
    let is_common = matches!(name, "" | "localhost" | "localhost.localdomain" | "localhost6" | "localhost4");
    (!is_common && as_address(name).is_none()).then_some(name)
}

/// A hardware address that belongs to one machine: those of groups, of redundant routers (VRRP, HSRP) and of containers are
/// the same on many.
fn read_mac(text: &str) -> Option<Mac> {
    let mut mac = [0; 6];
    let mut digits = text.bytes().filter(|byte| !matches!(byte, b':' | b'-' | b'.'));
    let mut digit = || char::from(digits.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for byte in &mut mac {
        *byte = digit()? << 4 | digit()?;
    }
    let is_long = digits.next().is_some();
    let is_of_many = mac[0] & 1 == 1
        || mac.starts_with(&[0x00, 0x00, 0x5E, 0x00])
        || mac.starts_with(&[0x00, 0x00, 0x0C, 0x07, 0xAC])
        || mac.starts_with(&[0x02, 0x42])
        || mac == [0; 6];
    (!is_long && !is_of_many).then_some(mac)
}

fn insert<T: Ord>(sorted: &mut Vec<T>, value: T) {
    if let Err(at) = sorted.binary_search(&value) {
        sorted.insert(at, value);
        sorted.truncate(MOST);
    }
}

#[cfg(test)]
impl HostEvidence {
    /// As a test writes it: `name`, then `tag=value` with `ip`, `fqdn`, `netbios` and `mac` for short.
    pub(super) fn written(text: &str) -> Self {
        let mut words = text.split(' ');
        let mut evidence = Self::named(words.next().unwrap());
        for word in words {
            let (tag, value) = word.split_once('=').unwrap();
            let tag = match tag {
                "ip" => "host-ip",
                "fqdn" => "host-fqdn",
                "netbios" => "netbios-name",
                "mac" => "mac-address",
                other => other,
            };
            evidence.note(tag, value);
        }
        evidence
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn names_are_compared_without_what_is_written_differently() {
        assert_eq!(HostEvidence::named("WEB01.corp.example. "), HostEvidence::named("web01.corp.example"));
        let mut evidence = HostEvidence::named("192.0.2.20");
        evidence.note("host-fqdn", "WEB01.Corp.Example.");
        evidence.note("netbios-name", r"CORP\WEB01");
        evidence.note("host-fqdns", r#"[{"FQDN":"web01.corp.example","sources":["determine_fqdn()"]}]"#);
        evidence.note("host-fqdns", "web02, web03");
        evidence.note("hostname", "localhost.localdomain");
        assert_eq!(evidence.names().collect::<Vec<_>>(), ["web01.corp.example", "web01.corp.example", "web01"]);
        assert_eq!(evidence.dns_name(), Some("web01.corp.example"));
        assert_eq!(HostEvidence::named("http://shop.example:8080/a").names().collect::<Vec<_>>(), ["shop.example"]);
    }

    #[test]
    fn hardware_addresses_of_many_machines_say_nothing() {
        let mut evidence = HostEvidence::named("h");
        evidence.note("mac-address", "00:50:56:A6:60:BC\n0050.56a6.60bc 00-50-56-a6-60-bc");
        assert_eq!(evidence.macs(), [[0x00, 0x50, 0x56, 0xA6, 0x60, 0xBC]]);
        for none in [
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "00:00:5e:00:01:0a",
            "02:42:ac:11:00:02",
            "00:50:56",
            "x",
            "00:50:56:a6:60:bc:01",
        ] {
            assert_eq!(read_mac(none), None, "{none}");
        }
    }

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        let mut mapped = HostEvidence::named("h");
        mapped.note("host-ip", " ::ffff:192.0.2.1 ");
        assert_eq!(mapped.address(), HostEvidence::named("192.0.2.1").address());
        assert_eq!(HostEvidence::named("2001:DB8::7").address(), HostEvidence::named("2001:db8:0::7").address());
    }

    #[test]
    fn blocks_are_merged_to_the_same_in_either_order() {
        let mut first = HostEvidence::named("192.0.2.20");
        first.note("mac-address", "00:50:56:00:00:01");
        let mut second = HostEvidence::named("web01.corp.example");
        second.note("host-ip", "192.0.2.20");
        let mut there = first.clone();
        there.merge(&second);
        second.merge(&first);
        assert_eq!(there, second);
        assert_eq!(there.hostname(), Some("web01.corp.example"));
    }
}
