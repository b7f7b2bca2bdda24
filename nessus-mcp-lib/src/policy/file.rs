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
//! max_hosts_per_day: 20000       # of all scans together, in UTC; without this key, any number
//! local: read                    # what this machine may do without a token; with `clients` nothing, unless this says so
//! visibility: team               # whose tasks clients may see: all (default), team or own
//! calls_per_minute: {read: 600, results: 120, change: 30}   # of each client; without this key, any number
//! clients:
//!   - name: triage-agent
//!     role: read                 # read, scan, approve or admin
//!     team: red                  # those that it works with
//!     token_sha256: 3f...        # `nessus-admin token new` prints it
//!     expires: 2027-06-30        # or an RFC 3339 time; default: never
//!     revoked: true              # its token is not taken; `nessus-admin token revoke` writes this
//!     pools: [lab]               # what it may use, within all of the above; without these keys, everything
//!     targets: [10.2.0.0/16]
//!     deny_targets: [10.2.9.0/24]
//!     scan_types: [untrusted, trusted]
//!     templates: [basic, discovery]
//!     policies: [Weekly audit]   # by name or id; default: all, or none beside `templates`
//!     credentials: [linux-audit] # ids of credentials.yaml
//!     inline_logins: false       # logins that come with a request; default: true, or false beside `credentials`
//!     max_scans_at_once: 3       # accepted and not ended
//!     max_scans_per_day: 50      # in UTC
//!     max_hosts_per_day: 2000
//!     toolsets: [status, results]        # the tools that it may use: those of these toolsets,
//!     tools: [get_scan_summary]          # of these the named ones,
//!     exclude_tools: [compare_scans]     # and not these
//!     calls_per_minute: {results: 60}    # where it differs from that of all
//!   - name: alice
//!     role: approve
//!     token_sha256: 7a...
//!     approval_key: c0...        # checks what is decided with the token; `nessus-admin token new` prints it
//!     also: ["user:alice"]       # other names of the same person, who agrees to nothing that they ask for
//! oauth:                         # access tokens of an identity provider
//!   issuer: https://idp.corp.example
//!   audience: https://scan.corp.example/mcp      # or a list
//!   roles:                       # the highest that a token has counts
//!     - {scope: "nessus:read", role: read}
//!     - {claim: groups, value: sec-team, role: scan}
//! windows:                       # when scans may begin; all entries that are for a scan must let it
//!   - allowed: [{days: [mon-fri], from: "22:00", to: "06:00"}, {days: [sat, sun]}]
//!     time_zone: Europe/Berlin
//!     at_end: pause              # default: continue
//!   - blackout: [{days: [sun], from: "02:00", to: "04:00"}]   # wins over `allowed`
//!     time_zone: UTC
//!     targets: [10.1.0.0/16]     # default: all
//!     pools: [nessus]            # default: all
//! approvals:                     # what a person must agree to; any rule of which all conditions hold
//!   - name: root-logins
//!     expires_after: 8h          # default: 24h
//!     when:                      # default: every scan
//!       scan_types: [privileged]
//!       targets: [10.1.0.0/16]   # that touch one of these
//!       hosts_over: 256
//!       credentials: [linux-root, inline]   # by id; inline: given with the request; "*": any
//!       templates: [advanced]
//!       policies: ["*"]          # any policy of the scanner
//!       pools: [nessus]
//!       clients: [triage-agent]
//!       teams: [red]
//!       during: [{days: [mon-fri], from: "08:00", to: "18:00"}]
//!       time_zone: Europe/Berlin
//! webhooks:                      # who is told what happens to tasks
//!   - name: tickets
//!     url: https://tickets.corp.example/hooks/scans
//!     secret_file: tickets.key   # or secret_env: NAME; signs what is sent
//!     events: [failed, timeout]  # default: all
//!     pools: [nessus]            # default: all
//!     clients: [triage-agent]    # whose tasks; default: everybody's
//!     allow_private: true        # may have a loopback, private or link-local address, and `http`; default: false
//!     allow_http: false          # `http` to public addresses as well
//!     ca_file: corp-ca.pem       # default: the authorities of this machine
//! ```

use std::{fs, path::Path};

use serde::Deserialize;

