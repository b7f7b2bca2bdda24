//! Which scans a person must agree to: the rules of `approvals`.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use jiff::tz::TimeZone;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::windows::{Window, is_open_at};
use crate::{
    hex,
    ids::PoolName,
    targets::{NameAddresses, TargetSet},
    time::Timestamp,
};

/// How long a person may take to agree where a rule does not say.
pub(super) const DEFAULT_EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// Any name, in a list of names.
const ANY: &str = "*";
/// A login that comes with the request, in `credentials`.
const INLINE: &str = "inline";

/// What a scan logs in with, as far as rules go by it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskedLogin {
    /// Nothing.
    None,
    /// A login of `credentials.yaml`, by its id.
    Stored(String),
    /// A login that came with the request.
    Inline,
    /// Whatever its scan policy has.
    OfPolicy,
}

/// A scan as it was asked for: what the rules of `approvals` go by, and what a decision is bound to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AskedScan {
    /// The digest of everything that was asked for, of who asked, of the task and its attempt.
    pub digest: String,
    /// Who asked: whoever submitted it, and whoever tried it again. Empty where that is not known.
    pub asked_by: Vec<String>,
    /// Their team, if they have one.
    pub team: Option<String>,
    /// `untrusted`, `trusted` or `privileged`.
    pub scan_type: &'static str,
    /// The pool.
    pub pool: PoolName,
    /// The template; `None` for a scan that is made of a policy of the scanner.
    pub template: Option<String>,
    /// The policy of the scanner, by all that it is known as.
    pub policy: Vec<String>,
    /// What it logs in with.
    pub login: AskedLogin,
    /// The targets, as they were asked for.
    pub targets: String,
    /// The addresses that are known of the names among them.
    pub addresses: NameAddresses,
    aimed: OnceLock<Option<Aimed>>,
}

/// The targets, read.
#[derive(Debug, Clone)]
struct Aimed {
    asked: TargetSet,
    with_addresses: TargetSet,
}

impl AskedScan {
    /// A scan from the network that everything but this is said of later.
    pub fn new(digest: impl Into<String>, scan_type: &'static str, pool: PoolName, targets: impl Into<String>) -> Self {
        Self {
            digest: digest.into(),
            asked_by: Vec::new(),
            team: None,
            scan_type,
            pool,
            template: None,
            policy: Vec::new(),
            login: AskedLogin::None,
            targets: targets.into(),
            addresses: NameAddresses::new(),
            aimed: OnceLock::new(),
        }
    }

    /// The targets; `None` when they cannot be read.
    fn aimed(&self) -> Option<&Aimed> {
        let read = || {
            let asked = self.targets.parse::<TargetSet>().ok()?;
            Some(Aimed { with_addresses: asked.with_addresses(&self.addresses), asked })
        };
        self.aimed.get_or_init(read).as_ref()
    }

    /// How many hosts it has; `None` when the targets cannot be read.
    pub fn hosts(&self) -> Option<u128> {
        self.aimed().map(|aimed| aimed.with_addresses.host_count())
    }
}

/// What a rule goes by. A list that is empty says nothing; of one that is not, one entry must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    pub(super) scan_types: Vec<&'static str>,
    pub(super) targets: Option<TargetSet>,
    pub(super) hosts_over: Option<u64>,
    pub(super) credentials: Vec<String>,
    pub(super) templates: Vec<String>,
    pub(super) policies: Vec<String>,
    pub(super) pools: Vec<PoolName>,
    pub(super) clients: Vec<String>,
    pub(super) teams: Vec<String>,
    pub(super) during: Option<(TimeZone, Vec<Window>)>,
}

impl Conditions {
    /// Whether all that is said holds. What is not known of a scan is in doubt what the rule goes by.
    fn hold(&self, scan: &AskedScan, now: Timestamp) -> bool {
        let is_among = |names: &[String], name: &str| {
            names.iter().any(|listed| listed == ANY || listed.eq_ignore_ascii_case(name))
        };
        let login_is_meant = match &scan.login {
            AskedLogin::None => false,
            AskedLogin::Stored(id) => is_among(&self.credentials, id),
            AskedLogin::Inline => is_among(&self.credentials, INLINE),
            AskedLogin::OfPolicy => self.credentials.iter().any(|listed| listed == ANY),
        };
        // One that was asked for by its id may have any name as long as no scanner has told it.
        let has_only_id = matches!(scan.policy.as_slice(), [id] if id.bytes().all(|byte| byte.is_ascii_digit()));
        let holds = |is_silent: bool, is_met: bool| is_silent || is_met;
        holds(self.scan_types.is_empty(), self.scan_types.contains(&scan.scan_type))
            && holds(self.pools.is_empty(), self.pools.contains(&scan.pool))
            && holds(self.credentials.is_empty(), login_is_meant)
            && holds(
                self.templates.is_empty(),
                scan.template.as_ref().is_some_and(|name| is_among(&self.templates, name)),
            )
            && holds(
                self.policies.is_empty(),
                has_only_id || scan.policy.iter().any(|name| is_among(&self.policies, name)),
            )
            && holds(
                self.clients.is_empty(),
                scan.asked_by.is_empty() || scan.asked_by.iter().any(|name| is_among(&self.clients, name)),
            )
            && holds(
                self.teams.is_empty(),
                scan.asked_by.is_empty() || scan.team.as_ref().is_some_and(|name| is_among(&self.teams, name)),
            )
            && self.during.as_ref().is_none_or(|(zone, windows)| is_open_at(zone, windows, now))
            && self.hosts_over.is_none_or(|most| scan.hosts().is_none_or(|hosts| hosts > most.into()))
            && self.targets.as_ref().is_none_or(|named| {
                let overlaps = |aimed: &Aimed| named.overlaps(&aimed.asked) || named.overlaps(&aimed.with_addresses);
                scan.aimed().is_none_or(overlaps)
            })
    }
}

