//! The targets that were asked for, held against the hosts of an export.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use crate::{
    results::{
        query::NameKey,
        record::{Host, HostEvidence, Machines},
        texts::{NAME_CHARS, clean},
    },
    targets::{TargetPiece, TargetSet},
};

/// How many targets or hosts are named; the rest is counted.
const NAMED: usize = 20;
/// How many names are remembered, because some may turn out to be of machines that were asked for.
const REMEMBERED: usize = 1_000;
/// Ranges of at most so many addresses are written out.
const WRITTEN_OUT: u128 = 8;

/// What an export has of the targets, noted while it is read: some 20 bytes of each host.
///
/// A target is there when a host has its address, was scanned under its name, or was scanned otherwise and has its name.
#[derive(Debug)]
pub(super) struct Coverage {
    asked: TargetSet,
    /// The names that were asked for, each with whether it is there.
    names: BTreeMap<Box<str>, bool>,
    /// Of the names with a domain the part before it; `None` where several begin so.
    short: HashMap<Box<str>, Option<Box<str>>>,
    addresses: Vec<IpAddr>,
    /// Whether each block was asked for.
    is_asked: Vec<bool>,
    /// The names and numbers of the first blocks that were not, in the order of names.
    others: BTreeSet<(NameKey, String, usize)>,
}

/// What differs between the targets and the hosts of an export.
#[derive(Debug)]
pub(super) struct TargetDifferences {
    /// How many hosts were asked for.
    pub asked: u128,
    /// The targets that are not in the export.
    pub missing: TargetSet,
    /// How many hosts of the export are no targets.
    pub others: usize,
    /// The first of them.
    other_names: Vec<String>,
}

impl Coverage {
    pub(super) fn new(asked: TargetSet) -> Self {
        let mut names = BTreeMap::new();
        let mut short: HashMap<Box<str>, Option<Box<str>>> = HashMap::new();
        for piece in asked.pieces() {
            let TargetPiece::Name(name) = piece else { continue };
            names.insert(Box::from(name), false);
            if let Some((first, _)) = name.split_once('.') {
                short.entry(first.into()).and_modify(|only| *only = None).or_insert_with(|| Some(name.into()));
            }
        }
        Self { asked, names, short, addresses: Vec::new(), is_asked: Vec::new(), others: BTreeSet::new() }
    }

    /// Takes the next block.
    pub(super) fn see(&mut self, host: &Host, evidence: &HostEvidence) {
        let mut is_asked = false;
        for address in host.addresses().filter(|address| self.asked.contains_address(*address)) {
            is_asked = true;
            if self.addresses.last() != Some(&address) {
                self.addresses.push(address);
            }
        }
        // Two sites at one address have names in common, so the others count only where the scanned one is no target.
        let mut is_named = evidence.hostname().is_some_and(|name| self.see_name(name));
        if !is_named {
            for name in evidence.names() {
                is_named |= self.see_name(name);
            }
        }
        if !is_named {
            for name in evidence.names() {
                is_named |= self.see_short(name);
            }
        }
        is_asked |= is_named;
        if !is_asked {
            let name = clean(&host.name, NAME_CHARS);
            self.others.insert((NameKey::of(&name), name, self.is_asked.len()));
            if self.others.len() > REMEMBERED {
                self.others.pop_last();
            }
        }
        self.is_asked.push(is_asked);
    }

    /// Whether this name of a machine, or what stands before its domain, was asked for.
    fn see_name(&mut self, name: &str) -> bool {
        let short = name.split_once('.').map(|(short, _)| short);
        let mut is_asked = false;
        for name in [Some(name), short].into_iter().flatten() {
            if let Some(is_there) = self.names.get_mut(name) {
                *is_there = true;
                is_asked = true;
            }
        }
        is_asked
    }

    /// Whether only one name was asked for that begins with this one, which has no domain.
    fn see_short(&mut self, name: &str) -> bool {
        let Some(Some(asked)) = self.short.get(name) else { return false };
        self.names.get_mut(asked).is_some_and(|is_there| {
            *is_there = true;
            true
        })
    }

