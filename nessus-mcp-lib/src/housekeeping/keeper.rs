//! Housekeeping as a whole: when it is done, by whom, and in which order.

use std::{sync::Arc, time::Duration};

use tracing::{debug, info, warn};

use super::{
    error::HousekeepingError,
    index::QueueIndex,
    leader::Lead,
    record::Record,
    report::HousekeepingReport,
    rules::{self, Due, Rehearsal},
    run::{Means, Run},
};
use crate::{
    config::HousekeepingSettings,
    error::{Classified as _, chain},
    queue::Queue,
    scanner::{Circuits, ScannerRegistry},
    telemetry::Metrics,
    time::{Clock, Timestamp},
};

/// How far the clocks of this machine and of the queue may be apart.
const TOLERATED: Duration = Duration::from_secs(60);
/// How many names stand in a log line.
const NAMED: usize = 5;

/// What a run by an operator shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Say what would be removed.
    DryRun,
    /// Remove it; only say it, if nobody was told before.
    Removal,
    /// Remove it: somebody has just seen what, and agreed.
    AgreedRemoval,
}

/// Removes what nobody needs any more: old tasks, their scans, what killed processes left. `docs/housekeeping.md` has the rules.
#[derive(Debug)]
pub struct Housekeeping {
    means: Means,
    clock: Arc<dyn Clock>,
}

impl Housekeeping {
    /// Housekeeping of a data directory, its queue and the scanners behind their circuits. On a scanner that is not among them nothing
    /// is deleted, and tasks of whose scans there it is not known that they have ended are kept.
    pub(crate) fn new(
        index: QueueIndex,
        queue: Arc<dyn Queue>,
        (scanners, circuits): (ScannerRegistry, Circuits),
        clock: Arc<dyn Clock>,
        settings: HousekeepingSettings,
    ) -> Self {
        Self { means: Means { index, queue, scanners, circuits, settings, metrics: None }, clock }
    }

    /// The same, counted in these metrics.
    pub(crate) fn counted_in(mut self, metrics: Arc<Metrics>) -> Self {
        self.means.metrics = Some(metrics);
        self
    }

    /// Does it once, as an operator wants it. The first run of a deployment removes nothing, unless somebody has seen what it would.
    ///
    /// # Errors
    /// [`HousekeepingError::Busy`] while another process does it, [`HousekeepingError::Clock`] when two clocks disagree, and
    /// when files or queue cannot be used.
    pub async fn run(&self, wanted: Wanted) -> Result<HousekeepingReport, HousekeepingError> {
        let now = self.now().await?;
        self.means.index.ensure().await?;
        let Some(lead) = Lead::take(&self.means.queue, now).await? else { return Err(HousekeepingError::Busy) };
        let before = match Record::read(self.means.index.tasks()).await {
            Ok(before) => before,
            Err(error) => {
                lead.let_go().await;
                return Err(error.into());
            }
        };
        let rehearsal = before.is_none().then_some(Rehearsal::First).filter(|_| wanted == Wanted::Removal);
        let by = before.and_then(|before| before.workers_go_by);
        Box::pin(self.lead(lead, now, wanted == Wanted::DryRun, rehearsal, by)).await
    }

    /// Does it whenever it is due. Never returns.
    pub(crate) async fn watch(&self) {
        let Some(interval) = self.means.settings.interval else { return std::future::pending().await };
        let (mut said, mut failures) = (None, 0);
        loop {
            match self.run_if_due(interval).await {
                Ok(()) | Err(HousekeepingError::Busy) => (said, failures) = (None, 0),
                Err(error) => {
                    failures += 1;
                    let message = chain(&error);
                    if said.as_ref() == Some(&message) {
                        debug!(error = message, "housekeeping still cannot be done");
                    } else {
                        warn!(
                            error = message,
                            hint = error.hint(),
                            "housekeeping cannot be done for now: nothing is removed"
                        );
                        said = Some(message);
                    }
                }
            }
            tokio::time::sleep(rules::wait_after(failures)).await;
        }
    }

