//! What there is to say of every tool beside its arguments and what it does: one row each.
//!
//! The router takes titles and annotations from here, and a tool without a row is not offered.

use nessus_mcp_lib::policy::{RateClass, Role};
use rmcp::model::{Tool, ToolAnnotations};

/// Tools that belong together, and are chosen together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolset {
    /// Submitting scans.
    Submit,
    /// Where tasks stand.
    Status,
    /// What was found.
    Results,
    /// Stopping, holding and repeating scans.
    Control,
    /// Scanners, pools, queues and their health.
    Scanners,
}

impl Toolset {
    /// All toolsets.
    pub(crate) const ALL: [Self; 5] = [Self::Submit, Self::Status, Self::Results, Self::Control, Self::Scanners];

    /// Its name in settings, headers and `policy.yaml`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Status => "status",
            Self::Results => "results",
            Self::Control => "control",
            Self::Scanners => "scanners",
        }
    }
}

/// What a call changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing.
    Reads,
    /// It adds to what is there.
    Adds,
    /// It ends or removes what is there.
    Destroys,
}

/// A tool.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its name: that of its method.
    pub(crate) name: &'static str,
    title: &'static str,
    pub(crate) toolset: Toolset,
    /// The role that it asks for.
    pub(crate) role: Role,
    pub(crate) class: RateClass,
    effect: Effect,
    /// Whether a repetition changes nothing more.
    is_idempotent: bool,
    /// Whether it reaches hosts beyond this system, or shows texts that they wrote.
    is_open_world: bool,
}

impl Row {
    const fn reads(name: &'static str, title: &'static str, toolset: Toolset) -> Self {
        Self {
            name,
            title,
            toolset,
            role: Role::Read,
            class: RateClass::Read,
            effect: Effect::Reads,
            is_idempotent: true,
            is_open_world: false,
        }
    }

    const fn reads_findings(name: &'static str, title: &'static str) -> Self {
        Self { class: RateClass::Results, is_open_world: true, ..Self::reads(name, title, Toolset::Results) }
    }

    const fn changes(
        name: &'static str,
        title: &'static str,
        toolset: Toolset,
        effect: Effect,
        is_idempotent: bool,
    ) -> Self {
        let (role, class) = (Role::Scan, RateClass::Change);
        Self { name, title, toolset, role, class, effect, is_idempotent, is_open_world: true }
    }

    /// Whether its calls change nothing.
    pub(crate) fn is_read_only(&self) -> bool {
        self.effect == Effect::Reads
    }

    /// Gives a tool its title and annotations.
    pub(crate) fn describe(&self, tool: &mut Tool) {
        tool.title = Some(self.title.to_owned());
        tool.annotations = Some(ToolAnnotations::from_raw(
            None,
            Some(self.is_read_only()),
            Some(self.effect == Effect::Destroys),
            Some(self.is_idempotent),
            Some(self.is_open_world),
        ));
    }
}

/// All tools.
pub(crate) static TOOLS: &[Row] = &[
    Row::changes("run_untrusted_scan", "Run a network scan", Toolset::Submit, Effect::Adds, false),
    Row::changes("run_trusted_scan", "Run a scan with a login", Toolset::Submit, Effect::Adds, false),
    Row::changes("run_privileged_scan", "Run a scan with root rights", Toolset::Submit, Effect::Adds, false),
    Row::reads("get_scan_status", "Scan status", Toolset::Status),
    Row::reads("list_tasks", "List scan tasks", Toolset::Status),
    Row::reads_findings("get_scan_results", "Scan findings"),
    Row::reads_findings("get_scan_summary", "Scan summary"),
    Row::reads_findings("compare_scans", "Compare two scans"),
    Row::changes("cancel_scan", "Cancel a scan", Toolset::Control, Effect::Destroys, true),
    Row::changes("pause_scan", "Pause a scan", Toolset::Control, Effect::Adds, true),
    Row::changes("resume_scan", "Resume a scan", Toolset::Control, Effect::Adds, true),
    Row::changes("retry_scan", "Retry a scan", Toolset::Control, Effect::Destroys, false),
    Row::reads("list_scanners", "List scanners", Toolset::Scanners),
    Row::reads("list_pools", "List scanner pools", Toolset::Scanners),
    Row::reads("list_policies", "List templates and policies", Toolset::Scanners),
    Row::reads("get_pool_status", "Pool status", Toolset::Scanners),
    Row::reads("get_queue_status", "Queue status", Toolset::Scanners),
    Row::reads("health_check", "Health", Toolset::Scanners),
];

/// The row of a tool.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    TOOLS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_toolset_has_tools_and_a_name_of_its_own() {
        let names: BTreeSet<_> = Toolset::ALL.into_iter().map(Toolset::as_str).collect();
        assert_eq!(names.len(), Toolset::ALL.len());
        assert!(Toolset::ALL.iter().all(|toolset| TOOLS.iter().any(|row| row.toolset == *toolset)));
    }
}
