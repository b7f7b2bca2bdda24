//! `install`: tells a client of this server.
//!
//! Nothing is written that was not shown and agreed to. The client's file keeps every other byte, its mode, its owner and the links that
//! lead to it; what was there is copied first. No token is written: an entry names the variable that has it.

mod client;
mod document;

use std::{
    env, fs,
    io::{self, Write as _},
    net::IpAddr,
    path::{Path, PathBuf, absolute},
};

use clap::Args;
use nessus_mcp_lib::{
    config::cli::confirmed,
    durable::{self, DurableFile},
    error::Failure,
    time::{Clock as _, SystemClock},
};

use self::{
    client::{Client, Place, Server},
    document::Change,
};
use crate::output;

/// How many copies may be made in one second.
const MOST_COPIES: u32 = 100;

#[derive(Debug, Args)]
pub(crate) struct Install {
    /// The client
    #[arg(long, value_enum)]
    client: Client,
    /// Print what the client needs to know, and change nothing
    #[arg(long)]
    print: bool,
    /// Change the file without a question
    #[arg(long, short)]
    yes: bool,
    /// What the client calls this server
    #[arg(long, default_value = "nessus", value_name = "NAME")]
    name: String,
    /// The project that gets the server, where the client has settings of projects [default: all of the user's]
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    project: Option<PathBuf>,
    /// The client's file, where it is not in its usual place
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Connect to the server that runs there, such as http://127.0.0.1:8835/mcp, instead of starting one
    #[arg(long, value_name = "URL", conflicts_with_all = ["with_worker", "data_dir", "scanner_config"])]
    url: Option<String>,
    /// The environment variable in which the client finds the token for that server (VS Code: what it calls the token)
    #[arg(long, value_name = "NAME", requires = "url")]
    token_variable: Option<String>,
    /// The server that the client starts runs a worker as well
    #[arg(long)]
    with_worker: bool,
    /// The directory of tasks, results and the embedded queue
    #[arg(long, default_value = "./data", value_name = "DIR")]
    data_dir: PathBuf,
    /// The file that lists the scanners, by pool
    #[arg(long, default_value = "scanners.yaml", value_name = "FILE")]
    scanner_config: PathBuf,
}

/// Runs the command.
pub(crate) fn run(command: &Install) -> Result<(), Failure> {
    let server = command.server()?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if command.name.is_empty() || command.name.starts_with('-') || !command.name.chars().all(is_name) {
        return Err(Failure::usage(
            "`--name` has letters, digits, `-` and `_` only",
            "write for example `--name nessus`",
        ));
    }
    let recipe = command
        .client
        .recipe(&server, &command.name, command.file.as_deref(), command.project.as_deref())
        .map_err(|reason| Failure::usage(reason, "name the client's file with `--file`"))?;
    if command.print {
        if let Place::ByHand { reason, .. } = &recipe.place {
            output::note(format!("note: {reason}"));
        }
        output::line(recipe.snippet);
        return Ok(());
    }
    let path = match recipe.place {
        Place::File(path) => path,
        Place::ByHand { reason, hint } => return Err(Failure::usage(format!("nothing was changed: {reason}"), hint)),
    };
    let shown = path.display();
    let before = Before::read(&path).map_err(|error| Failure::new(format!("cannot read {shown}: {error}")))?;
    if before.is_read_only {
        let hint = "make it writable if you want it changed, or add what `--print` shows by hand";
        return Err(Failure::usage(format!("nothing was changed: {shown} is read-only"), hint));
    }
    let text = before.text.as_deref().unwrap_or_default();
    let change = document::with_entry(text, recipe.key, &command.name, &recipe.entry).map_err(|wrong| {
        output::note(format!("This belongs into {shown}:\n{}\n", recipe.snippet));
        let hint = "only JSON without comments and trailing commas is changed, so that none is lost: mend the file, or add this by hand";
        Failure::usage(format!("nothing was changed: {shown} {wrong}"), hint)
    })?;
    let place = format!("`{}.{}`", recipe.key, command.name);
    let (after, what) = match change {
        Change::Nothing => {
            output::line(format!("nothing to do: {shown} has {place} as it should be"));
            return Ok(());
        }
        Change::Added(after) if before.text.is_none() => (after, format!("makes {shown} with {place}")),
        Change::Added(after) => (after, format!("adds {place} to {shown}")),
        Change::Replaced(after, names) => {
            (after, format!("replaces {place} in {shown}, which differs in {}", names.join(", ")))
        }
    };
    output::note(format!("This {what}:\n{}", recipe.snippet));
    confirmed(&format!("change {shown}?"), command.yes)?;
    let copy = before.write(&path, &after).map_err(|error| Failure::new(format!("cannot write {shown}: {error}")))?;
    if let Some(copy) = copy {
        output::line(format!("copied what was there to {}", copy.display()));
    }
    output::line(format!("wrote {shown}: start the client again to use it"));
    Ok(())
}

