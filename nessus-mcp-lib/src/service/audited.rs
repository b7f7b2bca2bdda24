//! What the service itself writes into the audit log: the start and the end of the process, and what it reads again.

use std::{fs, process, sync::Arc};

use tracing::info;

use super::ScanService;
use crate::{
    audit::{Audit, AuditError, Decision, Event, ProcessRole, Who, digest_of},
    blocking,
    config::{Settings, host_name},
    error::{Classified, chain},
    ids::TaskId,
    secret::redact_url,
};

impl ScanService {
    /// The same service with the audit log that the settings ask for; see [`Audit::open`].
    ///
    /// # Errors
    /// [`AuditError`] when it cannot be written.
    pub async fn audited(mut self, settings: &Settings, role: ProcessRole) -> Result<Self, AuditError> {
        self.say_start(settings, role);
        self.audit = Audit::open(settings, role, Some(Arc::clone(&self.metrics))).await?;
        let program = format!("{} {}", role.as_str(), env!("CARGO_PKG_VERSION"));
        let event = self.with_policy(of_process("start").decided(Decision::Allowed, program)).await;
        self.audit.note(event.with_outcome("ok")).await;
        Ok(self)
    }

    /// Says in the log what process this is, and what it works on.
    fn say_start(&self, settings: &Settings, role: ProcessRole) {
        let pools = self.scanners.pools();
        let pools: Vec<_> = pools.iter().map(|pool| format!("{} ({})", pool.name, pool.capacity())).collect();
        info!(
            program = role.as_str(),
            version = env!("CARGO_PKG_VERSION"),
            pid = process::id(),
            host = host_name(),
            queue = redact_url(&settings.queue_url),
            data_dir = %settings.data_dir.display(),
            scanner_config = %settings.scanner_config.display(),
            pools = pools.join(", "),
            "the process has started"
        );
    }

    /// The audit log; off unless [`audited`](Self::audited) has opened it.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Writes that the process ends, and waits until everything before is on the disk.
    pub async fn end_audit(&self) {
        self.audit.flush().await;
        self.audit.note(of_process("stop").with_outcome("ok")).await;
        self.audit.flush().await;
    }

    /// Writes that a file was read again, and whether it is gone by.
    pub async fn note_reload<T, E: Classified>(&self, file: &str, outcome: &Result<T, E>) {
        let event = of_process(&format!("reload {file}"));
        let event = match outcome {
            Ok(_) => self.with_policy(event.with_outcome("ok")).await,
            Err(error) => event.with_outcome(error.code()).decided(Decision::Refused, chain(error)),
        };
        self.audit.note(event).await;
    }

    /// Writes that a scan does not wait for a person any more, and why.
    pub(super) async fn note_approval(&self, task_id: &TaskId, outcome: &str) {
        let is_refused = matches!(outcome, "denied" | "expired");
        let decision = if is_refused { Decision::Refused } else { Decision::Allowed };
        let event = of_process("approval").decided(decision, "approvals").with_outcome(outcome);
        self.audit.note(event.with_task(Some(task_id.to_string()))).await;
    }

    /// The event with the digest of the policy file, which tells by which rules everything after it was decided.
    async fn with_policy(&self, event: Event) -> Event {
        let Some(file) = self.scope.file().filter(|_| self.audit.is_on()) else { return event };
        match blocking::run(move || fs::read(&file)).await.and_then(|read| read) {
            Ok(text) => event.with_arguments(digest_of(&text)),
            Err(_) => event,
        }
    }
}

fn of_process(what: &str) -> Event {
    Event::new(what, Who::process())
}
