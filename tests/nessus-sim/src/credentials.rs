//! The credentials of scans: what is accepted, what is shown again, and what a test may know of them.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    authentication::{Account, Authentication},
    config::SimConfig,
    reply::Reply,
    state::State,
    wire::{ApiError, Call, Outcome},
};

/// How many of the credentials that were sent, and of the files that were uploaded, are remembered.
const REMEMBERED: usize = 1_000;

/// A credential as a client sent it, secrets included: for tests, in the same process or by the control port.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SentCredential {
    /// The id by which it can be edited and deleted.
    pub id: String,
    /// Such as `Host`.
    pub category: String,
    /// Such as `SSH`.
    pub kind: String,
    /// The fields, as they were sent.
    pub fields: Map<String, Value>,
    /// Whether it is on the scanner no more: deleted by itself or with its scan.
    pub removed: bool,
}

impl fmt::Debug for SentCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = self.fields.keys().collect();
        let shown = (&self.id, &self.category, &self.kind, fields, self.removed);
        f.debug_tuple("SentCredential").field(&shown).finish()
    }
}

/// What was sent, by scan, and what was uploaded, by name.
#[derive(Default)]
pub(super) struct Sent {
    /// With the id and the name of their scan.
    credentials: VecDeque<(u64, String, SentCredential)>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Sent {
    pub(super) fn remember(&mut self, scan_id: u64, scan: &str, credentials: Vec<SentCredential>) {
        self.credentials.extend(credentials.into_iter().map(|credential| (scan_id, scan.to_owned(), credential)));
        while self.credentials.len() > REMEMBERED {
            self.credentials.pop_front();
        }
    }

    pub(super) fn of_scan(&self, scan_id: u64) -> Vec<SentCredential> {
        let of_scan = self.credentials.iter().filter(|(id, ..)| *id == scan_id);
        of_scan.map(|(_, _, credential)| credential.clone()).collect()
    }

    /// All of them, by the names of their scans.
    pub(super) fn by_scan(&self) -> BTreeMap<String, Vec<SentCredential>> {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (_, scan, credential) in &self.credentials {
            all.entry(scan.clone()).or_default().push(credential.clone());
        }
        all
    }

    /// How the logins of a scan end on every host, where the accounts of the hosts decide that.
    pub(super) fn outcome(&self, scan_id: u64, config: &SimConfig) -> Option<Authentication> {
        let sent = self.of_scan(scan_id);
        let login = sent.iter().find(|sent| !sent.removed).filter(|_| !config.accounts.is_empty())?;
        let is_let_in = |account: &&Account| {
            let by_key = !text(&login.fields, "private_key").is_empty();
            text(&login.fields, "username") == account.username
                && (by_key || text(&login.fields, "password") == account.password)
        };
        Some(config.accounts.iter().find(is_let_in).map_or(Authentication::Fails, |account| account.outcome))
    }

    /// Those of a scan that `chosen` chooses.
    fn change(&mut self, scan_id: u64, chosen: impl Fn(&str) -> bool, change: impl Fn(&mut SentCredential)) {
        let of_scan = self.credentials.iter_mut().filter(|(id, ..)| *id == scan_id);
        of_scan.map(|(_, _, credential)| credential).filter(|credential| chosen(&credential.id)).for_each(change);
    }

    /// Credentials of the scan are on the scanner no more.
    pub(super) fn removed(&mut self, scan_id: u64, chosen: impl Fn(&str) -> bool) {
        self.change(scan_id, chosen, |credential| credential.removed = true);
    }

    /// Fields of a credential were sent again.
    pub(super) fn edited(&mut self, scan_id: u64, id: &str, fields: &Map<String, Value>) {
        self.change(scan_id, |edited| edited == id, |credential| credential.fields.extend(fields.clone()));
    }

    pub(super) fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    fn upload(&mut self, name: String, content: Vec<u8>) {
        if self.files.len() >= REMEMBERED {
            self.files.pop_first();
        }
        self.files.insert(name, content);
    }
}

/// Reads `credentials.add` of a request.
pub(super) fn to_add(state: &mut State, credentials: &Value) -> Result<Vec<SentCredential>, ApiError> {
    let empty = Map::new();
    let mut sent = Vec::new();
    for (category, kinds) in credentials["add"].as_object().unwrap_or(&empty) {
        for (kind, list) in kinds.as_object().unwrap_or(&empty) {
            for given in list.as_array().into_iter().flatten() {
                let fields = given.as_object().cloned().unwrap_or_default();
                match (category.as_str(), kind.as_str()) {
                    ("Host", "SSH") => check_ssh(state, &fields)?,
                    ("Host", "Windows") => check_windows(&fields)?,
                    _ => {}
                }
                let id = state.next_id().to_string();
                let (category, kind) = (category.clone(), kind.clone());
                sent.push(SentCredential { id, category, kind, fields, removed: false });
            }
        }
    }
    Ok(sent)
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// All must be there. An account may do without a password when it becomes another one, but the field is to be sent.
fn require(fields: &Map<String, Value>, names: &[&str]) -> Result<(), ApiError> {
    let lacks = |name: &str| match name {
        "escalation_password" => !fields.get(name).is_some_and(Value::is_string),
        _ => text(fields, name).is_empty(),
    };
    match names.iter().find(|name| lacks(name)) {
        Some(name) => Err(ApiError::invalid_field(name)),
        None => Ok(()),
    }
}

/// What the ways to log in by SSH need.
const SSH_METHODS: [(&str, &[&str]); 8] = [
    ("password", &["username", "password"]),
    ("public key", &["username", "private_key"]),
    ("certificate", &["username", "user_cert", "private_key"]),
    ("Kerberos", &["username", "password", "kdc", "realm"]),
    ("CyberArk", &["username"]),
    ("Thycotic Secret Server", &["username"]),
    ("BeyondTrust", &["username"]),
    ("Lieberman", &["username"]),
];

/// What the ways to more rights need.
const ESCALATIONS: [(&str, &[&str]); 9] = [
    ("Nothing", &[]),
    ("sudo", &[]),
    ("su", &["escalation_password"]),
    ("su+sudo", &["su_user", "escalation_password"]),
    ("dzdo", &[]),
    ("pbrun", &[]),
    (".k5login", &["escalation_account"]),
    ("Cisco 'enable'", &["escalation_password"]),
    ("Checkpoint Gaia 'expert'", &["escalation_password"]),
];

/// What the ways to log in to Windows need.
const WINDOWS_METHODS: [(&str, &[&str]); 4] = [
    ("Password", &["username", "password"]),
    ("LM Hash", &["username", "hash"]),
    ("NTLM Hash", &["username", "hash"]),
    ("Kerberos", &["username", "password", "kdc"]),
];

/// Finds the row that the field chooses, exactly as it is written, and requires what it needs.
fn check(fields: &Map<String, Value>, field: &str, rows: &[(&str, &[&str])]) -> Result<(), ApiError> {
    let row = rows.iter().find(|(name, _)| *name == text(fields, field));
    require(fields, row.ok_or_else(|| ApiError::invalid_field(field))?.1)
}

fn check_ssh(state: &State, fields: &Map<String, Value>) -> Result<(), ApiError> {
    check(fields, "auth_method", &SSH_METHODS)?;
    let key = text(fields, "private_key");
    if !key.is_empty() && state.sent.file(key).is_none() {
        return Err(ApiError::invalid_field("private_key"));
    }
    if fields.contains_key("elevate_privileges_with") {
        check(fields, "elevate_privileges_with", &ESCALATIONS)?;
    }
    Ok(())
}

fn check_windows(fields: &Map<String, Value>) -> Result<(), ApiError> {
    check(fields, "auth_method", &WINDOWS_METHODS)
}

/// `POST /file/upload`: the part `Filedata` of a form.
pub(super) fn upload(state: &mut State, call: &Call<'_>) -> Outcome {
    let refused = || ApiError::new(400, "The file could not be uploaded");
    let kind = call.request.header("content-type").unwrap_or_default();
    let boundary = kind.split_once("boundary=").ok_or_else(refused)?.1.trim_matches('"');
    let (name, content) = part(call.request.body(), boundary).ok_or_else(refused)?;
    let reply = Reply::json(&json!({ "fileuploaded": name }));
    state.sent.upload(name, content.to_vec());
    Ok(reply)
}

/// The file name and the content of the part `Filedata`.
fn part<'a>(body: &'a [u8], boundary: &str) -> Option<(String, &'a [u8])> {
    let delimiter = format!("--{boundary}");
    let mut starts = positions(body, delimiter.as_bytes()).peekable();
    while let Some(start) = starts.next() {
        let end = *starts.peek()?;
        // The line break before a delimiter belongs to it.
        let part = body.get(start + delimiter.len()..end)?.strip_suffix(b"\r\n")?;
        let head_end = positions(part, b"\r\n\r\n").next()?;
        let head = String::from_utf8_lossy(&part[..head_end]);
        if head.contains("name=\"Filedata\"") {
            let name = head.split_once("filename=\"")?.1.split('"').next()?;
            return Some((name.to_owned(), &part[head_end + 4..]));
        }
    }
    None
}

fn positions<'a>(text: &'a [u8], piece: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    text.windows(piece.len()).enumerate().filter(move |(_, window)| *window == piece).map(|(at, _)| at)
}
