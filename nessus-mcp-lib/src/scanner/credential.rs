//! What a scanner logs in to its targets with.
//!
//! The texts of the escalation methods are those of Nessus, letter by letter: a scanner that does not know one drops it
//! without a word, and the scan then runs without the rights it needs.

use std::{fmt, str::FromStr};

use super::error::ScannerError;
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
    fn check(&self) -> Result<(), ScannerError> {
        let method = self.method;
        let given = [
            ("account", Field::Account, self.account.is_some()),
            ("password", Field::Password, self.password.is_some()),
            ("`su_user`", Field::SuUser, self.su_user.is_some()),
            ("directory", Field::BinDirectory, self.bin_directory.is_some()),
        ];
        if let Some((what, ..)) = given.iter().find(|(_, field, is_given)| *is_given && !method.takes(*field)) {
            return Err(ScannerError::Rejected(format!("the escalation `{method}` takes no {what}")));
        }
        if method.takes(Field::SuUser) && self.su_user.as_deref().unwrap_or_default().is_empty() {
            return Err(ScannerError::Rejected(format!("the escalation `{method}` needs a `su_user`")));
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
pub(super) enum Field {
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
    pub(super) fn takes(self, field: Field) -> bool {
        let fields: &[Field] = match self {
            Self::Sudo | Self::Su | Self::Pbrun | Self::Dzdo => &[Field::Account, Field::Password, Field::BinDirectory],
            Self::SuSudo => &[Field::Account, Field::Password, Field::SuUser, Field::BinDirectory],
            Self::K5login => &[Field::Account],
            Self::CiscoEnable | Self::CheckpointExpert => &[Field::Password],
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
    type Err = ScannerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text.trim()));
        known.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            ScannerError::Rejected(format!("there is no escalation `{}`; there are: {all}", excerpt(text)))
        })
    }
}

impl ScanCredential {
    /// Whether it is complete and consistent.
    ///
    /// # Errors
    /// [`ScannerError::Rejected`] with what is missing or not taken.
    pub fn check(&self) -> Result<(), ScannerError> {
        let (username, secret) = match self {
            Self::Ssh(SshCredential { username, login, escalation }) => {
                escalation.as_ref().map_or(Ok(()), Escalation::check)?;
                match login {
                    SshLogin::Password(secret) | SshLogin::Key { private_key: secret, .. } => (username, secret),
                }
            }
            Self::Windows { username, password, .. } => (username, password),
        };
        if username.trim().is_empty() {
            return Err(ScannerError::Rejected("the credential has no user name".to_owned()));
        }
        if secret.is_empty() {
            return Err(ScannerError::Rejected("the credential has neither password nor key".to_owned()));
        }
        Ok(())
    }

    /// What of it must not be shown.
    #[cfg(feature = "nessus")]
    pub(super) fn secrets(&self) -> Vec<Secret> {
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn ssh() -> SshCredential {
        SshCredential::new("scan", SshLogin::Password(Secret::new("planted")))
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
    #[case(Escalation::new(EscalationMethod::Sudo).su_user("x"), Some("takes no `su_user`"))]
    #[case(Escalation::new(EscalationMethod::SuSudo).account("root"), Some("needs a `su_user`"))]
    #[case(Escalation::new(EscalationMethod::SuSudo).su_user("admin"), None)]
    #[case(Escalation::new(EscalationMethod::K5login).password(Secret::new("planted")), Some("takes no password"))]
    #[case(Escalation::new(EscalationMethod::CiscoEnable).account("root"), Some("takes no account"))]
    #[case(Escalation::new(EscalationMethod::CheckpointExpert).password(Secret::new("planted")), None)]
    fn an_escalation_gets_what_its_method_takes(#[case] escalation: Escalation, #[case] expected: Option<&str>) {
        let checked = ScanCredential::Ssh(ssh().escalation(escalation)).check();
        match (checked, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{error}"),
            (outcome, _) => panic!("{outcome:?}"),
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let key = SshLogin::Key { private_key: Secret::new("planted"), passphrase: Some(Secret::new("planted")) };
        let escalation = Escalation::new(EscalationMethod::Su).password(Secret::new("planted"));
        let ssh = ScanCredential::Ssh(SshCredential::new("scan", key).escalation(escalation));
        let windows = ScanCredential::Windows {
            username: "scan".to_owned(),
            password: Secret::new("planted"),
            domain: String::new(),
        };
        assert!(!format!("{ssh:?} {windows:#?}").contains("planted"));
        assert_eq!((ssh.secrets().len(), windows.secrets().len()), (3, 1));
        for empty in [
            SshCredential::new(" ", SshLogin::Password(Secret::new("x"))),
            SshCredential::new("x", SshLogin::Password(Secret::new(""))),
        ] {
            assert!(ScanCredential::Ssh(empty).check().is_err());
        }
    }
}