use super::{
    approval_file::RawApproval,
    clients::{Client, Clients, Role, client_name},
    oauth::{self, RawOAuth},
    rights::{keys_with_rights, parse_count},
    rules::{Policy, PolicyMode},
    target_rules::{AllowList, TargetRules},
    tool_rights::RawCallLimits,
    values::{RawWindow, any_name, parse_bool},
    webhook_file::RawWebhook,
    windows::{WindowRule, Windows, parse_zone},
};
use crate::{
    config::{ConfigError, Reader, Scalar, is_blank_yaml, parse_yaml},
    ids::PoolName,
    time::{Clock as _, SystemClock, Timestamp},
};

/// The keys of the file: every value a text, because any of them may be a `${VAR}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    mode: Option<Scalar>,
    allow: Option<Vec<Scalar>>,
    deny: Option<Vec<Scalar>>,
    max_hosts_per_scan: Option<Scalar>,
    max_hosts_per_day: Option<Scalar>,
    local: Option<Scalar>,
    visibility: Option<Scalar>,
    calls_per_minute: Option<RawCallLimits>,
    clients: Option<Vec<RawClient>>,
    oauth: Option<RawOAuth>,
    windows: Option<Vec<RawRule>>,
    approvals: Option<Vec<RawApproval>>,
    webhooks: Option<Vec<RawWebhook>>,
}

keys_with_rights! {
    /// The keys of an entry of `clients`.
    struct RawClient {
        name: Scalar,
        role: Scalar,
        team: Option<Scalar>,
        token_sha256: Scalar,
        expires: Option<Scalar>,
        approval_key: Option<Scalar>,
        also: Option<Vec<Scalar>>,
        revoked: Option<Scalar>,
    }
}

/// The keys of an entry of `windows`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    allowed: Option<Vec<RawWindow>>,
    blackout: Option<Vec<RawWindow>>,
    time_zone: Option<Scalar>,
    at_end: Option<Scalar>,
    targets: Option<Vec<Scalar>>,
    pools: Option<Vec<Scalar>>,
}

impl Policy {
    /// Reads and checks the file, with variables from the environment.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError::Setting {
            name: "settings.policy_config".to_owned(),
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
        let reader = Reader { path, prefix: String::new(), lookup };
        if is_blank_yaml(text) {
            let message = "the file has no keys: write `mode` and what is allowed or denied".to_owned();
            return Err(ConfigError::Syntax { path: path.to_owned(), line: 1, message });
        }
        let raw: RawPolicy = parse_yaml(text, path)?;
        let clients = reader.clients(raw.clients.unwrap_or_default())?;
        Ok(Self {
            mode: reader.value("mode", raw.mode, str::parse)?.unwrap_or(PolicyMode::Enforce),
            targets: TargetRules {
                client: None,
                allow: reader.targets("allow", raw.allow)?.map(AllowList::new),
                deny: reader.targets("deny", raw.deny)?.unwrap_or_default(),
            },
            max_hosts_per_scan: reader.value("max_hosts_per_scan", raw.max_hosts_per_scan, parse_count)?,
            max_hosts_per_day: reader.value("max_hosts_per_day", raw.max_hosts_per_day, parse_count)?,
            approvals: reader.approvals(raw.approvals.unwrap_or_default(), &clients, SystemClock.now())?,
            clients,
            local: reader.value("local", raw.local, str::parse)?,
            visibility: reader.value("visibility", raw.visibility, str::parse)?.unwrap_or_default(),
            calls_per_minute: reader.call_limits("calls_per_minute", raw.calls_per_minute)?,
            oauth: raw.oauth.map(|raw| oauth::read(&reader, raw)).transpose()?.map(Into::into),
            windows: reader.windows(raw.windows.unwrap_or_default())?,
            webhooks: reader.webhooks(raw.webhooks.unwrap_or_default())?,
            file: None,
        })
    }
}

