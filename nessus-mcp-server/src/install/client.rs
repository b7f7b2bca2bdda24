//! The clients: which file each reads, and what it wants to find there.
//!
//! The formats are those of `fixtures/clients.json`, which names source and date. What no source tells is [`Place::ByHand`].

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::Serialize;

/// A program with an agent inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// Claude Code
    ClaudeCode,
    /// Claude Desktop
    ClaudeDesktop,
    /// VS Code
    Vscode,
    /// Cursor
    Cursor,
    /// Codex
    Codex,
    /// Gemini CLI
    Gemini,
}

/// How the client gets at the server.
#[derive(Debug)]
pub(super) enum Server {
    /// It starts this program with these arguments.
    Child { program: String, arguments: Vec<String> },
    /// It connects to one that runs, and sends the token in this variable, if there is one.
    Running { url: String, token_variable: Option<String> },
}

/// The entry of the server: what stands behind its name. The members of all clients; each has some of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct Entry {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(rename = "httpUrl", skip_serializing_if = "Option::is_none")]
    http_url: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'static str, String>,
}

/// Where the entry belongs.
#[derive(Debug)]
pub(super) enum Place {
    /// Into the object `key` of this JSON file.
    File(PathBuf),
    /// Where this program does not write: why, and what to do.
    ByHand { reason: String, hint: String },
}

/// What to print, and where it belongs.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The member of the file that has the servers.
    pub(super) key: &'static str,
    pub(super) entry: Entry,
    /// What a person would paste or run.
    pub(super) snippet: String,
    pub(super) place: Place,
}

impl Client {
    /// What this client needs to know of `server` under `name`: in `file` if one is given, in `project`, or in the settings of the user.
    ///
    /// # Errors
    /// When there is no such file for this client, with the reason.
    pub(super) fn recipe(
        self,
        server: &Server,
        name: &str,
        file: Option<&Path>,
        project: Option<&Path>,
    ) -> Result<Recipe, String> {
        let key = if self == Self::Vscode { "servers" } else { "mcpServers" };
        let path = match file {
            Some(file) => file.to_owned(),
            None => self.file(project)?,
        };
        let entry = self.entry(server);
        let by_hand = |reason: &str, hint: String| Place::ByHand { reason: reason.to_owned(), hint };
        let add = format!("add what `--print` shows to {}", path.display());
        let mut snippet = pretty(&BTreeMap::from([(key, BTreeMap::from([(name, &entry)]))]));
        let mut place = Place::File(path);
        match (self, server) {
            (Self::ClaudeCode, _) if file.is_none() && project.is_none() => {
                let compact = serde_json::to_string(&entry).unwrap_or_default().replace('\'', r"'\''");
                snippet = format!("claude mcp add-json {name} '{compact}' --scope user");
                let hint = "run the command that `--print` shows, or give the directory of a project with `--project`";
                place = by_hand("Claude Code keeps servers of the user in a store of its own", hint.to_owned());
            }
            (Self::Codex, _) => {
                snippet = toml(server, name);
                place = by_hand("the settings of Codex are TOML, which this program does not change", add);
            }
            (Self::ClaudeDesktop, Server::Running { .. }) => {
                let reason = "unverified: Claude Desktop reaches a running server by a bridge, `npx mcp-remote`, and no source \
                              tells whether that finds a variable which is not in the file";
                place = by_hand(reason, add);
            }
            (Self::Vscode, Server::Running { token_variable: Some(variable), .. }) => {
                let input = BTreeMap::from([("type", "promptString"), ("id", variable)]);
                let mut input = serde_json::json!(input);
                input["description"] = format!("Token of the MCP server {name}").into();
                input["password"] = true.into();
                snippet = pretty(&serde_json::json!({"inputs": [input], key: {name: &entry}}));
                place = by_hand(
                    "VS Code asks for the token, which takes two members of the file, `inputs` and `servers`",
                    add,
                );
            }
            _ => {}
        }
        Ok(Recipe { key, entry, snippet, place })
    }

    fn entry(self, server: &Server) -> Entry {
        let kind = |kind| (self == Self::Vscode).then_some(kind);
        match server {
            Server::Child { program, arguments } => Entry {
                kind: kind("stdio"),
                command: Some(program.clone()),
                args: arguments.clone(),
                ..Entry::default()
            },
            Server::Running { url, token_variable } if self == Self::ClaudeDesktop => {
                let mut args = vec!["mcp-remote".to_owned(), url.clone()];
                if let Some(variable) = token_variable {
                    args.extend(["--header".to_owned(), format!("Authorization: Bearer ${{{variable}}}")]);
                }
                Entry { command: Some("npx".to_owned()), args, ..Entry::default() }
            }
            Server::Running { url, token_variable } => {
                let bearer = |variable: &String| {
                    let value = match self {
                        Self::Vscode => format!("${{input:{variable}}}"),
                        Self::Cursor => format!("${{env:{variable}}}"),
                        Self::Gemini => format!("${variable}"),
                        _ => format!("${{{variable}}}"),
                    };
                    ("Authorization", format!("Bearer {value}"))
                };
                let (url, http_url) = match self {
                    Self::Gemini => (None, Some(url.clone())),
                    _ => (Some(url.clone()), None),
                };
                Entry {
                    kind: matches!(self, Self::ClaudeCode | Self::Vscode).then_some("http"),
                    url,
                    http_url,
                    headers: token_variable.iter().map(bearer).collect(),
                    ..Entry::default()
                }
            }
        }
    }

    /// The file in which this client looks for servers.
    fn file(self, project: Option<&Path>) -> Result<PathBuf, String> {
        let in_project = match self {
            Self::ClaudeCode => Some(".mcp.json"),
            Self::ClaudeDesktop => None,
            Self::Vscode => Some(".vscode/mcp.json"),
            Self::Cursor => Some(".cursor/mcp.json"),
            Self::Codex => Some(".codex/config.toml"),
            Self::Gemini => Some(".gemini/settings.json"),
        };
        if let Some(project) = project {
            let file = in_project.ok_or("Claude Desktop has no settings of a project")?;
            return Ok(project.join(file));
        }
        let home = env::home_dir().filter(|home| home.is_absolute()).ok_or("the home directory is not known")?;
        let applications = || match env::consts::OS {
            "windows" => env::var_os("APPDATA").map_or_else(|| home.join("AppData/Roaming"), PathBuf::from),
            "macos" => home.join("Library/Application Support"),
            _ => home.join(".config"),
        };
        Ok(match self {
            Self::ClaudeDesktop => applications().join("Claude/claude_desktop_config.json"),
            Self::Vscode => applications().join("Code/User/mcp.json"),
            _ => home.join(in_project.unwrap_or_default()),
        })
    }
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// The entry as Codex has it. Strings of JSON without control characters are strings of TOML.
fn toml(server: &Server, name: &str) -> String {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let mut lines = vec![format!("[mcp_servers.{name}]")];
    match server {
        Server::Child { program, arguments } => {
            let arguments: Vec<String> = arguments.iter().map(|argument| text(argument)).collect();
            lines.push(format!("command = {}", text(program)));
            lines.push(format!("args = [{}]", arguments.join(", ")));
        }
        Server::Running { url, token_variable } => {
            lines.push(format!("url = {}", text(url)));
            lines.extend(token_variable.iter().map(|variable| format!("bearer_token_env_var = {}", text(variable))));
        }
    }
    lines.join("\n")
}
