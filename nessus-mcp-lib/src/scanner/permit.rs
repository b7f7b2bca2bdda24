//! Until when a worker may create or launch.
//!
//! A worker asks the queue whether it holds its task right before it creates or launches. But a call is several requests
//! (a login, a list of templates), and a machine may stand still between any two: the scan would then be created or
//! launched a second time, by a worker whose task has long been another's. So the scanner looks at the clock once more,
//! right before the one request that acts; at one that goes on while the machine is suspended.
//!
//! For the same reason an error may come from a request before that one. It then looks as if the scanner might have acted,
//! and only the scanner's own code knows better: it says so here, beside the error, which stays what it is.

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
    NothingSent,
    /// It was allowed to send the request that acts.
    Allowed,
}

/// Runs `act`, which must not change anything on the scanner from `until` on. Says as well whether the request that acts
/// may have been sent; [`RequestSent::No`] is certain, whatever error `act` has ended with.
pub(crate) async fn act_until<T>(until: BootInstant, act: impl Future<Output = T>) -> (T, RequestSent) {
    let permit = Permit { until, reached: Cell::new(Reached::Unknown) };
    PERMIT
        .scope(permit, async {
            let ended = act.await;
            let nothing_sent = PERMIT.with(|permit| permit.reached.get() == Reached::NothingSent);
            (ended, if nothing_sent { RequestSent::No } else { RequestSent::Maybe })
        })
        .await
}

/// Whether a request that creates or launches may still be sent: for implementors of
/// [`ScannerInterface`](super::ScannerInterface), who ask right before they send it, and fail with nothing sent otherwise.
///
/// A worker sets the limit from what the queue has confirmed; where nobody has set one, everything may be sent.
pub fn may_act() -> bool {
    let ask = |permit: &Permit| {
        let may = BootInstant::now() < permit.until;
        if may {
            permit.reached.set(Reached::Allowed);
        }
        may
    };
    PERMIT.try_with(ask).unwrap_or(true)
}

/// Says that a create or launch fails on the way to the request that acts, so that another scanner may be tried: for
/// implementors of [`ScannerInterface`](super::ScannerInterface) whose calls need other requests first. It changes nothing
/// once [`may_act`] has allowed that request.
pub fn nothing_sent() {
    let note = |permit: &Permit| {
        if permit.reached.get() == Reached::Unknown {
            permit.reached.set(Reached::NothingSent);
        }
    };
    // Where nobody has asked, nobody wants to know.
    let _ = PERMIT.try_with(note);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::suspend;

    #[tokio::test(start_paused = true)]
    async fn a_permit_ends_with_its_time() {
        assert!(may_act());
        let seen = act_until(BootInstant::now() + Duration::from_secs(1), async {
            let before = may_act();
            tokio::time::sleep(Duration::from_secs(2)).await;
            (before, may_act())
        });
        assert_eq!(seen.await.0, (true, false));
        assert!(may_act());
    }

    /// Between the confirmation and the request the lid is closed for an hour: no other clock has moved.
    #[tokio::test(start_paused = true)]
    async fn a_permit_ends_while_the_machine_is_suspended() {
        let until = BootInstant::now() + Duration::from_secs(48);
        let seen = act_until(until, async {
            let before = may_act();
            suspend(Duration::from_secs(3600));
            (before, may_act())
        });
        assert_eq!(seen.await.0, (true, false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_is_certain_only_where_it_was_said() {
        let asked_first = || {
            may_act();
            nothing_sent();
        };
        let late = BootInstant::now();
        let in_time = late + Duration::from_secs(1);
        let sent = async |until, act: fn()| act_until(until, async move { act() }).await.1;
        assert_eq!(sent(in_time, || ()).await, RequestSent::Maybe, "who says nothing may have sent anything");
        assert_eq!(sent(in_time, nothing_sent).await, RequestSent::No);
        assert_eq!(sent(late, asked_first).await, RequestSent::No);
        assert_eq!(sent(in_time, asked_first).await, RequestSent::Maybe);
        let on_the_way = || {
            nothing_sent();
            may_act();
        };
        assert_eq!(sent(in_time, on_the_way).await, RequestSent::Maybe, "what failed first was repeated");
        nothing_sent();
    }
}
