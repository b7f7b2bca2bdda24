//! What is kept of a host.

use std::{cell::OnceCell, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{fields::FieldId, host_names, host_time, namespaces::Namespaces};

/// What is kept of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Host {
    /// `ReportHost/@name`.
    pub name: Box<str>,
    /// The namespaces that are declared where its items stand.
    #[serde(default, skip_serializing_if = "Namespaces::is_usual")]
    pub namespaces: Namespaces,
    ip: Option<Box<str>>,
    fqdn: Option<Box<str>>,
    /// The names in `host-fqdns`.
    fqdns: Box<[Box<str>]>,
    rdns: Option<Box<str>>,
    hostname: Option<Box<str>>,
    netbios_name: Option<Box<str>>,
    operating_system: Option<Box<str>>,
    mac_address: Option<Box<str>>,
    start: Option<Box<str>>,
    end: Option<Box<str>>,
    credentialed: Option<Box<str>>,
    /// Where its block begins in the file.
    #[serde(default)]
    pub begin: u64,
    #[serde(skip)]
    part: Part,
}

/// What the keys of a host's findings say of it. No property of its own: it follows from the others.
#[derive(Debug, Clone, Default)]
struct Part {
    /// Once that was asked for.
    own: OnceCell<[u8; 16]>,
    /// Where all blocks of the machine together say it.
    of_machine: Option<[u8; 16]>,
}

impl PartialEq for Part {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Part {}

impl Host {
    /// A host of which only the name is known.
    pub(crate) fn named(name: String) -> Self {
        Self { name: name.into_boxed_str(), ..Self::default() }
    }

    /// Sets a property; fields that are not a host's are ignored.
    pub(crate) fn set(&mut self, id: FieldId, value: String) {
        self.part.own = OnceCell::new();
        if let FieldId::HostStart | FieldId::HostEnd = id {
            let property = if id == FieldId::HostStart { &mut self.start } else { &mut self.end };
            return host_time::keep(property, &value);
        }
        let property = match id {
            FieldId::HostIp => &mut self.ip,
            FieldId::HostFqdn => &mut self.fqdn,
            FieldId::HostFqdns => {
                self.fqdns = host_names::listed(&value);
                return;
            }
            FieldId::HostRdns => &mut self.rdns,
            FieldId::Hostname => &mut self.hostname,
            FieldId::NetbiosName => &mut self.netbios_name,
            FieldId::OperatingSystem => &mut self.operating_system,
            FieldId::MacAddress => &mut self.mac_address,
            FieldId::Credentialed => &mut self.credentialed,
            _ => return,
        };
        *property = Some(value.into_boxed_str());
    }

    /// A property that is one text. The name stands in for a missing `host-ip` when it is an address.
    pub(crate) fn get(&self, id: FieldId) -> Option<&str> {
        match id {
            FieldId::Host => Some(&*self.name).filter(|name| !name.is_empty()),
            FieldId::HostIp => self.ip.as_deref().or_else(|| self.name.parse::<IpAddr>().ok().map(|_| &*self.name)),
            FieldId::HostFqdn => self.fqdn.as_deref(),
            FieldId::HostRdns => self.rdns.as_deref(),
            FieldId::Hostname => self.hostname.as_deref(),
            FieldId::NetbiosName => self.netbios_name.as_deref(),
            FieldId::OperatingSystem => self.operating_system.as_deref(),
            FieldId::MacAddress => self.mac_address.as_deref(),
            FieldId::HostStart => self.start.as_deref(),
            FieldId::HostEnd => self.end.as_deref(),
            FieldId::Credentialed => self.credentialed.as_deref(),
            _ => None,
        }
    }

    /// What the keys of its findings say of it: what was [set](Self::set_part), else what `compute` says the first time.
    pub(super) fn part(&self, compute: impl FnOnce() -> [u8; 16]) -> [u8; 16] {
        self.part.of_machine.unwrap_or_else(|| *self.part.own.get_or_init(compute))
    }

    /// Sets what the keys of its findings say of it, whatever its properties are.
    pub(super) fn set_part(&mut self, part: [u8; 16]) {
        self.part.of_machine = Some(part);
    }

    /// The names in `host-fqdns`.
    pub(crate) fn listed_names(&self) -> impl Iterator<Item = &str> {
        self.fqdns.iter().map(|name| &**name)
    }

    /// Everything that the host is known as, some of it twice: what was scanned, the machine's name in that if it is a URL,
    /// the address and the names that were found.
    pub(crate) fn known_as(&self) -> impl Iterator<Item = &str> {
        let netbios = self.netbios_name.as_deref();
        let texts = [&self.ip, &self.fqdn, &self.rdns, &self.hostname].into_iter().filter_map(|text| text.as_deref());
        let scanned = [&*self.name, host_names::of_target(&self.name)];
        scanned
            .into_iter()
            .chain(texts)
            .chain(netbios)
            .chain(netbios.map(host_names::of_netbios))
            .chain(self.listed_names())
    }

    /// The address, when there is one; an IPv4-mapped one is the IPv4 address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        host_names::as_address(self.get(FieldId::HostIp)?)
    }

    /// The address, and that which was scanned where it is another.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.address().into_iter().chain(host_names::as_address(host_names::of_target(&self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_in_for_a_missing_address() {
        let mut host = Host::named("10.0.0.7".to_owned());
        assert_eq!(host.get(FieldId::HostIp), Some("10.0.0.7"));
        host.set(FieldId::HostIp, "10.0.0.8".to_owned());
        assert_eq!(host.address(), Some("10.0.0.8".parse().unwrap()));
        assert_eq!(Host::named("web01".to_owned()).address(), None);
        assert_eq!(host.addresses().map(|address| address.to_string()).collect::<Vec<_>>(), ["10.0.0.8", "10.0.0.7"]);
    }
}
