//! From a scan that has ended to a task that is complete: export, validate, convert.
//!
//! A failed login completes the task all the same: the findings of the network are worth having, and the warnings, the
//! authentication status and the counts say what is missing.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    time::Duration,
};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, time::Instant};
use tracing::{info, warn};

use super::{held_task::HeldTask, outcome::StepError};
use crate::{
    blocking,
    error::{Classified as _, chain, counted},
    ids::ScanId,
    results::{AuthenticationStatus, ExportIndex, JsonNlConverter, Profile, Query, Validation, ValidationReport},
    scanner::{ExportSummary, ScanStatus, ScannerError, ScannerInterface as _},
    service,
    task::{
        Artifact, EXPORT_FILE, EventKind, FetchedExport, INDEX_FILE, Step, Task, TaskError, TaskStatus, WARNING_CODES,
        profile_file_name,
    },
    telemetry::ValidationFailure,
    time::Clock as _,
};

/// The pauses between tries to keep the results of a scan that ended early.
const PARTIAL_PAUSES: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
];
/// How many hosts are listed with their login outcome in `task.json`, which every status request reads.
const HOSTS_LISTED: usize = 10;

/// The code of the warning that the licence of the scanner left out hosts.
const LICENCE_LIMIT: &str = "licence_limit";

/// What is known of the results of a scan once they are published.
struct Collected {
    stats: Value,
    warnings: Vec<String>,
    authentication: AuthenticationStatus,
    export: FetchedExport,
}

/// Fetches the export, checks it, converts it to the profile that was asked for and completes the task.
pub(super) async fn complete(
    held: &HeldTask<'_>,
    task: &Task,
    scan: &ScanId,
    end: &ScanStatus,
) -> Result<(), StepError> {
    let found = collect(held, task, scan, end, TaskStatus::Completed, None).await?;
    crate::fail_points::fail_point!("worker_before_final_state");
    held.update(move |task| {
        task.status = TaskStatus::Completed;
        task.progress = Some(100);
        task.validation_stats = Some(found.stats);
        task.validation_warnings = found.warnings;
        task.authentication_status = Some(found.authentication.to_string());
        task.export = Some(found.export);
        task.error_code = None;
        task.error_message = None;
        task.error_hint = None;
    })
    .await?;
    crate::fail_points::fail_point!("worker_after_final_state");
    info!("the task is completed");
    Ok(())
}

/// Keeps what a scan has found that ended before it was complete, for a task that will end as `status`. A scan without
/// any results is no reason to fail: how the task ends is decided already, and what is missing is said in it.
pub(super) async fn keep_partial(
    held: &HeldTask<'_>,
    task: &Task,
    scan: &ScanId,
    end: &ScanStatus,
    status: TaskStatus,
) -> Result<(), StepError> {
    let reached = task.progress.map(|progress| format!(" at {progress} %")).unwrap_or_default();
    let warning = format!("the scan ended{reached}, before it was complete: hosts and findings are missing");
    let mut pauses = PARTIAL_PAUSES.iter();
    let found = loop {
        let error = match collect(held, task, scan, end, status, Some(warning.clone())).await {
            Ok(found) => break found,
            Err(error @ (StepError::Stopped | StepError::LeaseLost)) => return Err(error),
            Err(StepError::Task(error @ (TaskError::StaleFencingToken { .. } | TaskError::Transition(_)))) => {
                return Err(error.into());
            }
            Err(error) => error,
        };
        warn!(%scan, error = error.message(), hint = error.hint(), "the results of a scan that ended early cannot be kept");
        match pauses.next() {
            Some(pause) if error.is_retryable() => {
                held.step_failed(Step::Results, &error, *pause).await;
                held.pause(*pause).await?;
            }
            // What the scan has found is still on the scanner when this machine has recovered.
            None if error.is_local() => return Err(error),
            _ => {
                let warning = format!("what the scan has found could not be kept: {}", error.shown());
                held.update(move |task| task.validation_warnings = vec![warning]).await?;
                return Ok(());
            }
        }
    };
    held.update(move |task| {
        task.validation_stats = Some(found.stats);
        task.validation_warnings = found.warnings;
        task.authentication_status = Some(found.authentication.to_string());
        task.export = Some(found.export);
    })
    .await?;
    Ok(())
}

