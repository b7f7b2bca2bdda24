//! `policy.yaml`.
//!
//! ```yaml
//! mode: enforce                  # off, dry_run or enforce (default)
//! allow:                         # without this key, everything that is not denied
//!   - 10.0.0.0/8
//!   - 192.0.2.1-192.0.2.50
//!   - "*.corp.example"
//! deny:                          # wins over `allow`
//!   - 10.0.0.0/29
//!   - payroll.corp.example
//! max_hosts_per_scan: 4096       # default: the setting MAX_HOSTS_PER_SCAN
//! ```

use std::{fs, path::Path};

use serde::Deserialize;

use super::rules::{AllowList, DenyRule, Policy, PolicyMode};
use crate::{
    config::{ConfigError, Scalar, expand, is_blank_yaml, parse_yaml},
    targets::TargetSet,
};

/// The keys of the file: every value a text, because any of them may be a `${VAR}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    mode: Option<Scalar>,
    allow: Option<Vec<Scalar>>,
    deny: Option<Vec<Scalar>>,
    max_hosts_per_scan: Option<Scalar>,
}

impl Policy {
    /// Reads and checks the file, with variables from the environment.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError::Setting {
            name: "POLICY_CONFIG".to_owned(),
            message: format!("names the file `{}`, which cannot be read: {error}", path.display()),
        })?;
        let policy = Self::parse(&text, path, &|name| std::env::var(name).ok())?;
        Ok(Self { file: Some(path.into()), ..policy })
    }

    /// Checks the text of a file; `lookup` answers for the environment.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and key.
    pub fn parse(text: &str, path: &Path, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let reader = Reader { path, lookup };
        if is_blank_yaml(text) {
            let message = "the file has no keys: write `mode` and what is allowed or denied".to_owned();
            return Err(ConfigError::Syntax { path: path.to_owned(), line: 1, message });
        }
        let raw: RawPolicy = parse_yaml(text, path)?;
        let allowed = reader.list("allow", raw.allow)?;
        let allowed = allowed.map(|rules| rules.into_iter().map(|rule| rule.set).collect()).map(AllowList::new);
        Ok(Self {
            mode: reader.value("mode", raw.mode, str::parse)?.unwrap_or(PolicyMode::Enforce),
            allow: allowed,
            deny: reader.list("deny", raw.deny)?.unwrap_or_default(),
            max_hosts_per_scan: reader.value("max_hosts_per_scan", raw.max_hosts_per_scan, parse_count)?,
            file: None,
        })
    }
}

/// Reads values, naming file, line and key of what is wrong.
struct Reader<'a> {
    path: &'a Path,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    /// The entries of a list of targets.
    fn list(&self, key: &str, raw: Option<Vec<Scalar>>) -> Result<Option<Vec<DenyRule>>, ConfigError> {
        let Some(raw) = raw else { return Ok(None) };
        if raw.is_empty() {
            let message = "is empty: leave it out, or name networks, ranges and host names";
            return Err(self.error(key, 1, message));
        }
        let read = |text: &str| {
            let set = TargetSet::policy(text).map_err(|error| format!("is no target: {error}"))?;
            Ok(DenyRule { text: text.to_owned(), set })
        };
        let rules = raw.into_iter().enumerate();
        let rules = rules.filter_map(|(at, raw)| self.value(&format!("{key}[{at}]"), Some(raw), read).transpose());
        rules.collect::<Result<Vec<_>, _>>().map(Some)
    }

    /// Expands and parses one value; `parse` answers with a fragment that follows the key.
    fn value<T>(
        &self,
        key: &str,
        raw: Option<Scalar>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(Scalar { text, line }) = raw else { return Ok(None) };
        let text = expand(&text, self.lookup).map_err(|message| self.error(key, line, &message))?;
        parse(text.trim()).map(Some).map_err(|message| self.error(key, line, &message))
    }

    fn error(&self, key: &str, line: u64, message: &str) -> ConfigError {
        ConfigError::Key { path: self.path.to_owned(), line, key: key.to_owned(), message: message.to_owned() }
    }
}

