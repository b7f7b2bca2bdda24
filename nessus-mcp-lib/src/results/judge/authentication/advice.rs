//! What to do about each cause.

use super::verdict::Cause;

impl Cause {
    /// What to try, in one or two sentences.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::BadCredentials => {
                "check the user name and the password or key, that the account is not locked or expired, and that the \
                 target accepts this kind of login (sshd: PasswordAuthentication, PubkeyAuthentication, AllowUsers; \
                 Windows: the domain)"
            }
            Self::InsufficientPrivilege => {
                "the login works, the rights do not: scan as privileged (sudo, su, ...) and let the account run the \
                 commands that plugin 102094 lists; on Windows use an account that may open ADMIN$ and the registry"
            }
            Self::Intermittent => {
                "the login worked and later failed: look for connection limits (sshd: MaxStartups, MaxSessions), \
                 lock-out after several logins and rate limits on the way (plugin 122501), and scan fewer hosts at once"
            }
            Self::PatchAssessmentFailed => {
                "the login or the commands after it failed: read the output of plugin 21745; often a restricted shell, \
                 a login banner or a time-out is the reason"
            }
            Self::UnsupportedSystem => {
                "nothing is wrong with the credentials: Nessus has no local checks for this system, so only network \
                 findings are to be expected"
            }
            Self::LocalChecksNotRun => {
                "a login worked, but not one that local checks can use: give credentials for SSH (Unix, devices) or SMB \
                 (Windows), and read the output of plugin 117886"
            }
            Self::NoCredentials => {
                "the scan had no credentials for a service it found: give them, for SSH or SMB as the target needs"
            }
            Self::NoSignOfLogin => {
                "no login was tried: check that SSH or SMB of the target is reachable from the scanner (port, firewall, \
                 service running) and that credentials of that kind were given"
            }
            Self::NoEvidence => {
                "nothing in the export tells: enable plugin 19506 and the family Settings in the policy, and export \
                 without filters"
            }
        }
    }
}
