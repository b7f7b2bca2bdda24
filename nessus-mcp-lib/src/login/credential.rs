//! What a scanner logs in to its targets with.
//!
//! The texts of the escalation methods are those of Nessus, letter by letter: a scanner that does not know one drops it
//! without a word, and the scan then runs without the rights it needs.

use std::{fmt, str::FromStr};

use super::{
    error::LoginError,
    private_key::{Lock, lock_of},
};
use crate::{error::excerpt, secret::Secret};

/// A login on the targets of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanCredential {
    /// By SSH.
    Ssh(SshCredential),
    /// On Windows, by password.
    Windows {
        /// The user.
        username: String,
        /// Its password.
        password: Secret,
        /// Its domain; empty for a local account.
        domain: String,
    },
}

/// A login by SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SshCredential {
    /// The user.
    pub username: String,
    /// How it proves itself.
    pub login: SshLogin,
    /// How it gets more rights; `None` when it needs none.
    pub escalation: Option<Escalation>,
}

/// How a user proves itself to SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SshLogin {
    /// By password.
    Password(Secret),
    /// By key.
    Key {
        /// The private key, in the form of OpenSSH or PEM.
        private_key: Secret,
        /// What opens it, if it is locked.
        passphrase: Option<Secret>,
    },
}

impl SshCredential {
    /// A user and its password or key, without escalation.
    pub fn new(username: impl Into<String>, login: SshLogin) -> Self {
        Self { username: username.into(), login, escalation: None }
    }

    /// With more rights.
    pub fn escalation(mut self, escalation: Escalation) -> Self {
        self.escalation = Some(escalation);
        self
    }
}

/// A way to more rights after an SSH login, with what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Escalation {
    /// Which one.
    pub method: EscalationMethod,
    /// The account to become; `root` when none is given, where the method has one.
    pub account: Option<String>,
    /// The password it asks for.
    pub password: Option<Secret>,
    /// The user whom `su` makes first, for [`EscalationMethod::SuSudo`] only, which needs it.
    pub su_user: Option<String>,
    /// The directory of the program, such as `/usr/local/bin`; the scanner's default when none is given.
    pub bin_directory: Option<String>,
}

impl Escalation {
    /// By this method, with nothing else.
    pub fn new(method: EscalationMethod) -> Self {
        Self { method, account: None, password: None, su_user: None, bin_directory: None }
    }

    /// The account to become.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// The password the method asks for.
    pub fn password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// The user whom `su` makes first.
    pub fn su_user(mut self, user: impl Into<String>) -> Self {
        self.su_user = Some(user.into());
        self
    }

    /// The directory of the program.
    pub fn bin_directory(mut self, directory: impl Into<String>) -> Self {
        self.bin_directory = Some(directory.into());
        self
    }

    /// Whether the method gets what it needs, and nothing that it would drop without a word.
    fn check(&self) -> Result<(), LoginError> {
        let method = self.method;
        let given = [
            ("escalation_account", EscalationField::Account, self.account.as_deref()),
            ("escalation_password", EscalationField::Password, self.password.as_ref().map(Secret::expose)),
            ("su_user", EscalationField::SuUser, self.su_user.as_deref()),
            ("bin_directory", EscalationField::BinDirectory, self.bin_directory.as_deref()),
        ];
        for (name, field, value) in given {
            match value {
                Some(_) if !method.takes(field) => {
                    return Err(LoginError::new(
                        name,
                        format!("is not taken by the escalation `{method}`: leave it out"),
                    ));
                }
                Some("") => return Err(LoginError::new(name, "is empty: leave it out, or give it a value")),
                Some(text) if name != "escalation_password" => check_line(name, text)?,
                _ => {}
            }
        }
        if method.takes(EscalationField::SuUser) && self.su_user.is_none() {
            return Err(LoginError::new("su_user", format!("is missing: the escalation `{method}` needs it")));
        }
        Ok(())
    }
}

/// The ways to more rights that Nessus knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EscalationMethod {
    /// `sudo`.
    Sudo,
    /// `su`.
    Su,
    /// `su+sudo`: `su` to one user, who may `sudo`.
    SuSudo,
    /// `pbrun`.
    Pbrun,
    /// `dzdo`.
    Dzdo,
    /// `.k5login`.
    K5login,
    /// `Cisco 'enable'`.
    CiscoEnable,
    /// `Checkpoint Gaia 'expert'`.
    CheckpointExpert,
}

/// A field that some methods have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EscalationField {
    Account,
    Password,
    SuUser,
    BinDirectory,
}

