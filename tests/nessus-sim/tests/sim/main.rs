//! The simulated scanner, seen over plain HTTP as any client sees it.
//!
//! Other tests trust the simulator's answers and counts; these tests are the reason why they may.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail it by panicking")]

mod client;
mod credentials;
mod documents;
mod export;
mod faults;
mod https;
mod life;
mod policies;
mod raw;
mod session;
mod switches;
