//! Which hosts are one machine.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    net::IpAddr,
};

use super::evidence::{HostEvidence, Mac};

/// Why a host of one export is a host of another, the strongest reason first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tie {
    /// Scanned under the same name, at the same address, or neither export says one.
    NameAndAddress,
    /// Scanned under the same name; one export says no address.
    Name,
    /// At the same address, and they agree in a name.
    MachineName,
    /// At the same address, and they agree in a hardware address.
    Mac,
    /// At another address, with the same hardware address and no other name.
    Moved,
}

impl Tie {
    const ALL: [Self; 5] = [Self::NameAndAddress, Self::Name, Self::MachineName, Self::Mac, Self::Moved];
}

/// What two hosts say about one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Same,
    Other,
    /// One of them says nothing.
    Nothing,
}

/// Whether two hosts of different exports are one machine, and why. The stronger reasons come first, and where both would
/// do, the first is told.
fn tie(one: &HostEvidence, another: &HostEvidence) -> Option<Tie> {
    let is_same_name = one.name() == another.name();
    let (names, macs) = (compare_names(one, another), compare_macs(one, another));
    let agrees = names == Said::Same || macs == Said::Same;
    let is_contradicted = !agrees && (names == Said::Other || macs == Said::Other);
    match compare_addresses(one, another) {
        Said::Same if is_same_name => (!is_contradicted).then_some(Tie::NameAndAddress),
        Said::Same if names == Said::Same => Some(Tie::MachineName),
        Said::Same => (macs == Said::Same).then_some(Tie::Mac),
        // Neither says one: all that is said is the same.
        Said::Nothing if is_same_name && one.address() == another.address() => {
            (!is_contradicted).then_some(Tie::NameAndAddress)
        }
        Said::Nothing => (is_same_name && !is_contradicted).then_some(Tie::Name),
        Said::Other => (macs == Said::Same && names != Said::Other).then_some(Tie::Moved),
    }
}

