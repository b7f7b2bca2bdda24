//! What a task waits for beside its turn.

use super::ScanService;
use crate::{circuit_breaker::CircuitState, task::Task};

impl ScanService {
    /// Why no scan of this task can begin now, if so: what is missing, paused, disabled or left alone, with the reason.
    /// `None` for a task that has a scan or has ended, and when a queue that does not answer cannot tell.
    pub(super) async fn waiting_for(&self, task: &Task) -> Option<String> {
        if task.status.is_terminal() || task.nessus_scan_id.is_some() {
            return None;
        }
        let name = &task.scanner_pool;
        let Some(pool) = self.scanners.pool(name) else {
            return Some(format!("the pool `{name}` is not configured"));
        };
        if let Some(reason) = self.queue.stats(name).await.ok()?.paused {
            return Some(format!("the pool `{name}` is paused: {reason}"));
        }
        let candidates: Vec<_> = match &task.scanner_instance_id {
            Some(id) => match pool.instance(id) {
                Some(bound) => vec![bound],
                None => return Some(format!("the scanner `{id}` is not configured")),
            },
            None => pool.instances.iter().collect(),
        };
        let ids: Vec<_> = candidates.iter().map(|scanner| scanner.instance_id.clone()).collect();
        let circuits = self.circuit_statuses(name, &ids).await.ok()?;
        let mut reasons = Vec::new();
        for (scanner, circuit) in candidates.into_iter().zip(circuits) {
            let id = &scanner.instance_id;
            reasons.push(match (scanner.enabled, circuit.state) {
                (false, _) => format!("the scanner `{id}` is disabled"),
                (true, CircuitState::Closed) => return None,
                (true, state) => format!("the circuit of the scanner `{id}` is {state}: {}", circuit.reason),
            });
        }
        Some(reasons.join("; "))
    }
}
