//! The token of an approver, as a person gives it.
//!
//! It comes from the terminal or from a file that nobody else may read, and never from arguments or the environment: others see
//! those, and an agent that starts this program has them.

use std::{
    fs::File,
    io::{Read as _, Take},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use nessus_mcp_lib::{
    error::{Classified, ErrorKind, Failure},
    secret::Secret,
};

/// More bytes than a token has.
const MOST_BYTES: u64 = 4096;
/// The permissions of everybody but the owner.
const OTHERS: u32 = 0o077;

/// A token that cannot be had.
#[derive(Debug, thiserror::Error)]
enum TokenSource {
    #[error("the token cannot be asked for: {0}")]
    NoTerminal(std::io::Error),
    #[error("the token file `{path}` cannot be read: {source}")]
    Unreadable { path: String, source: std::io::Error },
    #[error("the token file `{0}` may be read by others")]
    Exposed(String),
    #[error("no token was given")]
    Empty,
}

impl Classified for TokenSource {
    fn code(&self) -> &'static str {
        "no_token"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoTerminal(_) => "run the command on a terminal, or name a file with the token with `--token-file`",
            Self::Unreadable { .. } => "name a file that has the token in its first line",
            Self::Exposed(_) => {
                "take the permissions of group and others away (`chmod 600`); if others could read it, make a new token"
            }
            Self::Empty => {
                "give the token that `nessus-admin token new` printed for a client with the role approve or admin"
            }
        };
        Some(hint.to_owned())
    }
}

/// The token, from this file or from the terminal.
pub(super) fn token(file: Option<&Path>) -> Result<Secret, Failure> {
    let text = match file {
        Some(path) => read(path)?,
        None => Secret::new(rpassword::prompt_password("token of the approver: ").map_err(TokenSource::NoTerminal)?),
    };
    let token = text.expose().lines().next().unwrap_or_default().trim();
    if token.is_empty() { Err(TokenSource::Empty.into()) } else { Ok(Secret::new(token)) }
}

fn read(path: &Path) -> Result<Secret, TokenSource> {
    let unreadable = |source| TokenSource::Unreadable { path: path.display().to_string(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.mode() & OTHERS != 0 {
        return Err(TokenSource::Exposed(path.display().to_string()));
    }
    let mut text = String::new();
    let mut limited: Take<File> = file.take(MOST_BYTES);
    limited.read_to_string(&mut text).map_err(unreadable)?;
    Ok(Secret::new(text))
}
