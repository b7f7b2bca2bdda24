//! A login as a list of named fields: the form of tool arguments, of `credentials.yaml` and of what is sealed.

use serde::{Deserialize, Serialize};

use super::{
    credential::{Escalation, EscalationMethod, ScanCredential, SshCredential, SshLogin},
    error::LoginError,
};
use crate::{error::excerpt, secret::Secret};

/// The word of Nessus for no escalation.
const NO_ESCALATION: &str = "Nothing";

/// The fields of a login, as text. `S` is what a secret is: a [`Secret`] where one comes in, a `&str` where one goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LoginFields<S = Secret> {
    /// `ssh`, which is the default, or `windows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The user that logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Its password.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub password: Option<S>,
    /// Its private key, instead of a password; SSH only.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub private_key: Option<S>,
    /// What opens the key, if it is locked.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub private_key_passphrase: Option<S>,
    /// The domain of a Windows user; a local account has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// How the user gets more rights: one of [`EscalationMethod`]; SSH only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elevate_privileges_with: Option<String>,
    /// The account to become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation_account: Option<String>,
    /// The password that the escalation asks for.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub escalation_password: Option<S>,
    /// The user whom `su` makes before `sudo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub su_user: Option<String>,
    /// The directory of the escalation's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bin_directory: Option<String>,
}

/// A default that asks nothing of `S`.
const fn none<S>() -> Option<S> {
    None
}

impl<S> Default for LoginFields<S> {
    fn default() -> Self {
        Self {
            kind: None,
            username: None,
            password: None,
            private_key: None,
            private_key_passphrase: None,
            domain: None,
            elevate_privileges_with: None,
            escalation_account: None,
            escalation_password: None,
            su_user: None,
            bin_directory: None,
        }
    }
}

impl LoginFields {
    /// Whether no field is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The login that they describe.
    ///
    /// # Errors
    /// [`LoginError`] with the first field that is missing, wrong, or would not be used.
    pub fn into_credential(self) -> Result<ScanCredential, LoginError> {
        let credential = match self.kind.as_deref().map(str::trim) {
            None | Some("ssh") => ScanCredential::Ssh(self.into_ssh()?),
            Some("windows") => self.into_windows()?,
            Some(other) => {
                let message = format!("is `{}`, which is no kind of login; there are: ssh, windows", excerpt(other));
                return Err(LoginError::new("kind", message));
            }
        };
        credential.check()?;
        Ok(credential)
    }

    fn into_ssh(self) -> Result<SshCredential, LoginError> {
        refuse(
            &[("domain", self.domain.is_some())],
            "is not taken by a login by SSH: leave it out, or set `kind` to windows",
        )?;
        let login = match (self.password, self.private_key) {
            (Some(_), Some(_)) => {
                return Err(LoginError::new("private_key", "stands beside `password`: give only one of them"));
            }
            (None, Some(private_key)) => SshLogin::Key { private_key, passphrase: self.private_key_passphrase },
            (password, None) => {
                let given = [("private_key_passphrase", self.private_key_passphrase.is_some())];
                refuse(&given, "stands without a `private_key`")?;
                SshLogin::Password(
                    password.ok_or_else(|| LoginError::new("password", "is missing, and so is `private_key`"))?,
                )
            }
        };
        let method = self.elevate_privileges_with.as_deref().map(str::trim);
        let method = method.filter(|method| !method.eq_ignore_ascii_case(NO_ESCALATION));
        if method.is_none() {
            let given = [
                ("escalation_account", self.escalation_account.is_some()),
                ("escalation_password", self.escalation_password.is_some()),
                ("su_user", self.su_user.is_some()),
                ("bin_directory", self.bin_directory.is_some()),
            ];
            refuse(&given, "stands without `elevate_privileges_with`")?;
        }
        let escalation = method.map(str::parse::<EscalationMethod>).transpose()?.map(|method| Escalation {
            method,
            account: self.escalation_account,
            password: self.escalation_password,
            su_user: self.su_user,
            bin_directory: self.bin_directory,
        });
        Ok(SshCredential { username: self.username.unwrap_or_default(), login, escalation })
    }

    fn into_windows(self) -> Result<ScanCredential, LoginError> {
        let given = [
            ("private_key", self.private_key.is_some()),
            ("private_key_passphrase", self.private_key_passphrase.is_some()),
            ("elevate_privileges_with", self.elevate_privileges_with.is_some()),
            ("escalation_account", self.escalation_account.is_some()),
            ("escalation_password", self.escalation_password.is_some()),
            ("su_user", self.su_user.is_some()),
            ("bin_directory", self.bin_directory.is_some()),
        ];
        refuse(&given, "is not taken by a Windows login: leave it out")?;
        Ok(ScanCredential::Windows {
            username: self.username.unwrap_or_default(),
            password: self.password.ok_or_else(|| LoginError::new("password", "is missing"))?,
            domain: self.domain.unwrap_or_default(),
        })
    }
}

