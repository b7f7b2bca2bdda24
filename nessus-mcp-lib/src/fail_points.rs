//! Places where a test lets the process die (feature `fail-points`, for tests only).
//!
//! What a crash leaves behind is only known of moments that were tried. Each step of a submit and of a task's lifecycle on
//! its scanner carries a named point; `NESSUS_MCP_FAIL_POINT=name[:n]` aborts the process when that point is passed for
//! the n-th time (the first unless said). But for the log line that says so, nothing is flushed, closed or released, as with `kill -9`. With
//! `NESSUS_MCP_FREEZE_POINT` the process stops there instead (SIGSTOP), until it gets SIGCONT. In a build without the
//! feature a point is nothing at all.

/// Marks a point by its name, which stands in [`POINTS`].
macro_rules! fail_point {
    ($name:literal) => {
        #[cfg(feature = "fail-points")]
        $crate::fail_points::pass($name);
    };
}
pub(crate) use fail_point;

#[cfg(feature = "fail-points")]
pub(crate) use self::armed::pass;
#[cfg(feature = "fail-points")]
pub use self::armed::{FREEZE_VARIABLE, POINTS, VARIABLE};

#[cfg(feature = "fail-points")]
mod armed {
    use std::{
        sync::{
            OnceLock,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    /// How long the log line that names the point may take to be written.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// The environment variable that names the point.
    pub const VARIABLE: &str = "NESSUS_MCP_FAIL_POINT";

    /// The environment variable that names the point where the process stands still.
    pub const FREEZE_VARIABLE: &str = "NESSUS_MCP_FREEZE_POINT";

    /// Every point there is, in the order in which a task passes them.
    pub const POINTS: [&str; 63] = [
        "audit_asked_written",
        "audit_before_outcome",
        "submit_key_claimed",
        "submit_task_recorded",
        "submit_login_sealed",
        "submit_task_written",
        "submit_withdrawn",
        "submit_enqueued",
        "submit_before_reply",
        "approval_decided",
        "worker_claimed",
        "worker_approval_asked",
        "worker_slot_acquired",
        "worker_fence_written",
        "worker_scope_checked",
        "worker_bound",
        "worker_create_confirmed",
        "worker_created",
        "worker_scan_adopted",
        "worker_scan_saved",
        "worker_launch_noted",
        "worker_launch_confirmed",
        "worker_launched",
        "worker_launch_saved",
        "worker_polled",
        "worker_pause_written",
        "worker_pause_told",
        "worker_scan_stopped",
        "worker_exported",
        "worker_export_published",
        "worker_index_published",
        "worker_profile_published",
        "worker_before_final_state",
        "worker_login_removed",
        "worker_end_not_recorded",
        "worker_after_final_state",
        "worker_before_acknowledge",
        "worker_hosts_given_back",
        "delivery_sent",
        "delivery_recorded",
        "cancel_hosts_given_back",
        "retry_recorded",
        "rebuild_pauses_restored",
        "rebuild_catalogue_half",
        "rebuild_letters_restored",
        "rebuild_tasks_enqueued",
        "housekeeping_archived",
        "housekeeping_forgotten",
        "housekeeping_moved",
        "housekeeping_recorded",
        "housekeeping_file_removed",
        "housekeeping_scan_deleted",
        "housekeeping_before_record",
        // Of an object store only.
        "bucket_upload_marked",
        "bucket_part_uploaded",
        "bucket_parts_uploaded",
        "bucket_file_marked",
        "bucket_file_named",
        "bucket_file_dropped",
        "bucket_parts_removed",
        "bucket_removal_marked",
        "bucket_file_removed",
        "bucket_collection_begun",
    ];

    /// The point this process dies at, and how often it may still be passed.
    #[derive(Debug)]
    struct Armed {
        name: String,
        left: AtomicU32,
    }

    impl Armed {
        /// Reads `name` or `name:n`.
        fn parse(text: &str) -> Option<Self> {
            let (name, times) = match text.split_once(':') {
                Some((name, times)) => (name, times.parse().ok()?),
                None => (text, 1),
            };
            Some(Self { name: name.to_owned(), left: AtomicU32::new(times) })
        }

        /// Whether the process is to die, now that it passes the point `name`.
        fn is_due(&self, name: &str) -> bool {
            self.name == name && self.left.fetch_sub(1, Ordering::Relaxed) == 1
        }
    }

    /// Passes a point: the last thing the process does, if it is told so.
    pub(crate) fn pass(name: &str) {
        static DEADLY: OnceLock<Option<Armed>> = OnceLock::new();
        static FREEZING: OnceLock<Option<Armed>> = OnceLock::new();
        let is_due = |armed: &'static OnceLock<Option<Armed>>, variable: &str| {
            let armed = armed.get_or_init(|| std::env::var(variable).ok().as_deref().and_then(Armed::parse));
            armed.as_ref().is_some_and(|armed| armed.is_due(name))
        };
        if is_due(&DEADLY, VARIABLE) {
            tracing::error!(name, "the process dies at a fail point");
            let _ = crate::streams::stderr().finish(Some(PATIENCE));
            std::process::abort();
        }
        if is_due(&FREEZING, FREEZE_VARIABLE) {
            tracing::error!(name, "the process stands still at a fail point");
            let _ = crate::streams::stderr().finish(Some(PATIENCE));
            // A process that cannot stop itself goes on, and its test says so.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
            // The signal may reach another thread first, and this one must not get any further meanwhile.
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn deaths(text: &str, passed: &[&str]) -> Vec<bool> {
            let armed = Armed::parse(text).unwrap();
            passed.iter().map(|name| armed.is_due(name)).collect()
        }

        #[test]
        fn a_point_is_due_once_at_the_passing_that_was_named() {
            assert_eq!(deaths("a", &["b", "a", "a"]), [false, true, false]);
            assert_eq!(deaths("a:3", &["a", "b", "a", "a", "a"]), [false, false, false, true, false]);
            assert!(Armed::parse("a:many").is_none());
        }
    }
}
