//! Whether the login on the targets worked: a verdict for each host with its cause and evidence, and one for the scan.
//!
//! A scan that could not log in still completes and still has findings, only fewer; nothing in those findings says so.
//! The answer stands in a dozen plugins about the scan itself and one host tag, and no single one of them decides:
//! Nessus never writes "partial", a login on a database says nothing about the operating system, and a host that was
//! not offered any credentials has not refused them. The decision is in [`verdict`](Verdict), what it rests on is kept
//! as [`Evidence`].
//!
//! The strongest evidence goes first:
//!
//! 1. what only a login can have brought: the patch level was read (117887), the installed software was listed (20811, 22869),
//!    or a login to the system had no problem (110095 on SSH, for Windows on SMB) and nothing says that it was of no use
//!    (117886, 21745, 110695);
//! 2. the line `Credentialed checks` of plugin 19506, which says `no` in some scans that have the former;
//! 3. the tag `Credentialed_Scan`.
//!
//! A host to which this says `yes` is partial when a plugin says what was out of reach. Where a stronger one overrules a
//! weaker one, a warning says so, and both are among the evidence. Of a machine with several blocks the best verdict counts:
//! authenticated, partial, failed, not attempted, unknown.
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
pub(super) use signs::Contradiction;
pub use signs::Evidence;
pub use verdict::{Cause, HostAuthentication, Verdict};

#[cfg(test)]
mod tests;
