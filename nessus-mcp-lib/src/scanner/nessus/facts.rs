//! What the scanner knows about itself and the hosts of its scans, as this library says it.

use super::wire::{Host, Properties};
use crate::{
    scanner::facts::{ScanHost, ScannerProperties},
    time::Timestamp,
};

pub(super) fn properties(answer: Properties) -> ScannerProperties {
    let mut properties = ScannerProperties::default();
    if let Some(license) = answer.license {
        properties.licence = license.name;
        properties.licensed_hosts = license.ips;
        properties.licence_ends = time(license.expiration_date);
        properties.scans_by_api_key = license.features.and_then(|features| features.scan_api);
    }
    properties.product = answer.nessus_type.or_else(|| properties.licence.clone());
    // The engine has a version of its own (19.x), which no person knows.
    properties.version = answer.nessus_ui_version.or(answer.server_version);
    properties.plugin_set = answer.loaded_plugin_set.or(answer.plugin_set);
    properties.used_hosts = answer.used_ip_count;
    properties
}

pub(super) fn hosts(hosts: Vec<Host>) -> Vec<ScanHost> {
    let host = |host: Host| {
        let counts = [host.info, host.low, host.medium, host.high, host.critical];
        Some(ScanHost {
            id: host.id?,
            name: host.hostname.unwrap_or_default(),
            findings: counts.map(Option::unwrap_or_default),
        })
    };
    hosts.into_iter().filter_map(host).collect()
}

/// A time in seconds since 1970; 0 stands for none.
fn time(seconds: Option<u64>) -> Option<Timestamp> {
    let millis = i64::try_from(seconds.filter(|seconds| *seconds > 0)?).ok()?.checked_mul(1000)?;
    Some(Timestamp::from_millis(millis))
}