impl EscalationMethod {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Sudo,
        Self::Su,
        Self::SuSudo,
        Self::Pbrun,
        Self::Dzdo,
        Self::K5login,
        Self::CiscoEnable,
        Self::CheckpointExpert,
    ];

    /// The text by which Nessus knows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sudo => "sudo",
            Self::Su => "su",
            Self::SuSudo => "su+sudo",
            Self::Pbrun => "pbrun",
            Self::Dzdo => "dzdo",
            Self::K5login => ".k5login",
            Self::CiscoEnable => "Cisco 'enable'",
            Self::CheckpointExpert => "Checkpoint Gaia 'expert'",
        }
    }

    /// Whether it has this field.
    pub(crate) fn takes(self, field: EscalationField) -> bool {
        use EscalationField::{Account, BinDirectory, Password, SuUser};
        let fields: &[EscalationField] = match self {
            Self::Sudo | Self::Su | Self::Pbrun | Self::Dzdo => &[Account, Password, BinDirectory],
            Self::SuSudo => &[Account, Password, SuUser, BinDirectory],
            Self::K5login => &[Account],
            Self::CiscoEnable | Self::CheckpointExpert => &[Password],
        };
        fields.contains(&field)
    }
}

impl fmt::Display for EscalationMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EscalationMethod {
    type Err = LoginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text.trim()));
        known.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            LoginError::new(
                "elevate_privileges_with",
                format!("is `{}`, which is no escalation; there are: {all}", excerpt(text)),
            )
        })
    }
}

impl ScanCredential {
    /// Whether it is complete and consistent, and a key is one.
    ///
    /// # Errors
    /// [`LoginError`] with the field that is missing, wrong or not taken.
    pub fn check(&self) -> Result<(), LoginError> {
        let (username, password) = match self {
            Self::Ssh(ssh) => match &ssh.login {
                SshLogin::Password(password) => (&ssh.username, Some(password)),
                SshLogin::Key { .. } => (&ssh.username, None),
            },
            Self::Windows { username, password, .. } => (username, Some(password)),
        };
        if username.trim().is_empty() {
            return Err(LoginError::new("username", "is missing"));
        }
        check_line("username", username)?;
        if password.is_some_and(Secret::is_empty) {
            return Err(LoginError::new("password", "is empty"));
        }
        match self {
            Self::Windows { domain, .. } => check_line("domain", domain),
            Self::Ssh(SshCredential { login, escalation, .. }) => {
                login.check_key()?;
                escalation.as_ref().map_or(Ok(()), Escalation::check)
            }
        }
    }

    /// `ssh` or `windows`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Ssh(_) => "ssh",
            Self::Windows { .. } => "windows",
        }
    }

    /// The user that logs in.
    pub fn username(&self) -> &str {
        match self {
            Self::Ssh(SshCredential { username, .. }) | Self::Windows { username, .. } => username,
        }
    }

    /// How it gets more rights, if it does.
    pub const fn escalation(&self) -> Option<&Escalation> {
        match self {
            Self::Ssh(ssh) => ssh.escalation.as_ref(),
            Self::Windows { .. } => None,
        }
    }

    /// What of it must not be shown.
    #[cfg(feature = "nessus")]
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Windows { password, .. } => vec![password.clone()],
            Self::Ssh(ssh) => {
                let login = match &ssh.login {
                    SshLogin::Password(password) => vec![password.clone()],
                    SshLogin::Key { private_key, passphrase } => {
                        std::iter::once(private_key.clone()).chain(passphrase.clone()).collect()
                    }
                };
                let escalation = ssh.escalation.as_ref().and_then(|escalation| escalation.password.clone());
                login.into_iter().chain(escalation).collect()
            }
        }
    }
}

impl SshLogin {
    fn check_key(&self) -> Result<(), LoginError> {
        let Self::Key { private_key, passphrase } = self else { return Ok(()) };
        let lock = lock_of(private_key).map_err(|message| LoginError::new("private_key", message))?;
        let wrong = |message: &str| Err(LoginError::new("private_key_passphrase", message));
        match (lock, passphrase) {
            (Lock::Locked, None) => wrong("is missing: the key is locked"),
            (Lock::Locked, Some(passphrase)) if passphrase.is_empty() => wrong("is empty, and the key is locked"),
            (Lock::Open, Some(_)) => wrong("is not needed: the key is not locked, so leave it out"),
            _ => Ok(()),
        }
    }
}

