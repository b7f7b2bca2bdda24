//! What every decorator of a [`Queue`] or a [`ScannerInterface`] must do: pass on what it does not change.
//!
//! A check wraps a value that notes each call and answers with an error of its own. It calls every method of the trait: one that the
//! inner value was not asked for, or whose answer does not come back, is lost. Name the methods that the decorator answers by itself.
//!
//! ```
//! use std::sync::Arc;
//! use nessus_mcp_lib::{ScannerInterface, scanner::ScannerDecorator, testing::decorators::a_scanner_decorator_loses_nothing};
//!
//! #[derive(Debug)]
//! struct Transparent(Arc<dyn ScannerInterface>);
//!
//! impl ScannerDecorator for Transparent {
//!     fn inner(&self) -> &dyn ScannerInterface {
//!         self.0.as_ref()
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! a_scanner_decorator_loses_nothing(|inner| Arc::new(Transparent(inner)), &[]).await;
//! # });
//! ```
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a check fails by panicking")]

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    circuit_breaker::CircuitCommand,
    ids::{FencingToken, InstanceId, PoolName, ScanId, TaskId, WorkerId},
    queue::{
        Binding, CatalogueChanges, CatalogueRecord, CatalogueState, Charge, ChargeOutcome, CircuitNotice,
        CircuitReport, Claim, DeadLetter, DeadReason, EnqueueOutcome, EntryState, IdempotencyEntry, IdempotencyOutcome,
        Lease, LeaseInfo, Outlook, PostedNotice, ProcessCircuits, Queue, QueueError, QueueStats, RemoveOutcome,
        RenewOutcome, RetryDeadOutcome, SeenWorker, SettleOutcome, Settlement, SlotOutcome, TaskBody, TaskCatalogue,
        WorkerRecord, queue_methods,
    },
    scanner::{
        ExportSink, ExportSummary, MarkedScan, ScanHost, ScanOffer, ScanRequest, ScanStatus, ScannerError,
        ScannerInterface, ScannerProperties, scanner_methods,
    },
    time::Timestamp,
};

/// Notes which methods it is asked for, and answers each with an error that names it.
#[derive(Debug, Default)]
struct Recorder {
    calls: Mutex<Vec<&'static str>>,
}

impl Recorder {
    fn note(&self, method: &'static str) {
        self.calls.lock().unwrap().push(method);
    }
}

/// An answer that tells who has given it.
trait Signed {
    fn by(method: &'static str) -> Self;
    fn is_by(&self, method: &str) -> bool;
}

/// Of a method that answers nothing, only the call tells.
impl Signed for () {
    fn by(_: &'static str) -> Self {}

    fn is_by(&self, _: &str) -> bool {
        true
    }
}

impl<T> Signed for Result<T, QueueError> {
    fn by(method: &'static str) -> Self {
        Err(QueueError::Unavailable { location: "recorder".to_owned(), problem: method.to_owned(), source: None })
    }

    fn is_by(&self, method: &str) -> bool {
        matches!(self, Err(QueueError::Unavailable { problem, .. }) if problem == method)
    }
}

impl<T> Signed for Result<T, ScannerError> {
    fn by(method: &'static str) -> Self {
        Err(ScannerError::Rejected(method.to_owned()))
    }

