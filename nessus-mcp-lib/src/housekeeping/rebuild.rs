//! Giving a queue that has lost its data back what it knew.
//!
//! Every step may be repeated, and several processes may take it at once. What keeps tasks from running comes before the
//! tasks, and the caller binds the queue at the very end, so that a crash in between begins again from the start.

use std::collections::{HashMap, HashSet, VecDeque};

use tracing::{info, warn};

use super::{
    charges,
    error::ReconcileError,
    reconcile::{enqueue_unfinished, key_of},
};
use crate::{
    circuit_breaker::CircuitCommand,
    error::chain,
    fail_points::fail_point,
    ids::{PoolName, TaskId, scanner_name},
    queue::{CircuitNotice, DeadLetter, DeadReason, Queue, QueueError, TaskBody},
    task::{QueueFile, Rebuild, Task, TaskError, TaskManager, letter_of_deliveries},
    time::Timestamp,
};

/// Who isolates a scanner again.
const REBUILT: &str = "operator, before the queue was rebuilt";
/// Dead letters that are looked at at once.
const LETTERS: u32 = 500;

/// Restores pauses and isolations, then idempotency keys, what counts against limits, dead letters and the catalogue of tasks, then the tasks that
/// have not ended.
pub(super) async fn rebuild(tasks: &TaskManager, queue: &dyn Queue, now: Timestamp) -> Result<(), ReconcileError> {
    let file = tasks.queue_file().await?;
    restore_pauses_and_isolations(&file, queue).await?;
    fail_point!("rebuild_pauses_restored");
    let (mut keys, mut letters, mut charged_hosts) = (0_u64, 0_u64, 0_u64);
    let mut known = KnownLetters::default();
    let mut catalogue = tasks.begin_rebuild().await?;
    // Newest first: of two tasks with one key the older has the last word.
    let ids = tasks.ids().await?;
    let mut read = VecDeque::new();
    for (at, task_id) in ids.iter().enumerate() {
        if read.is_empty() {
            read.extend(catalogue.read(&ids[at..ids.len().min(at + Rebuild::AT_ONCE)]).await?);
        }
        let task = match read.pop_front() {
            Some((_, Ok(task))) => task,
            None | Some((_, Err(TaskError::NotFound(_)))) => continue,
            // What is left out now would stay lost.
            Some((_, Err(error))) if error.is_shortage() => return Err(error.into()),
            Some((_, Err(error))) => {
                warn!(%task_id, error = chain(&error), "what the queue knew of this task cannot be restored");
                continue;
            }
        };
        if let Some((key, entry, left)) = key_of(&task, now) {
            queue.restore_idempotency_key(key, &entry, left).await?;
            keys += 1;
        }
        charged_hosts = charged_hosts.saturating_add(charges::restore(queue, &task, now).await?);
        if task.status.allows_retry()
            && task.dismissed_at.is_none()
            && known.lacks(queue, &task.scanner_pool, &task.task_id).await?
        {
            queue.restore_dead_letter(&task.scanner_pool, &letter_of(&task)?).await?;
            letters += 1;
        }
        if let Some(letter) = letter_of_deliveries(&task)
            && known.lacks(queue, &PoolName::deliveries(), &task.task_id).await?
        {
            queue.restore_dead_letter(&PoolName::deliveries(), &letter).await?;
            letters += 1;
        }
    }
    catalogue.finish().await?;
    fail_point!("rebuild_letters_restored");
    let enqueued = enqueue_unfinished(tasks, queue, now, None).await?;
    fail_point!("rebuild_tasks_enqueued");
    info!(keys, letters, charged_hosts, tasks = enqueued, "the queue was rebuilt from the files");
    Ok(())
}

/// Pauses pools and isolates scanners as operators have ordered.
async fn restore_pauses_and_isolations(file: &QueueFile, queue: &dyn Queue) -> Result<(), QueueError> {
    for (pool, reason) in &file.paused {
        queue.pause_pool(pool, reason).await?;
    }
    for (pool, instances) in &file.isolated {
        for (instance, reason) in instances {
            let standing = queue.circuit_notices(pool, std::slice::from_ref(instance)).await?.pop().flatten();
            if !standing.is_some_and(|posted| posted.isolates()) {
                let isolate = CircuitNotice::command(CircuitCommand::Isolate, reason, REBUILT);
                queue.post_circuit_notice(pool, instance, &isolate).await?;
            }
        }
    }
    Ok(())
}

/// The dead letter of a task that has failed.
fn letter_of(task: &Task) -> Result<DeadLetter, ReconcileError> {
    let body = TaskBody::parse(task.queue_entry().to_string())?;
    let failed_at = task.completed_at.unwrap_or(task.created_at);
    Ok(DeadLetter::new(Some(task.task_id.clone()), body.into_string(), dead_reason(task), failed_at))
}

/// Why a task that has failed is among the dead letters.
pub(crate) fn dead_reason(task: &Task) -> DeadReason {
    let code = task.error_code.clone().unwrap_or_else(|| task.status.to_string());
    let scanner = task.scanner_instance_id.as_ref().map(|instance| scanner_name(&task.scanner_pool, instance));
    let message = task.error_message.clone().unwrap_or_default();
    DeadReason::new(message, code, task.attempt).with_scanner(scanner).with_hint(task.error_hint.clone())
}

/// The tasks with a dead letter, of each pool that was asked for: a queue that is given to another directory may have some.
#[derive(Default)]
struct KnownLetters(HashMap<PoolName, HashSet<TaskId>>);

impl KnownLetters {
    async fn lacks(&mut self, queue: &dyn Queue, pool: &PoolName, task_id: &TaskId) -> Result<bool, QueueError> {
        if !self.0.contains_key(pool) {
            let mut found = HashSet::new();
            for offset in (0..).step_by(LETTERS as usize) {
                let letters = queue.dead_letters(pool, offset, LETTERS).await?;
                if letters.is_empty() {
                    break;
                }
                found.extend(letters.into_iter().filter_map(|letter| letter.task_id));
            }
            self.0.insert(pool.clone(), found);
        }
        Ok(self.0.get(pool).is_none_or(|found| !found.contains(task_id)))
    }
}
