//! What is the same host and the same finding, in one export and in two.
//!
//! A name is not an identity: a machine is scanned by its address and later by its name, two sites live at one address,
//! an address is given to another machine. So the evidence that an export has of a host is gathered
//! ([`HostEvidence`]) and weighed by a rule ([`group`], [`match_hosts`]). A finding is known by its host, its port, its
//! plugin, and by what tells the plugin's findings at one port apart ([`FindingPart`], [`FindingKey`]), never by the
//! plugin's output as such, which is different in every scan.
//!
//! Takes hosts and items, gives groups, pairs and keys; reads no file and keeps nothing. The rules are written down for
//! users in `docs/identity.md`; a change of what a key is made of makes a new version of it.

mod blocks;
mod detail;
mod evidence;
mod finding;
mod machines;
#[cfg(test)]
mod tests;

pub(crate) use blocks::{Blocks, Machines, group};
pub(crate) use evidence::HostEvidence;
pub(crate) use finding::{FindingKey, FindingPart, HostPart, Protocol};
pub(crate) use machines::match_hosts;
