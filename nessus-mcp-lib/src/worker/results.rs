//! From a scan that has ended to a task that is complete: export, count, convert.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    time::Duration,
};

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tracing::{info, warn};

use super::{outcome::StepError, road::Held};
use crate::{
    blocking,
    ids::ScanId,
    results::{self, ExportStats, JsonNlConverter, Profile, Query},
    scanner::{ScanStatus, ScannerError},
    service,
    targets::TargetSet,
    task::{Artifact, EXPORT_FILE, ScanType, Task, TaskError, TaskStatus, profile_file_name},
};

/// How often an export is tried before the task is given back.
const EXPORT_TRIES: u32 = 3;
/// The pause before an export is tried again; it doubles.
const EXPORT_PAUSE: Duration = Duration::from_secs(1);

/// Fetches the export, checks it, converts it to the profile that was asked for and completes the task.
pub(super) async fn complete(held: &Held<'_>, task: &Task, scan: &ScanId, end: &ScanStatus) -> Result<(), StepError> {
    let export = fetch(held, task, scan).await?;
    let path = export.temporary_path().to_owned();
    let stats = blocking(move || Ok(results::validate(open(&path)?)?)).await?;
    let warnings = warnings(task, end, &stats);
    info!(hosts = stats.hosts, findings = stats.items, warnings = warnings.len(), "results are whole");

    let finished = finished_view(held, task, &warnings);
    let converted = convert(held, &finished, &export).await?;
    held.publish(export).await?;
    held.publish(converted).await?;
    let stats = serde_json::to_value(&stats).unwrap_or(Value::Null);
    held.update(move |task| {
        task.status = TaskStatus::Completed;
        task.progress = Some(100);
        task.validation_stats = Some(stats);
        task.validation_warnings = warnings;
        task.authentication_status = finished.authentication_status;
        task.error_code = None;
        task.error_message = None;
    })
    .await?;
    Ok(())
}

async fn fetch(held: &Held<'_>, task: &Task, scan: &ScanId) -> Result<Artifact, StepError> {
    let mut pause = EXPORT_PAUSE;
    for tried in 1.. {
        match export_once(held, task, scan).await {
            Ok(artifact) => return Ok(artifact),
            Err(error) if error.is_retryable() && tried < EXPORT_TRIES => {
                warn!(%scan, error = error.message(), tried, "the export is tried again");
            }
            Err(error) => return Err(error),
        }
        held.pause(pause).await?;
        pause *= 2;
    }
    Err(StepError::Stopped)
}

async fn export_once(held: &Held<'_>, task: &Task, scan: &ScanId) -> Result<Artifact, StepError> {
    let artifact = held.shared.tasks.begin_artifact(&task.task_id, EXPORT_FILE).await?;
    let storage = |error: std::io::Error| ScannerError::Storage(error.to_string());
    let mut sink = tokio::fs::File::from_std(artifact.writer().map_err(storage)?);
    let summary = held.unless_stopped(held.instance.scanner.export(scan, &mut sink)).await??;
    sink.flush().await.map_err(storage)?;
    info!(%scan, bytes = summary.bytes, "export fetched");
    Ok(artifact)
}

async fn convert(held: &Held<'_>, task: &Task, export: &Artifact) -> Result<Artifact, StepError> {
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
fn finished_view(held: &Held<'_>, task: &Task, warnings: &[String]) -> Task {
    let mut task = task.clone();
    task.status = TaskStatus::Completed;
    task.completed_at = Some(held.shared.clock.now());
    task.validation_warnings = warnings.to_vec();
    task.authentication_status = (task.scan_type == ScanType::Untrusted).then(|| "not_applicable".to_owned());
    task
}

/// What a reader of these results must know.
fn warnings(task: &Task, end: &ScanStatus, stats: &ExportStats) -> Vec<String> {
    let mut warnings = Vec::new();
    if stats.hosts == 0 {
        warnings.push("the scanner reports no host: nothing answered, or nothing was scanned".to_owned());
    } else if let Ok(targets) = task.payload.targets.parse::<TargetSet>() {
        let asked = targets.host_count();
        let without = asked.saturating_sub(u128::from(stats.hosts));
        if without > 0 {
            warnings
                .push(format!("{without} of {asked} targets have no results: they did not answer or were not scanned"));
        }
    }
    if stats.hosts_without_findings > 0 {
        warnings.push(format!(
            "{} hosts are listed without any finding: they may not have been scanned",
            stats.hosts_without_findings
        ));
    }
    if let Some(reported) = end.hosts.filter(|reported| *reported != stats.hosts) {
        warnings.push(format!("the scanner reported {reported} hosts, the export has {}", stats.hosts));
    }
    warnings
}
