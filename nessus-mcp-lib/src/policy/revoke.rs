//! Revokes the token of a client in `policy.yaml`, and changes nothing else in the file: not even a comment.
//!
//! The client gets the key `revoked: true`. It is not taken out: the last client that goes would let everybody on this machine in.

use std::{fs, io, path::Path};

use super::{clients::Clients, rules::Policy};
use crate::{
    config::ConfigError,
    durable,
    error::{Classified, ErrorKind, nearest},
};

/// A token cannot be revoked in this file. The file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The file is wrong already.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No client has this name.
    #[error("no client is called `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// The name that is most like it.
        nearest: Option<String>,
    },
    /// It was revoked before.
    #[error("the token of `{0}` is revoked already")]
    Already(String),
    /// The entry is written in a way that is not changed safely.
    #[error("the entry of `{0}` is written in a way that is not changed safely")]
    NotPlain(String),
    /// The file cannot be replaced.
    #[error("`{path}` cannot be changed")]
    Unwritable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl Classified for RevokeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Unknown { .. } => "unknown_client",
            Self::Already(_) => "already_revoked",
            Self::NotPlain(_) => "entry_not_plain",
            Self::Unwritable { .. } => "policy_not_writable",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(error) => error.kind(),
            Self::Unknown { .. } => ErrorKind::NotFound,
            Self::Already(_) | Self::NotPlain(_) => ErrorKind::Conflict,
            Self::Unwritable { .. } => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Unknown { nearest, .. } => nearest.as_ref().map(|nearest| format!("did you mean `{nearest}`?")),
            Self::Already(_) => None,
            Self::NotPlain(_) | Self::Unwritable { .. } => Some(
                "write `revoked: true` into the entry of the client by hand, and send SIGHUP to the server".to_owned(),
            ),
        }
    }
}

/// Revokes the token of a client: durably, in a file that can be read before and after. Servers go by it with their next start or
/// SIGHUP.
///
/// # Errors
/// [`RevokeError`]; then the file is as it was.
pub fn revoke(path: &Path, name: &str) -> Result<(), RevokeError> {
    let unwritable = |source: io::Error| RevokeError::Unwritable { path: path.display().to_string(), source };
    let text = fs::read_to_string(path).map_err(unwritable)?;
    let text = revoked(&text, path, name, &|name| std::env::var(name).ok())?;
    // A link stays a link.
    let path = fs::canonicalize(path).map_err(unwritable)?;
    let read_only = || io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only");
    if fs::metadata(&path).map_err(unwritable)?.permissions().readonly() {
        return Err(unwritable(read_only()));
    }
    durable::replace_like_before(&path, text.as_bytes()).map_err(unwritable)
}