/// Refuses the first of these fields that is given.
fn refuse(given: &[(&'static str, bool)], message: &str) -> Result<(), LoginError> {
    given.iter().find(|(_, is_given)| *is_given).map_or(Ok(()), |(field, _)| Err(LoginError::new(field, message)))
}

impl ScanCredential {
    /// Its fields, with the secrets in clear, for whoever passes them on to where they belong. SSH needs no `kind`.
    pub(crate) fn fields(&self) -> LoginFields<&str> {
        let fields = LoginFields { username: Some(self.username().to_owned()), ..LoginFields::default() };
        let ssh = match self {
            Self::Windows { password, domain, .. } => {
                let domain = Some(domain.clone()).filter(|domain| !domain.is_empty());
                let kind = Some(self.kind().to_owned());
                return LoginFields { kind, password: Some(password.expose()), domain, ..fields };
            }
            Self::Ssh(ssh) => ssh,
        };
        let fields = match &ssh.login {
            SshLogin::Password(password) => LoginFields { password: Some(password.expose()), ..fields },
            SshLogin::Key { private_key, passphrase } => LoginFields {
                private_key: Some(private_key.expose()),
                private_key_passphrase: passphrase.as_ref().map(Secret::expose),
                ..fields
            },
        };
        let Some(escalation) = &ssh.escalation else { return fields };
        LoginFields {
            elevate_privileges_with: Some(escalation.method.to_string()),
            escalation_account: escalation.account.clone(),
            escalation_password: escalation.password.as_ref().map(Secret::expose),
            su_user: escalation.su_user.clone(),
            bin_directory: escalation.bin_directory.clone(),
            ..fields
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn read(fields: Value) -> Result<ScanCredential, LoginError> {
        serde_json::from_value::<LoginFields>(fields).unwrap().into_credential()
    }

    const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/ed25519_locked"));

    #[rstest]
    #[case(json!({ "username": "scan", "password": "planted" }))]
    #[case(json!({ "username": "scan", "private_key": KEY, "private_key_passphrase": "planted" }))]
    #[case(json!({
        "username": "scan", "password": "planted", "elevate_privileges_with": "su+sudo", "escalation_account": "root",
        "escalation_password": "planted", "su_user": "oper", "bin_directory": "/opt/bin",
    }))]
    #[case(json!({ "kind": "windows", "username": "scan", "password": "planted", "domain": "EXAMPLE" }))]
    #[case(json!({ "kind": "windows", "username": "scan", "password": "planted" }))]
    fn a_login_is_what_its_fields_say(#[case] fields: Value) {
        let credential = read(fields.clone()).unwrap();
        assert_eq!(serde_json::to_value(credential.fields()).unwrap(), fields);
        assert!(!format!("{credential:?}").contains("planted"));
    }

    #[rstest]
    #[case(json!({ "kind": "telnet" }), "kind")]
    #[case(json!({ "password": "x" }), "username")]
    #[case(json!({ "username": "scan" }), "password")]
    #[case(json!({ "username": "scan", "password": "" }), "password")]
    #[case(json!({ "username": "scan", "password": "x", "private_key": KEY }), "private_key")]
    #[case(json!({ "username": "scan", "password": "x", "private_key_passphrase": "x" }), "private_key_passphrase")]
    #[case(json!({ "username": "scan", "password": "x", "domain": "EXAMPLE" }), "domain")]
    #[case(json!({ "username": "scan", "password": "x", "su_user": "x" }), "su_user")]
    #[case(json!({ "username": "scan", "password": "x", "elevate_privileges_with": "Nothing", "escalation_password": "x" }), "escalation_password")]
    #[case(json!({ "username": "scan", "password": "x", "elevate_privileges_with": "doas" }), "elevate_privileges_with")]
    #[case(json!({ "username": "scan", "password": "x", "elevate_privileges_with": ".k5login", "escalation_password": "x" }), "escalation_password")]
    #[case(json!({ "kind": "windows", "username": "scan" }), "password")]
    #[case(json!({ "kind": "windows", "username": "scan", "private_key": KEY }), "private_key")]
    #[case(json!({ "kind": "windows", "username": "scan", "password": "x", "elevate_privileges_with": "sudo" }), "elevate_privileges_with")]
    fn a_field_that_is_missing_wrong_or_unused_is_named(#[case] fields: Value, #[case] field: &str) {
        let error = read(fields).unwrap_err();
        assert_eq!(error.field, field, "{error}");
    }
}