    fn is_by(&self, method: &str) -> bool {
        matches!(self, Err(ScannerError::Rejected(signed)) if signed == method)
    }
}

/// Implements the traits for the recorder, and names their methods.
macro_rules! recorder {
    (
        $names:ident
        $($of:ident { $($method:ident $(<$lifetime:lifetime>)? ($($argument:ident: $type:ty),*) -> $answer:ty;)* })+
    ) => {
        const $names: &[&str] = &[$($(stringify!($method)),*),+];
        $(
            #[async_trait::async_trait]
            impl $of for Recorder {
                $(
                    async fn $method$(<$lifetime>)?(&self, $($argument: $type),*) -> $answer {
                        $(let _ = $argument;)*
                        self.note(stringify!($method));
                        Signed::by(stringify!($method))
                    }
                )*
            }
        )+
    };
}

queue_methods! { recorder! { QUEUE_METHODS } }
scanner_methods! { recorder! { SCANNER_METHODS } }

/// Calls the methods of `$wrapped`; the names of all, each with whether it has reached the recorder once and come back.
macro_rules! calls {
    ($recorder:ident, $wrapped:ident: $($method:ident($($argument:expr),*);)+) => {
        [$({
            let answer = $wrapped.$method($($argument),*).await;
            let calls = mem::take(&mut *$recorder.calls.lock().unwrap());
            (stringify!($method), calls == [stringify!($method)] && answer.is_by(stringify!($method)))
        }),+]
    };
}

/// Fails unless all methods were called, and all passed on that are not the decorator's own.
fn assert_nothing_is_lost(calls: &[(&str, bool)], methods: &[&str], own: &[&str]) {
    let not_called: Vec<_> = methods.iter().filter(|method| calls.iter().all(|(name, _)| name != *method)).collect();
    assert!(not_called.is_empty(), "this check has to call {not_called:?}");
    let unknown: Vec<_> = own.iter().filter(|name| !methods.contains(name)).collect();
    assert!(unknown.is_empty(), "there are no methods {unknown:?}");
    let lost = calls.iter().filter(|(name, passed)| !passed && !own.contains(name));
    let lost: Vec<_> = lost.map(|(name, _)| *name).collect();
    assert!(lost.is_empty(), "the decorator does not pass on {lost:?}");
}

/// Every method of a scanner reaches the inner one once, and its answer comes back, but those that are the decorator's `own`.
pub async fn a_scanner_decorator_loses_nothing(
    wrap: impl FnOnce(Arc<dyn ScannerInterface>) -> Arc<dyn ScannerInterface>,
    own: &[&str],
) {
    let recorder = Arc::new(Recorder::default());
    let wrapped = wrap(Arc::clone(&recorder) as Arc<dyn ScannerInterface>);
    let (request, scan) = (ScanRequest::new("marker", "name", "192.0.2.1"), ScanId::from(1));
    let calls = calls! { recorder, wrapped:
        create(&request);
        launch(&scan);
        status(&scan);
        export(&scan, &mut Vec::new());
        stop(&scan);
        kill(&scan);
        pause(&scan);
        resume(&scan);
        delete(&scan);
        trash(&scan);
        forget_credentials(&scan);
        hosts(&scan);
        find_by_marker("marker");
        marked_scans();
        offer();
        properties();
        close();
    };
    assert_nothing_is_lost(&calls, SCANNER_METHODS, own);
}

/// Every method of a queue and of its catalogue reaches the inner one once, and its answer comes back, but those that are the
/// decorator's `own`.
pub async fn a_queue_decorator_loses_nothing(wrap: impl FnOnce(Arc<dyn Queue>) -> Arc<dyn Queue>, own: &[&str]) {
    let recorder = Arc::new(Recorder::default());
    let wrapped = wrap(Arc::clone(&recorder) as Arc<dyn Queue>);
    let (now, second) = (Timestamp::from_millis(0), Duration::from_secs(1));
    let task = TaskId::new("ne_ness_20251201_143022_a1b2c3d4").unwrap();
    let body = TaskBody::parse(format!(r#"{{"task_id":"{task}"}}"#)).unwrap();
    let (pool, instance) = (PoolName::new("nessus").unwrap(), InstanceId::new("one").unwrap());
    let worker = WorkerId::new("worker").unwrap();
    let charge = Charge::new("scope", "id", 1);
    let lease = Lease::new(pool.clone(), task.clone(), worker.clone(), FencingToken(1));
    let letter = DeadLetter::new(Some(task.clone()), body.as_str().to_owned(), DeadReason::corrupted(), now);
    let entry = IdempotencyEntry::new(task.clone(), "hash", now);
    let notice = CircuitNotice::command(CircuitCommand::Isolate, "maintenance", "operator");
    let record = WorkerRecord::new(worker.clone(), now);
    let calls = calls! { recorder, wrapped:
        enqueue(&pool, &body);
        enqueue_started(&pool, &body);
        enqueue_charged(&pool, &body, &[], false);
        restore_charge(&charge);
        give_back(&charge);
        charged("scope", None);
        charged_ids("scope", None);
        claim(&pool, &worker, second, &[]);
        claim_started(&pool, &worker, second);
        raise_fencing_token(&lease, FencingToken(1));
        renew(&[], second);
        note_progress(&lease);
        suspects(&pool);
        settle(&lease, Settlement::Ack);
        remove(&pool, &task);
        retry_dead(&pool, &body);
        dead_letters(&pool, 0, 1);
        purge_dead(&pool, now);
        stats(&pool);
        position(&pool, &task);
        peek(&pool, 1);
        state_of(&pool, &task);
        outlook(&pool, None, &[]);
        leases(&pool);
        acquire_slot(&pool, &instance, &task, 1, second);
        release_slot(&pool, &instance, &task);
        slots_in_use(&pool, &instance);
        pause_pool(&pool, "reason");
        resume_pool(&pool);
        claim_idempotency_key("key", &entry, second);
        idempotency_entry("key");
        restore_idempotency_key("key", &entry, second);
        forget_idempotency_key("key", &task);
        restore_dead_letter(&pool, &letter);
        post_circuit_notice(&pool, &instance, &notice);
        circuit_notices(&pool, &[]);
        publish_circuit_states("process", &[], second);
        circuit_states();
        announce_worker(&record, second);
        withdraw_worker(&worker);
        workers();
        binding();
        bind(None, &Binding::new("directory"));
        wait_for_work(&[], Duration::ZERO);
        ping();
        now();
        warnings();
        record_tasks(&[]);
        catalogue_changes(0, 1);
        unfinished_records(None, 1);
        catalogue_state();
        begin_catalogue();
        finish_catalogue("begun", "mark");
    };
    assert_nothing_is_lost(&calls, QUEUE_METHODS, own);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        circuit_breaker::CircuitBreaker,
        config::CircuitSettings,
        queue::QueueDecorator,
        scanner::{Guarded, ScannerDecorator},
    };

    /// Forgets what to do in one method each, as a default of the trait would.
    #[derive(Debug)]
    struct Forgetful<T: ?Sized>(Arc<T>);

    #[async_trait::async_trait]
    impl ScannerDecorator for Forgetful<dyn ScannerInterface> {
        fn inner(&self) -> &dyn ScannerInterface {
            self.0.as_ref()
        }

        async fn forget_credentials(&self, _: &ScanId) -> Result<(), ScannerError> {
            Ok(())
        }
    }

    #[async_trait::async_trait]
    impl QueueDecorator for Forgetful<dyn Queue> {
        fn inner(&self) -> &dyn Queue {
            self.0.as_ref()
        }

        async fn warnings(&self) -> Result<Vec<String>, QueueError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn the_guard_of_a_scanner_loses_nothing() {
        let breaker = CircuitBreaker::new("lab:one", CircuitSettings::default()).unwrap();
        a_scanner_decorator_loses_nothing(|inner| Arc::new(Guarded::new(inner, breaker)), &[]).await;
    }

    #[tokio::test]
    async fn what_is_the_decorators_own_need_not_pass() {
        a_scanner_decorator_loses_nothing(|inner| Arc::new(Forgetful(inner)), &["forget_credentials"]).await;
        a_queue_decorator_loses_nothing(|inner| Arc::new(Forgetful(inner)), &["warnings"]).await;
    }

    #[tokio::test]
    #[should_panic(expected = r#"does not pass on ["forget_credentials"]"#)]
    async fn a_scanner_decorator_that_loses_a_method_fails() {
        a_scanner_decorator_loses_nothing(|inner| Arc::new(Forgetful(inner)), &[]).await;
    }

    #[tokio::test]
    #[should_panic(expected = r#"does not pass on ["warnings"]"#)]
    async fn a_queue_decorator_that_loses_a_method_fails() {
        a_queue_decorator_loses_nothing(|inner| Arc::new(Forgetful(inner)), &[]).await;
    }
}
