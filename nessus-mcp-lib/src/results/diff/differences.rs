//! What makes two scans see different things in the same hosts.

use std::fmt;

use serde::Serialize;

use super::keep::About;
use crate::results::texts::{NAME_CHARS, clean};

/// A code, what a scan says about it, and what follows when two say different things.
type Side<'a> = (&'static str, &'a dyn Fn(&About) -> Option<String>, &'static str);

/// Something in which the scans differ beside their findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Difference {
    /// What it is, as a stable code: `policy`, `plugin_set`, `plugin_feed_version`, ...
    pub what: &'static str,
    /// In the first scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// In the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What follows from it.
    pub message: &'static str,
}

impl Difference {
    /// A difference of what both sides say.
    pub(crate) fn new(what: &'static str, before: String, after: String, message: &'static str) -> Self {
        Self { what, before: Some(before), after: Some(after), message }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "(not said)".to_owned());
        write!(f, "{}: {} -> {}: {}", self.what, side(&self.before), side(&self.after), self.message)
    }
}

/// In what the scans differ beside their findings, the most misleading first.
pub(super) fn differences(before: &About, after: &About) -> Vec<Difference> {
    let text = |text: &Option<String>| text.as_deref().map(|text| clean(text, NAME_CHARS));
    let policy = |about: &About| text(&about.header.policy_name).or_else(|| about.stats.policy_used.clone());
    let plugin_set = |about: &About| {
        about.header.plugin_set_print.map(|print| {
            format!("{}, fingerprint {print}", crate::error::counted(print.plugins(), "plugin", "plugins"))
        })
    };
    let status = |about: &About| Some(about.authentication.status.to_string());
    let sides: [Side<'_>; 7] = [
        ("policy", &policy, "findings may be new or missing because the scan looked for other things"),
        ("plugin_set", &plugin_set, "findings of plugins that were in one scan only are not changes of the hosts"),
        (
            "plugin_feed_version",
            &|about| about.stats.plugin_feed_version.clone(),
            "a newer feed finds more and rates some differently",
        ),
        ("scanner_version", &|about| about.stats.scanner_version.clone(), "another version may report differently"),
        (
            "severity_basis",
            &|about| text(&about.header.severity_basis),
            "severities were derived differently: changed severities may be no changes",
        ),
        ("report_type", &|about| text(&about.header.report_type), "these are scans of different kinds"),
        ("authentication_status", &status, "the scans did not see equally much of the hosts"),
    ];
    let mut found: Vec<Difference> = sides
        .into_iter()
        .filter_map(|(what, side, message)| {
            let (before, after) = (side(before), side(after));
            // What one export does not say is no difference, except that of the status, which is always said.
            let differ = before != after && (before.is_some() && after.is_some() || what == "report_type");
            differ.then_some(Difference { what, before, after, message })
        })
        .collect();
    if let (Some(first), Some(second)) = (&before.start, &after.start)
        && second < first
    {
        let message = "the first scan is the later one: new and fixed are the wrong way round";
        found
            .insert(0, Difference { what: "order", before: before.start.clone(), after: after.start.clone(), message });
    }
    found
}