/// An entry of `approvals`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApprovalRule {
    pub(super) name: String,
    pub(super) expires_after: Duration,
    when: Conditions,
    /// The digest of all that the rule says: one that was changed is another rule.
    digest: String,
}

impl ApprovalRule {
    pub(super) fn new(name: String, expires_after: Duration, when: Conditions) -> Self {
        let during = when.during.as_ref().map(|(zone, windows)| {
            let windows: Vec<_> = windows.iter().map(Window::to_string).collect();
            json!([zone.iana_name(), windows])
        });
        let said = json!([
            name,
            expires_after.as_secs(),
            when.scan_types,
            when.targets.as_ref().map(TargetSet::to_string),
            when.hosts_over,
            when.credentials,
            when.templates,
            when.policies,
            when.pools,
            when.clients,
            when.teams,
            during,
        ]);
        let digest = hex::encode(&Sha256::digest(said.to_string().as_bytes()));
        Self { name, expires_after, when, digest }
    }
}

/// The rules that hold a scan: the digest of each, by name.
pub type HoldingRules = BTreeMap<String, String>;

/// The entries of `approvals`; their names are different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Approvals(pub(super) Vec<ApprovalRule>);

impl Approvals {
    /// The rules that hold a scan at this moment, and how long a person may take to agree; `None` where none does.
    pub(super) fn of(&self, scan: &AskedScan, now: Timestamp) -> Option<(HoldingRules, Duration)> {
        let holding: Vec<_> = self.0.iter().filter(|rule| rule.when.hold(scan, now)).collect();
        let expires_after = holding.iter().map(|rule| rule.expires_after).min()?;
        Some((holding.into_iter().map(|rule| (rule.name.clone(), rule.digest.clone())).collect(), expires_after))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::policy::Policy;

    /// The rules that hold a scan, on a Monday at noon in UTC.
    fn held(when: &str, scan: &AskedScan) -> bool {
        let key = crate::policy::ApprovalKey::of(&crate::policy::new_token());
        let text = format!(
            "approvals: [{{name: rule, when: {{{when}}}}}]\nclients:\n  - {{name: boss, role: approve, token_sha256: {}, approval_key: {key}}}\n",
            "00".repeat(32)
        );
        let policy = Policy::parse(&text, std::path::Path::new("policy.yaml"), &|_| None).unwrap();
        policy.approvals.of(scan, "2025-12-01T12:00:00Z".parse().unwrap()).is_some()
    }

    fn scan() -> AskedScan {
        let mut scan = AskedScan::new("d", "privileged", PoolName::new("nessus").unwrap(), "10.1.2.0/24,db.example");
        scan.asked_by = vec!["triage-agent".to_owned()];
        scan.template = Some("basic".to_owned());
        scan.login = AskedLogin::Stored("linux-root".to_owned());
        scan.addresses.insert("db.example".to_owned(), vec!["192.0.2.9".parse().unwrap()]);
        scan
    }

    #[rstest]
    #[case("scan_types: [privileged]", true)]
    #[case("scan_types: [authenticated_privileged]", true)]
    #[case("scan_types: [untrusted, trusted]", false)]
    #[case("targets: [10.1.2.77]", true)]
    #[case("targets: [192.0.2.0/24]", true)]
    #[case("targets: ['*.example']", true)]
    #[case("targets: [10.2.0.0/16, other.example]", false)]
    #[case("hosts_over: 256", true)]
    #[case("hosts_over: 257", false)]
    #[case("credentials: [linux-root]", true)]
    #[case("credentials: [inline, other]", false)]
    #[case("credentials: ['*']", true)]
    #[case("templates: [Basic]", true)]
    #[case("templates: [advanced]", false)]
    #[case("policies: ['*']", false)]
    #[case("pools: [nessus]", true)]
    #[case("pools: [lab]", false)]
    #[case("clients: [triage-agent]", true)]
    #[case("clients: ['user:alice']", false)]
    #[case("teams: [red]", false)]
    #[case("during: [{days: [mon-fri], from: \"08:00\", to: \"18:00\"}], time_zone: UTC", true)]
    #[case("during: [{days: [mon-fri], from: \"08:00\", to: \"18:00\"}], time_zone: Asia/Tokyo", false)]
    #[case("scan_types: [privileged], targets: [10.2.0.0/16]", false)]
    #[case("scan_types: [privileged], hosts_over: 16", true)]
    fn a_rule_holds_what_all_its_conditions_name(#[case] when: &str, #[case] expected: bool) {
        assert_eq!(held(when, &scan()), expected, "{when}");
    }

    #[test]
    fn what_is_not_known_of_a_scan_is_in_doubt_what_the_rule_goes_by() {
        let mut unknown = scan();
        unknown.asked_by.clear();
        assert!(held("clients: [somebody]", &unknown) && held("teams: [red]", &unknown));
        unknown.targets = "no target!".to_owned();
        assert!(held("hosts_over: 100000, targets: [203.0.113.1]", &unknown));
        let mut of_policy = scan();
        (of_policy.template, of_policy.login) = (None, AskedLogin::OfPolicy);
        of_policy.policy = vec!["12".to_owned()];
        assert!(held("policies: [PCI audit]", &of_policy), "its name is not known");
        assert!(held("credentials: ['*']", &of_policy) && !held("credentials: [linux-root]", &of_policy));
        of_policy.policy.push("Web audit".to_owned());
        assert!(!held("policies: [PCI audit]", &of_policy) && held("policies: [web audit]", &of_policy));
        assert!(!held("templates: [basic]", &of_policy));
    }
}
