//! What every [`Queue`] must do, as checks that panic where it does not.
//!
//! Implement [`QueueHarness`] for the backend, then make a test of each check:
//!
//! ```text
//! nessus_mcp_lib::queue_conformance_tests!(RedisHarness::start());
//! ```
//!
//! The argument is an expression that makes a future of a harness; it runs once for every check. The macro needs
//! `tokio` with `macros` and `rt-multi-thread` in the calling crate. [`run_all`] does the same inside one test.
//!
//! Checks measure no time. A lease that must end within a check is [`SHORT`], one that must not is [`LONG`], so they also
//! hold for a backend whose clock cannot be set and on a machine that is slow.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a check fails by panicking")]

mod catalogue;
mod charges;
mod circuits;
mod dead_letters;
mod entries;
mod leases;
mod passed_over;
mod shared;
mod started;
mod workers;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;

pub use self::{
    catalogue::*, charges::*, circuits::*, dead_letters::*, entries::*, leases::*, passed_over::*, shared::*,
    started::*, workers::*,
};
use crate::{
    ids::{PoolName, TaskId, WorkerId},
    queue::{Claim, EnqueueOutcome, Queue, TaskBody},
};

/// A duration that a check lets pass.
pub const SHORT: Duration = Duration::from_millis(200);

/// A duration that no check lives to see.
pub const LONG: Duration = Duration::from_secs(3600);

/// A queue under test and the means to treat it as the world does.
#[async_trait]
pub trait QueueHarness: Send + Sync {
    /// The queue; empty at first, and the same each time.
    fn queue(&self) -> Arc<dyn Queue>;

    /// Lets at least this much time pass on the backend's clock: moves a clock that can be set, else sleeps.
    async fn let_pass(&self, time: Duration);

    /// Puts a text at the end of the pool's ready entries past the queue, as an older producer or a damaged disk would.
    async fn push_raw(&self, pool: &PoolName, text: &str);

    /// Loses all that is stored.
    async fn wipe(&self);
}