/// Fetches, checks, indexes, converts and publishes the results of a task that will be in `status`; `partial` is the
/// warning that stands first.
async fn collect(
    held: &HeldTask<'_>,
    task: &Task,
    scan: &ScanId,
    end: &ScanStatus,
    status: TaskStatus,
    partial: Option<String>,
) -> Result<Collected, StepError> {
    let Fetched { export, summary, index, report, read_in } = match fetch_sound(held, task, scan, end).await {
        Ok(fetched) => fetched,
        Err(error) => {
            if let Some(failure) = failure_of(&error) {
                count_validation(held, task, Some(failure));
            }
            return Err(error);
        }
    };
    count_validation(held, task, weakness_of(&report));
    let left_out = end.left_out_hosts.filter(|hosts| *hosts > 0);
    let left_out = left_out.map(|hosts| {
        format!(
            "the licence of the scanner left out {} not scanned",
            counted(hosts, "host: it was", "hosts: they were")
        )
    });
    let found = report.warnings.iter().map(|warning| (&*warning.code, warning.to_string()));
    let left_out = left_out.map(|left_out| (LICENCE_LIMIT, left_out));
    let (codes, texts): (Vec<_>, Vec<_>) = left_out.into_iter().chain(found).unzip();
    let warnings: Vec<String> = partial.into_iter().chain(texts).collect();
    let authentication = report.authentication.status;
    info!(
        hosts = report.stats.hosts,
        findings = report.stats.items,
        %authentication,
        warnings = warnings.len(),
        %status,
        "the results are checked and indexed"
    );
    let begun = Instant::now();
    let converted = convert(held, &finished_view(held, task, status, &warnings, authentication), &export).await?;
    held.shared.metrics.tasks().converted(&task.scanner_pool, read_in + begun.elapsed());
    held.publish(export).await?;
    crate::fail_points::fail_point!("worker_export_published");
    held.publish(index).await?;
    crate::fail_points::fail_point!("worker_index_published");
    held.publish(converted).await?;
    crate::fail_points::fail_point!("worker_profile_published");
    let export = FetchedExport::new(summary.bytes, summary.sha256);
    Ok(Collected { stats: stats_of(&report, codes), warnings, authentication, export })
}

/// An export that was read to its end.
struct Fetched {
    export: Artifact,
    summary: ExportSummary,
    /// One that is of no use says so, for those who would make it again.
    index: Artifact,
    report: ValidationReport,
    /// How long it took to check and to index.
    read_in: Duration,
}

/// Fetches an export and reads it once, which validates it and makes its index. If it cannot be read to its end, it is
/// exported once more.
async fn fetch_sound(held: &HeldTask<'_>, task: &Task, scan: &ScanId, end: &ScanStatus) -> Result<Fetched, StepError> {
    let mut is_first = true;
    loop {
        let (export, summary) = export(held, task, scan).await?;
        let index = held.shared.tasks.begin_artifact(&task.task_id, INDEX_FILE).await?;
        let output = index.writer().map_err(|error| ScannerError::Storage(error.to_string()))?;
        let path = export.temporary_path().to_owned();
        let validation = validation(task, end);
        let begun = Instant::now();
        match blocking(move || Ok(ExportIndex::build_validated(&open(&path)?.into(), output, &validation)?)).await {
            Ok((report, _is_usable)) => {
                return Ok(Fetched { export, summary, index, report, read_in: begun.elapsed() });
            }
            Err(StepError::Results(error)) if is_first && !error.is_input_output() => {
                warn!(%scan, error = chain(&error), "the export is broken: the scanner is asked for another");
                is_first = false;
            }
            Err(error) => return Err(error),
        }
    }
}

fn count_validation(held: &HeldTask<'_>, task: &Task, failure: Option<ValidationFailure>) {
    held.shared.metrics.tasks().validated(&task.scanner_pool, task.scan_type.as_str(), failure);
}

/// Why there is no export to be checked, where that lies with the export.
fn failure_of(error: &StepError) -> Option<ValidationFailure> {
    match error {
        StepError::Results(error) if !error.is_input_output() => Some(ValidationFailure::Malformed),
        StepError::Scanner(ScannerError::NotFound(_) | ScannerError::ExportLost(_)) => Some(ValidationFailure::Missing),
        StepError::Scanner(error) if !error.is_retryable() => Some(ValidationFailure::Other),
        _ => None,
    }
}

/// What makes an export less than was asked for.
fn weakness_of(report: &ValidationReport) -> Option<ValidationFailure> {
    match report.authentication.status {
        _ if report.stats.hosts == 0 => Some(ValidationFailure::Empty),
        AuthenticationStatus::Failed | AuthenticationStatus::NotAttempted => Some(ValidationFailure::Authentication),
        _ => None,
    }
}

