//! What a finding is known by.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    super::{fields::FieldId, host::Host, item::Item},
    detail::detail,
    evidence::HostEvidence,
};
use crate::hex;

/// What every key begins with: it changes when a rule does.
const VERSION: &str = "v1:";

/// How a service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Icmp,
    Other,
}

impl Protocol {
    fn of(text: &str) -> Self {
        let is = |name: &str| text.trim().eq_ignore_ascii_case(name);
        if is("tcp") {
            Self::Tcp
        } else if is("udp") {
            Self::Udp
        } else if is("icmp") {
            Self::Icmp
        } else {
            Self::Other
        }
    }
}

/// What tells a finding from the others of its host. Findings that nothing tells apart have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FindingPart {
    pub plugin: u32,
    pub port: u16,
    pub protocol: Protocol,
    /// A hash of what tells findings of the plugin at the port apart, and of a number or protocol that is none; else 0. As
    /// bytes it leaves no gap.
    detail: [u8; 8],
}

impl FindingPart {
    /// Of an item on a host.
    pub(crate) fn of(item: &Item, host: &Host) -> Self {
        let mut parts = Parts::default();
        let text = |id| item.first(id).unwrap_or_default().trim();
        let plugin = text(FieldId::PluginId).parse().unwrap_or_else(|_| {
            let name = item.first(FieldId::PluginName).or_else(|| item.first(FieldId::PluginNameElement));
            for text in [text(FieldId::PluginId), name.unwrap_or_default()] {
                let words: Vec<&str> = text.split_whitespace().collect();
                parts.add(&words.join(" ").to_lowercase());
            }
            0
        });
        // A finding without a port is one of the host.
        let port = match text(FieldId::Port) {
            "" => 0,
            port => port.parse().unwrap_or_else(|_| {
                parts.add(port);
                0
            }),
        };
        let protocol = Protocol::of(text(FieldId::Protocol));
        if protocol == Protocol::Other {
            parts.add(&text(FieldId::Protocol).to_ascii_lowercase());
        }
        if let Some(detail) = detail(item, host, plugin) {
            parts.add(detail.kind);
            parts.add(&detail.text);
            parts.add(&detail.more);
        }
        Self { plugin, port, protocol, detail: parts.finish().unwrap_or_default() }
    }
}

/// What a key says of the host: its name in DNS and its address; where there is only one of them, that one; where there is
/// none, what was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct HostPart([u8; 16]);

impl HostPart {
    /// Of the host of a finding; computed once for a host.
    pub(crate) fn of_host(host: &Host) -> Self {
        Self(host.part(|| Self::of(&HostEvidence::of(host)).0))
    }

    /// Makes it what keys say of a host.
    pub(crate) fn set(self, host: &mut Host) {
        host.set_part(self.0);
    }

    /// Of what an export says of a machine.
    pub(crate) fn of(host: &HostEvidence) -> Self {
        let address = host.address().map(|address| address.to_string()).unwrap_or_default();
        let fallback = if address.is_empty() { host.name() } else { "" };
        let mut parts = Parts::default();
        parts.add(host.dns_name().unwrap_or(fallback));
        parts.add(&address);
        Self(parts.finish().unwrap_or_default())
    }
}

/// What a finding is called wherever it is kept: `v1:` and 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FindingKey([u8; 16]);

impl FindingKey {
    /// Of an item on a host.
    pub(crate) fn of(item: &Item, host: &Host) -> Self {
        Self::new(HostPart::of_host(host), &FindingPart::of(item, host))
    }

    /// A number that puts keys in the order of their texts.
    pub(crate) fn rank(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    pub(crate) fn new(host: HostPart, finding: &FindingPart) -> Self {
        // In all 31 bytes: one block of the hash.
        let mut hash = Sha256::new();
        hash.update(host.0);
        hash.update(finding.plugin.to_be_bytes());
        hash.update(finding.port.to_be_bytes());
        hash.update([match finding.protocol {
            Protocol::Tcp => 0,
            Protocol::Udp => 1,
            Protocol::Icmp => 2,
            Protocol::Other => 3,
        }]);
        hash.update(finding.detail);
        Self(first_bytes(hash))
    }
}

impl fmt::Display for FindingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}{}", hex::encode(&self.0))
    }
}

impl FromStr for FindingKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        text.strip_prefix(VERSION).and_then(hex::decode).map(Self).ok_or(NotAKey)
    }
}

/// A text that is no key of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAKey;

/// A hash of texts, none of which runs into the next.
#[derive(Default)]
struct Parts(Option<Sha256>);

impl Parts {
    fn add(&mut self, text: &str) {
        let hash = self.0.get_or_insert_default();
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }

    fn finish<const N: usize>(self) -> Option<[u8; N]> {
        self.0.map(first_bytes)
    }
}

fn first_bytes<const N: usize>(hash: Sha256) -> [u8; N] {
    let digest = hash.finalize();
    std::array::from_fn(|at| digest[at])
}