/// The text of the file with the token revoked.
fn revoked(
    text: &str,
    path: &Path,
    name: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, RevokeError> {
    let before = Policy::parse(text, path, lookup)?;
    let mut clients = before.clients().to_vec();
    let names = clients.iter().map(|client| client.name.to_string()).collect::<Vec<_>>();
    let Some(client) = clients.iter_mut().find(|client| &*client.name == name) else {
        let nearest = nearest(name, names.iter().map(String::as_str)).first().map(|nearest| (*nearest).to_owned());
        return Err(RevokeError::Unknown { name: crate::error::excerpt(name).to_string(), nearest });
    };
    if std::mem::replace(&mut client.is_revoked, true) {
        return Err(RevokeError::Already(name.to_owned()));
    }
    let not_plain = || RevokeError::NotPlain(name.to_owned());
    let wanted = Policy { clients: Clients::new(clients).map_err(|_| not_plain())?, ..before };
    // Whatever the file looks like: the right change is the one that changes what it says in the right way.
    let mut candidates = candidates(text, name);
    candidates
        .find(|changed| Policy::parse(changed, path, lookup).is_ok_and(|changed| changed == wanted))
        .ok_or_else(not_plain)
}

/// The file with a further key in each place that may be in the entry of a client of this name.
fn candidates<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = String> + 't {
    text.match_indices("name:").flat_map(move |(at, key)| {
        let after = at + key.len();
        let begin = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
        let line = &text[after..end];
        let is_named = line.contains(name);
        // A line of its own, below the name and in the column of its key.
        let indent = " ".repeat(text[begin..at].chars().count());
        let block = format!("{}\n{indent}revoked: true{}", &text[..end], &text[end..]);
        // Or behind the name, between braces.
        let behind = line.find(name).map(|found| {
            let end_of_name = after + found + name.len();
            let quote = text[end_of_name..].chars().next().filter(|next| matches!(next, '"' | '\''));
            let place = end_of_name + quote.map_or(0, char::len_utf8);
            format!("{}, revoked: true{}", &text[..place], &text[place..])
        });
        [Some(block), behind].into_iter().flatten().filter(move |_| is_named)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASHES: [&str; 2] = [
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "0f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ];

    fn change(text: &str, name: &str) -> Result<String, RevokeError> {
        let text = text.replace("HASH0", HASHES[0]).replace("HASH1", HASHES[1]);
        let text = revoked(&text, Path::new("policy.yaml"), name, &|name| (name == "WHO").then(|| "desk".to_owned()));
        text.map(|text| text.replace(HASHES[0], "HASH0").replace(HASHES[1], "HASH1"))
    }

    #[test]
    fn only_the_entry_gets_another_key() {
        for (before, after) in [
            (
                "# ours\nclients:\n  - name: ci\n    role: read # name: desk\n    token_sha256: HASH0\n  - name: desk   # his\n    role: scan\n    token_sha256: HASH1\n",
                "# ours\nclients:\n  - name: ci\n    role: read # name: desk\n    token_sha256: HASH0\n  - name: desk   # his\n    revoked: true\n    role: scan\n    token_sha256: HASH1\n",
            ),
            (
                "clients:\n- role: scan\n  token_sha256: HASH1\n  name: \"desk\"",
                "clients:\n- role: scan\n  token_sha256: HASH1\n  name: \"desk\"\n  revoked: true",
            ),
            (
                "clients:\n  - {name: desk2, role: read, token_sha256: HASH0}\n  - {role: scan, name: 'desk', token_sha256: HASH1}\n",
                "clients:\n  - {name: desk2, role: read, token_sha256: HASH0}\n  - {role: scan, name: 'desk', revoked: true, token_sha256: HASH1}\n",
            ),
            // What follows moves down by a line, and says what it said.
            (
                "clients:\n  - name: desk\n    role: scan\n    token_sha256: HASH1\n  - name: ci\n    role: read\n    token_sha256: HASH0\n    tools: [list_tasks]\n    toolsets: [status]\n    exclude_tools: [list_pools]\n    pools: [lab]\n    targets: [10.0.0.0/8]\n",
                "clients:\n  - name: desk\n    revoked: true\n    role: scan\n    token_sha256: HASH1\n  - name: ci\n    role: read\n    token_sha256: HASH0\n    tools: [list_tasks]\n    toolsets: [status]\n    exclude_tools: [list_pools]\n    pools: [lab]\n    targets: [10.0.0.0/8]\n",
            ),
        ] {
            assert_eq!(change(before, "desk").unwrap(), after);
            assert!(matches!(change(after, "desk"), Err(RevokeError::Already(_))));
            let unknown = change(before, "dask").unwrap_err();
            assert!(unknown.hint().unwrap().contains("desk"), "{unknown}");
        }
    }

    #[test]
    fn an_entry_that_is_not_plain_is_left_alone() {
        for text in [
            "clients:\n  - {name: \"${WHO}\", role: read, token_sha256: HASH0}\n",
            "clients:\n  - name:\n      desk\n    role: read\n    token_sha256: HASH0\n",
            "clients:\n  - {name: desk, role: read, token_sha256: HASH0, revoked: false}\n",
            "clients:\n  - {\"name\": \"d\\x65sk\", role: read, token_sha256: HASH0}\n",
        ] {
            assert!(matches!(change(text, "desk"), Err(RevokeError::NotPlain(_))), "{text}");
        }
        assert!(matches!(change("clients: [", "desk"), Err(RevokeError::Config(_))));
    }

    #[cfg(unix)]
    #[test]
    fn the_file_keeps_its_mode_and_its_link() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("real.yaml"), directory.path().join("policy.yaml"));
        durable::replace(
            &file,
            format!("clients: [{{name: desk, role: read, token_sha256: {}}}]\n", HASHES[0]).as_bytes(),
        )
        .unwrap();
        symlink(&file, &link).unwrap();
        let set_mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        set_mode(0o440);
        let before = fs::read(&file).unwrap();
        assert!(matches!(revoke(&link, "desk"), Err(RevokeError::Unwritable { .. })));
        assert_eq!(fs::read(&file).unwrap(), before);
        set_mode(0o640);
        revoke(&link, "desk").unwrap();
        assert!(Policy::load(&file).unwrap().clients()[0].is_revoked);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
