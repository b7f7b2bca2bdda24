//! Making no calls to a broken scanner: a [`CircuitBreaker`] in front of every call.
//!
//! # Why
//! A scanner that is down answers each call with a failure, often after a long time. Without a breaker a queue of a
//! hundred tasks is burnt in minutes: each is handed out, fails, and is handed out again, until its tries are used up.
//! With one, a few calls are enough to know; then nothing is asked of the scanner for a while, its tasks wait unharmed,
//! and a few calls find out whether it is back.
//!
//! # Two signals
//! **Failures in a row** see a hard outage within a few calls, whatever came before. They miss a scanner behind a broken
//! balancer, every second call of which succeeds and resets the count. **The share of failures** within a window sees
//! that, but needs a minimum of calls to mean anything, and would take long to notice an outage after many successes. So
//! both are kept, and either opens the circuit; its reason says which. Slow calls are no third signal: an export takes
//! minutes by nature, and what hangs ends as a timeout, which is a failure.
//!
//! # States
//! ```text
//!            5 in a row, or half of 20                 time is over, somebody asks
//!   closed ---------------------------->  open  ------------------------------------>  half-open
//!     ^                                    ^  one failure, or no answer in time             |
//!     |                                    +------------------------------------------------+
//!     +---------------------------------------------- 2 successes --------------------------+
//!
//!   isolated: by an operator, until an operator          unusable: the login was refused, until a reset or another
//!   closes or resets it                                            configuration
//! ```
//! The open time is randomised within a range that doubles with each opening (30 s to 10 minutes), so that many processes
//! do not come back at once. A scanner that says `Retry-After` is not called before that.
//!
//! # What goes wrong elsewhere, and not here
//! - A call that is given up by its caller gives its permit back when it is dropped and counts as nothing: half-open
//!   permits do not leak.
//! - Each state has a generation, and what was allowed by an earlier one is ignored: late failures do not prolong an open
//!   circuit, late successes do not close it.
//! - Half-open ends: when it cannot be told in time whether the scanner is back, the circuit opens again.
//! - A refused login is no outage. It does not open the circuit but makes the scanner unusable: each further try would
//!   bring its account closer to being locked. So a process that was never let in believes another that was refused,
//!   until an operator resets the circuit or its own configuration changes. One that is started afterwards tries once,
//!   for it may have been given another login.
//!
//! The decisions are made by a pure machine, which never looks at a clock; tests hold it against a model.

mod breaker;
mod machine;
mod state;
mod window;

pub(crate) use self::breaker::{Permit, try_failed};
pub use self::{
    breaker::{CircuitBreaker, CircuitOpen, CircuitView, ClassifyOutcome},
    state::{CallOutcome, CircuitCommand, CircuitState},
};
