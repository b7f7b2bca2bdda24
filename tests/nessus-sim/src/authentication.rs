//! Whether the scanner's logins on a host worked, and how its reports say so.

use std::fmt;

use super::plugins::{self, Plugin};

/// How the logins on a host end. Only a scan with credentials tries any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authentication {
    /// They work: `Credentialed checks : yes`, plugin 141118.
    Succeeds,
    /// They are refused: plugin 104410.
    Fails,
    /// They are refused, and local checks say why they did not run: plugins 104410 and 21745.
    FailsLocally,
    /// They work, but the account may not see enough: plugin 110385.
    LacksPrivilege,
    /// None is tried: nothing on the host asks for one.
    NotTried,
}

impl Authentication {
    /// Whether checks ran on the host itself.
    pub(super) fn works(self) -> bool {
        matches!(self, Self::Succeeds | Self::LacksPrivilege)
    }

    /// The plugins that report it.
    pub(super) fn plugins(self) -> &'static [&'static Plugin] {
        match self {
            Self::Succeeds => &[&plugins::LOGIN_WORKED],
            Self::Fails => &[&plugins::LOGIN_FAILED],
            Self::FailsLocally => &[&plugins::LOGIN_FAILED, &plugins::LOCAL_CHECKS_FAILED],
            Self::LacksPrivilege => &[&plugins::PRIVILEGE_LACKING],
            Self::NotTried => &[],
        }
    }
}

/// An account on the hosts that are scanned. Any key opens it.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) username: String,
    pub(super) password: String,
    pub(super) outcome: Authentication,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&(&self.username, self.outcome)).finish()
    }
}
