//! Whether an export can be relied on: what it holds, what is missing, and whether the login worked.
//!
//! The findings of a scan that reached half of its hosts, or that could not log in, look like those of a good one. So
//! every completed scan is validated, and what a reader must know is said in sentences beside the findings. A failed
//! login is no reason to throw network findings away: it is a warning, never an error.

use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

use super::{
    authentication::{AuthenticationReport, Judge, LoginExpected},
    counts::{ExportStats, Tally},
    targets::Coverage,
    warnings::{self, Found, Known, ValidationWarning},
};
use crate::{
    results::{
        error::ResultsError,
        record::HostEvidence,
        xml::{Visit, walk_united},
    },
    targets::TargetSet,
};

/// How many hosts are listed with their verdicts when nothing else is asked for.
const HOSTS_LISTED: usize = 50;

/// Reads a whole export, from its first byte on, and counts what it holds, in memory that does not grow with it.
///
/// ```
/// let export = br#"<NessusClientData_v2><Report><ReportHost name="a">
///     <ReportItem severity="3" pluginID="1" port="0"/></ReportHost><ReportHost name="b"/></Report></NessusClientData_v2>"#;
/// let stats = nessus_mcp_lib::results::validate(std::io::Cursor::new(export))?;
/// assert_eq!((stats.hosts, stats.hosts_without_findings, stats.severity_counts.high), (2, 1, 1));
/// # Ok::<(), nessus_mcp_lib::results::ResultsError>(())
/// ```
///
/// # Errors
/// When it is not a complete .nessus export of version 2.
pub fn validate<R: Read + Seek>(input: R) -> Result<ExportStats, ResultsError> {
    walk_united(input, Tally::default, Tally::visit).map(Tally::finish)
}

/// What is known about a scan beside its export, to hold the export against.
///
/// ```
/// use std::io::Cursor;
/// use nessus_mcp_lib::results::{AuthenticationStatus, LoginExpected, Validation};
///
/// let export = br#"<NessusClientData_v2><Report><ReportHost name="192.0.2.1">
///     <ReportItem severity="0" pluginID="104410" port="22" svc_name="ssh"/></ReportHost></Report></NessusClientData_v2>"#;
/// let report = Validation::new().login(LoginExpected::Yes).targets("192.0.2.1-2".parse()?).run(Cursor::new(export))?;
/// assert_eq!(report.authentication.status, AuthenticationStatus::Failed);
/// let missing = report.warnings.iter().find(|warning| warning.code == "targets_without_results");
/// assert!(missing.unwrap().message.ends_with(": 192.0.2.2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Validation {
    known: Known,
    targets: Option<TargetSet>,
    authenticated_share: f64,
    hosts_listed: usize,
}

impl Default for Validation {
    fn default() -> Self {
        Self::new()
    }
}

impl Validation {
    /// Nothing is known.
    pub const fn new() -> Self {
        Self {
            known: Known { login: LoginExpected::NotSaid, reported_hosts: None, licensed_hosts: None },
            targets: None,
            authenticated_share: 1.0,
            hosts_listed: HOSTS_LISTED,
        }
    }

    /// Whether the scan was to log in.
    pub const fn login(mut self, login: LoginExpected) -> Self {
        self.known.login = login;
        self
    }

    /// The targets that were asked for. They are held against the hosts one by one: by address, and by all names that a
    /// host is known to have.
    pub fn targets(mut self, targets: TargetSet) -> Self {
        self.targets = Some(targets);
        self
    }

    /// How many hosts the scanner says it has results for.
    pub const fn reported_hosts(mut self, hosts: u64) -> Self {
        self.known.reported_hosts = Some(hosts);
        self
    }

    /// How many hosts the scanner's licence allows: a scan of more is cut short without a word.
    pub const fn licensed_hosts(mut self, hosts: u64) -> Self {
        self.known.licensed_hosts = Some(hosts);
        self
    }

    /// The part of the live hosts, from 0 to 1, that must be authenticated for a success; all of them by default.
    pub const fn authenticated_share(mut self, share: f64) -> Self {
        self.authenticated_share = share;
        self
    }

    /// How many hosts are listed with their verdicts, 50 by default; the rest is counted.
    pub const fn hosts_listed(mut self, most: usize) -> Self {
        self.hosts_listed = most;
        self
    }

    /// Reads a whole export, from its first byte on, and judges it, in memory that does not grow with it.
    ///
    /// # Errors
    /// When it is not a complete .nessus export of version 2.
    pub fn run<R: Read + Seek>(&self, input: R) -> Result<ValidationReport, ResultsError> {
        let begin = || (Tally::default(), self.examiner());
        let (tally, examiner) = walk_united(input, begin, |(tally, examiner), visit| {
            tally.visit(visit);
            examiner.visit(visit);
        })?;
        Ok(self.report(tally.finish(), examiner))
    }

    /// What sees the hosts of an export.
    pub(crate) fn examiner(&self) -> Examiner {
        Examiner { judge: Judge::new(self.hosts_listed), coverage: self.targets.clone().map(Coverage::new) }
    }

    /// The report on what was counted and seen.
    pub(crate) fn report(&self, stats: ExportStats, examiner: Examiner) -> ValidationReport {
        let Examiner { judge, coverage } = examiner;
        let machines = judge.machines();
        let targets = coverage.map(|coverage| coverage.finish(&machines));
        let (authentication, contradictions) = judge.finish(self.known.login, self.authenticated_share);
        let found = Found {
            stats: &stats,
            authentication: &authentication,
            contradictions: &contradictions,
            targets: targets.as_ref(),
            blocks: machines.of_blocks.len() as u64,
        };
        let warnings = warnings::warnings(self.known, &found);
        let troubleshooting = warnings::troubleshooting(self.known.login, &authentication);
        ValidationReport { stats, authentication, warnings, troubleshooting }
    }
}

/// Sees the hosts of an export: judges their logins, and looks for the targets among them.
#[derive(Debug)]
pub(crate) struct Examiner {
    judge: Judge,
    coverage: Option<Coverage>,
}

impl Examiner {
    /// Looks at one step.
    pub(crate) fn visit(&mut self, visit: Visit<'_>) {
        self.judge.visit(visit);
        if let (Visit::HostEnd(host), Some(coverage)) = (visit, &mut self.coverage) {
            coverage.see(host, &HostEvidence::of(host));
        }
    }
}

/// What a validation has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ValidationReport {
    /// What the export holds.
    #[serde(flatten)]
    pub stats: ExportStats,
    /// Whether the login worked.
    pub authentication: AuthenticationReport,
    /// What a reader of the findings must know.
    pub warnings: Vec<ValidationWarning>,
    /// What to do about failed logins, the most frequent cause first. Empty when there is nothing to do.
    pub troubleshooting: Vec<String>,
}
