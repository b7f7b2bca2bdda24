//! What decides when a task begins, asked for at once.

use super::{RedisQueue, calls::LostReply, entry_state, scripts};
use crate::{
    ids::{InstanceId, PoolName, TaskId},
    queue::{
        entry::{LOSSES_ALLOWED, Outlook},
        error::QueueError,
    },
};

/// What the script answers: the place, the state, the workers lost, why the pool is paused, the slots in use.
type Answer = (Option<u64>, Option<String>, u32, Option<String>, u64);

impl RedisQueue {
    pub(super) async fn look_ahead(
        &self,
        pool: &PoolName,
        task: Option<&TaskId>,
        scanners: &[InstanceId],
    ) -> Result<Outlook, QueueError> {
        let slots = scanners.iter().map(|scanner| self.naming.slots(pool, scanner));
        let keys: Vec<_> = self.naming.entries(pool).into_iter().chain(slots).collect();
        let look = scripts::OUTLOOK.on(keys, [task.map(ToString::to_string).unwrap_or_default()]);
        let (position, state, losses, paused, slots_in_use): Answer = self.calls.run(&look, LostReply::Repeat).await?;
        let losses = (losses > LOSSES_ALLOWED).then_some(losses);
        Ok(Outlook { position, state: state.as_deref().map(entry_state), losses, paused, slots_in_use })
    }
}
