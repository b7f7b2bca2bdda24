//! The queue on Redis, with servers that the tests start themselves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod clock;
mod faults;
mod groups;
mod long;
mod older;
mod redis;
mod tls;
mod valkey;
