//! Which tools a client may use, and how often it may call them.
//!
//! What tools there are is known to whoever offers them: names are handed on with the place at which they stand in the file.

use std::{fmt, num::NonZeroU32, path::Path, sync::Arc};

use serde::Deserialize;

use crate::config::{ConfigError, Reader, Scalar};

/// Calls whose number is limited together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RateClass {
    /// Those that look at states and lists.
    Read,
    /// Those that read findings, which takes time and memory.
    Results,
    /// Those that change something.
    Change,
}

impl RateClass {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Read, Self::Results, Self::Change];

    /// The key in `policy.yaml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Results => "results",
            Self::Change => "change",
        }
    }
}

impl fmt::Display for RateClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The most calls of a minute, by class; `None` for any number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallLimits {
    /// Those of [`RateClass::Read`].
    pub read: Option<NonZeroU32>,
    /// Those of [`RateClass::Results`].
    pub results: Option<NonZeroU32>,
    /// Those of [`RateClass::Change`].
    pub change: Option<NonZeroU32>,
}

impl CallLimits {
    /// The limit of a class, if it has one.
    pub const fn of(&self, class: RateClass) -> Option<NonZeroU32> {
        match class {
            RateClass::Read => self.read,
            RateClass::Results => self.results,
            RateClass::Change => self.change,
        }
    }
}

/// A name in `policy.yaml`. Two are equal when the names are, wherever they stand.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListedName {
    /// The name.
    pub name: String,
    file: Arc<Path>,
    key: String,
    line: u64,
}

impl PartialEq for ListedName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ListedName {}

impl ListedName {
    /// An error about it with file, line and key; `message` is a sentence fragment that follows the key.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::Key {
            path: self.file.to_path_buf(),
            line: self.line,
            key: self.key.clone(),
            message: message.into(),
        }
    }
}

/// Which tools a client may use, within those of its role, and how often it may call them. The default restricts nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolRights {
    /// Only tools of these toolsets; `None` for all.
    pub toolsets: Option<Vec<ListedName>>,
    /// Only these tools; `None` for all.
    pub tools: Option<Vec<ListedName>>,
    /// Not these tools.
    pub exclude_tools: Vec<ListedName>,
    /// The most calls of a minute, where they differ from those of the whole policy.
    pub calls_per_minute: CallLimits,
}

/// The keys of [`ToolRights`] in an entry of `policy.yaml`.
#[derive(Debug, Default)]
pub(super) struct RawToolRights {
    pub(super) toolsets: Option<Vec<Scalar>>,
    pub(super) tools: Option<Vec<Scalar>>,
    pub(super) exclude_tools: Option<Vec<Scalar>>,
    pub(super) calls_per_minute: Option<RawCallLimits>,
}

/// The keys of [`CallLimits`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCallLimits {
    read: Option<Scalar>,
    results: Option<Scalar>,
    change: Option<Scalar>,
}

impl Reader<'_> {
    /// What an entry, whose key in the file is `entry`, says about tools.
    pub(super) fn tool_rights(&self, entry: &str, raw: RawToolRights) -> Result<ToolRights, ConfigError> {
        let key = |name: &str| format!("{entry}.{name}");
        Ok(ToolRights {
            toolsets: self.names(&key("toolsets"), raw.toolsets)?,
            tools: self.names(&key("tools"), raw.tools)?,
            exclude_tools: self.names(&key("exclude_tools"), raw.exclude_tools)?.unwrap_or_default(),
            calls_per_minute: self.call_limits(&key("calls_per_minute"), raw.calls_per_minute)?,
        })
    }

    pub(super) fn call_limits(&self, key: &str, raw: Option<RawCallLimits>) -> Result<CallLimits, ConfigError> {
        let raw = raw.unwrap_or_default();
        let limit = |class: RateClass, raw| self.value(&format!("{key}.{class}"), raw, parse_limit);
        Ok(CallLimits {
            read: limit(RateClass::Read, raw.read)?,
            results: limit(RateClass::Results, raw.results)?,
            change: limit(RateClass::Change, raw.change)?,
        })
    }

    fn names(&self, key: &str, raw: Option<Vec<Scalar>>) -> Result<Option<Vec<ListedName>>, ConfigError> {
        let Some(raw) = raw else { return Ok(None) };
        if raw.is_empty() {
            return Err(self.error(key, 1, "is empty: leave it out, or name some"));
        }
        let file: Arc<Path> = self.path.into();
        let names = raw.into_iter().enumerate().filter_map(|(at, raw)| {
            let (key, line) = (format!("{key}[{at}]"), raw.line);
            let name = self.value(&key, Some(raw), |text| Ok(text.to_owned())).transpose()?;
            Some(name.map(|name| ListedName { name, file: Arc::clone(&file), key, line }))
        });
        names.collect::<Result<_, _>>().map(Some)
    }
}

fn parse_limit(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| "must be a whole number from 1 on: how many calls a minute may have".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;
    use crate::policy::{Policy, Principal, Role};

    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn parse(all: &str, client: &str) -> Result<Policy, ConfigError> {
        let text = format!("{all}clients:\n  - name: a\n    role: read\n    token_sha256: {HASH}\n{client}");
        Policy::parse(&text, Path::new("policy.yaml"), &|_| None)
    }

    #[test]
    fn names_are_handed_on_with_their_place() {
        let policy = parse("", "    toolsets: [status]\n    tools:\n      - x\n      - y\n").unwrap();
        let rights = policy.tool_rights().next().unwrap();
        assert_eq!(rights.toolsets.as_ref().unwrap()[0].name, "status");
        let error = rights.tools.as_ref().unwrap()[1].error("is no tool").to_string();
        assert_eq!(error, "policy.yaml:8: `clients[0].tools[1]` is no tool");
        assert!(rights.exclude_tools.is_empty());
    }

    #[test]
    fn a_limit_of_a_client_takes_the_place_of_that_of_all() {
        let all = "calls_per_minute: {read: 600, results: 120}\n";
        let policy = parse(all, "    calls_per_minute: {results: 700, change: 3}\n").unwrap();
        let client = policy.authenticate("test", crate::time::Timestamp::from_millis(0)).unwrap();
        let limits =
            |caller: &Principal| RateClass::ALL.map(|class| policy.calls_per_minute(caller, class).map(u32::from));
        assert_eq!(limits(&client), [Some(600), Some(700), Some(3)]);
        assert_eq!(limits(&Principal::new("other", Role::Scan)), [Some(600), Some(120), None]);
    }

    #[rstest]
    #[case("", "    tools: []\n", "`clients[0].tools` is empty")]
    #[case("", "    tool: [x]\n", "unknown key `tool`, did you mean `tools`?")]
    #[case("", "    calls_per_minute: {result: 1}\n", "policy.yaml:5: unknown key `result`, did you mean `results`?")]
    #[case(
        "",
        "    calls_per_minute: {read: 0}\n",
        "policy.yaml:5: `clients[0].calls_per_minute.read` must be a whole number"
    )]
    #[case(
        "calls_per_minute: {read: many}\n",
        "",
        "policy.yaml:1: `calls_per_minute.read` must be a whole number from 1 on"
    )]
    fn a_mistake_is_named_with_line_and_key(#[case] all: &str, #[case] client: &str, #[case] expected: &str) {
        let message = parse(all, client).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}