/// Pairs the hosts of two exports, each with at most one: indices of `before` and `after` and the reason, in the order of
/// `before`.
///
/// Reasons are tried from the strongest to the weakest. Where more than one pair would do, none is taken: the pairs do not
/// depend on the order of the hosts, nor on which export is called `before`. Each list must have been [`group`](super::group)ed.
pub(crate) fn match_hosts(before: &[HostEvidence], after: &[HostEvidence]) -> Vec<(usize, usize, Tie)> {
    let (before, after) = (telling(before), telling(after));
    let mut taken: (HashSet<usize>, HashSet<usize>) = (HashSet::new(), HashSet::new());
    let mut pairs = Vec::new();
    for reason in Tie::ALL {
        // How often each host is in a pair; the same two may share several keys.
        let mut candidates = HashSet::new();
        let there = owners(&after, reason);
        for (key, owner) in owners(&before, reason) {
            if let (Some(was), Some(Some(is))) = (owner, there.get(&key))
                && !taken.0.contains(&was)
                && !taken.1.contains(is)
                && tie(&before[was], &after[*is]) == Some(reason)
            {
                candidates.insert((was, *is));
            }
        }
        let (mut of_before, mut of_after) = (HashMap::new(), HashMap::new());
        for (was, is) in &candidates {
            *of_before.entry(*was).or_insert(0_u32) += 1;
            *of_after.entry(*is).or_insert(0_u32) += 1;
        }
        for (was, is) in candidates {
            if of_before.get(&was) == Some(&1) && of_after.get(&is) == Some(&1) {
                taken.0.insert(was);
                taken.1.insert(is);
                pairs.push((was, is, reason));
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

/// What hosts must have in common to be tied for a reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Common {
    Name(Box<str>),
    At(IpAddr, Box<str>),
    MacAt(IpAddr, Mac),
    Mac(Mac),
}

/// The only host that has each thing; `None` where there are several.
fn owners(hosts: &[HostEvidence], reason: Tie) -> BTreeMap<Common, Option<usize>> {
    let mut owners = BTreeMap::new();
    for (at, host) in hosts.iter().enumerate() {
        let mut own = |common| {
            let owner = owners.entry(common).or_insert(Some(at));
            *owner = owner.filter(|owner| *owner == at);
        };
        match (reason, host.address()) {
            (Tie::NameAndAddress, Some(address)) => own(Common::At(address, host.name().into())),
            (Tie::NameAndAddress, None) | (Tie::Name, _) => own(Common::Name(host.name().into())),
            (Tie::MachineName, Some(address)) => {
                for name in host.names() {
                    own(Common::At(address, name.into()));
                    own(Common::At(address, short(name).into()));
                }
            }
            (Tie::Mac, Some(address)) => host.macs().iter().for_each(|mac| own(Common::MacAt(address, *mac))),
            (Tie::Moved, Some(_)) => host.macs().iter().for_each(|mac| own(Common::Mac(*mac))),
            _ => {}
        }
    }
    owners
}

/// The hosts without the hardware addresses that were seen at several addresses: they are of a router on the way.
fn telling(hosts: &[HostEvidence]) -> Vec<HostEvidence> {
    let mut seen: HashMap<Mac, Option<IpAddr>> = HashMap::new();
    let mut shared = HashSet::new();
    for host in hosts {
        for mac in host.macs() {
            if *seen.entry(*mac).or_insert(host.address()) != host.address() {
                shared.insert(*mac);
            }
        }
    }
    hosts.iter().map(|host| host.with_macs(|mac| !shared.contains(mac))).collect()
}

fn compare_addresses(one: &HostEvidence, another: &HostEvidence) -> Said {
    match (one.address(), another.address()) {
        (Some(one), Some(another)) if one == another => Said::Same,
        (Some(_), Some(_)) => Said::Other,
        _ => Said::Nothing,
    }
}

fn compare_names(one: &HostEvidence, another: &HostEvidence) -> Said {
    compare(one.names(), another.names(), |one, another| {
        // A name without a domain is that of any domain.
        one == another || (short(one) == short(another) && (!one.contains('.') || !another.contains('.')))
    })
}

fn compare_macs(one: &HostEvidence, another: &HostEvidence) -> Said {
    compare(one.macs().iter(), another.macs().iter(), |one, another| one == another)
}

fn compare<T: Copy>(
    mut one: impl Iterator<Item = T>,
    another: impl Iterator<Item = T>,
    is_same: impl Fn(T, T) -> bool,
) -> Said {
    let another: Vec<T> = another.collect();
    let mut said_any = false;
    let agrees = one.any(|value| {
        said_any = true;
        another.iter().any(|other| is_same(value, *other))
    });
    match (agrees, said_any && !another.is_empty()) {
        (true, _) => Said::Same,
        (false, true) => Said::Other,
        (false, false) => Said::Nothing,
    }
}

/// A name without its domain.
fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, another: &str, expected: Option<Tie>) {
        let (one, another) = (HostEvidence::written(one), HostEvidence::written(another));
        assert_eq!(tie(&one, &another), expected);
        assert_eq!(tie(&another, &one), expected, "the other way round");
        let matched: Vec<_> = match_hosts(&[one], &[another]).into_iter().map(|(_, _, tie)| tie).collect();
        assert_eq!(matched, Vec::from_iter(expected), "matched as tied");
    }

    const MAC: &str = "mac=00:50:56:00:00:01";
    const OTHER_MAC: &str = "mac=00:50:56:00:00:02";

    #[test]
    fn the_rule() {
        let by_address = "192.0.2.20 fqdn=web01.corp.example";
        check(by_address, by_address, Some(Tie::NameAndAddress));
        check(by_address, "web01.corp.example ip=192.0.2.20", Some(Tie::MachineName));
        check("web01.corp.example ip=192.0.2.20", "WEB01.corp.example. ip=192.0.2.20", Some(Tie::NameAndAddress));
        check("web01.corp.example ip=192.0.2.20", "web01.corp.example", Some(Tie::Name));
        check(by_address, "web01 ip=192.0.2.20", Some(Tie::MachineName));
        check("192.0.2.20 netbios=WEB01", "web01.corp.example ip=192.0.2.20", Some(Tie::MachineName));
        // The same name at other addresses is two machines, unless it is the same hardware.
        check("web01.corp.example ip=192.0.2.20", "web01.corp.example ip=192.0.2.21", None);
        check(by_address, "192.0.2.21 fqdn=web01.corp.example", None);
        check(&format!("web01 ip=192.0.2.20 {MAC}"), &format!("web01 ip=192.0.2.21 {MAC}"), Some(Tie::Moved));
        check(&format!("192.0.2.20 {MAC}"), &format!("192.0.2.21 {MAC}"), Some(Tie::Moved));
        check(&format!("a ip=192.0.2.20 {MAC}"), &format!("b ip=192.0.2.21 {MAC}"), None);
        // An address that answers as another name is that machine only if something else agrees.
        check(by_address, "192.0.2.20 fqdn=db07.corp.example", None);
        check("a.example ip=192.0.2.20", "b.example ip=192.0.2.20", None);
        check("192.0.2.20", "a.example ip=192.0.2.20", None);
        check(
            &format!("{by_address} {MAC}"),
            &format!("192.0.2.20 fqdn=db07.corp.example {MAC}"),
            Some(Tie::NameAndAddress),
        );
        check(&format!("a.example ip=192.0.2.20 {MAC}"), &format!("b.example ip=192.0.2.20 {MAC}"), Some(Tie::Mac));
        check(&format!("{by_address} {MAC}"), &format!("{by_address} {OTHER_MAC}"), Some(Tie::NameAndAddress));
        check(&format!("192.0.2.20 {MAC}"), &format!("192.0.2.20 {OTHER_MAC}"), None);
        check("192.0.2.20", "192.0.2.20 fqdn=web01.corp.example", Some(Tie::NameAndAddress));
        check("www.a.example ip=192.0.2.20", "www.b.example ip=192.0.2.20", None);
    }

    #[test]
    fn two_sites_at_one_address_stay_two() {
        let sites = [
            HostEvidence::written(&format!("a.example ip=192.0.2.20 {MAC}")),
            HostEvidence::written(&format!("b.example ip=192.0.2.20 {MAC}")),
        ];
        let turned = [sites[1].clone(), sites[0].clone()];
        assert_eq!(match_hosts(&sites, &turned), [(0, 1, Tie::NameAndAddress), (1, 0, Tie::NameAndAddress)]);
        // One of them went, another came: the hardware does not say that it is the same site.
        let later = [sites[0].clone(), HostEvidence::written(&format!("c.example ip=192.0.2.20 {MAC}"))];
        assert_eq!(match_hosts(&sites, &later), [(0, 0, Tie::NameAndAddress)]);
    }

    #[test]
    fn a_hardware_address_at_several_addresses_is_of_a_router() {
        let before =
            [HostEvidence::written(&format!("192.0.2.20 {MAC}")), HostEvidence::written(&format!("192.0.2.21 {MAC}"))];
        let after = [HostEvidence::written(&format!("192.0.2.30 {MAC}"))];
        assert_eq!(match_hosts(&before, &after), []);
        let after = [HostEvidence::written(&format!("192.0.2.20 {OTHER_MAC}"))];
        assert_eq!(match_hosts(&before, &after), [(0, 0, Tie::NameAndAddress)], "so it contradicts nothing");
    }
}
