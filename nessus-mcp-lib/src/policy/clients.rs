//! Who may use the server: the clients of `policy.yaml`, their tokens and their roles.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::{
    approval_key::{ApprovalKey, TOKEN_PREFIX},
    rights::Rights,
};
use crate::{hex, secret::Secret, time::Timestamp};

/// The name of whoever is on this machine and has no token.
pub const LOCAL: &str = "local";

/// What a client may do. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// Look at tasks, results, scanners and queues.
    Read,
    /// Submit, cancel and retry scans as well.
    Scan,
    /// Agree to scans that wait for a person's word as well.
    Approve,
    /// See the tasks of all as well, whatever the policy lets others see.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Read, Self::Scan, Self::Approve, Self::Admin];

    /// The word in `policy.yaml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Scan => "scan",
            Self::Approve => "approve",
            Self::Admin => "admin",
        }
    }

    /// Whether it may do what asks for `needed`.
    pub fn may(self, needed: Self) -> bool {
        self >= needed
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| "must be `read`, `scan`, `approve` or `admin`".to_owned())
    }
}

/// Whoever uses the server, whatever the way in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Principal {
    /// Who it is: the name of a client in `policy.yaml`, [`LOCAL`] on loopback without a token, or `user:` and the name of the user
    /// of the operating system. No two ways in lead to the same name.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// Those that it works with, if the policy names them.
    pub team: Option<Arc<str>>,
    /// What it may scan.
    pub rights: Arc<Rights>,
    /// The entry of `oauth.roles` that has these rights, if one has.
    entry: Option<Arc<str>>,
}

impl Principal {
    /// A principal of this name, who may scan whatever the whole policy allows.
    pub fn new(name: impl Into<Arc<str>>, role: Role) -> Self {
        Self { name: name.into(), role, team: None, rights: Arc::default(), entry: None }
    }

    /// The same principal in a team.
    pub fn with_team(mut self, team: Option<Arc<str>>) -> Self {
        self.team = team;
        self
    }

    /// The user of the operating system of this name.
    pub fn user(name: &str, role: Role) -> Self {
        Self::new(format!("user:{name}"), role)
    }

    /// Whether others act under this name as well: whoever is on this machine.
    pub fn is_local(&self) -> bool {
        &*self.name == LOCAL || self.name.starts_with("user:")
    }

    /// The same, whose rights are those of an entry of `oauth.roles`.
    pub(super) fn by_entry(mut self, entry: Option<Arc<str>>) -> Self {
        self.entry = entry;
        self
    }

    /// Under whose rights its scans run: what [`Policy::rights_of`](super::Policy::rights_of) finds them by. No name has a `/`.
    pub(crate) fn rights_key(&self) -> String {
        self.entry.as_ref().map_or_else(|| self.name.to_string(), |entry| format!("{}/{entry}", self.name))
    }

    /// Whose [`rights_key`](Self::rights_key) it is.
    pub(crate) fn name_in(rights_key: &str) -> &str {
        rights_key.split_once('/').map_or(rights_key, |(name, _)| name)
    }

    /// The same with these rights: of a client of the policy, or [read](Rights::parse) by the program that knows the caller. The latter are
    /// asked at each call. Right before a scan begins, the worker asks the policy for the rights of this name; one that has a colon, such as
    /// `app:ann`, is never that of a client, and may then scan whatever the whole policy allows.
    pub fn with_rights(mut self, rights: Arc<Rights>) -> Self {
        self.rights = rights;
        self
    }
}

/// What is known of a token: its SHA-256. A token has 244 random bits, so nobody finds it from that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenHash([u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::secret::REDACTED)
    }
}

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl fmt::Display for TokenHash {
    /// 64 hexadecimal digits, as they stand in `policy.yaml`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for TokenHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with(TOKEN_PREFIX) {
            return Err(
                "is a token: write its SHA-256, as is printed with a new token, and make a new token, for this one was \
                 written down"
                    .to_owned(),
            );
        }
        let refused = || "must be 64 hexadecimal digits, as is printed with a new token".to_owned();
        hex::decode(text).map(Self).ok_or_else(refused)
    }
}

/// A new token, which nobody has.
pub fn new_token() -> Secret {
    let [first, second] = [Uuid::new_v4(), Uuid::new_v4()];
    Secret::new(format!("{TOKEN_PREFIX}{}{}", first.simple(), second.simple()))
}

/// An entry of `clients`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// Who it is, in the log and in its tasks.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// Those that it works with.
    pub team: Option<Arc<str>>,
    /// The hash of its token.
    pub token: TokenHash,
    /// When the token ends, if it does.
    pub expires: Option<Timestamp>,
    /// Whether its token is not taken any more.
    pub is_revoked: bool,
    /// What it may scan.
    pub rights: Arc<Rights>,
    /// The key by which its decisions about scans are checked; without it, it decides about none.
    pub approval_key: Option<ApprovalKey>,
    /// Other names of the same person, whatever the way in.
    pub also: Vec<Arc<str>>,
}