/// Whether a text may stand in one line of a form.
fn check_line(field: &'static str, text: &str) -> Result<(), LoginError> {
    if text.chars().any(char::is_control) { Err(LoginError::new(field, "has control characters")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/ed25519"));
    const LOCKED_KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/ed25519_locked"));

    fn ssh() -> SshCredential {
        SshCredential::new("scan", SshLogin::Password(Secret::new("planted")))
    }

    fn key(private_key: &str, passphrase: Option<&str>) -> ScanCredential {
        let (private_key, passphrase) = (Secret::new(private_key), passphrase.map(Secret::new));
        ScanCredential::Ssh(SshCredential::new("scan", SshLogin::Key { private_key, passphrase }))
    }

    fn windows(username: &str, domain: &str) -> ScanCredential {
        let password = Secret::new("planted");
        ScanCredential::Windows { username: username.to_owned(), password, domain: domain.to_owned() }
    }

    #[test]
    fn every_method_is_read_as_it_is_written() {
        for method in EscalationMethod::ALL {
            assert_eq!(method.to_string().parse::<EscalationMethod>().unwrap(), method);
        }
        let error = "doas".parse::<EscalationMethod>().unwrap_err();
        assert!(error.to_string().contains("Checkpoint Gaia 'expert'"), "{error}");
    }

    #[rstest]
    #[case(Escalation::new(EscalationMethod::Sudo).account("root").bin_directory("/usr/bin"), None)]
    #[case(Escalation::new(EscalationMethod::Sudo).su_user("x"), Some("`su_user` is not taken by the escalation `sudo`"))]
    #[case(Escalation::new(EscalationMethod::Sudo).password(Secret::new("")), Some("`escalation_password` is empty"))]
    #[case(Escalation::new(EscalationMethod::Su).account("a\nb"), Some("`escalation_account` has control characters"))]
    #[case(Escalation::new(EscalationMethod::SuSudo).account("root"), Some("`su_user` is missing"))]
    #[case(Escalation::new(EscalationMethod::SuSudo).su_user("admin"), None)]
    #[case(
        Escalation::new(EscalationMethod::K5login).password(Secret::new("planted")),
        Some("`escalation_password` is not taken by the escalation `.k5login`")
    )]
    #[case(Escalation::new(EscalationMethod::CiscoEnable).account("root"), Some("`escalation_account` is not taken"))]
    #[case(Escalation::new(EscalationMethod::CheckpointExpert).bin_directory("/x"), Some("`bin_directory` is not taken"))]
    #[case(Escalation::new(EscalationMethod::CheckpointExpert).password(Secret::new("planted")), None)]
    fn an_escalation_gets_what_its_method_takes(#[case] escalation: Escalation, #[case] expected: Option<&str>) {
        let checked = ScanCredential::Ssh(ssh().escalation(escalation)).check();
        match (checked, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{error}"),
            (outcome, _) => panic!("{outcome:?}"),
        }
    }

    #[rstest]
    #[case(ScanCredential::Ssh(ssh()), None)]
    #[case(key(KEY, None), None)]
    #[case(key(LOCKED_KEY, Some("planted-phrase")), None)]
    #[case(windows("scan", ""), None)]
    #[case(key("planted", None), Some("private_key"))]
    #[case(key(LOCKED_KEY, None), Some("private_key_passphrase"))]
    #[case(key(LOCKED_KEY, Some("")), Some("private_key_passphrase"))]
    #[case(key(KEY, Some("planted")), Some("private_key_passphrase"))]
    #[case(windows(" ", ""), Some("username"))]
    #[case(windows("a\tb", ""), Some("username"))]
    #[case(windows("scan", "a\nb"), Some("domain"))]
    #[case(ScanCredential::Ssh(SshCredential::new("x", SshLogin::Password(Secret::new("")))), Some("password"))]
    fn what_cannot_work_is_refused_by_its_field(#[case] credential: ScanCredential, #[case] field: Option<&str>) {
        let refused = credential.check().err();
        assert_eq!(refused.as_ref().map(|error| error.field), field, "{refused:?}");
        assert!(!format!("{refused:?}").contains("planted"));
    }

    #[test]
    fn no_secret_is_shown() {
        let key = SshLogin::Key { private_key: Secret::new("planted"), passphrase: Some(Secret::new("planted")) };
        let escalation = Escalation::new(EscalationMethod::Su).password(Secret::new("planted"));
        let ssh = ScanCredential::Ssh(SshCredential::new("scan", key).escalation(escalation));
        let windows = windows("scan", "");
        assert!(!format!("{ssh:?} {windows:#?}").contains("planted"));
        #[cfg(feature = "nessus")]
        assert_eq!((ssh.secrets().len(), windows.secrets().len()), (3, 1));
    }
}