impl Install {
    /// What the client gets at, with nothing in it that depends on where the client is started.
    fn server(&self) -> Result<Server, Failure> {
        if let Some(url) = &self.url {
            // What is refused is not repeated: it may be a secret.
            if !is_plain_url(url) {
                let message =
                    "`--url` must be the http or https address of the server, without a user, a query or a fragment";
                return Err(Failure::usage(message, "write for example `--url http://127.0.0.1:8835/mcp`"));
            }
            if self.token_variable.as_deref().is_some_and(|name| !is_variable(name)) {
                let message = "`--token-variable` must be the name of a variable, in capital letters, digits and `_`";
                return Err(Failure::usage(message, "name the variable that has the token, never the token itself"));
            }
            if self.token_variable.is_some() && !is_private(url) {
                let message = "`--token-variable` needs an https address, or one of this machine: over plain http to another host, others \
                               could read the token on the way";
                let hint = "give the server a certificate (`TLS_CERT` and `TLS_KEY`) or a proxy with TLS, and write `https://`; or bring it to a \
                            loopback address of this machine with a tunnel, such as `ssh -L`";
                return Err(Failure::usage(message, hint));
            }
            return Ok(Server::Running { url: url.clone(), token_variable: self.token_variable.clone() });
        }
        let program = text_of(&env::current_exe()?)?;
        let mut arguments = vec!["stdio".to_owned()];
        arguments.extend(self.with_worker.then(|| "--with-worker".to_owned()));
        for (flag, path) in [("--data-dir", &self.data_dir), ("--scanner-config", &self.scanner_config)] {
            // `./data` is joined as it stands: the dot says nothing any more.
            let path = absolute(path.strip_prefix(".").unwrap_or(path))?;
            arguments.extend([flag.to_owned(), text_of(&path)?]);
        }
        Ok(Server::Child { program, arguments })
    }
}

fn is_plain_url(text: &str) -> bool {
    let Ok(url) = text.parse::<http::Uri>() else { return false };
    matches!(url.scheme_str(), Some("http" | "https"))
        && url.host().is_some_and(|host| !host.is_empty())
        && !text.contains(['@', '?', '#', '$', '\''])
}

/// Whether nobody on the way reads what is sent there: over TLS, or to this machine.
fn is_private(url: &str) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else { return false };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback =
        host.parse::<IpAddr>().map_or(host.eq_ignore_ascii_case("localhost"), |ip| ip.to_canonical().is_loopback());
    url.scheme_str() == Some("https") || is_loopback
}

/// No token that `nessus-admin token` makes is one.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|letter: char| letter.is_ascii_digit())
        && (1..=64).contains(&name.len())
        && name.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_')
}

/// A path as the files of clients can have it. `$` begins a variable in some of them.
fn text_of(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().filter(|text| !text.contains(|letter: char| letter.is_control() || letter == '$'));
    text.map(str::to_owned).ok_or_else(|| {
        let message = format!("no client's file can have the path {}", path.display());
        Failure::usage(message, "use a path in UTF-8, without control characters and `$`")
    })
}

/// The client's file as it was found.
struct Before {
    /// `None` where there is none.
    text: Option<String>,
    is_read_only: bool,
}

impl Before {
    fn read(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(found) => {
                Ok(Self { text: Some(fs::read_to_string(path)?), is_read_only: found.permissions().readonly() })
            }
            // A link that leads nowhere is the user's: it is neither followed nor replaced.
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
                Ok(Self { text: None, is_read_only: false })
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the text in the place of this one. Returns where the copy of this one is.
    fn write(&self, path: &Path, after: &str) -> io::Result<Option<PathBuf>> {
        if Self::read(path)?.text != self.text {
            return Err(io::Error::other("it has changed since you were asked; run the command again"));
        }
        let Some(text) = &self.text else {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            durable::replace(path, after.as_bytes())?;
            return Ok(None);
        };
        let path = path.canonicalize()?;
        let copy = copied(&path, text)?;
        durable::replace_like_before(&path, after.as_bytes())?;
        Ok(Some(copy))
    }
}

/// Puts the text beside `path`, for this user alone, over no other file.
fn copied(path: &Path, text: &str) -> io::Result<PathBuf> {
    let now = SystemClock.now().compact();
    let mut number = 0;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".bak-{now}"));
        if number > 0 {
            name.push(format!("-{number}"));
        }
        let copy = PathBuf::from(name);
        let mut file = DurableFile::create(&copy)?;
        file.write_all(text.as_bytes())?;
        match file.commit_new() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MOST_COPIES => number += 1,
            done => return done.map(|()| copy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_tls_or_stays_on_the_machine() {
        for url in [
            "https://scans.example/mcp",
            "HTTPS://scans.example/mcp",
            "http://127.0.0.1:8835/mcp",
            "http://127.9.9.9/mcp",
            "http://localhost:8835/mcp",
            "http://LOCALHOST/mcp",
            "http://[::1]:8835/mcp",
        ] {
            assert!(is_plain_url(url) && is_private(url), "{url}");
        }
        for url in [
            "http://scans.example/mcp",
            "http://10.0.0.1:8835/mcp",
            "http://localhost.example/mcp",
            "http://127.0.0.1.example/mcp",
            "http://0.0.0.0:8835/mcp",
            "http://[2001:db8::1]/mcp",
        ] {
            assert!(is_plain_url(url) && !is_private(url), "{url}");
        }
    }
}