impl Client {
    /// Whether it may decide about scans at this moment.
    pub fn is_approver(&self, now: Timestamp) -> bool {
        let is_valid = !self.is_revoked && self.expires.is_none_or(|expires| now < expires);
        is_valid && self.role.may(Role::Approve) && self.approval_key.is_some()
    }
}

/// Takes the name of a client or a team: one that is safe in logs and headers, and no other principal has.
///
/// # Errors
/// A sentence fragment.
pub fn client_name(text: &str) -> Result<String, String> {
    if text == LOCAL {
        return Err("is the name of whoever is on this machine".to_owned());
    }
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@');
    if (1..=64).contains(&text.len()) && text.bytes().all(is_fine) {
        Ok(text.to_owned())
    } else {
        Err("must have 1 to 64 letters, digits, `-`, `_`, `.` and `@`".to_owned())
    }
}

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No client has it.
    #[error("no client has this token")]
    Unknown,
    /// It is that of a client who was revoked.
    #[error("the token of `{client}` is revoked")]
    Revoked {
        /// The client.
        client: Arc<str>,
    },
    /// It was that of a client until then.
    #[error("the token of `{client}` ended at {expires}")]
    Expired {
        /// The client.
        client: Arc<str>,
        /// When it ended.
        expires: Timestamp,
    },
}

/// The clients of a policy; names and tokens are different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Clients(Vec<Client>);

impl Clients {
    /// These clients.
    ///
    /// # Errors
    /// Which one (from 0) has the name or the token of another, and which of the two.
    pub(super) fn new(clients: Vec<Client>) -> Result<Self, (usize, &'static str)> {
        let (mut names, mut tokens) = (BTreeSet::new(), BTreeSet::new());
        for (at, client) in clients.iter().enumerate() {
            if !names.insert(&client.name) {
                return Err((at, "name"));
            }
            if !tokens.insert(client.token) {
                return Err((at, "token_sha256"));
            }
        }
        Ok(Self(clients))
    }

    pub(super) fn all(&self) -> &[Client] {
        &self.0
    }

    /// Who has this token. Every client is compared, in a time that tells nothing of their tokens.
    pub(super) fn find(&self, token: &str, now: Timestamp) -> Result<Principal, TokenError> {
        let sent = TokenHash::of(token);
        let has_it = |client: &Client| bool::from(client.token.0.ct_eq(&sent.0));
        let found = self.0.iter().fold(None, |found, client| if has_it(client) { Some(client) } else { found });
        let client = found.ok_or(TokenError::Unknown)?;
        match client.expires {
            _ if client.is_revoked => Err(TokenError::Revoked { client: Arc::clone(&client.name) }),
            Some(expires) if expires <= now => Err(TokenError::Expired { client: Arc::clone(&client.name), expires }),
            _ => {
                let principal = Principal::new(Arc::clone(&client.name), client.role);
                Ok(principal.with_team(client.team.clone()).with_rights(Arc::clone(&client.rights)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str, token: &str, expires: Option<i64>) -> Client {
        let expires = expires.map(Timestamp::from_millis);
        let (token, approval_key, also) = (TokenHash::of(token), None, Vec::new());
        let (name, role, team, rights) = (name.into(), Role::Read, None, Arc::default());
        Client { name, role, team, token, expires, is_revoked: false, rights, approval_key, also }
    }

    #[test]
    fn a_token_is_known_by_its_hash_until_it_ends() {
        let clients = Clients::new(vec![client("ci", "a", None), client("desk", "b", Some(1000))]).unwrap();
        let find = |token, now| clients.find(token, Timestamp::from_millis(now)).map(|found| found.name.to_string());
        assert_eq!(find("a", 5000).unwrap(), "ci");
        assert_eq!(find("b", 999).unwrap(), "desk");
        assert!(matches!(find("b", 1000), Err(TokenError::Expired { .. })));
        for wrong in ["", "c", "A", "a ", &TokenHash::of("a").to_string()] {
            assert_eq!(find(wrong, 0), Err(TokenError::Unknown), "{wrong}");
        }
    }

    #[test]
    fn names_and_tokens_of_clients_are_different() {
        assert_eq!(Clients::new(vec![client("a", "x", None), client("a", "y", None)]), Err((1, "name")));
        assert_eq!(Clients::new(vec![client("a", "x", None), client("b", "x", None)]), Err((1, "token_sha256")));
    }

    #[test]
    fn a_hash_is_read_as_it_is_printed_and_a_token_is_not_taken_for_one() {
        let token = new_token();
        assert_ne!(token, new_token());
        let hash = TokenHash::of(token.expose());
        assert_eq!(hash.to_string().parse::<TokenHash>().unwrap(), hash);
        let refused = token.expose().parse::<TokenHash>().unwrap_err();
        assert!(refused.starts_with("is a token") && !refused.contains(token.expose()), "{refused}");
        assert!("0f".parse::<TokenHash>().unwrap_err().contains("64 hexadecimal digits"));
    }

    #[test]
    fn a_role_may_what_those_before_it_may() {
        assert!(Role::Scan.may(Role::Read) && Role::Read.may(Role::Read) && !Role::Read.may(Role::Scan));
        assert!(Role::ALL.iter().all(|role| role.as_str().parse() == Ok(*role)));
    }
}
