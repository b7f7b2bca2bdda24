//! The entries of `approvals` in `policy.yaml`.

use std::time::Duration;

use serde::Deserialize;

use super::{
    approval::{ApprovalRule, Approvals, Conditions, DEFAULT_EXPIRY},
    clients::{Clients, client_name},
    rights::parse_count,
    values::{RawWindow, any_name},
    windows::parse_zone,
};
use crate::{
    config::{ConfigError, Reader, Scalar},
    ids::PoolName,
    time::{DurationUnit, Timestamp, parse_duration},
};

/// The keys of an entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApproval {
    name: Scalar,
    expires_after: Option<Scalar>,
    when: Option<RawConditions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConditions {
    scan_types: Option<Vec<Scalar>>,
    targets: Option<Vec<Scalar>>,
    hosts_over: Option<Scalar>,
    credentials: Option<Vec<Scalar>>,
    templates: Option<Vec<Scalar>>,
    policies: Option<Vec<Scalar>>,
    pools: Option<Vec<Scalar>>,
    clients: Option<Vec<Scalar>>,
    teams: Option<Vec<Scalar>>,
    during: Option<Vec<RawWindow>>,
    time_zone: Option<Scalar>,
}

impl Reader<'_> {
    /// The rules. Where there are some, one of the clients must be able to agree to a scan.
    pub(super) fn approvals(
        &self,
        raw: Vec<RawApproval>,
        clients: &Clients,
        now: Timestamp,
    ) -> Result<Approvals, ConfigError> {
        let Some(line) = raw.first().map(|first| first.name.line) else { return Ok(Approvals::default()) };
        let mut rules: Vec<ApprovalRule> = Vec::new();
        for (at, raw) in raw.into_iter().enumerate() {
            let key = |part: &str| format!("approvals[{at}].{part}");
            let line = raw.name.line;
            let name = self.required(&key("name"), raw.name, client_name)?;
            if rules.iter().any(|rule| rule.name == name) {
                return Err(self.error(&key("name"), line, "is that of another rule, too"));
            }
            let expires_after = self.placed(&key("expires_after"), raw.expires_after, expiry)?;
            let when = self.conditions(&key("when"), line, raw.when.unwrap_or_default())?;
            rules.push(ApprovalRule::new(name, expires_after.unwrap_or(DEFAULT_EXPIRY), when));
        }
        if !clients.all().iter().any(|client| client.is_approver(now)) {
            let message = "hold scans to which nobody could agree: give one of the `clients` the role `approve` or \
                           `admin` and an `approval_key`; to have both, make a new token with the role `approve`";
            return Err(self.error("approvals", line, message));
        }
        Ok(Approvals(rules))
    }

    fn conditions(&self, key: &str, line: u64, raw: RawConditions) -> Result<Conditions, ConfigError> {
        let name = |part: &str| format!("{key}.{part}");
        let during = match (raw.during, raw.time_zone) {
            (Some(windows), zone) => {
                let missing = "is missing: name a time zone, such as Europe/Berlin or UTC";
                let zone = self.placed(&name("time_zone"), zone, parse_zone)?;
                let zone = zone.ok_or_else(|| self.error(&name("time_zone"), line, missing))?;
                let windows = self.window_list(&name("during"), windows)?;
                if windows.is_empty() {
                    return Err(self.error(&name("during"), line, "is empty: leave it out, or name windows"));
                }
                Some((zone, windows))
            }
            (None, Some(zone)) => {
                return Err(self.error(&name("time_zone"), zone.line, "is that of `during`, which is missing"));
            }
            (None, None) => None,
        };
        let targets = self.targets(&name("targets"), raw.targets)?;
        let pool = |text: &str| PoolName::new(text).map_err(|error| format!("is no name of a pool: {error}"));
        Ok(Conditions {
            scan_types: self.entries(&name("scan_types"), line, raw.scan_types, scan_type)?,
            targets: targets.map(|targets| targets.into_iter().map(|rule| rule.set).collect()),
            hosts_over: self.placed(&name("hosts_over"), raw.hosts_over, parse_count)?,
            credentials: self.entries(&name("credentials"), line, raw.credentials, any_name)?,
            templates: self.entries(&name("templates"), line, raw.templates, any_name)?,
            policies: self.entries(&name("policies"), line, raw.policies, any_name)?,
            pools: self.entries(&name("pools"), line, raw.pools, pool)?,
            clients: self.entries(&name("clients"), line, raw.clients, any_name)?,
            teams: self.entries(&name("teams"), line, raw.teams, any_name)?,
            during,
        })
    }
}

