//! Work that several threads do side by side, with its results in the order of the work.

use std::{sync::mpsc::sync_channel, thread};

/// How many pieces of work there are beyond those that are worked on, so that nobody need wait for the next.
pub(super) const AHEAD: usize = 2;

/// Who gives out work and takes what became of it.
pub(super) trait Foreman {
    /// A piece of work.
    type Work: Send;
    /// What becomes of it.
    type Result: Send;
    /// Why it is given up.
    type Error;

    /// The next piece of work; `None` when there is no more.
    fn next(&mut self) -> Result<Option<Self::Work>, Self::Error>;

    /// Takes results, in the order in which the work was given out.
    fn take(&mut self, result: Self::Result) -> Result<(), Self::Error>;
}

/// Lets each worker work in a thread of its own until there is no more work, or the foreman gives up.
pub(super) fn work<F: Foreman>(
    foreman: &mut F,
    workers: Vec<impl FnMut(F::Work) -> F::Result + Send>,
) -> Result<(), F::Error> {
    thread::scope(|scope| {
        let lanes: Vec<_> = workers
            .into_iter()
            .map(|mut worker| {
                // With one lane or more, no lane has more work than this.
                let (given, work) = sync_channel::<F::Work>(1 + AHEAD);
                let (done, results) = sync_channel(1 + AHEAD);
                // It ends when nobody gives it work or takes its results any more.
                scope.spawn(move || work.into_iter().try_for_each(|work| done.send(worker(work))));
                (given, results)
            })
            .collect();
        let (mut begun, mut ended, mut is_over) = (0, 0, lanes.is_empty());
        loop {
            while !is_over && begun - ended < lanes.len() + AHEAD {
                let work = foreman.next()?;
                // A worker that is gone has panicked, and so will this thread at the end of the scope.
                is_over = work.is_none_or(|work| lanes[begun % lanes.len()].0.send(work).is_err());
                begun += usize::from(!is_over);
            }
            if begun == ended {
                return Ok(());
            }
            let Ok(result) = lanes[ended % lanes.len()].1.recv() else { return Ok(()) };
            ended += 1;
            foreman.take(result)?;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers {
        next: u32,
        taken: Vec<u32>,
    }

    impl Foreman for Numbers {
        type Work = u32;
        type Result = u32;
        type Error = u32;

        fn next(&mut self) -> Result<Option<u32>, u32> {
            self.next += 1;
            if self.next == 900 { Err(900) } else { Ok((self.next <= 500 || self.next > 800).then_some(self.next)) }
        }

        fn take(&mut self, result: u32) -> Result<(), u32> {
            self.taken.push(result);
            if result == 1700 { Err(result) } else { Ok(()) }
        }
    }

    fn twice(number: u32) -> u32 {
        if number.is_multiple_of(7) {
            thread::yield_now();
        }
        2 * number
    }

    #[test]
    fn results_come_in_the_order_of_the_work() {
        for workers in 1..5 {
            let mut numbers = Numbers { next: 0, taken: Vec::new() };
            work(&mut numbers, vec![twice; workers]).unwrap();
            assert_eq!(numbers.taken, (1..=500).map(|number| 2 * number).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_gives_up_waits_for_nobody() {
        for (next, error) in [(800, 1700), (880, 900)] {
            let mut numbers = Numbers { next, taken: Vec::new() };
            assert_eq!(work(&mut numbers, vec![twice; 3]), Err(error));
        }
        let mut numbers = Numbers { next: 0, taken: Vec::new() };
        work(&mut numbers, Vec::<fn(u32) -> u32>::new()).unwrap();
        assert!(numbers.taken.is_empty());
    }
}