/// Makes a `#[tokio::test]` of every check; the argument is an expression for a future of a [`QueueHarness`].
#[macro_export]
macro_rules! queue_conformance_tests {
    (@each tests ($harness:expr) $($check:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let harness = $harness.await;
                $crate::testing::queue_conformance::$check(&harness).await;
            }
        )*
    };
    (@each calls ($harness:expr) $($check:ident)*) => {
        // Boxed: together they would be a future of many kilobytes.
        $( Box::pin(async { $crate::testing::queue_conformance::$check(&$harness.await).await }).await; )*
    };
    (@all $what:ident $harness:tt) => {
        $crate::queue_conformance_tests! { @each $what $harness
            tasks_come_first_in_first_out
            enqueue_is_idempotent
            concurrent_enqueues_add_a_task_once
            bodies_keep_every_byte
            pools_are_separate
            position_and_peek_agree
            only_what_nobody_holds_can_be_removed
            states_and_counts_agree
            concurrent_claims_never_share_a_task
            fencing_tokens_grow
            fencing_tokens_grow_after_a_loss_of_data
            a_fencing_token_can_be_raised
            renew_says_held_or_lost
            a_renewed_lease_lasts
            an_expired_lease_is_delivered_again
            a_task_with_which_workers_are_lost_waits
            a_nack_forgets_lost_workers
            the_former_holder_cannot_settle
            a_claim_takes_back_expired_leases_only
            leases_are_listed
            a_listed_lease_can_be_ended
            an_acknowledged_task_is_gone
            a_nack_waits_and_is_counted
            a_release_goes_to_the_front_uncounted
            a_delayed_release_goes_to_the_front
            started_tasks_come_first
            only_started_tasks_are_claimed_as_such
            a_pause_does_not_hold_back_started_tasks
            an_expired_lease_counts_as_started
            what_is_passed_over_keeps_its_place
            started_tasks_are_not_passed_over
            what_comes_back_is_passed_over
            bodies_that_name_no_scanner_are_not_passed_over
            many_tasks_are_passed_over
            a_worker_hears_of_what_it_passed_over
            dead_letters_say_why
            dead_letters_come_newest_first_in_parts
            a_dead_letter_is_retried_once
            a_dead_letter_of_a_queued_task_is_dropped_by_a_retry
            a_purge_removes_what_is_old
            a_dead_letter_is_restored_as_it_was
            an_unreadable_body_becomes_a_dead_letter
            a_body_of_an_older_producer_is_claimed
            a_copy_of_a_leased_task_is_dropped
            slots_are_never_more_than_the_capacity
            slots_expire_unless_renewed
            slots_are_counted_by_scanner
            the_outlook_is_what_the_single_answers_say
            an_idempotency_key_has_one_winner
            an_idempotency_key_expires
            an_idempotency_key_is_restored
            an_idempotency_key_is_forgotten
            a_task_is_charged_once_and_a_full_day_refuses
            days_and_scopes_are_separate
            concurrent_charges_never_pass_the_limit
            hosts_are_given_back_once
            without_a_limit_everything_is_charged
            a_queue_that_lost_its_data_charges_nothing
            a_started_task_is_charged_too
            several_charges_are_one
            concurrent_charges_pass_none_of_several_limits
            the_catalogue_tells_what_has_changed
            an_older_revision_replaces_no_record
            unfinished_records_come_in_parts
            the_catalogue_is_made_again_by_many
            a_catalogue_that_was_lost_is_not_whole
            a_paused_pool_gives_nothing
            a_circuit_notice_reaches_all
            an_isolation_is_ended_by_a_command_only
            circuit_notices_go_on_after_a_loss_of_data
            circuits_are_shown_by_process
            circuits_of_a_process_that_is_gone_vanish
            a_worker_replaces_what_it_told
            a_worker_that_is_silent_grows_old
            a_withdrawn_worker_is_gone
            a_lost_worker_is_forgotten_after_its_time
            records_of_workers_are_bounded
            a_queue_is_bound_to_one_directory
            a_queue_that_lost_its_data_is_not_bound
            waiting_ends_when_there_is_work
            the_time_is_that_of_the_leases
            the_queue_answers_a_ping
        }
    };
    ($harness:expr) => { $crate::queue_conformance_tests! { @all tests ($harness) } };
}

/// Runs every check, each with a fresh harness.
///
/// # Panics
/// When a check fails.
pub async fn run_all<H, F>(fresh: impl Fn() -> F)
where
    H: QueueHarness,
    F: Future<Output = H>,
{
    crate::queue_conformance_tests! { @all calls (fresh()) }
}

fn pool() -> PoolName {
    PoolName::new("nessus").unwrap()
}

fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

fn task(number: u32) -> TaskId {
    TaskId::new(format!("ne_ness_20251201_143022_{number:08x}")).unwrap()
}

fn body(number: u32) -> TaskBody {
    TaskBody::parse(format!(r#"{{"task_id":"{}","number":{number}}}"#, task(number))).unwrap()
}

/// Enqueues tasks that are not in the queue yet.
async fn enqueue(queue: &dyn Queue, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        assert_eq!(queue.enqueue(&pool(), &body(number)).await.unwrap(), EnqueueOutcome::Added);
    }
}

/// Claims the next task, which must be there.
async fn claim(queue: &dyn Queue, name: &str, lease: Duration) -> Claim {
    let claim = queue.claim(&pool(), &worker(name), lease, &[]).await.unwrap().expect("a task to claim");
    assert_eq!((&claim.lease.pool, &claim.lease.worker), (&pool(), &worker(name)));
    assert_eq!(claim.body.task_id(), &claim.lease.task_id);
    claim
}

/// Asserts that nothing can be claimed.
async fn assert_nothing_to_claim(queue: &dyn Queue) {
    assert_eq!(queue.claim(&pool(), &worker("idle"), LONG, &[]).await.unwrap(), None);
}