fn scan_type(text: &str) -> Result<&'static str, String> {
    match text {
        "untrusted" => Ok("untrusted"),
        "trusted" | "authenticated" | "trusted_basic" => Ok("trusted"),
        "privileged" | "authenticated_privileged" | "trusted_privileged" => Ok("privileged"),
        _ => Err("must be `untrusted`, `trusted` or `privileged`".to_owned()),
    }
}

fn expiry(text: &str) -> Result<Duration, String> {
    let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
    let parsed = parse_duration(text, DurationUnit::Seconds).ok().filter(|time| has_unit && !time.is_zero());
    parsed.ok_or_else(|| "must be a time with a unit, such as 30m, 8h or 2d".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use crate::policy::{ApprovalKey, Policy, new_token};

    /// A file with this rule, and with a client that may agree.
    fn parse(entry: &str, role: &str, with_key: bool) -> Result<Policy, String> {
        let key = if with_key { format!(", approval_key: {}", ApprovalKey::of(&new_token())) } else { String::new() };
        let text = format!(
            "clients:\n  - {{name: boss, role: {role}, token_sha256: {}{key}}}\napprovals:\n  - {entry}\n",
            "00".repeat(32)
        );
        Policy::parse(&text, Path::new("policy.yaml"), &|_| None).map_err(|error| error.to_string())
    }

    #[rstest]
    #[case(
        "{name: a, when: {scan_type: [trusted]}}",
        "policy.yaml:4: unknown key `scan_type`, did you mean `scan_types`?"
    )]
    #[case("{name: a, whem: {}}", "policy.yaml:4: unknown key `whem`, did you mean `when`?")]
    #[case(
        "{name: a, when: {scan_types: [root]}}",
        "policy.yaml:4: `approvals[0].when.scan_types[0]` must be `untrusted`"
    )]
    #[case("{name: a, when: {scan_types: []}}", "`approvals[0].when.scan_types` is empty")]
    #[case("{name: a, when: {targets: [10.0.0.0/40]}}", "`approvals[0].when.targets[0]` is no target")]
    #[case("{name: a, when: {hosts_over: 0}}", "`approvals[0].when.hosts_over` must be a whole number from 1 on")]
    #[case("{name: a, when: {pools: [a b]}}", "`approvals[0].when.pools[0]` is no name of a pool")]
    #[case("{name: a, when: {during: [{days: [mon]}]}}", "`approvals[0].when.time_zone` is missing")]
    #[case("{name: a, when: {time_zone: UTC}}", "`approvals[0].when.time_zone` is that of `during`, which is missing")]
    #[case(
        "{name: a, when: {during: [{days: [fry]}], time_zone: UTC}}",
        "`approvals[0].when.during[0].days[0]` is no day"
    )]
    #[case("{name: a, expires_after: 8}", "`approvals[0].expires_after` must be a time with a unit")]
    #[case("{name: a, expires_after: 0h}", "`approvals[0].expires_after` must be a time with a unit")]
    #[case("{name: a b}", "policy.yaml:4: `approvals[0].name` must have 1 to 64 letters")]
    #[case("{when: {}}", "policy.yaml:4:")]
    #[case("{name: a}\n  - {name: a}", "policy.yaml:5: `approvals[1].name` is that of another rule, too")]
    fn a_mistake_is_named_with_line_and_key(#[case] rule: &str, #[case] expected: &str) {
        let message = parse(rule, "approve", true).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn rules_without_anybody_who_could_agree_are_refused() {
        let rule = "{name: a, expires_after: 8h, when: {scan_types: [privileged]}}";
        for (role, with_key) in [("approve", false), ("scan", true), ("admin", false)] {
            let message = parse(rule, role, with_key).unwrap_err();
            let expected = "policy.yaml:4: `approvals` hold scans to which nobody could agree";
            assert!(message.contains(expected), "{role} {with_key}: {message}");
        }
        for role in ["approve", "admin"] {
            assert_eq!(parse(rule, role, true).unwrap().approval_rules().collect::<Vec<_>>(), ["a"]);
        }
    }
}
