//! Time that passes faster than on the wall, for tests that wait for real sockets.
//!
//! tokio's time stands still and is moved on in small steps while the test runs, at `speed` times the pace of the wall; the
//! clocks of the queue, the tasks and the simulated scanner go with it. Pauses of minutes take seconds, and what is under
//! way on a socket still has its time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    time::{Duration, SystemTime},
};

use nessus_mcp_lib::time::{Clock as _, ManualClock, Timestamp};

/// How often time moves on.
const STEP: Duration = Duration::from_millis(2);

/// Time in a test with `start_paused = true`; it stands still again when this is dropped.
pub(crate) struct FastTime {
    clock: ManualClock,
    speed: Arc<AtomicU32>,
    _ends: Sender<()>,
}

impl FastTime {
    pub(crate) fn start(speed: u32) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_764_599_422_000));
        let speed = Arc::new(AtomicU32::new(speed));
        let (ends, ended) = channel::<()>();
        // A step that is late takes the place of the next: while this thread has no time, none passes.
        let (tick, mut ticks) = tokio::sync::mpsc::channel(1);
        // While blocking work is under way tokio does not move a paused clock by itself.
        tokio::task::spawn_blocking(move || {
            while ended.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
                if let Err(tokio::sync::mpsc::error::TrySendError::Closed(())) = tick.try_send(()) {
                    return;
                }
            }
        });
        let (moved, pace) = (clock.clone(), Arc::clone(&speed));
        tokio::spawn(async move {
            while ticks.recv().await.is_some() {
                let step = STEP * pace.load(Ordering::Relaxed);
                moved.advance(step);
                tokio::time::advance(step).await;
            }
        });
        Self { clock, speed, _ends: ends }
    }

    /// The clock as the simulated scanner takes it.
    pub(crate) fn of_scanner(&self) -> impl Fn() -> SystemTime + use<> {
        let clock = self.clock();
        move || SystemTime::UNIX_EPOCH + Duration::from_millis(clock.now().as_millis().unsigned_abs())
    }

    pub(crate) fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    /// From now on time passes so many times as fast as on the wall.
    pub(crate) fn speed(&self, speed: u32) {
        self.speed.store(speed, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
