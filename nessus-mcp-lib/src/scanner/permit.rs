//! Until when a worker may create or launch a scan.
//!
//! A worker asks the queue whether it still holds its task right before it creates or launches. A call is several requests
//! (a login, a list of templates), and the machine may be suspended between any two of them. Another worker may then have
//! the task, and the scan would be created or launched twice. So the scanner checks its permit once more right before the
//! one request that acts, by a clock that does not stop while the machine is suspended.
//!
//! An error may also come from one of the requests before. It looks as if the scanner might have acted, and only the
//! scanner's own code knows that it has not. It says so here; the error itself stays as it is.

use std::cell::Cell;

use super::error::RequestSent;
use crate::time::BootInstant;

tokio::task_local! {
    static PERMIT: Permit;
}

struct Permit {
    until: BootInstant,
    /// How far the call has come, as far as it has said so.
    reached: Cell<Reached>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// It has said nothing.
    Unknown,
    /// It failed on the way to the request that acts.
    NotSent,
    /// It may have sent the request that acts.
    Allowed,
}

/// Runs `act`, which must not change anything on the scanner from `until` on. Says as well whether the request that acts
/// may have been sent; [`RequestSent::No`] is certain, whatever error `act` has ended with.
pub(crate) async fn act_until<T>(until: BootInstant, act: impl Future<Output = T>) -> (T, RequestSent) {
    let permit = Permit { until, reached: Cell::new(Reached::Unknown) };
    PERMIT
        .scope(permit, async {
            let ended = act.await;
            let request_not_sent = PERMIT.with(|permit| permit.reached.get() == Reached::NotSent);
            (ended, if request_not_sent { RequestSent::No } else { RequestSent::Maybe })
        })
        .await
}

/// Whether the request that creates or launches may still be sent. Implementors of
/// [`ScannerInterface`](super::ScannerInterface) ask right before they send it. If not, they return an error with
/// [`RequestSent::No`].
///
/// The worker sets the time limit from the queue's answer. Without a limit the permit is always valid.
pub fn permit_is_valid() -> bool {
    let ask = |permit: &Permit| {
        let may = BootInstant::now() < permit.until;
        if may {
            permit.reached.set(Reached::Allowed);
        }
        may
    };
    PERMIT.try_with(ask).unwrap_or(true)
}

/// Says that a create or launch fails before the request that acts was sent, so that another scanner may be tried.
/// Implementors of [`ScannerInterface`](super::ScannerInterface) whose calls need other requests first call it before they
/// return the error. It has no effect after [`permit_is_valid`] has allowed the request.
pub fn request_not_sent() {
    let note = |permit: &Permit| {
        if permit.reached.get() == Reached::Unknown {
            permit.reached.set(Reached::NotSent);
        }
    };
    // Outside `act_until` there is no permit.
    let _ = PERMIT.try_with(note);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::suspend;

    #[tokio::test(start_paused = true)]
    async fn a_permit_ends_with_its_time() {
        assert!(permit_is_valid());
        let seen = act_until(BootInstant::now() + Duration::from_secs(1), async {
            let before = permit_is_valid();
            tokio::time::sleep(Duration::from_secs(2)).await;
            (before, permit_is_valid())
        });
        assert_eq!(seen.await.0, (true, false));
        assert!(permit_is_valid());
    }

    /// Between confirmation and request the machine is suspended for an hour: no other clock has moved.
    #[tokio::test(start_paused = true)]
    async fn a_permit_ends_while_the_machine_is_suspended() {
        let until = BootInstant::now() + Duration::from_secs(48);
        let seen = act_until(until, async {
            let before = permit_is_valid();
            suspend(Duration::from_secs(3600));
            (before, permit_is_valid())
        });
        assert_eq!(seen.await.0, (true, false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_is_certain_only_where_it_was_said() {
        let asked_first = || {
            permit_is_valid();
            request_not_sent();
        };
        let late = BootInstant::now();
        let in_time = late + Duration::from_secs(1);
        let sent = async |until, act: fn()| act_until(until, async move { act() }).await.1;
        assert_eq!(sent(in_time, || ()).await, RequestSent::Maybe, "who says nothing may have sent anything");
        assert_eq!(sent(in_time, request_not_sent).await, RequestSent::No);
        assert_eq!(sent(late, asked_first).await, RequestSent::No);
        assert_eq!(sent(in_time, asked_first).await, RequestSent::Maybe);
        let on_the_way = || {
            request_not_sent();
            permit_is_valid();
        };
        assert_eq!(sent(in_time, on_the_way).await, RequestSent::Maybe, "what failed first was repeated");
        request_not_sent();
    }
}
