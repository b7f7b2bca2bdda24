//! The scans of a task on scanners: the one it has, those that may run, and those of earlier attempts.

use super::{
    model::{POISON_TASK, Task},
    records::{FormerScan, Observation, OpenScan},
    state::TaskStatus,
};
use crate::ids::{InstanceId, ScanId};

impl Task {
    /// The text in the name of its scan that says whose scan it is, for an attempt. A task that is tried again must not adopt the
    /// scan that failed.
    pub(crate) fn scan_marker(&self, attempt: u32) -> String {
        match attempt {
            0 | 1 => self.task_id.to_string(),
            attempt => format!("{}.{attempt}", self.task_id),
        }
    }

    /// Whether its scan has ended, so that only its results are missing.
    pub(crate) fn scan_is_over(&self) -> bool {
        self.nessus_scan_id.is_some() && self.observation.as_ref().is_some_and(Observation::is_over)
    }

    /// Whether there is a scan of it on a scanner that has to be watched or stopped, whatever holds back new ones.
    pub(crate) const fn has_scan(&self) -> bool {
        self.nessus_scan_id.is_some() || !self.open_scans.is_empty()
    }

    /// Whether it is to be claimed also where no new scan may start: its time runs, or a scan of it has to be watched or
    /// stopped.
    pub(crate) fn has_started(&self) -> bool {
        self.status == TaskStatus::Running || self.has_scan()
    }

    /// Whether a scan of it may exist on a scanner. A retried one that waits may have that of an earlier attempt.
    pub(crate) fn may_have_a_scan(&self) -> bool {
        self.has_scan() || (self.status == TaskStatus::Running && self.scanner_instance_id.is_some())
    }

    /// Writes down that its scan is this one, and may run.
    pub(crate) fn open_scan(&mut self, instance: &InstanceId, scan: &ScanId) {
        self.nessus_scan_id = Some(scan.clone());
        if !self.open_scans.iter().any(|open| open.is(instance, scan)) {
            self.open_scans.push(OpenScan {
                instance_id: instance.clone(),
                scan_id: scan.clone(),
                attempt: self.attempt,
                told_to_stop: false,
            });
        }
    }

    /// Writes down that a scan of it shall stop.
    pub(crate) fn give_up_scan(&mut self, instance: &InstanceId, scan: &ScanId) {
        for open in self.open_scans.iter_mut().filter(|open| open.is(instance, scan)) {
            open.told_to_stop = true;
        }
    }

    /// Writes down that a scan of it does not run any more.
    pub(crate) fn close_scan(&mut self, instance: &InstanceId, scan: &ScanId) {
        self.open_scans.retain(|open| !open.is(instance, scan));
    }

    /// Leaves the scan of an attempt that has ended to the next one: to go on with when nothing was said against it and it
    /// is complete or may still be, else to be stopped if it may run.
    pub(super) fn pass_on_scan(&mut self) {
        if let (Some(instance), Some(scan)) = (&self.scanner_instance_id, &self.nessus_scan_id) {
            let open = self.open_scans.iter().find(|open| open.is(instance, scan));
            // Lost workers say nothing against the scan, even if none of them ever looked at it.
            let was_lost = self.error_code.as_deref() == Some(POISON_TASK);
            let is_wanted = open.map_or(was_lost, |open| !open.told_to_stop);
            match &self.observation {
                Some(seen) if seen.is_completed() => return,
                Some(seen) if seen.is_over() => {}
                seen if is_wanted && (seen.is_some() || was_lost) => return,
                // An older version did not write down which scans may run.
                _ => {
                    let (instance, scan) = (instance.clone(), scan.clone());
                    self.open_scan(&instance, &scan);
                }
            }
        }
        let former = self.scanner_instance_id.take().zip(self.nessus_scan_id.take());
        self.former_scans.extend(former.map(|(instance_id, scan_id)| FormerScan { instance_id, scan_id }));
        self.scanner_instance_id.clone_from(&self.pinned_instance_id);
        self.scan_uuid = None;
        self.scope = None;
    }
}
