//! The scans on scanners that a run looks at: whether they may run, and whether they go.

use std::{
    io::{self, Read as _},
    time::Duration,
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tracing::{debug, warn};

use super::{
    error::HousekeepingError,
    report::ScanOnScanner,
    rules::{self, DueScan, ScanKept, SeenScan},
    run::Run,
};
use crate::{
    blocking,
    error::chain,
    hex,
    ids::{InstanceId, PoolName, ScanId, scanner_name},
    results::{ExportIndex, Validation},
    scanner::{MarkedScan, ScannerError, ScannerInstance, ScannerInterface as _, remove_scan},
    task::{EXPORT_FILE, FormerScan, ResultPlace, Task, Writer},
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
        match self.has_marker(task, scanner, scan).await {
            Ok(true) => {}
            Ok(false) => return Ok(Some("it does not carry the name of the task".to_owned())),
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
        let removed = ScanOnScanner::new(&task.scanner_pool, instance, scan.clone(), task.task_id.clone());
        self.report.scans.push(removed);
    }

    /// Whether the name of a scan says that it is of this task, in whichever attempt.
    async fn has_marker(
        &mut self,
        task: &Task,
        scanner: &ScannerInstance,
        scan: &ScanId,
    ) -> Result<bool, ScannerError> {
        let name = scanner_name(&task.scanner_pool, &scanner.instance_id);
        if !self.scans.marked.contains_key(&name) {
            let marked = match scanner.scanner.marked_scans().await {
                Err(ScannerError::Unsupported(_)) => None,
                marked => Some(marked?),
            };
            self.scans.marked.insert(name.clone(), marked);
        }
        if let Some(Some(marked)) = self.scans.marked.get(&name) {
            return Ok(marked.iter().any(|found| found.scan_id == *scan && found.task_id == task.task_id));
        }
        let found = scanner.scanner.find_by_marker(&task.scan_marker(task.attempt)).await?;
        Ok(found.as_ref() == Some(scan))
    }

    /// Lists the scans that carry the id of a task, and that no task here has, on the scanners that tasks here have used. One that does not
    /// answer lists none.
    pub(super) async fn list_unknown_scans(&mut self) {
        for pool in self.means.scanners.pools() {
            for instance in pool.enabled() {
                let name = scanner_name(&pool.name, &instance.instance_id);
                if !self.scans.ours.iter().any(|(scanner, _)| *scanner == name) {
                    continue;
                }
                if !self.scans.marked.contains_key(&name) {
                    let marked = instance.scanner.marked_scans().await.ok();
                    self.scans.marked.insert(name.clone(), marked);
                }
                let marked = self.scans.marked.get(&name).into_iter().flatten().flatten();
                let unknown = marked.filter(|scan| !self.scans.ours.contains(&(name.clone(), scan.scan_id.clone())));
                self.report.unknown_scans.extend(unknown.map(|scan| {
                    let MarkedScan { scan_id, task_id, .. } = scan.clone();
                    ScanOnScanner::new(&pool.name, &instance.instance_id, scan_id, task_id)
                }));
            }
        }
    }

    /// Deletes the scans of a task on their scanners, if they may go. `archived_at` is when the task was removed.
    pub(super) async fn look_at_scans(
        &mut self,
        task: &Task,
        archived_at: Option<Timestamp>,
    ) -> Result<(), HousekeepingError> {
        let is_archived = archived_at.is_some();
        let due = match rules::scans_that_are_due(task, is_archived, &self.means.settings, self.now) {
            Ok(due) => due,
            Err(ScanKept::None) => return Ok(()),
            Err(kept) => {
                self.report.keep_scan(kept.as_str());
                return Ok(());
            }
        };
        let mut gone = Vec::new();
        for due in due {
            if self.delete(task, is_archived, &due).await? {
                gone.push(due);
            }
        }
        if gone.is_empty() || self.report.dry_run { Ok(()) } else { self.mark(task, archived_at, gone).await }
    }

    /// Deletes a scan that is due, if it goes; whether it is gone.
    async fn delete(&mut self, task: &Task, is_archived: bool, due: &DueScan) -> Result<bool, HousekeepingError> {
        let DueScan { instance, scan, .. } = due;
        let name = scanner_name(&task.scanner_pool, instance);
        let Some(scanner) = self.scanner(&task.scanner_pool, instance) else {
            self.report.keep_scan("scanner_not_configured");
            return Ok(false);
        };
        match self.judge(task, is_archived, &scanner, due).await {
            Ok(Ok(())) => {}
            Ok(Err(kept)) => {
                self.report.keep_scan(kept.as_str());
                self.report.note(format!("{name} scan {scan} of {}", task.task_id), kept.as_str());
                return Ok(false);
            }
            Err(ScannerError::NotFound(_)) => {
                self.report.keep_scan("gone_already");
                return Ok(true);
            }
            Err(error) => {
                debug!(scanner = name, %scan, error = chain(&error), "a scan could not be looked at");
                self.report.keep_scan("scanner_unavailable");
                return Ok(false);
            }
        }
        if !self.report.dry_run {
            self.may_remove().await?;
            // Refused while it runs. It is not stopped: somebody may just have started it again.
            if let Err(error) = scanner.scanner.delete(scan).await {
                warn!(scanner = name, %scan, error = chain(&error), "an old scan could not be deleted");
                self.report.keep_scan("failed");
                return Ok(false);
            }
            crate::fail_points::fail_point!("housekeeping_scan_deleted");
            self.count("scan", 1);
        }
        self.removed_scan(task, instance, scan);
        Ok(true)
    }

    /// Asks the scanner about a scan that is due, and looks at the export of its task.
    async fn judge(
        &mut self,
        task: &Task,
        is_archived: bool,
        scanner: &ScannerInstance,
        due: &DueScan,
    ) -> Result<Result<(), ScanKept>, ScannerError> {
        let status = scanner.scanner.status(&due.scan).await?;
        let has_marker = match (&due.run, &status.run_uuid) {
            (Some(_), Some(_)) => None,
            _ => Some(self.has_marker(task, scanner, &due.scan).await?),
        };
        let mut seen = SeenScan { status: &status, has_marker, is_spare: true };
        let mut verdict = rules::scan_goes(due, &seen);
        // An export may be large: it is looked at only where it decides.
        if verdict.is_ok() && !is_archived {
            seen.is_spare = self.export_is_safe(task).await;
            verdict = rules::scan_goes(due, &seen);
        }
        Ok(verdict)
    }

    /// Writes down that scans are gone, so that nobody asks for them again.
    async fn mark(
        &self,
        task: &Task,
        archived_at: Option<Timestamp>,
        gone: Vec<DueScan>,
    ) -> Result<(), HousekeepingError> {
        let now = self.now;
        let change = move |task: &mut Task| {
            for gone in &gone {
                if gone.is_last && task.nessus_scan_id.as_ref() == Some(&gone.scan) {
                    task.scan_deleted_at = Some(now);
                }
                let is_gone = |former: &FormerScan| former.scan_id == gone.scan && former.instance_id == gone.instance;
                task.former_scans.retain(|former| gone.is_last || !is_gone(former));
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
    ///
    /// A file on a disk is read: nobody else compares its bytes. In a bucket it is enough that what was uploaded has the SHA-256 of what was
    /// checked, and that all its parts are there with their sizes. The store has confirmed each part and looks after its bytes; no part is
    /// written twice under a name; and what was deleted since is not in the list. A list shows a thousand parts, and a reading would fetch them
    /// all. Only a part that somebody has replaced by as many other bytes would be noticed by a reading alone, and he could do so right after it.
    async fn export_is_safe(&self, task: &Task) -> bool {
        if let (Some(checked), Some(uploaded)) = (&task.export, task.files.get(EXPORT_FILE))
            && let Some(sha256) = &checked.sha256
            && let Some(is_whole) = self.tasks().is_whole(task, EXPORT_FILE).await.unwrap_or(Some(false))
        {
            return is_whole && (uploaded.size, &uploaded.sha256) == (checked.bytes, sha256);
        }
        let place = self.tasks().place(task, EXPORT_FILE);
        let task = task.clone();
        blocking::run(move || is_safe(&task, &place)).await.ok().and_then(Result::ok).unwrap_or(false)
    }
}

/// Compares an export with what was written down of it. Of one without a checksum, which an older version has fetched, it is enough that it
/// can be read to its end and has as many hosts and findings as it had then.
fn is_safe(task: &Task, place: &ResultPlace) -> io::Result<bool> {
    if let ResultPlace::File(path) = place
        && !path.symlink_metadata()?.is_file()
    {
        return Ok(false);
    }
    let mut source = place.try_open()?.source;
    if let Some(fetched) = &task.export {
        if source.size()? != fetched.bytes {
            return Ok(false);
        }
        if let Some(expected) = &fetched.sha256 {
            let (mut hash, mut bytes) = (Sha256::new(), vec![0; 1 << 16]);
            loop {
                match source.read(&mut bytes)? {
                    0 => break,
                    read => hash.update(&bytes[..read]),
                }
            }
            return Ok(hex::encode(&hash.finalize()) == *expected);
        }
    }
    let counted = |name: &str| task.validation_stats.as_ref().and_then(|stats| stats.get(name)).and_then(Value::as_u64);
    let read = ExportIndex::build_validated(&source, io::sink(), &Validation::new());
    Ok(read.is_ok_and(|(report, _)| {
        Some(report.stats.hosts) == counted("hosts") && Some(report.stats.items) == counted("items")
    }))
}
