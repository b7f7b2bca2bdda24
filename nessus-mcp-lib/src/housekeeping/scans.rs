//! The scans on scanners that a run looks at: whether they may run, and whether they go.

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tracing::{debug, warn};

use super::{
    error::HousekeepingError,
    report::RemovedScan,
    rules::{self, ScanKept, SeenScan},
    run::Run,
};
use crate::{
    blocking,
    error::chain,
    hex,
    ids::{InstanceId, PoolName, ScanId, scanner_name},
    results::{ExportIndex, Validation},
    scanner::{ScannerError, ScannerInstance, ScannerInterface as _, remove_scan},
    task::{EXPORT_FILE, Task, Writer},
    time::Timestamp,
};

/// How long a scan that is to end may take for it.
const STOP_LIMIT: Duration = Duration::from_secs(120);

impl Run<'_> {
    /// A scanner, if it is configured here.
    fn scanner(&self, pool: &PoolName, instance: &InstanceId) -> Option<ScannerInstance> {
        self.means.scanners.pool(pool)?.instance(instance).cloned()
    }

    /// What is to be said of a scan of a task that may run; `None` when all of its scans are known to have ended. Of those of which
    /// the task's file does not know it, their scanners are asked.
    pub(super) async fn scan_that_may_run(&mut self, task: &Task) -> Result<Option<String>, HousekeepingError> {
        for (instance, scan) in rules::scans_that_may_run(task) {
            let name = format!("scan {scan} on {}", scanner_name(&task.scanner_pool, &instance));
            let Some(scanner) = self.scanner(&task.scanner_pool, &instance) else {
                return Ok(Some(format!("{name} may run, and that scanner is not configured here")));
            };
            let status = match scanner.scanner.status(&scan).await {
                Ok(status) => Some(status),
                Err(ScannerError::NotFound(_)) => None,
                Err(error) => return Ok(Some(format!("{name} may run: {}", chain(&error)))),
            };
            if !rules::may_run(status.as_ref()) {
                continue;
            }
            if !self.means.settings.delete_stale_scans {
                return Ok(Some(format!("{name} still runs")));
            }
            if let Some(kept) = self.end_scan(task, &scanner, &scan).await? {
                return Ok(Some(format!("{name} still runs: {kept}")));
            }
        }
        Ok(None)
    }

    /// Stops and deletes a scan of a task that is past its time; why not, if it is not gone.
    async fn end_scan(
        &mut self,
        task: &Task,
        scanner: &ScannerInstance,
        scan: &ScanId,
    ) -> Result<Option<String>, HousekeepingError> {
        let attempt =
            task.open_scans.iter().find(|open| open.scan_id == *scan).map_or(task.attempt, |open| open.attempt);
        match scanner.scanner.find_by_marker(&task.scan_marker(attempt)).await {
            Ok(Some(found)) if found == *scan => {}
            Ok(_) => return Ok(Some("it does not carry the name of the task".to_owned())),
            Err(error) => return Ok(Some(chain(&error))),
        }
        if !self.report.dry_run {
            self.may_remove().await?;
            if let Err(error) = remove_scan(scanner.scanner.as_ref(), scan, STOP_LIMIT).await {
                return Ok(Some(chain(&error)));
            }
            warn!(task_id = %task.task_id, %scan, instance = %scanner.instance_id, "a scan still ran whose task was over long ago: it was stopped and deleted");
            self.count("scan", 1);
        }
        self.removed_scan(task, &scanner.instance_id, scan);
        Ok(None)
    }

    fn removed_scan(&mut self, task: &Task, instance: &InstanceId, scan: &ScanId) {
        let removed = RemovedScan::new(&task.scanner_pool, instance, scan.clone(), task.task_id.clone());
        self.report.scans.push(removed);
    }

    /// Deletes the last scan of a task on its scanner, if it may go. `archived_at` is when the task was removed.
    pub(super) async fn look_at_scan(
        &mut self,
        task: &Task,
        archived_at: Option<Timestamp>,
    ) -> Result<(), HousekeepingError> {
        let is_archived = archived_at.is_some();
        match rules::scan_is_due(task, is_archived, &self.means.settings, self.now) {
            Ok(()) => {}
            Err(ScanKept::None) => return Ok(()),
            Err(kept) => {
                self.report.keep_scan(kept.as_str());
                return Ok(());
            }
        }
        let (Some(instance), Some(scan)) = (&task.scanner_instance_id, &task.nessus_scan_id) else { return Ok(()) };
        let name = scanner_name(&task.scanner_pool, instance);
        let Some(scanner) = self.scanner(&task.scanner_pool, instance) else {
            self.report.keep_scan("scanner_not_configured");
            return Ok(());
        };
        match self.judge(task, is_archived, &scanner, scan).await {
            Ok(Ok(())) => {}
            Ok(Err(kept)) => {
                self.report.keep_scan(kept.as_str());
                self.report.note(format!("{name} scan {scan} of {}", task.task_id), kept.as_str());
                return Ok(());
            }
            Err(ScannerError::NotFound(_)) => {
                if !self.report.dry_run {
                    self.mark(task, archived_at).await?;
                }
                self.report.keep_scan("gone_already");
                return Ok(());
            }
            Err(error) => {
                debug!(scanner = name, %scan, error = chain(&error), "a scan could not be looked at");
                self.report.keep_scan("scanner_unavailable");
                return Ok(());
            }
        }
        if !self.report.dry_run {
            self.may_remove().await?;
            // Refused while it runs. It is not stopped: somebody may just have started it again.
            if let Err(error) = scanner.scanner.delete(scan).await {
                warn!(scanner = name, %scan, error = chain(&error), "an old scan could not be deleted");
                self.report.keep_scan("failed");
                return Ok(());
            }
            crate::fail_points::fail_point!("housekeeping_scan_deleted");
            self.mark(task, archived_at).await?;
            self.count("scan", 1);
        }
        self.removed_scan(task, instance, scan);
        Ok(())
    }

    /// Asks the scanner about a scan that is due, and looks at the export of its task.
    async fn judge(
        &self,
        task: &Task,
        is_archived: bool,
        scanner: &ScannerInstance,
        scan: &ScanId,
    ) -> Result<Result<(), ScanKept>, ScannerError> {
        let status = scanner.scanner.status(scan).await?;
        let is_known = matches!((&task.scan_uuid, &status.run_uuid), (Some(_), Some(_)));
        let has_marker = if is_known {
            None
        } else {
            let found = scanner.scanner.find_by_marker(&task.scan_marker(task.attempt)).await?;
            Some(found.as_ref() == Some(scan))
        };
        let mut seen = SeenScan { status: &status, has_marker, export_is_safe: true };
        let mut verdict = rules::scan_goes(task, is_archived, &seen);
        // An export may be large: it is read only where it decides.
        if verdict.is_ok() && !is_archived {
            seen.export_is_safe = self.export_is_safe(task).await;
            verdict = rules::scan_goes(task, is_archived, &seen);
        }
        Ok(verdict)
    }

    /// Writes down that a scan is gone, so that nobody asks for it again.
    async fn mark(&self, task: &Task, archived_at: Option<Timestamp>) -> Result<(), HousekeepingError> {
        let (scan, now) = (task.nessus_scan_id.clone(), self.now);
        let change = move |task: &mut Task| {
            if task.nessus_scan_id == scan {
                task.scan_deleted_at = Some(now);
            }
        };
        if let Some(archived_at) = archived_at {
            let mut task = task.clone();
            change(&mut task);
            self.tasks().archive_again(task, archived_at).await?;
        } else if let Err(error) = self.tasks().update(&task.task_id, Writer::Api, change).await {
            debug!(task_id = %task.task_id, error = chain(&error), "it was not written down that a scan is deleted");
        }
        Ok(())
    }

    /// Whether the export of a task is here as it was when it was checked.
    async fn export_is_safe(&self, task: &Task) -> bool {
        let path = self.tasks().artifact_path(&task.task_id, EXPORT_FILE);
        let task = task.clone();
        blocking::run(move || is_safe(&task, path)).await.ok().and_then(Result::ok).unwrap_or(false)
    }
}

/// Compares an export with what was written down of it. Of one without a checksum, which an older version has fetched, it is enough that it
/// can be read to its end and has as many hosts and findings as it had then.
fn is_safe(task: &Task, path: PathBuf) -> io::Result<bool> {
    if !path.symlink_metadata()?.is_file() {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    if let Some(fetched) = &task.export {
        if file.metadata()?.len() != fetched.bytes {
            return Ok(false);
        }
        if let Some(expected) = &fetched.sha256 {
            let (mut hash, mut bytes) = (Sha256::new(), vec![0; 1 << 16]);
            loop {
                match file.read(&mut bytes)? {
                    0 => break,
                    read => hash.update(&bytes[..read]),
                }
            }
            return Ok(hex::encode(&hash.finalize()) == *expected);
        }
    }
    let counted = |name: &str| task.validation_stats.as_ref().and_then(|stats| stats.get(name)).and_then(Value::as_u64);
    let read = ExportIndex::build_validated(&file, io::sink(), &Validation::new());
    Ok(read.is_ok_and(|(report, _)| {
        Some(report.stats.hosts) == counted("hosts") && Some(report.stats.items) == counted("items")
    }))
}