fn parse_count(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "must be a whole number from 1 on".to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(text: &str) -> Result<Policy, ConfigError> {
        Policy::parse(text, Path::new("policy.yaml"), &|name| (name == "OFFICE").then(|| "10.1.0.0/16".to_owned()))
    }

    #[test]
    fn the_keys_are_read() {
        let policy = parse(
            "mode: dry_run\nallow: [10.0.0.0/8, \"*.corp.example\"]\ndeny:\n  - ${OFFICE}\n  - db.corp.example\n\
             max_hosts_per_scan: 4096\n",
        )
        .unwrap();
        assert_eq!((policy.mode, policy.max_hosts_per_scan), (PolicyMode::DryRun, Some(4096)));
        assert_eq!(
            policy.deny.iter().map(|rule| rule.text.as_str()).collect::<Vec<_>>(),
            ["10.1.0.0/16", "db.corp.example"]
        );
        assert_eq!(parse("deny: [10.0.0.1]").unwrap().mode, PolicyMode::Enforce, "what is written is meant");
        assert_eq!(parse("mode: off").unwrap(), Policy::default());
    }

    #[test]
    fn the_example_has_no_effect_until_it_is_uncommented_and_then_has_every_key() {
        let example = include_str!("../../../docs/policy.example.yaml");
        assert!(parse(example).unwrap_err().to_string().contains("no keys"));
        let used = |line: &str| line.strip_prefix('#').filter(|line| !line.starts_with('#')).map(str::to_owned);
        let policy = parse(&example.lines().filter_map(used).collect::<Vec<_>>().join("\n")).unwrap();
        assert!(policy.allow.is_some() && !policy.deny.is_empty() && policy.max_hosts_per_scan.is_some(), "{policy:?}");
        assert_eq!(policy.mode, PolicyMode::DryRun);
    }

    #[rstest]
    #[case("", "policy.yaml:1: the file has no keys")]
    #[case("# nothing\n", "policy.yaml:1: the file has no keys")]
    #[case("mode: enforce\nalow: [10.0.0.0/8]\n", "policy.yaml:2: unknown key `alow`, did you mean `allow`?")]
    #[case("mode: enforce\nwhatever: 1\n", "policy.yaml:2: unknown key `whatever`, did you mean `")]
    #[case("mode: strict\n", "policy.yaml:1: `mode` must be `off`, `dry_run` or `enforce`")]
    #[case("mode: enforce\nallow: []\n", "`allow` is empty")]
    #[case("allow:\n  - 10.0.0.0/8\n  - 10.0.0.0/33\n", "policy.yaml:3: `allow[1]` is no target: `10.0.0.0/33`")]
    #[case("deny:\n  - a.*.example\n", "policy.yaml:2: `deny[0]` is no target")]
    #[case("deny: [\"\"]\n", "policy.yaml:1: `deny[0]` is no target: no targets are given")]
    #[case("deny: [\"${NONE}\"]\n", "policy.yaml:1: `deny[0]` refers to the environment variable `NONE`")]
    #[case("max_hosts_per_scan: 0\n", "policy.yaml:1: `max_hosts_per_scan` must be a whole number from 1 on")]
    #[case("mode: off\nmode: enforce\n", "policy.yaml:2:")]
    #[case("allow: 10.0.0.0/8\n", "policy.yaml:1:")]
    #[case("- mode\n", "policy.yaml:1:")]
    #[case("mode: [\n", "policy.yaml:")]
    fn a_mistake_is_named_with_line_and_key(#[case] text: &str, #[case] expected: &str) {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.contains(expected) && !message.contains('\n'), "{message}");
    }

    #[test]
    fn a_file_that_is_missing_is_named_with_the_setting() {
        let message = Policy::load(Path::new("/no/such/policy.yaml")).unwrap_err().to_string();
        assert!(message.starts_with("`POLICY_CONFIG` names the file `/no/such/policy.yaml`"), "{message}");
    }
}
