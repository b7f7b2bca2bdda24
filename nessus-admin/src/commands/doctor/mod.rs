//! `doctor`: all checks of a deployment in one. None stops another, and each has its own time.

mod disk;
mod finding;
mod queue;
mod store;

use std::{collections::HashMap, env, time::Duration};

use nessus_mcp_lib::{
    config::{ExaminedScanners, ScannerNames, ScannersConfig, Settings, cli::EffectiveSetting},
    error::{Classified, ErrorKind, Failure, counted},
    scanner::CheckOutcome,
};
use serde_json::json;

use self::finding::{Finding, Severity, within};
use super::{config, scanners};
use crate::{
    args::DoctorArgs,
    output::{self, Cell, Column, Table, own_words},
};

/// How long the scanners may take; each has a limit of its own as well.
const SCANNERS_LIMIT: Duration = Duration::from_secs(90);

/// A deployment with findings.
#[derive(Debug, thiserror::Error)]
#[error("{}", counted(*.count, "finding", "findings"))]
struct NotHealthy {
    count: usize,
    kind: ErrorKind,
}

impl Classified for NotHealthy {
    fn code(&self) -> &'static str {
        "not_healthy"
    }

    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

pub(crate) async fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let variables: Vec<_> = env::vars_os().collect();
    let effective = args.given.effective(&variables);
    let settings = effective.settings.clone();
    let is_off = |one: &EffectiveSetting| one.name == "HOUSEKEEPING_ENABLED" && one.value.as_deref() == Some("false");
    let keeps_house = !effective.all.iter().any(is_off);
    let examined = ScannersConfig::examine(&settings.scanner_config);
    let pools = ScannerNames::load(&settings.scanner_config).pools;
    let (configuration, of_disk, of_store, of_queue, stuck, of_scanners) = tokio::join!(
        within(SCANNERS_LIMIT, "configuration", configuration(config::examine(effective, &variables))),
        disk::check(&settings),
        store::check(&settings, keeps_house),
        queue::check(&settings, &pools),
        queue::stuck_tasks(&settings),
        within(SCANNERS_LIMIT, "scanners", check_scanners(args, &settings, examined)),
    );
    let findings = [configuration, of_disk, of_store, of_queue, stuck, of_scanners].concat();
    if args.json {
        output::json(&json!({ "severity": worst(&findings), "findings": findings }))?;
    } else {
        show(&findings);
    }
    outcome(&findings)
}

async fn configuration(examined: impl Future<Output = config::Configuration>) -> Vec<Finding> {
    let configuration = examined.await;
    let mend = "nessus-admin config check";
    let faults = configuration.faults.iter().map(|fault| Finding::failed("configuration", &fault.message).mend(mend));
    let warnings = configuration.warnings.iter().map(|warning| Finding::warning("configuration", warning).mend(mend));
    let mut findings: Vec<_> = faults.chain(warnings).collect();
    if findings.is_empty() {
        findings.push(Finding::ok("configuration", "settings and files can be used"));
    }
    findings
}

async fn check_scanners(args: &DoctorArgs, settings: &Settings, examined: ExaminedScanners) -> Vec<Finding> {
    if args.no_scanners {
        return vec![Finding::skipped("scanners", "not wanted (`--no-scanners`)")];
    }
    // That the queue cannot be asked is another finding; without it a login is tried once.
    let refused = scanners::refused_logins(settings, &examined).await.unwrap_or_else(|_| HashMap::new());
    let checked = match scanners::check_all(examined.pools, &refused).await {
        Ok(checked) => checked,
        Err(failure) => return vec![Finding::failed("scanners", disk::in_one_line(&failure))],
    };
    let mut findings = Vec::new();
    for scanner in checked {
        let name = scanner.name();
        let steps = scanner.check.steps.iter();
        let bad = steps.filter(|step| matches!(step.outcome, CheckOutcome::Warning | CheckOutcome::Failed));
        let before = findings.len();
        for step in bad {
            let detail = format!("{name}: {}: {}", step.step, step.detail);
            let finding = match step.outcome {
                CheckOutcome::Failed => Finding::failed("scanners", detail),
                _ => Finding::warning("scanners", detail),
            };
            let check = format!("nessus-admin scanners check {name}");
            findings.push(
                finding
                    .mend(step.hint.as_deref().map_or(check.clone(), |hint| format!("{check}; {}", own_words(hint)))),
            );
        }
        if findings.len() == before {
            let finding = if scanner.check.outcome == CheckOutcome::Skipped { Finding::skipped } else { Finding::ok };
            let detail = if scanner.check.outcome == CheckOutcome::Skipped { "disabled" } else { "it can scan" };
            findings.push(finding("scanners", format!("{name}: {detail}")));
        }
    }
    findings
}