    pub(super) fn finish(self, machines: &Machines) -> TargetDifferences {
        let missing = self.asked.without(self.addresses, |name| self.names.get(name) == Some(&true));
        let mut asked_for = vec![false; self.is_asked.len()];
        for (block, is_asked) in self.is_asked.iter().enumerate() {
            if let Some(machine) = asked_for.get_mut(machines.of(block)) {
                *machine |= is_asked;
            }
        }
        let is_other = |machine: usize| asked_for.get(machine) == Some(&false);
        let mut other_names = Vec::new();
        let mut named = Vec::new();
        for (_, name, block) in self.others {
            let machine = machines.of(block);
            if other_names.len() < NAMED && is_other(machine) && !named.contains(&machine) {
                named.push(machine);
                other_names.push(name);
            }
        }
        TargetDifferences {
            asked: self.asked.host_count(),
            missing,
            others: (0..machines.count as usize).filter(|machine| is_other(*machine)).count(),
            other_names,
        }
    }
}

impl TargetDifferences {
    /// The first missing targets, names before addresses, and how many more there are.
    pub(super) fn missing_named(&self) -> String {
        let mut named = Vec::new();
        let mut count = 0_u128;
        let is_name = |piece: &TargetPiece<'_>| matches!(piece, TargetPiece::Name(_));
        let pieces = self.missing.pieces().filter(is_name).chain(self.missing.pieces().filter(|piece| !is_name(piece)));
        for piece in pieces {
            for (text, hosts) in written(piece) {
                if named.len() == NAMED {
                    return list(&named, self.missing.host_count().saturating_sub(count));
                }
                named.push(text);
                count = count.saturating_add(hosts);
            }
        }
        list(&named, 0)
    }

    /// The first hosts that are no targets, and how many more there are.
    pub(super) fn others_named(&self) -> String {
        list(&self.other_names, (self.others - self.other_names.len()) as u128)
    }
}

/// A piece with the number of its hosts; one of few addresses as these.
fn written(piece: TargetPiece<'_>) -> Vec<(String, u128)> {
    let bits = |address| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let hosts = match piece {
        TargetPiece::Addresses { first, last } => (bits(last) - bits(first)).saturating_add(1),
        _ => 1,
    };
    match piece {
        TargetPiece::Addresses { first, .. } if hosts <= WRITTEN_OUT => {
            let single = |at: u128| match first {
                IpAddr::V4(first) => IpAddr::V4((first.to_bits() + u32::try_from(at).unwrap_or_default()).into()),
                IpAddr::V6(first) => IpAddr::V6((first.to_bits() + at).into()),
            };
            (0..hosts).map(|at| (single(at).to_string(), 1)).collect()
        }
        other => vec![(other.to_string(), hosts)],
    }
}

