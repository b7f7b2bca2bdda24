//! What the scanner knows about itself, its scans and their hosts, as this library says it.

use super::wire::{Details, HistoryEntry, Host, HostAnswer, HostVulnerability, Properties};
use crate::{
    scanner::{HostFinding, ScanHost, ScanHostDetails, ScanRun, ScannerProperties},
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

/// The first run first.
pub(super) fn runs(details: Details) -> Vec<ScanRun> {
    let run = |entry: HistoryEntry| ScanRun {
        id: entry.history_id,
        uuid: entry.uuid,
        status: entry.status,
        started: time(entry.creation_date),
    };
    let mut runs: Vec<_> = details.history.runs.into_iter().map(run).collect();
    runs.sort_by_key(|run| (run.started, run.id));
    runs
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

pub(super) fn host_details(answer: HostAnswer) -> ScanHostDetails {
    let finding = |found: HostVulnerability| {
        Some(HostFinding {
            plugin_id: found.plugin_id?,
            plugin_name: found.plugin_name.unwrap_or_default(),
            plugin_family: found.plugin_family.unwrap_or_default(),
            severity: found.severity.and_then(|severity| u8::try_from(severity).ok()).unwrap_or_default().min(4),
            count: found.count.unwrap_or(1),
        })
    };
    let mut details = ScanHostDetails {
        findings: answer.vulnerabilities.into_iter().flatten().filter_map(finding).collect(),
        ..ScanHostDetails::default()
    };
    if let Some(info) = answer.info {
        details.address = info.address;
        details.name = info.name;
        details.operating_system = info.operating_system;
    }
    details
}

/// A time in seconds since 1970; 0 stands for none.
fn time(seconds: Option<u64>) -> Option<Timestamp> {
    let millis = i64::try_from(seconds.filter(|seconds| *seconds > 0)?).ok()?.checked_mul(1000)?;
    Some(Timestamp::from_millis(millis))
}
