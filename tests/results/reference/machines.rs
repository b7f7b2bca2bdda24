//! Which hosts are one machine, as `docs/identity.md` says.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// What is known of a host.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// What was scanned.
    pub(crate) name: String,
    pub(crate) address: Option<IpAddr>,
    /// The names that were found.
    pub(crate) names: Vec<String>,
}

/// Without what is written differently.
fn plain(name: &str) -> String {
    name.trim().trim_end_matches('.').to_lowercase()
}

fn is_name(name: &str) -> bool {
    let names_of_all = ["", "localhost", "localhost.localdomain", "localhost6", "localhost4"];
    !names_of_all.contains(&name) && name.parse::<IpAddr>().is_err()
}

/// The number of each host's machine, from 0 on by first appearance.
pub(crate) fn of(hosts: &[Evidence]) -> Vec<usize> {
    let mut count = 0;
    let mut machines = BTreeMap::new();
    let mut next = || {
        count += 1;
        count - 1
    };
    let mut numbers = Vec::new();
    for host in hosts {
        let name = plain(&host.name);
        let same: BTreeSet<IpAddr> =
            hosts.iter().filter(|other| plain(&other.name) == name).filter_map(|other| other.address).collect();
        let only = (same.len() == 1 && !name.is_empty()).then(|| same.first().copied()).flatten();
        let address = host.address.or(only);
        if name.is_empty() && address.is_none() {
            numbers.push(next());
            continue;
        }
        let there = || hosts.iter().filter(|other| address.is_some() && other.address == address);
        let found: Vec<String> = there()
            .filter(|other| !is_name(&plain(&other.name)))
            .flat_map(|other| other.names.iter().map(|name| plain(name)))
            .filter(|name| is_name(name) && !name.contains(char::is_whitespace))
            .collect();
        let scanned: BTreeSet<String> =
            there().map(|other| plain(&other.name)).filter(|name| is_name(name) && found.contains(name)).collect();
        let known = (!is_name(&name) && scanned.len() == 1).then(|| scanned.first().cloned()).flatten();
        numbers.push(*machines.entry((known.unwrap_or(name), address)).or_insert_with(&mut next));
    }
    numbers
}