/// What only this file has.
impl Reader<'_> {
    fn clients(&self, raw: Vec<RawClient>) -> Result<Clients, ConfigError> {
        let lines: Vec<_> = raw.iter().map(|client| (client.name.line, client.token_sha256.line)).collect();
        let clients = raw.into_iter().enumerate().map(|(at, mut raw)| {
            let key = |name: &str| format!("clients[{at}].{name}");
            let rights = raw.take_rights();
            let expires = self.value(&key("expires"), raw.expires, end_of)?;
            let team = self.value(&key("team"), raw.team, client_name)?.map(Into::into);
            let approval_key = self.value(&key("approval_key"), raw.approval_key, str::parse)?;
            let also = self.entries(&key("also"), raw.name.line, raw.also, any_name)?.into_iter().map(Into::into);
            let name = self.required(&key("name"), raw.name, client_name)?;
            Ok(Client {
                rights: self.rights(&format!("clients[{at}]"), &name, rights)?.into(),
                name: name.into(),
                role: self.required(&key("role"), raw.role, str::parse::<Role>)?,
                token: self.required(&key("token_sha256"), raw.token_sha256, str::parse)?,
                team,
                expires,
                approval_key,
                also: also.collect(),
                is_revoked: self.value(&key("revoked"), raw.revoked, parse_bool)?.unwrap_or(false),
            })
        });
        Clients::new(clients.collect::<Result<_, _>>()?).map_err(|(at, key)| {
            let line = lines.get(at).map_or(1, |(name, token)| if key == "name" { *name } else { *token });
            self.error(&format!("clients[{at}].{key}"), line, "is that of another client, too")
        })
    }

    /// The entries of `windows`, of which none may keep scans back for ever.
    fn windows(&self, raw: Vec<RawRule>) -> Result<Windows, ConfigError> {
        let mut lines = Vec::new();
        let mut rules = Vec::new();
        for (at, raw) in raw.into_iter().enumerate() {
            let key = format!("windows[{at}]");
            let days = raw.allowed.iter().chain(&raw.blackout).flatten().flat_map(|window| &window.days);
            let line = days.chain(&raw.time_zone).map(|scalar| scalar.line).min().unwrap_or(1);
            rules.push(self.window_rule(&key, line, raw)?);
            lines.push(line);
        }
        let windows = Windows(rules);
        match windows.never_open().as_deref() {
            None => Ok(windows),
            Some([at]) => Err(self.error(&format!("windows[{at}]"), lines[*at], "never lets a scan run")),
            Some(of_all) => {
                let named: Vec<_> = of_all.iter().map(|at| format!("windows[{at}]")).collect();
                let line = of_all.first().map_or(1, |at| lines[*at]);
                Err(self.error(&named.join("`, `"), line, "never let a scan run, all of them together"))
            }
        }
    }

    fn window_rule(&self, key: &str, line: u64, raw: RawRule) -> Result<WindowRule, ConfigError> {
        let name = |part: &str| format!("{key}.{part}");
        let zone = self.placed(&name("time_zone"), raw.time_zone, parse_zone)?;
        let missing = "is missing: name a time zone, such as Europe/Berlin or UTC";
        let zone = zone.ok_or_else(|| self.error(&name("time_zone"), line, missing))?;
        let allowed = self.window_list(&name("allowed"), raw.allowed.unwrap_or_default())?;
        let blackout = self.window_list(&name("blackout"), raw.blackout.unwrap_or_default())?;
        if allowed.is_empty() && blackout.is_empty() {
            return Err(self.error(key, line, "has no windows: write some under `allowed` or `blackout`"));
        }
        let at_end = self.placed(&name("at_end"), raw.at_end, |text| match text {
            "continue" => Ok(false),
            "pause" => Ok(true),
            _ => Err("must be `continue` or `pause`".to_owned()),
        })?;
        let targets = self.targets(&name("targets"), raw.targets)?;
        let pools = raw.pools.into_iter().flatten().enumerate().filter_map(|(at, pool)| {
            let parse = |text: &str| PoolName::new(text).map_err(|error| format!("is no name of a pool: {error}"));
            self.placed(&format!("{key}.pools[{at}]"), Some(pool), parse).transpose()
        });
        Ok(WindowRule {
            zone,
            allowed,
            blackout,
            pauses: at_end.unwrap_or(false),
            targets: targets.map(|targets| targets.into_iter().map(|rule| rule.set).collect()),
            pools: pools.collect::<Result<_, _>>()?,
        })
    }
}

