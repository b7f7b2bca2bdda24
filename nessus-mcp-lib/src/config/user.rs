//! The user of the operating system that runs this process, and the machine it runs on.

use std::{fs, process};

use rustix::process::getuid;

use crate::ids::WorkerId;

/// How events, circuits and log lines name a worker or another part of this process: the machine, the process, and the first digits of
/// its id.
pub(crate) fn process_name(id: &WorkerId) -> String {
    let id: String = id.as_str().chars().take(8).collect();
    format!("{} pid {} ({id})", host_name(), process::id())
}

/// The user and the machine, as events and log lines name whoever works at a command line.
#[cfg(feature = "cli")]
pub fn user_at_host() -> String {
    format!("{}@{}", user_name(), host_name())
}

/// The name of the user, or its number where it has none here.
pub(crate) fn user_name() -> String {
    let id = getuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(id, &users).unwrap_or_else(|| format!("uid-{id}"))
}

/// The name of this machine, in at most 64 letters, digits, `-`, `_` and `.`; `unknown` where it has none.
pub(crate) fn host_name() -> String {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let machine: String = machine.chars().take(64).map(|letter| if is_plain(letter) { letter } else { '-' }).collect();
    if machine.is_empty() { "unknown".to_owned() } else { machine }
}

fn name_of(id: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_its_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# note\nscan:x:1000:1000::/home/scan:/bin/sh\n+::::::\n";
        assert_eq!(name_of(1000, users).as_deref(), Some("scan"));
        assert_eq!((name_of(0, users).as_deref(), name_of(7, users)), (Some("root"), None));
    }
}
