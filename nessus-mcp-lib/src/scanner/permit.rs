//! Until when a worker may create or launch.
//!
//! A worker asks the queue whether it holds its task right before it creates or launches. But a call is several requests
//! (a login, a list of templates), and a machine may stand still between any two: the scan would then be created or
//! launched a second time, by a worker whose task has long been another's. So the scanner looks at the clock once more,
//! right before the one request that acts.

use tokio::time::Instant;

tokio::task_local! {
    static UNTIL: Instant;
}

/// Runs `act`, which must not change anything on the scanner from `until` on.
pub(crate) async fn act_until<T>(until: Instant, act: impl Future<Output = T>) -> T {
    UNTIL.scope(until, act).await
}

/// Whether a request that creates or launches may still be sent: for implementors of
/// [`ScannerInterface`](super::ScannerInterface), who ask right before they send it, and fail with nothing sent otherwise.
///
/// A worker sets the limit from what the queue has confirmed; where nobody has set one, everything may be sent.
pub fn may_act() -> bool {
    UNTIL.try_with(|until| Instant::now() < *until).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_permit_ends_with_its_time() {
        assert!(may_act());
        let seen = act_until(Instant::now() + Duration::from_secs(1), async {
            let before = may_act();
            tokio::time::sleep(Duration::from_secs(2)).await;
            (before, may_act())
        });
        assert_eq!(seen.await, (true, false));
        assert!(may_act());
    }
}
