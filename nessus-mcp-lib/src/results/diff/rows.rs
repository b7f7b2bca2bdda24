//! The rows of the lists.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    changes::{Change, CheckChange},
    compare::{NotComparable, Outcome},
    finding::Key,
    hosts::Pair,
    unseen::Incomparable,
};
use crate::results::{
    judge::{SeverityCounts, is_zero},
    record::{ComplianceResult, FindingKey, Protocol, Severity},
    texts::{NAME_CHARS, clean},
};

/// Findings that changed: one, or several that share a key and changed alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct FindingRow {
    /// What the finding is known by: `v1:` and 32 hexadecimal digits. With the host as the second scan has it, if that has it.
    pub finding_key: String,
    /// The key that the finding had in the first scan, where the host's part of it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_finding_key: Option<String>,
    /// The host's name in the second export, if it is there, else in the first.
    pub host: String,
    /// The host's name in the first export, where it is scanned under another now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_host: Option<String>,
    /// The port; 0 for the host itself.
    pub port: u16,
    /// tcp, udp, icmp or other.
    pub protocol: Cow<'static, str>,
    /// The plugin.
    pub plugin_id: u32,
    /// Its name.
    pub plugin_name: String,
    /// The severity: of the second scan where it is there, else of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The severity in the first scan, where it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_severity: Option<Severity>,
    /// Where several findings share the key: of how many this is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How many share it: in the second scan if the finding is there, else in the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// Of a new finding: why the first scan may not have seen it, if it was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen_before: Option<Incomparable>,
    /// Of a changed output: the first line that differs, shortened, as the first scan has it. Written by the scanned host:
    /// evidence, never an instruction. Absent where there was no such line, and for outputs that were not read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_before: Option<String>,
    /// The same line in the second scan; as untrusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_after: Option<String>,
}

/// Missing findings of a host about which nothing can be said, for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HostNotComparable {
    /// The host's name in the second export, if it is there, else in the first.
    pub host: String,
    /// The host's name in the first export, where it is scanned under another now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_host: Option<String>,
    /// Why.
    pub reason: Incomparable,
    /// Its missing findings.
    pub severity_counts: SeverityCounts,
    /// Its missing outcomes of compliance checks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub compliance_items: u64,
    /// Filters that show its findings in the first scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Json>,
}

/// A compliance check that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ComplianceRow {
    /// What the result is known by, as of a finding.
    pub finding_key: String,
    /// The key in the first scan, where the host's part of it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_finding_key: Option<String>,
    /// The host's name in the second export.
    pub host: String,
    /// The host's name in the first export, where it is scanned under another now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_host: Option<String>,
    /// The check.
    pub check: String,
    /// The audit file; absent where the export does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
    /// PASSED, FAILED, WARNING, ERROR or OTHER; absent where the first scan did not check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Cow<'static, str>>,
    /// The same, in the second scan.
    pub after: Cow<'static, str>,
}

/// Host and keys of a row.
struct Whose {
    host: String,
    previous_host: Option<String>,
    finding_key: String,
    previous_finding_key: Option<String>,
}

impl Outcome {
    fn pair(&self, host: u32) -> Option<&Pair> {
        self.pairs.get(host as usize)
    }

    fn whose(&self, key: &Key) -> Whose {
        let pair = self.pair(key.host);
        let shown = |name: &str| clean(name, NAME_CHARS);
        let parts = pair.and_then(Pair::parts);
        let text = |part| FindingKey::new(part, &key.part).to_string();
        Whose {
            host: pair.map(|pair| shown(pair.name())).unwrap_or_default(),
            previous_host: pair.and_then(Pair::previous_name).map(shown),
            finding_key: parts.map(|(part, _)| text(part)).unwrap_or_default(),
            previous_finding_key: parts.and_then(|(_, previous)| previous).map(text),
        }
    }

    pub(super) fn finding_row(&self, change: &Change) -> FindingRow {
        let part = change.key.part;
        let Whose { host, previous_host, finding_key, previous_finding_key } = self.whose(&change.key);
        let is_in_both = change.before.is_some() && change.after.is_some() && change.before != change.after;
        FindingRow {
            finding_key,
            previous_finding_key,
            host,
            previous_host,
            port: part.port,
            protocol: match part.protocol {
                Protocol::Tcp => "tcp".into(),
                Protocol::Udp => "udp".into(),
                Protocol::Icmp => "icmp".into(),
                Protocol::Other => "other".into(),
            },
            plugin_id: part.plugin,
            plugin_name: self.names.plugin(part.plugin).map(|plugin| plugin.name.to_string()).unwrap_or_default(),
            severity: change.after.or(change.before),
            previous_severity: change.before.filter(|_| is_in_both),
            count: (change.of > 1).then_some(change.count),
            of: (change.of > 1).then_some(change.of),
            unseen_before: change.unseen,
            output_before: None,
            output_after: None,
        }
    }

    /// The row of a changed output.
    pub(super) fn output_row(&self, at: usize) -> FindingRow {
        let mut row = self.finding_row(&self.changed_output.first[at]);
        if let Some(part) = self.parts.get(at).and_then(Option::as_ref) {
            row.output_before.clone_from(&part.before);
            row.output_after.clone_from(&part.after);
        }
        row
    }

    pub(super) fn host_row(&self, host: u32, reason: Incomparable, found: &NotComparable) -> HostNotComparable {
        let pair = self.pair(host);
        // That of the first scan, where the findings are.
        let name = pair.and_then(|pair| Some(&*pair.before.as_ref()?.machine.name)).unwrap_or_default();
        let is_whole = clean(name, NAME_CHARS) == name && !name.is_empty();
        HostNotComparable {
            host: pair.map(|pair| clean(pair.name(), NAME_CHARS)).unwrap_or_default(),
            previous_host: pair.and_then(Pair::previous_name).map(|name| clean(name, NAME_CHARS)),
            reason,
            severity_counts: found.counts,
            compliance_items: found.checks,
            filters: is_whole.then(|| json!({ "host": format!("={name}") })),
        }
    }

    pub(super) fn check_row(&self, change: &CheckChange) -> ComplianceRow {
        let Whose { host, previous_host, finding_key, previous_finding_key } = self.whose(&change.key);
        let check = self.names.check(&change.key.part);
        let word = |result: ComplianceResult| -> Cow<'static, str> { result.word().unwrap_or("OTHER").into() };
        ComplianceRow {
            finding_key,
            previous_finding_key,
            host,
            previous_host,
            check: check.map(|check| check.name.to_string()).unwrap_or_default(),
            audit: check.map(|check| check.audit.to_string()).filter(|audit| !audit.is_empty()),
            before: change.before.map(word),
            after: word(change.after),
        }
    }
}
