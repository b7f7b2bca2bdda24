//! Which finding stands on which host.
//!
//! The answer follows from the seed, the host's name and the finding's number alone, so that the details, the export
//! and a test that wants the truth agree without sharing a list.

use super::plugins::{self, Plugin, SCAN_INFO};

/// A plugin's finding at one place of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was found.
    pub plugin: &'static Plugin,
    /// Where; 0 is the host itself.
    pub port: u16,
}

/// Coprime to any number of plugins that is not a multiple of it; spreads neighbouring findings over the severities.
const STRIDE: usize = 7;

/// The `count` findings of `host`, each plugin and port once, plugin 19506 last.
pub fn findings(seed: u64, host: &str, count: usize) -> impl Iterator<Item = Finding> + use<> {
    let offset = usize::try_from(hash(seed, host) % 1_000_003).unwrap_or(0);
    (0..count).map(move |number| {
        if number + 1 == count {
            return Finding { plugin: &SCAN_INFO, port: 0 };
        }
        let plugin = plugins::at(offset + number * STRIDE);
        Finding { plugin, port: port_in_round(plugin.port, number / plugins::COUNT) }
    })
}

/// The catalogue is gone through again for long lists; each round finds the same things on other ports.
fn port_in_round(port: u16, round: usize) -> u16 {
    let base = match (port, round) {
        (_, 0) => return port,
        (0, _) => 1024,
        _ => usize::from(port),
    };
    u16::try_from((base + round) % 65_536).unwrap_or(port)
}

/// FNV-1a: fixed for ever, unlike the standard library's hasher.
pub(super) fn hash(seed: u64, text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn long_lists_hold_every_severity_and_no_finding_twice() {
        let all: Vec<_> = findings(0, "192.0.2.1", 2_000).collect();
        assert_eq!(all.iter().map(|f| (f.plugin.id, f.port)).collect::<HashSet<_>>().len(), 2_000);
        assert_eq!(all.iter().map(|f| f.plugin.severity).collect::<HashSet<_>>().len(), 5);
        assert_eq!(all.last().unwrap().plugin.id, plugins::SCAN_INFORMATION);
    }

    #[test]
    fn seed_and_host_decide() {
        let ids = |seed, host| findings(seed, host, 12).map(|f| f.plugin.id).collect::<Vec<_>>();
        assert_eq!(ids(1, "192.0.2.1"), ids(1, "192.0.2.1"));
        assert_ne!(ids(1, "192.0.2.1"), ids(2, "192.0.2.1"));
        assert_ne!(ids(1, "192.0.2.1"), ids(1, "192.0.2.2"));
    }
}
