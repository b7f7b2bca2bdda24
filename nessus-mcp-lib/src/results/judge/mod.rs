//! What an export holds, and whether it can be relied on.
//!
//! Takes the steps of one reading ([`Visit`](super::xml::Visit)). Gives counts ([`Tally`] to [`ExportStats`]), a verdict
//! on the login at each host ([`Judge`] to [`AuthenticationReport`]), and both together with what a reader must know
//! ([`Validation`] to [`ValidationReport`]). It shows no findings.

mod authentication;
mod checks;
mod counts;
mod coverage;
mod host_list;
mod port_range;
mod scan_information;
mod targets;
mod validation;
mod warnings;

pub use self::{
    authentication::{
        AuthenticationReport, AuthenticationStatus, Cause, CauseCount, Evidence, HostAuthentication, LoginExpected,
        Verdict, VerdictCounts,
    },
    counts::{ComplianceCounts, ExportStats, SeverityCounts},
    validation::{Validation, ValidationReport, validate},
    warnings::ValidationWarning,
};
pub(crate) use self::{
    authentication::{Judge, Judgement},
    checks::{CheckGroup, CheckGroups},
    counts::{Tally, is_zero},
    coverage::{Coverage, ScanKind, Setting},
    host_list::HostList,
    port_range::{PortRange, Transport},
    scan_information::PLUGIN as SCAN_INFORMATION,
    validation::Examiner,
};
