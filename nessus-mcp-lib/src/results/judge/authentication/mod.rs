//! Whether the login on the targets worked: a verdict for each host with its cause and evidence, and one for the scan.
//!
//! A scan that could not log in still completes and still has findings, only fewer; nothing in those findings says so.
//! The answer stands in a dozen plugins about the scan itself and one host tag, and no single one of them decides:
//! Nessus never writes "partial", a login on a database says nothing about the operating system, and a host that was
//! not offered any credentials has not refused them. The decision is in [`verdict`](Verdict), what it rests on is kept
//! as [`Evidence`].
//!
//! Facts: counts over public exports and the published source of `scan_info.nasl`; the names of the plugins are
//! Tenable's. `plugin_type` `local` and plugin 10394 (a null session counts there) are no evidence.

mod advice;
mod login;
mod report;
mod signs;
mod verdict;

pub(super) use report::Contradictions;
pub use report::{AuthenticationReport, AuthenticationStatus, CauseCount, LoginExpected, VerdictCounts};
pub(crate) use report::{Judge, Judgement};
pub use signs::Evidence;
pub use verdict::{Cause, HostAuthentication, Verdict};

#[cfg(test)]
mod tests;
