//! Plugins that say how a login went. Their numbers are those that programs look for; their texts are our own.

use super::{BLANK, Plugin};

const SSH: Plugin = Plugin { family: "Settings", port: 22, service: "ssh", ..BLANK };

/// The credentials were accepted.
pub(crate) const LOGIN_WORKED: Plugin = Plugin {
    id: 141_118,
    name: "Login Succeeded With the Given Credentials",
    synopsis: "The scanner could log in.",
    description: "The credentials of the scan were accepted by this service.",
    output: "The scanner logged in to {host} on port {port} by SSH.\n\nProtocol : SSH\n",
    ..SSH
};

/// The credentials were refused.
pub(crate) const LOGIN_FAILED: Plugin = Plugin {
    id: 104_410,
    name: "Login Refused With the Given Credentials",
    synopsis: "The scanner could not log in.",
    description: "The service asks for a login, and refused the credentials of the scan.",
    solution: "Correct the credentials of the scan.",
    output: "The scanner could not log in to {host} on port {port} by SSH: the password was refused.\n\nProtocol : SSH\n",
    ..SSH
};

/// The account sees too little.
pub(crate) const PRIVILEGE_LACKING: Plugin = Plugin {
    id: 110_385,
    name: "Login Succeeded, Privileges Do Not Suffice",
    synopsis: "The scanner could log in, but not see everything.",
    description: "Some commands were refused to the account that the scan used.",
    solution: "Give the account the rights that the checks need.",
    output: "The account that logged in to {host} on port {port} may not run all commands.\n\nProtocol : SSH\n",
    ..SSH
};

/// Checks on the host itself did not run.
pub(crate) const LOCAL_CHECKS_FAILED: Plugin = Plugin {
    id: 21_745,
    name: "Local Checks Did Not Run",
    family: "Settings",
    synopsis: "Checks on the host itself did not run.",
    description: "Local checks were enabled, but the scanner could not run them.",
    solution: "Correct the credentials of the scan.",
    output: "The local checks failed because the login on {host} failed.\n",
    ..BLANK
};
