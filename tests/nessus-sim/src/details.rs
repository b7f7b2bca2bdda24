//! What can be read of a scan: its run, its hosts, its findings.

use std::collections::BTreeMap;

use crate::time::Timestamp;
use serde_json::{Value, json};

use super::{
    findings::Finding,
    plugins::Plugin,
    reply::Reply,
    report::{ReportHost, ReportInput, address_of, name_of, nessus_time, output},
    run::{HostProgress, Run},
    state::{Scan, State, seconds},
    wire::{ApiError, Call, Outcome},
};

/// Hosts are numbered from 2: a client that takes the id for a position is found out.
const FIRST_HOST_ID: usize = 2;

/// How often each plugin found something, by its id.
type Counts = BTreeMap<u32, (&'static Plugin, u64)>;

/// What a run has found by now, as a report would tell it.
pub(super) fn report_of(state: &State, scan: &Scan, run: &Run, now: Timestamp) -> ReportInput {
    let findings_per_host = state.config.findings_per_host;
    let host = |progress: HostProgress| ReportHost {
        name: name_of(&run.expansion.hosts[progress.index]).to_owned(),
        address: address_of(&run.expansion.hosts[progress.index]),
        found: found(findings_per_host, progress),
        start: run.launched,
        end: run.ended.unwrap_or(now),
        authentication: run.authentication(&state.config, &run.expansion.hosts[progress.index]),
    };
    ReportInput {
        scan_name: scan.name.clone(),
        policy_name: scan.policy_name().to_owned(),
        targets: run.targets.clone(),
        plugin_set: state.config.plugin_set.clone(),
        seed: state.config.seed,
        findings_per_host,
        hosts: run.progress(now).into_iter().map(host).collect(),
    }
}

/// Findings come in as the checks are done.
fn found(findings_per_host: usize, progress: HostProgress) -> usize {
    let all = u64::try_from(findings_per_host).unwrap_or(u64::MAX);
    usize::try_from(all.saturating_mul(progress.done) / progress.total.max(1)).unwrap_or(findings_per_host)
}

/// `GET /scans/{id}`.
pub(super) fn scan(state: &mut State, call: &Call<'_>) -> Outcome {
    let scan = state.scan(call.id(0)?)?;
    let run = scan.run_of(call.request.query("history_id"))?;
    let history: Vec<Value> = scan.runs.iter().map(history_entry).collect();
    let nothing = |list: Vec<Value>| if run.is_some() { Value::from(list) } else { Value::Null };
    let (hosts, vulnerabilities) = run.map(|run| results(state, scan, run, call.now)).unwrap_or_default();
    Ok(Reply::json(&json!({
        "info": info(state, scan, run, call.now),
        "hosts": nothing(hosts),
        "vulnerabilities": nothing(vulnerabilities),
        "history": nothing(history),
        "comphosts": [], "compliance": [], "filters": [], "notes": run.and_then(notes),
        "remediations": {
            "remediations": null, "num_hosts": 0, "num_cves": 0, "num_impacted_hosts": 0, "num_remediated_cves": 0,
        },
    })))
}

/// What the scanner remarks about a run.
fn notes(run: &Run) -> Option<Value> {
    let note = run.note.as_ref()?;
    Some(json!([{ "title": "Scan Aborted", "message": note, "severity": 3 }]))
}

fn info(state: &State, scan: &Scan, run: Option<&Run>, now: Timestamp) -> Value {
    let expansion = run.map_or(&scan.expansion, |run| &run.expansion);
    let begin = run.map(|run| seconds(run.launched));
    let end = run.and_then(|run| run.ended).map(seconds);
    json!({
        "object_id": scan.id, "name": scan.name, "status": run.map_or("empty", |run| run.phase.word()),
        "uuid": run.map(|run| &run.uuid), "folder_id": scan.folder_id, "policy": scan.policy_name(),
        "scanner_name": "Local Scanner", "scan_type": run.map(|_| "local"),
        "targets": run.map_or(&scan.targets, |run| &run.targets),
        "hostcount": run.map_or(0, |run| run.progress(now).len()), "scan_start": begin, "scan_end": end,
        "scanner_start": begin, "scanner_end": end, "timestamp": begin, "control": true, "edit_allowed": true,
        "user_permissions": 128, "haskb": run.is_some(), "hasaudittrail": run.is_some(), "pci-can-upload": false,
        "alt_targets_used": run.is_some_and(|run| run.alt_targets), "no_target": false,
        "policy_template_uuid": scan.template.uuid, "offline": false, "migrated": 0, "acls": [],
        "license_info": { "limit": state.config.hosts_allowed(), "trimmed": expansion.trimmed },
    })
}

fn history_entry(run: &Run) -> Value {
    json!({
        "history_id": run.history_id, "uuid": run.uuid, "status": run.phase.word(),
        "creation_date": seconds(run.launched), "last_modification_date": seconds(run.ended.unwrap_or(run.since)),
        "owner_id": 2, "type": "local", "scheduler": 0, "alt_targets_used": run.alt_targets,
    })
}

/// The rows of `hosts` and `vulnerabilities`.
fn results(state: &State, scan: &Scan, run: &Run, now: Timestamp) -> (Vec<Value>, Vec<Value>) {
    let mut hosts = Vec::new();
    let mut counts = Counts::new();
    let report = report_of(state, scan, run, now);
    for (progress, host) in run.progress(now).into_iter().zip(&report.hosts) {
        let mut by_severity = [0_u64; 5];
        for finding in report.findings_of(host) {
            by_severity[usize::from(finding.plugin.severity.min(4))] += 1;
            counts.entry(finding.plugin.id).or_insert((finding.plugin, 0)).1 += 1;
        }
        hosts.push(host_row(host, progress, by_severity));
    }
    let vulnerabilities = counts
        .into_values()
        .enumerate()
        .map(|(index, (plugin, count))| vulnerability_row(index, plugin, count))
        .collect();
    (hosts, vulnerabilities)
}

fn host_row(host: &ReportHost, progress: HostProgress, by_severity: [u64; 5]) -> Value {
    let HostProgress { index, done, total } = progress;
    let name = &host.name;
    let [info, low, medium, high, critical] = by_severity;
    let items: Vec<Value> = by_severity
        .iter()
        .enumerate()
        .map(|(level, count)| json!({ "count": count, "severitylevel": level }))
        .collect();
    json!({
        "host_id": index + FIRST_HOST_ID, "host_index": index, "hostname": name, "host_ip": host.address,
        "progress": format!("{done}-{done}/{total}-{total}"), "scanprogresscurrent": done, "scanprogresstotal": total,
        "numchecksconsidered": done, "totalchecksconsidered": total, "critical": critical, "high": high,
        "medium": medium, "low": low, "info": info, "severity": by_severity.iter().sum::<u64>(),
        "score": critical * 10_000 + high * 1_000 + medium * 100 + low * 10 + info, "credential": host.authentication.works().to_string(),
        "severitycount": { "item": items },
    })
}

fn vulnerability_row(index: usize, plugin: &Plugin, count: u64) -> Value {
    json!({
        "plugin_id": plugin.id, "plugin_name": plugin.name, "plugin_family": plugin.family, "count": count,
        "severity": plugin.severity, "severity_index": index, "vuln_index": index, "score": plugin.vpr.parse::<f64>().ok(),
        "vpr_score": plugin.vpr.parse::<f64>().ok(), "epss_score": plugin.epss.parse::<f64>().ok(),
        "cpe": plugin.cpe, "snoozed": 0, "offline": false,
    })
}

/// The report of the run that a path of the form `/scans/{id}/hosts/{host}/…` names, and the host's place in it.
fn host_of(state: &State, call: &Call<'_>) -> Result<(ReportInput, usize), ApiError> {
    let scan = state.scan(call.id(0)?)?;
    let run = scan.run_of(call.request.query("history_id"))?.ok_or_else(ApiError::not_found)?;
    let host_id = usize::try_from(call.id(1)?).unwrap_or(usize::MAX);
    let report = report_of(state, scan, run, call.now);
    // Hosts begin in the order of the targets.
    let index = host_id.checked_sub(FIRST_HOST_ID).filter(|index| *index < report.hosts.len());
    Ok((report, index.ok_or_else(ApiError::not_found)?))
}

/// `GET /scans/{id}/hosts/{host}`.
pub(super) fn host(state: &mut State, call: &Call<'_>) -> Outcome {
    let (report, index) = host_of(state, call)?;
    let host = &report.hosts[index];
    let (name, host_id) = (&host.name, index + FIRST_HOST_ID);
    let mut counts = Counts::new();
    for finding in report.findings_of(host) {
        counts.entry(finding.plugin.id).or_insert((finding.plugin, 0)).1 += 1;
    }
    let rows: Vec<Value> = counts
        .into_values()
        .enumerate()
        .map(|(index, (plugin, count))| {
            json!({
                "host_id": host_id, "hostname": name, "plugin_id": plugin.id, "plugin_name": plugin.name,
                "plugin_family": plugin.family, "count": count, "vuln_index": index, "severity_index": index,
                "severity": plugin.severity,
            })
        })
        .collect();
    Ok(Reply::json(&json!({
        "info": {
            "host_start": nessus_time(host.start), "host_end": nessus_time(host.end),
            "host-ip": host.address, "host-fqdn": (host.address != *name).then_some(name),
            "mac-address": null, "netbios-name": null, "operating-system": "Larch Linux 7",
        },
        "compliance": [], "vulnerabilities": rows,
    })))
}

/// `GET /scans/{id}/hosts/{host}/plugins/{plugin}`.
pub(super) fn plugin_output(state: &mut State, call: &Call<'_>) -> Outcome {
    let (input, index) = host_of(state, call)?;
    let host = &input.hosts[index];
    let plugin_id = call.id(2)?;
    let of_plugin: Vec<Finding> =
        input.findings_of(host).filter(|finding| u64::from(finding.plugin.id) == plugin_id).collect();
    let plugin = of_plugin.first().ok_or_else(ApiError::not_found)?.plugin;
    let outputs: Vec<Value> = of_plugin
        .iter()
        .map(|&finding| {
            let place = format!("{} / {} / {}", finding.port, plugin.protocol, plugin.service);
            json!({
                "ports": { place: [{ "hostname": host.name }] }, "has_attachment": 0, "custom_description": null,
                "hosts": null, "severity": plugin.severity, "plugin_output": output(&input, host, finding),
            })
        })
        .collect();
    Ok(Reply::json(&json!({ "info": { "plugindescription": description(plugin) }, "outputs": outputs })))
}

fn description(plugin: &Plugin) -> Value {
    let base = |score: Option<super::plugins::Score>| score.map(|score| score.base);
    let references = if plugin.cve.is_empty() {
        Value::Null
    } else {
        json!([{ "name": "cve", "values": { "value": plugin.cve }, "ext": null, "url": "https://cve.example/" }])
    };
    json!({
        "severity": plugin.severity, "pluginname": plugin.name, "pluginfamily": plugin.family,
        "pluginid": plugin.id.to_string(),
        "pluginattributes": {
            "risk_information": {
                "risk_factor": plugin.risk_factor(), "cvss_base_score": base(plugin.cvss2),
                "cvss3_base_score": base(plugin.cvss3),
            },
            "plugin_information": {
                "plugin_id": plugin.id, "plugin_type": "remote", "plugin_family": plugin.family,
                "plugin_publication_date": plugin.published,
            },
            "vuln_information": { "cpe": plugin.cpe, "exploit_available": plugin.exploit },
            "ref_information": { "ref": references },
            "synopsis": plugin.synopsis, "description": plugin.description, "solution": plugin.solution,
            "see_also": plugin.see_also, "fname": plugin.file_name(),
        },
    })
}