fn list(named: &[String], more: u128) -> String {
    let named = named.join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Validation, ValidationReport, record::FieldId};

    fn host(name: &str, tags: &[(&str, &str)]) -> String {
        let tags: Vec<String> = tags.iter().map(|(tag, value)| format!("<tag name='{tag}'>{value}</tag>")).collect();
        let tags = tags.concat();
        format!(
            "<ReportHost name='{name}'><HostProperties>{tags}</HostProperties>\
             <ReportItem pluginID='1' severity='0' port='0'/></ReportHost>"
        )
    }

    fn report(targets: &str, hosts: &[String]) -> ValidationReport {
        let export = format!("<NessusClientData_v2><Report>{}</Report></NessusClientData_v2>", hosts.concat());
        Validation::new().targets(targets.parse().unwrap()).run(std::io::Cursor::new(export)).unwrap()
    }

    #[track_caller]
    fn check(targets: &str, hosts: &[String], missing: Option<&str>, others: Option<&str>) {
        let mut turned = hosts.to_vec();
        turned.reverse();
        for hosts in [hosts, &turned] {
            let report = report(targets, hosts);
            let message =
                |code| report.warnings.iter().find(|warning| warning.code == code).map(|warning| &*warning.message);
            let after = |message: &str| message.split_once(": ").unwrap().1.rsplit(": ").next().unwrap().to_owned();
            assert_eq!(message("targets_without_results").map(after).as_deref(), missing, "{:?}", report.warnings);
            assert_eq!(message("hosts_not_asked_for").map(after).as_deref(), others, "{:?}", report.warnings);
        }
    }

    #[test]
    fn targets_and_hosts_are_compared_one_by_one() {
        let plain = |name: &str| host(name, &[]);
        check(
            "192.0.2.100,192.0.2.101",
            &[plain("192.0.2.40"), plain("192.0.2.41")],
            Some("192.0.2.100, 192.0.2.101"),
            Some("192.0.2.40, 192.0.2.41"),
        );
        check("192.0.2.40-41", &[plain("192.0.2.40"), plain("192.0.2.41")], None, None);
        check("2001:DB8::7, ::ffff:192.0.2.1", &[plain("2001:db8:0::7"), plain("192.0.2.1")], None, None);
        check("192.0.2.0/30, web01", &[plain("192.0.2.1")], Some("web01, 192.0.2.0, 192.0.2.2, 192.0.2.3"), None);
        check("192.0.2.1", &[], Some("192.0.2.1"), None);
    }

    #[test]
    fn a_name_is_found_whatever_the_host_was_called() {
        let by_address = |tag, name| [host("192.0.2.20", &[(tag, name)])];
        for (tag, name) in [
            ("host-fqdn", "WEB01.corp.example."),
            ("host-rdns", "web01.corp.example"),
            ("host-fqdns", r#"[{"FQDN":"x.example"},{"FQDN":"web01.corp.example"}]"#),
            ("hostname", "web01"),
            ("netbios-name", r"CORP\WEB01"),
        ] {
            check("Web01.Corp.Example.", &by_address(tag, name), None, None);
            check("web01,192.0.2.0/28", &by_address(tag, name), Some("192.0.2.0/28"), None);
        }
        check("192.0.2.20", &[host("web01", &[("host-ip", "192.0.2.20")])], None, None);
        check(
            "shop.example, 192.0.2.5",
            &[host("https://SHOP.example:8443/a", &[]), host("http://192.0.2.5/", &[])],
            None,
            None,
        );
        check(
            "a.corp.example, a.lab.example",
            &by_address("netbios-name", "A"),
            Some("a.corp.example, a.lab.example"),
            Some("192.0.2.20"),
        );
    }

    #[test]
    fn a_site_that_was_not_scanned_is_missing_though_another_at_its_address_was() {
        let site = host("a.example", &[("host-ip", "192.0.2.20"), ("host-rdns", "b.example")]);
        check("a.example, b.example", &[site], Some("b.example"), None);
    }

    #[test]
    fn a_machine_with_two_blocks_is_asked_for_when_one_is() {
        let blocks = [host("web01", &[("host-ip", "192.0.2.20")]), host("web01", &[])];
        check("192.0.2.20", &blocks, None, None);
    }

    #[test]
    fn large_ranges_are_counted_and_not_written_out() {
        let hosts: Vec<String> = (0..60).map(|at| host(&format!("10.0.{at}.7"), &[])).collect();
        let report = report("10.0.0.0/16, 2001:db8::/32", &hosts);
        let message = &report.warnings[0].message;
        let total = (1_u128 << 96) + (1 << 16);
        assert!(message.starts_with(&format!("{} of {total} targets have no results", total - 60)), "{message}");
        assert!(message.contains(": 10.0.0.0, 10.0.0.1, 10.0.0.2"), "{message}");
        assert!(message.contains("10.0.0.8-10.0.1.6, ") && message.len() < 700, "{message}");
        let named = message.rsplit(" and ").next().unwrap();
        assert!(named.ends_with(" more"), "{message}");
    }

    #[test]
    fn many_hosts_that_were_not_asked_for_are_counted() {
        let hosts: Vec<String> = (0..1_200).map(|at| host(&format!("10.1.{}.{}", at / 200, at % 200), &[])).collect();
        let report = report("192.0.2.1", &hosts);
        let message = &report.warnings[1].message;
        assert!(
            message.starts_with("1200 hosts are in the export and were not asked for: 10.1.0.0, 10.1.0.1"),
            "{message}"
        );
        assert!(message.ends_with("10.1.0.19 and 1180 more"), "{message}");
    }

    #[test]
    fn few_bytes_are_kept_of_a_host() {
        assert!(size_of::<IpAddr>() + size_of::<bool>() <= 20);
        let mut coverage = Coverage::new("10.0.0.0/8".parse().unwrap());
        let mut found = Host::named("10.0.0.1".to_owned());
        found.set(FieldId::HostIp, "10.0.0.1".to_owned());
        coverage.see(&found, &HostEvidence::of(&found));
        assert_eq!((coverage.addresses.len(), coverage.others.len()), (1, 0), "the name is the address");
    }
}