    async fn run_if_due(&self, interval: Duration) -> Result<(), HousekeepingError> {
        let now = self.now().await?;
        if self.due(interval, now).await? == Due::NotYet {
            return Ok(());
        }
        self.means.index.ensure().await?;
        let Some(lead) = Lead::take(&self.means.queue, now).await? else { return Ok(()) };
        // Whoever had the lead before may have done it meanwhile.
        let due = self.due(interval, now).await;
        let rehearsal = match due {
            Ok(Due::Removal) => None,
            Ok(Due::Rehearsal(why)) => Some(why),
            Ok(Due::NotYet) | Err(_) => {
                lead.let_go().await;
                return due.map(drop);
            }
        };
        let own = self.means.settings.in_words();
        Box::pin(self.lead(lead, now, false, rehearsal, Some(own))).await.map(drop)
    }

    async fn due(&self, interval: Duration, now: Timestamp) -> Result<Due, HousekeepingError> {
        let before = Record::read(self.means.index.tasks()).await?;
        Ok(rules::due(before.map(|record| record.times()), interval, now))
    }

    /// The time by the queue's clock, with which that of this machine must agree: who does not know what time it is removes nothing.
    async fn now(&self) -> Result<Timestamp, HousekeepingError> {
        let own = self.clock.now();
        let queue = self.means.queue.now().await?.unwrap_or(own);
        if own.since(queue).max(queue.since(own)) > TOLERATED {
            return Err(HousekeepingError::Clock { own, queue });
        }
        Ok(queue)
    }

    async fn lead(
        &self,
        lead: Lead,
        now: Timestamp,
        dry_run: bool,
        rehearsal: Option<Rehearsal>,
        workers_go_by: Option<String>,
    ) -> Result<HousekeepingReport, HousekeepingError> {
        let mut report = HousekeepingReport::begin(
            now,
            dry_run || rehearsal.is_some(),
            rehearsal.map(|why| why.as_str().to_owned()),
        );
        let own = self.means.settings.in_words();
        if let Some(theirs) = workers_go_by.as_ref().filter(|theirs| **theirs != own) {
            report.note("settings", format!("the workers go by: {theirs}; this run goes by: {own}"));
        }
        let mut run = Run::new(&self.means, lead, report);
        let outcome = run.all().await;
        let (lead, mut report) = run.into_parts();
        report.ended_at = self.means.queue.now().await.ok().flatten().unwrap_or_else(|| self.clock.now());
        if let Err(error) = &outcome {
            report.stopped = Some(chain(error));
        }
        crate::fail_points::fail_point!("housekeeping_before_record");
        let written = match outcome {
            // What an operator only wants to see changes nothing, and tells nobody who reads the log.
            Ok(()) if !dry_run => {
                let interval = self.means.settings.interval.unwrap_or(Duration::from_secs(24 * 3600));
                let next = rules::next_after(rehearsal, interval, report.ended_at);
                Record::write(self.means.index.tasks(), &report, next, workers_go_by).await
            }
            _ => Ok(()),
        };
        lead.let_go().await;
        say(&report);
        if let Some(metrics) = self.means.metrics.as_ref().filter(|_| !report.dry_run) {
            metrics.housekeeping().ran(report.stopped.is_none());
        }
        written?;
        outcome.map(|()| report)
    }
}

/// One line for a run, and one more if somebody should look at something.
fn say(report: &HousekeepingReport) {
    let first: Vec<_> = report.tasks.iter().take(NAMED).map(ToString::to_string).collect();
    let (first, scans) = (first.join(", "), report.scans.len());
    let (tasks, files, records) = (report.tasks.len(), report.files.len(), report.archive_records.len());
    let (stale, looked_at) = (report.stale_tasks.len(), report.looked_at);
    if let Some(why) = report.rehearsal.as_ref().filter(|_| report.removals() > 0) {
        warn!(
            why,
            looked_at,
            tasks,
            scans,
            files,
            records,
            stale,
            first,
            "housekeeping has removed nothing yet: this is what the next run removes; housekeeping-report.json has all of it"
        );
    } else if report.dry_run {
        info!(looked_at, tasks, scans, files, records, stale, first, "this is what housekeeping would remove");
    } else {
        let stopped = report.stopped.as_deref();
        info!(looked_at, tasks, scans, files, records, stale, first, stopped, "housekeeping is done");
    }
    if !report.notable.is_empty() {
        let shown = report.notable.iter().take(NAMED).map(|item| format!("{} ({})", item.what, item.reason));
        let (count, first) = (report.notable.len(), shown.collect::<Vec<_>>().join(", "));
        warn!(count, first, "housekeeping has kept what it does not know or must not remove");
    }
}
