use super::*;
use crate::{
    ids::{PoolName, TaskId, TraceId},
    task::{PauseRequest, ScanPayload, ScanType},
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_764_599_422_000).plus(Duration::from_secs(seconds))
}

/// A scan that is looked at every ten seconds.
struct Watched {
    task: Task,
    window: Option<Hold>,
    now: u64,
}

impl Watched {
    fn new() -> Self {
        let id = TaskId::generate("mock", "lab", at(0));
        let (pool, payload) = (PoolName::new("lab").unwrap(), ScanPayload::new("office", "192.0.2.1"));
        let mut task = Task::new(id, TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, at(0));
        task.started_at = Some(at(0));
        Self { task, window: None, now: 0 }
    }

    fn wish(&mut self, is_wished: bool) {
        let request = PauseRequest { requested_at: at(self.now), reason: None };
        self.task.pause_request = is_wished.then_some(request);
    }

    fn window(&mut self, is_closed: bool) {
        let closed = Hold { by: PausedBy::Window, reason: None, until: Some(at(86_400)) };
        self.window = is_closed.then_some(closed);
    }

    /// The scan is seen in this state; what is written down of its pause, and what the scanner is told.
    fn see(&mut self, seen: ScanState) -> (Option<(PausedBy, PauseState)>, Option<Order>) {
        self.now += 10;
        advance(&mut self.task, self.window.clone(), seen, at(self.now));
        let is_wished = self.task.pause_request.is_some() || self.window.is_some();
        let pause = self.task.pause.as_ref().map(|pause| (pause.by, pause.state));
        (pause, Order::of(&self.task, is_wished, seen))
    }

    fn seconds_paused(&self) -> u64 {
        self.task.time_paused(at(self.now)).as_secs()
    }
}

use PauseState::{Paused as Held, Pausing, Resuming};
use PausedBy::{Request, Scanner, Window};
use ScanState::{Paused, Pending, Running};

#[test]
fn a_wish_is_carried_out_and_withdrawn() {
    let mut scan = Watched::new();
    assert_eq!(scan.see(Running), (None, None));
    scan.wish(true);
    assert_eq!(scan.see(Pending), (None, None), "no scanner pauses what it has not begun");
    assert_eq!(scan.see(Running), (Some((Request, Pausing)), Some(Order::Pause)));
    assert_eq!(scan.see(Running), (Some((Request, Pausing)), Some(Order::Pause)));
    assert_eq!(scan.seconds_paused(), 0, "it still runs");
    assert_eq!(scan.see(Paused), (Some((Request, Held)), None));
    assert_eq!(scan.see(Paused), (Some((Request, Held)), None));
    scan.wish(false);
    assert_eq!(scan.see(Paused), (Some((Request, Resuming)), Some(Order::Resume)));
    assert_eq!(scan.see(Paused), (Some((Request, Resuming)), Some(Order::Resume)));
    assert_eq!(scan.see(Running), (None, None));
    assert_eq!(scan.seconds_paused(), 40);
    scan.see(Running);
    assert_eq!(scan.seconds_paused(), 40);
}

#[test]
fn what_somebody_pauses_on_the_scanner_is_resumed_there() {
    let mut scan = Watched::new();
    assert_eq!(scan.see(Paused), (Some((Scanner, Held)), None));
    scan.wish(true);
    assert_eq!(scan.see(Paused), (Some((Scanner, Held)), None));
    scan.wish(false);
    assert_eq!(scan.see(Paused), (Some((Scanner, Held)), None), "not ours to resume");
    assert_eq!(scan.see(Running), (None, None));
    assert_eq!(scan.seconds_paused(), 30);
    // Resumed there, what somebody wishes to be held is held.
    scan.see(Paused);
    scan.wish(true);
    assert_eq!(scan.see(Running), (Some((Request, Pausing)), Some(Order::Pause)));
    assert_eq!(scan.see(Paused), (Some((Request, Held)), None));
    assert_eq!(scan.see(Running), (Some((Request, Pausing)), Some(Order::Pause)), "and again");
}

/// The scanner accepts a pause and takes its time.
#[test]
fn a_pause_that_comes_late_is_still_ours() {
    let mut scan = Watched::new();
    scan.wish(true);
    scan.see(Running);
    scan.wish(false);
    assert_eq!(scan.see(Running), (Some((Request, Pausing)), None));
    assert_eq!(scan.see(Paused), (Some((Request, Resuming)), Some(Order::Resume)));
    assert_eq!(scan.see(Running), (None, None));
    scan.wish(true);
    scan.see(Running);
    scan.wish(false);
    for _ in 0..5 {
        assert_eq!(scan.see(Running).0, Some((Request, Pausing)));
    }
    assert_eq!(scan.see(Running), (None, None), "it has not come");
    assert_eq!(scan.see(Paused), (Some((Scanner, Held)), None));
}

#[test]
fn a_wish_and_a_window_hold_a_scan_until_both_are_over() {
    let mut scan = Watched::new();
    scan.window(true);
    assert_eq!(scan.see(Running), (Some((Window, Pausing)), Some(Order::Pause)));
    assert_eq!(scan.see(Paused), (Some((Window, Held)), None));
    assert_eq!(scan.task.pause.as_ref().unwrap().until, Some(at(86_400)));
    scan.wish(true);
    assert_eq!(scan.see(Paused), (Some((Request, Held)), None));
    scan.window(false);
    assert_eq!(scan.see(Paused), (Some((Request, Held)), None));
    scan.window(true);
    scan.wish(false);
    assert_eq!(scan.see(Paused), (Some((Window, Held)), None));
    scan.window(false);
    assert_eq!(scan.see(Paused), (Some((Window, Resuming)), Some(Order::Resume)));
    scan.window(true);
    assert_eq!(scan.see(Paused), (Some((Window, Held)), None), "closed again before it went on");
    assert_eq!(scan.see(Running), (Some((Window, Pausing)), Some(Order::Pause)));
}
