//! The decision about one host.

use serde::{Deserialize, Serialize};

use super::signs::{Evidence, Signs};

/// Whether the login on a host worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Credentials were offered and none was accepted, or nothing could be read with them.
    Failed,
    /// A login worked, but not for everything that was to be looked at.
    Partial,
    /// Nothing says that credentials were offered.
    NotAttempted,
    /// The export does not say.
    Unknown,
    /// The login worked, and nothing says that anything was out of reach.
    Authenticated,
}

impl Verdict {
    /// All of them, those that need attention first.
    pub const ALL: [Self; 5] = [Self::Failed, Self::Partial, Self::NotAttempted, Self::Unknown, Self::Authenticated];

    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::NotAttempted => "not_attempted",
            Self::Unknown => "unknown",
            Self::Authenticated => "authenticated",
        }
    }

    /// What is better known of a host that was scanned several times comes later in this order.
    pub(super) const fn rank(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::NotAttempted => 1,
            Self::Failed => 2,
            Self::Partial => 3,
            Self::Authenticated => 4,
        }
    }

    /// How much a scan with this verdict sees of a host: 2 everything, 1 some, 0 what the network shows.
    pub(crate) const fn reach(self) -> u8 {
        match self {
            Self::Authenticated => 2,
            Self::Partial => 1,
            Self::Failed | Self::NotAttempted | Self::Unknown => 0,
        }
    }
}

/// Why a host is not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// Credentials were offered and refused (plugin 104410).
    BadCredentials,
    /// The account may not do all that is needed (110385; 24786 or 26917 on Windows).
    InsufficientPrivilege,
    /// The login worked once and failed later (117885).
    Intermittent,
    /// The login may have worked, but the patch level could not be read (21745).
    PatchAssessmentFailed,
    /// The login worked, but Nessus has no local checks for this system (110695).
    UnsupportedSystem,
    /// The login worked, yet the scan says that it was not credentialed.
    LocalChecksNotRun,
    /// A service to log in to was found and the scan had no credentials for it (110723).
    NoCredentials,
    /// The scan says it was not credentialed, and no plugin says why.
    NoSignOfLogin,
    /// Neither a tag nor a plugin tells: plugin 19506 may have been filtered out or disabled.
    NoEvidence,
}

impl Cause {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadCredentials => "bad_credentials",
            Self::InsufficientPrivilege => "insufficient_privilege",
            Self::Intermittent => "intermittent",
            Self::PatchAssessmentFailed => "patch_assessment_failed",
            Self::UnsupportedSystem => "unsupported_system",
            Self::LocalChecksNotRun => "local_checks_not_run",
            Self::NoCredentials => "no_credentials",
            Self::NoSignOfLogin => "no_sign_of_login",
            Self::NoEvidence => "no_evidence",
        }
    }
}

/// The verdict on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HostAuthentication {
    /// The host's name in the export.
    pub host: String,
    /// Whether the login worked.
    pub verdict: Verdict,
    /// Why not, unless it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What the verdict rests on.
    pub evidence: Vec<Evidence>,
}

/// Decides, the strongest evidence first: what only a login can have brought, then what the scan says of itself.
pub(super) fn decide(signs: &Signs) -> (Verdict, Option<Cause>) {
    let credentialed = signs.prove_login() || signs.said() == Some(true);
    let login = signs.login || signs.no_issues.any() || signs.privilege || signs.intermittent;
    if credentialed || login {
        let cause = if signs.privilege {
            Some(Cause::InsufficientPrivilege)
        } else if signs.intermittent {
            Some(Cause::Intermittent)
        } else if signs.patch_assessment_failed {
            Some(Cause::PatchAssessmentFailed)
        } else if signs.refused_on_system_protocol() {
            Some(Cause::BadCredentials)
        } else if signs.windows_rights {
            Some(Cause::InsufficientPrivilege)
        } else if !credentialed && signs.unsupported {
            Some(Cause::UnsupportedSystem)
        } else if !credentialed {
            Some(Cause::LocalChecksNotRun)
        } else {
            None
        };
        return (if cause.is_some() { Verdict::Partial } else { Verdict::Authenticated }, cause);
    }
    if signs.refused.any() {
        (Verdict::Failed, Some(Cause::BadCredentials))
    } else if signs.patch_assessment_failed {
        (Verdict::Failed, Some(Cause::PatchAssessmentFailed))
    } else if signs.no_credentials {
        (Verdict::NotAttempted, Some(Cause::NoCredentials))
    } else if signs.is_known() {
        (Verdict::NotAttempted, Some(Cause::NoSignOfLogin))
    } else {
        (Verdict::Unknown, Some(Cause::NoEvidence))
    }
}