async fn export(held: &HeldTask<'_>, task: &Task, scan: &ScanId) -> Result<(Artifact, ExportSummary), StepError> {
    held.update(|task| task.export_fetched_at = None).await?;
    let artifact = held.shared.tasks.begin_artifact(&task.task_id, EXPORT_FILE).await?;
    let storage = |error: std::io::Error| ScannerError::Storage(error.to_string());
    let mut sink = tokio::fs::File::from_std(artifact.writer().map_err(storage)?);
    let begun = Instant::now();
    let summary = held.unless_stopped(held.instance.scanner.export(scan, &mut sink)).await??;
    sink.flush().await.map_err(storage)?;
    let took = begun.elapsed();
    held.shared.metrics.tasks().exported(&task.scanner_pool, summary.bytes, took);
    let now = held.shared.clock.now();
    let seconds = took.as_secs_f64();
    let bytes = counted(summary.bytes, "byte", "bytes");
    let exported = held.event(EventKind::Exported).saying(Some(format!("{bytes} in {seconds:.1} s")));
    held.update(move |task| {
        task.export_fetched_at = Some(now);
        task.note(exported);
    })
    .await?;
    crate::fail_points::fail_point!("worker_exported");
    info!(%scan, bytes = summary.bytes, seconds, sha256 = summary.sha256, "the export was fetched");
    Ok((artifact, summary))
}

async fn convert(held: &HeldTask<'_>, task: &Task, export: &Artifact) -> Result<Artifact, StepError> {
    let profile: Profile = task.payload.schema_profile.as_deref().map(str::parse).transpose()?.unwrap_or_default();
    let artifact = held.shared.tasks.begin_artifact(&task.task_id, &profile_file_name(&profile.to_string())).await?;
    let converter =
        JsonNlConverter::new(Query::builder().profile(profile).build()?).with_metadata(service::scan_metadata(task));
    let input = export.temporary_path().to_owned();
    let output = artifact.writer().map_err(|error| ScannerError::Storage(error.to_string()))?;
    blocking(move || {
        let mut output = BufWriter::new(output);
        converter.convert(open(&input)?, &mut output)?;
        output.flush().map_err(|error| ScannerError::Storage(error.to_string()))?;
        Ok(())
    })
    .await?;
    Ok(artifact)
}

fn open(path: &Path) -> Result<File, StepError> {
    File::open(path).map_err(|source| {
        TaskError::Storage { action: "cannot read", path: path.to_owned(), source: source.into() }.into()
    })
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StepError> + Send + 'static,
) -> Result<T, StepError> {
    blocking::run(work).await.map_err(|_shutting_down| StepError::Stopped)?
}

/// The task as it will be when it is complete, for the metadata line of its converted results.
fn finished_view(
    held: &HeldTask<'_>,
    task: &Task,
    status: TaskStatus,
    warnings: &[String],
    authentication: AuthenticationStatus,
) -> Task {
    let mut task = task.clone();
    task.status = status;
    task.completed_at = Some(held.shared.clock.now());
    task.validation_warnings = warnings.to_vec();
    task.authentication_status = Some(authentication.to_string());
    task
}

/// What the export is held against.
fn validation(task: &Task, end: &ScanStatus) -> Validation {
    let mut validation = Validation::new().login(service::login_expected(task.scan_type)).hosts_listed(HOSTS_LISTED);
    if let Ok((targets, addresses)) = task.checked_targets() {
        validation = validation.targets(targets.with_addresses(&addresses));
    }
    if let Some(hosts) = end.hosts {
        validation = validation.reported_hosts(hosts);
    }
    validation
}

/// The report with the codes of the warnings, whose texts have their own field in the task, and without advice, which follows
/// from the causes. For a scan without a login also without its login outcomes.
fn stats_of(report: &ValidationReport, mut codes: Vec<&str>) -> Value {
    let mut stats = serde_json::to_value(report).unwrap_or(Value::Null);
    if let Value::Object(members) = &mut stats {
        members.remove("warnings");
        members.remove("troubleshooting");
        if report.authentication.status == AuthenticationStatus::NotApplicable {
            members.remove("authentication");
        }
        if !codes.is_empty() {
            codes.dedup();
            members.insert(WARNING_CODES.to_owned(), codes.into());
        }
    }
    stats
}
