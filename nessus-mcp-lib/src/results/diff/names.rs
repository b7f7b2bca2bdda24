//! What is kept of plugins and compliance checks, of both scans together.

use std::collections::HashMap;

use super::finding::{Finding, State};
use crate::results::{
    record::{FieldId, FindingPart, Record, Value},
    texts::{NAME_CHARS, clean},
};

/// The most plugins, and the most checks, of which something is kept.
pub(super) const MOST_NAMES: usize = 200_000;

/// A plugin.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Plugin {
    pub name: Box<str>,
    pub family: Box<str>,
    /// The day when it was published, YYYYMMDD; 0 when that is not said.
    pub published: u32,
    /// Whether it looks at the host from inside.
    pub is_local: bool,
}

/// A compliance check.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Check {
    pub audit: Box<str>,
    pub name: Box<str>,
}

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Names {
    plugins: HashMap<u32, Plugin>,
    checks: HashMap<FindingPart, Check>,
}

impl Names {
    /// Takes in an item.
    pub(super) fn note(&mut self, record: &Record<'_>, finding: &Finding) {
        let part = finding.key.part;
        if let State::Check(_) = finding.state
            && !self.checks.contains_key(&part)
            && self.checks.len() < MOST_NAMES
        {
            let text = |id| record.item.first(id).unwrap_or_default();
            let name = record.compliance_check().unwrap_or_else(|| text(FieldId::ComplianceCheckId));
            let shown = |text: &str| clean(text, NAME_CHARS).into();
            self.checks.insert(part, Check { audit: shown(text(FieldId::ComplianceAuditFile)), name: shown(name) });
        }
        let known = self.plugins.get(&part.plugin);
        let name = match record.first(FieldId::PluginName) {
            Some(Value::Text(name) | Value::TypeMismatch(name)) => name,
            _ => "",
        };
        if known.is_some_and(|known| *known.name == *name) || known.is_none() && self.plugins.len() >= MOST_NAMES {
            return;
        }
        let text = |id| record.item.first(id).unwrap_or_default().trim();
        let plugin = Plugin {
            name: clean(name, NAME_CHARS).into(),
            family: text(FieldId::PluginFamily).into(),
            published: day(text(FieldId::PluginPublicationDate)).unwrap_or(0),
            is_local: text(FieldId::PluginType).eq_ignore_ascii_case("local"),
        };
        // A plugin that is called differently is called the same whatever is read first.
        if known.is_none_or(|known| known.name.is_empty() || (!plugin.name.is_empty() && plugin < *known)) {
            self.plugins.insert(part.plugin, plugin);
        }
    }

    /// What is known of a plugin.
    pub(super) fn plugin(&self, plugin: u32) -> Option<&Plugin> {
        self.plugins.get(&plugin)
    }

    /// What is known of a check.
    pub(super) fn check(&self, part: &FindingPart) -> Option<&Check> {
        self.checks.get(part)
    }
}

/// The first eight digits of a date: `2026/03/04`, `2026-03-04T...`, `202603041201`.
pub(super) fn day(text: &str) -> Option<u32> {
    let digits: String = text.chars().filter(char::is_ascii_digit).take(8).collect();
    (digits.len() == 8).then(|| digits.parse().ok())?
}