fn worst(findings: &[Finding]) -> Severity {
    let counted = findings.iter().map(|finding| finding.severity).filter(|severity| *severity != Severity::Skipped);
    counted.max().unwrap_or(Severity::Ok)
}

fn show(findings: &[Finding]) {
    let mut table = Table::new([Column::new("check"), Column::new("result"), Column::wide("found")]);
    for finding in findings {
        table.row([
            Cell::new(finding.check),
            Cell::new(finding.severity).coloured(finding.severity.colour()),
            Cell::new(&finding.detail),
        ]);
    }
    output::table(&table);
    let mut is_first = true;
    for finding in findings.iter().filter(|finding| finding.severity >= Severity::Warning) {
        let Some(mend) = &finding.mend else { continue };
        if std::mem::take(&mut is_first) {
            output::lines(["", "to mend it:"]);
        }
        output::say(format!("  {mend}"));
        output::say(format!("    # {}: {}", finding.check, finding.detail));
    }
}

/// The configuration first, because it explains the rest; then what does not answer.
fn outcome(findings: &[Finding]) -> Result<(), Failure> {
    let count = findings.iter().filter(|finding| finding.severity >= Severity::Warning).count();
    if count == 0 {
        return Ok(());
    }
    let failed = findings.iter().filter(|finding| finding.severity == Severity::Failed);
    let kinds: Vec<_> = failed.map(kind_of).collect();
    let gravest = [ErrorKind::Configuration, ErrorKind::Unavailable].into_iter().find(|kind| kinds.contains(kind));
    Err(NotHealthy { count, kind: gravest.unwrap_or(ErrorKind::Internal) }.into())
}

/// What a program would end with that finds this at its start.
fn kind_of(finding: &Finding) -> ErrorKind {
    finding.kind.unwrap_or(match finding.check {
        "configuration" | "binding" => ErrorKind::Configuration,
        "queue" | "store" | "scanners" => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_finding_decides_the_exit_code() {
        let kind = |findings: &[Finding]| outcome(findings).map_err(|failure| format!("{:?}", failure.exit_code()));
        let code = |kind: ErrorKind| Err(format!("{:?}", std::process::ExitCode::from(kind.exit_code())));
        let (ok, skipped) = (Finding::ok("disk", ""), Finding::skipped("scanners", ""));
        let (warning, queue) = (Finding::warning("disk", ""), Finding::failed("queue", ""));
        let binding = Finding::failed("binding", "");
        assert_eq!(kind(&[ok.clone(), skipped.clone()]), Ok(()));
        assert_eq!(kind(&[ok.clone(), warning.clone()]), code(ErrorKind::Internal));
        assert_eq!(kind(&[warning.clone(), queue.clone()]), code(ErrorKind::Unavailable));
        let bucket = Finding::failed("store", "").of_kind(ErrorKind::Configuration);
        assert_eq!(kind(&[queue.clone(), bucket]), code(ErrorKind::Configuration));
        assert_eq!(kind(&[queue, binding]), code(ErrorKind::Configuration));
        assert_eq!((worst(&[ok, skipped]), worst(&[warning])), (Severity::Ok, Severity::Warning));
    }
}