/// The end of a token: a time, or the end of a day in UTC.
fn end_of(text: &str) -> Result<Timestamp, String> {
    let day = Timestamp::begin_of_utc_day(text).map(Timestamp::end_of_utc_day);
    let time = text.parse::<Timestamp>();
    time.or(day).map_err(|_| "must be a day such as 2027-06-30, or a time such as 2027-06-30T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::policy::Rights;

    fn parse(text: &str) -> Result<Policy, ConfigError> {
        Policy::parse(text, Path::new("policy.yaml"), &|name| (name == "OFFICE").then(|| "10.1.0.0/16".to_owned()))
    }

    #[test]
    fn the_keys_are_read() {
        let policy = parse(
            "mode: dry_run\nallow: [10.0.0.0/8, \"*.corp.example\"]\ndeny:\n  - ${OFFICE}\n  - db.corp.example\n\
             max_hosts_per_scan: 4096\nmax_hosts_per_day: 20000\n",
        )
        .unwrap();
        assert_eq!((policy.mode, policy.max_hosts_per_scan), (PolicyMode::DryRun, Some(4096)));
        assert_eq!(policy.max_hosts_per_day(), Some(20_000));
        assert_eq!(parse("mode: off\nmax_hosts_per_day: 20000").unwrap().max_hosts_per_day(), None);
        assert_eq!(
            policy.targets.deny.iter().map(|rule| rule.text.as_str()).collect::<Vec<_>>(),
            ["10.1.0.0/16", "db.corp.example"]
        );
        assert_eq!(parse("deny: [10.0.0.1]").unwrap().mode, PolicyMode::Enforce, "what is written is meant");
        assert_eq!(parse("mode: off").unwrap(), Policy::default());
    }

    #[test]
    fn the_example_has_no_effect_until_it_is_uncommented_and_then_has_every_key() {
        let example = include_str!("policy.example.yaml");
        assert!(parse(example).unwrap_err().to_string().contains("no keys"));
        let used = |line: &str| line.strip_prefix('#').filter(|line| !line.starts_with('#')).map(str::to_owned);
        let policy = parse(&example.lines().filter_map(used).collect::<Vec<_>>().join("\n")).unwrap();
        assert!(
            policy.targets.allow.is_some() && !policy.targets.deny.is_empty() && policy.max_hosts_per_scan.is_some(),
            "{policy:?}"
        );
        assert!(policy.max_hosts_per_day().is_some(), "{policy:?}");
        assert!(policy.local.is_some() && policy.clients().len() == 2, "{policy:?}");
        let rights = &policy.clients()[0].rights;
        let lists = [&rights.scan_types, &rights.templates, &rights.policies, &rights.credentials];
        assert!(rights.pools.is_some() && lists.iter().all(|list| list.is_some()) && rights.inline_logins.is_some());
        assert!(rights.targets.allow.is_some() && !rights.targets.deny.is_empty(), "{rights:?}");
        let limits = [rights.max_scans_at_once, rights.max_scans_per_day, rights.max_hosts_per_day];
        assert!(limits.iter().all(Option::is_some), "{rights:?}");
        assert!(policy.clients()[1].approval_key.is_some() && !policy.clients()[1].also.is_empty(), "{policy:?}");
        assert!(!policy.windows.0.is_empty() && policy.approval_rules().count() > 0, "{policy:?}");
        assert!(policy.oauth().is_some(), "{policy:?}");
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
    #[case("max_hosts_per_day: many\n", "policy.yaml:1: `max_hosts_per_day` must be a whole number from 1 on")]
    #[case("max_hosts_a_day: 5\n", "policy.yaml:1: unknown key `max_hosts_a_day`, did you mean `max_hosts_per_day`?")]
    #[case(
        "windows:\n  - allowed: [{days: [mon]}]\n    time_zone: Europe/Berln\n",
        "policy.yaml:3: `windows[0].time_zone` is no time zone, did you mean `Europe/Berlin`? (column 16)"
    )]
    #[case("windows: [{blackout: [{days: [mon]}], time_zone: lima}]", "did you mean `America/Lima`? (column 50)")]
    #[case("windows:\n  - allowed:\n      - days: [mon]\n", "policy.yaml:3: `windows[0].time_zone` is missing")]
    #[case("windows: [{time_zone: UTC}]", "policy.yaml:1: `windows[0]` has no windows")]
    #[case("windows: [{allowed: [{days: []}], time_zone: UTC}]", "`windows[0].allowed[0].days` is empty")]
    #[case("windows: [{allowed: [{days: [mon, fry]}], time_zone: UTC}]", "`windows[0].allowed[0].days[1]` is no day")]
    #[case(
        "windows: [{allowed: [{days: [mon], from: 25:00}], time_zone: UTC}]",
        "`windows[0].allowed[0].from` is no time of a day"
    )]
    #[case(
        "windows: [{allowed: [{days: [mon], from: \"22\"}], time_zone: UTC}]",
        "is no time of a day: write it as 22:00"
    )]
    #[case(
        "windows: [{allowed: [{days: [mon], from: 02:00, to: 02:00}], time_zone: UTC}]",
        "`windows[0].allowed[0]` begins where it ends"
    )]
    #[case(
        "windows: [{allowed: [{days: [mon]}], time_zone: UTC, at_end: stop}]",
        "`windows[0].at_end` must be `continue` or `pause` (column "
    )]
    #[case("windows: [{allowed: [{day: [mon]}], time_zone: UTC}]", "unknown key `day`, did you mean `days`?")]
    #[case(
        "windows: [{allowed: [{days: [mon]}], time_zone: UTC, pools: [\"a b\"]}]",
        "`windows[0].pools[0]` is no name of a pool"
    )]
    #[case(
        "windows: [{allowed: [{days: [mon]}], time_zone: UTC, targets: [10.0.0.0/40]}]",
        "`windows[0].targets[0]` is no target"
    )]
    #[case(
        "mode: off\nwindows:\n  - allowed: [{days: [mon]}]\n    blackout: [{days: [sun-tue]}]\n    time_zone: UTC\n",
        "policy.yaml:3: `windows[0]` never lets a scan run"
    )]
    #[case(
        "windows:\n  - {allowed: [{days: [mon]}], time_zone: UTC}\n  - {allowed: [{days: [wed]}], time_zone: Asia/Tokyo}\n",
        "policy.yaml:2: `windows[0]`, `windows[1]` never let a scan run, all of them together"
    )]
    #[case("mode: off\nmode: enforce\n", "policy.yaml:2:")]
    #[case("allow: 10.0.0.0/8\n", "policy.yaml:1:")]
    #[case("- mode\n", "policy.yaml:1:")]
    #[case("mode: [\n", "policy.yaml:")]
    fn a_mistake_is_named_with_line_and_key(#[case] text: &str, #[case] expected: &str) {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.contains(expected) && !message.contains('\n'), "{message}");
    }

    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn clients_are_known_by_their_tokens() {
        let policy = parse(&format!(
            "local: read\nclients:\n  - {{name: desk@example, role: scan, token_sha256: {HASH}, expires: 2027-06-30}}\n"
        ))
        .unwrap();
        let at = |text: &str| policy.authenticate("test", text.parse().unwrap());
        let found = at("2027-06-30T23:59:59Z").unwrap();
        assert_eq!((&*found.name, found.role), ("desk@example", Role::Scan));
        assert!(at("2027-07-01T00:00:00Z").is_err() && policy.authenticate(HASH, Timestamp::from_millis(0)).is_err());
        assert_eq!(policy.local_role(), Some(Role::Read));
        let silent = parse(&format!("clients: [{{name: a, role: read, token_sha256: {HASH}}}]")).unwrap();
        assert_eq!((silent.local_role(), parse("mode: off").unwrap().local_role()), (None, Some(Role::Scan)));
    }

    #[test]
    fn a_client_may_do_what_its_keys_say_and_without_them_everything() {
        let rights = |keys: &str| {
            let policy = parse(&format!("clients: [{{name: a, role: scan, token_sha256: {HASH}{keys}}}]")).unwrap();
            policy.clients()[0].rights.clone()
        };
        let free = rights("");
        assert_eq!(*free, Rights { targets: free.targets.clone(), ..Rights::default() });
        assert!(free.targets.is_empty() && free.allows_policy("Weekly", "4") && free.allows_inline_logins());
        let bound = rights(
            ", pools: [lab], targets: [10.2.0.0/16], deny_targets: [10.2.9.0/24], scan_types: [untrusted], \
             templates: [basic], policies: [Weekly, \"9\"], credentials: [audit], max_scans_at_once: 3, \
             max_scans_per_day: 50, max_hosts_per_day: 2000",
        );
        let pool = |name| PoolName::new(name).unwrap();
        assert!(bound.allows_pool(&pool("lab")) && !bound.allows_pool(&pool("nessus")));
        assert!(bound.allows_scan_type("untrusted") && !bound.allows_scan_type("privileged"));
        assert!(bound.allows_template("basic") && !bound.allows_template("advanced"));
        assert!(bound.allows_policy("Weekly", "4") && bound.allows_policy("Other", "9"));
        assert!(!bound.allows_policy("weekly", "4") && bound.allows_logins_of_policies());
        assert!(bound.allows_credential("audit") && !bound.allows_credential("root") && !bound.allows_inline_logins());
        let limits = (bound.max_scans_at_once, bound.max_scans_per_day, bound.max_hosts_per_day);
        assert_eq!(limits, (Some(3), Some(50), Some(2000)));
        assert!(!rights(", templates: [basic]").allows_policy("Weekly", "4"));
        assert!(
            !rights(", credentials: []").allows_logins_of_policies()
                && !rights(", policies: []").allows_policy("a", "1")
        );
        assert!(rights(", credentials: [], inline_logins: true").allows_inline_logins());
    }

    #[rstest]
    #[case("name: a, role: root", "policy.yaml:2: `clients[0].role` must be `read`, `scan`, `approve` or `admin`")]
    #[case("name: local, role: read", "policy.yaml:2: `clients[0].name` is the name of whoever is on this machine")]
    #[case("name: a, role: read, team: a b", "policy.yaml:2: `clients[0].team` must have 1 to 64 letters")]
    #[case("name: a b, role: read", "policy.yaml:2: `clients[0].name` must have 1 to 64 letters")]
    #[case("name: \"\", role: read", "policy.yaml:2: `clients[0].name` must have 1 to 64 letters")]
    #[case("name: a, role: read, expires: soon", "policy.yaml:2: `clients[0].expires` must be a day")]
    #[case("name: a, role: read, expire: 2027-01-01", "unknown key `expire`, did you mean `expires`?")]
    #[case("role: read", "policy.yaml:2:")]
    #[case("name: a, role: scan, pools: []", "`clients[0].pools` is empty: leave it out")]
    #[case("name: a, role: scan, pools: [\"a b\"]", "policy.yaml:2: `clients[0].pools[0]` is no name of a pool")]
    #[case("name: a, role: scan, pool: [lab]", "unknown key `pool`, did you mean `pools`?")]
    #[case("name: a, role: scan, targets: [10.0.0.0/33]", "policy.yaml:2: `clients[0].targets[0]` is no target")]
    #[case("name: a, role: scan, deny_targets: []", "`clients[0].deny_targets` is empty")]
    #[case("name: a, role: scan, scan_types: [trusted, root]", "`clients[0].scan_types[1]` must be one of `untrusted`")]
    #[case("name: a, role: scan, templates: []", "`clients[0].templates` is empty")]
    #[case("name: a, role: scan, credentials: [\"\"]", "policy.yaml:2: `clients[0].credentials[0]` is empty")]
    #[case("name: a, role: scan, inline_logins: maybe", "`clients[0].inline_logins` must be `true` or `false`")]
    #[case("name: a, role: scan, max_scans_at_once: 0", "`clients[0].max_scans_at_once` must be a whole number from 1")]
    #[case("name: a, role: scan, max_scans_a_day: 3", "did you mean `max_scans_per_day`?")]
    #[case("name: a, role: scan, max_hosts_per_day: many", "`clients[0].max_hosts_per_day` must be a whole number")]
    fn a_mistake_in_a_client_is_named(#[case] keys: &str, #[case] expected: &str) {
        let message = parse(&format!("clients:\n  - {{{keys}, token_sha256: {HASH}}}\n")).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn a_token_in_the_place_of_its_hash_is_refused_and_not_repeated() {
        let token = crate::policy::new_token();
        let text = format!("clients:\n  - name: a\n    role: read\n    token_sha256: {}\n", token.expose());
        let message = parse(&text).unwrap_err().to_string();
        assert!(message.contains("policy.yaml:4: `clients[0].token_sha256` is a token"), "{message}");
        assert!(!message.contains(token.expose()), "{message}");
        let twice = format!(
            "clients:\n  - {{name: a, role: read, token_sha256: {HASH}}}\n  - {{name: b, role: read, token_sha256: {HASH}}}\n"
        );
        let message = parse(&twice).unwrap_err().to_string();
        assert!(message.contains("policy.yaml:3: `clients[1].token_sha256` is that of another client"), "{message}");
    }

    #[test]
    fn a_file_that_is_missing_is_named_with_the_setting() {
        let message = Policy::load(Path::new("/no/such/policy.yaml")).unwrap_err().to_string();
        assert!(message.starts_with("`settings.policy_config` names the file `/no/such/policy.yaml`"), "{message}");
    }
}
