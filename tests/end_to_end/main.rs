//! A server, workers and a simulated Nessus, each on its own, over HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod approvals;
mod binding;
mod circuits;
mod crowds;
mod failures;
mod hosts;
mod housekeeping;
mod life;
mod logins;
mod lost_queue;
mod operations;
mod pauses;
mod policies;
mod redis;
mod reload;
mod rights;
mod scans;
mod scope;
mod secrets;
mod shortage;
mod traces;
mod unread;
mod webhooks;
mod workers;
