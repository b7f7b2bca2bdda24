//! The entries of `webhooks` in `policy.yaml`.

use serde::Deserialize;
use url::{Host, Url};

use super::{
    clients::client_name,
    values::{any_name, parse_bool, pool_name},
    webhook::{HookEvent, NoKey, Webhook},
    webhook_address::forbidden,
};
use crate::{
    config::{ConfigError, Reader, Scalar, certificates_in, not_empty, password_in},
    error::counted,
    secret::Secret,
};

/// The most webhooks: each is a label of metrics.
const MOST: usize = 32;
/// The most bytes of a URL.
const MOST_URL: usize = 2048;
/// The fewest bytes of a key: what is shorter can be guessed.
const SHORTEST_KEY: usize = 16;

/// The keys of an entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWebhook {
    name: Scalar,
    url: Scalar,
    secret_file: Option<Scalar>,
    secret_env: Option<Scalar>,
    events: Option<Vec<Scalar>>,
    pools: Option<Vec<Scalar>>,
    clients: Option<Vec<Scalar>>,
    allow_private: Option<Scalar>,
    allow_http: Option<Scalar>,
    ca_file: Option<Scalar>,
}

impl Reader<'_> {
    /// The webhooks, of which no two have one name.
    pub(super) fn webhooks(&self, raw: Vec<RawWebhook>) -> Result<Vec<Webhook>, ConfigError> {
        let mut webhooks: Vec<Webhook> = Vec::new();
        for (at, raw) in raw.into_iter().enumerate() {
            let (key, line) = (format!("webhooks[{at}]"), raw.name.line);
            if cfg!(not(feature = "webhooks")) {
                return Err(self.error(
                    &key,
                    line,
                    "cannot be told anything: this program was built without `webhooks`",
                ));
            }
            if at == MOST {
                let message = format!("is one too many: there may be {}", counted(MOST as u64, "webhook", "webhooks"));
                return Err(self.error(&key, line, &message));
            }
            let webhook = self.webhook(&key, raw)?;
            if webhooks.iter().any(|other| other.name == webhook.name) {
                return Err(self.error(&format!("{key}.name"), line, "is that of another webhook, too"));
            }
            webhooks.push(webhook);
        }
        Ok(webhooks)
    }

    fn webhook(&self, key: &str, raw: RawWebhook) -> Result<Webhook, ConfigError> {
        let (line, name) = (raw.name.line, |part: &str| format!("{key}.{part}"));
        let allow_private = self.placed(&name("allow_private"), raw.allow_private, parse_bool)?.unwrap_or(false);
        let allow_http = self.placed(&name("allow_http"), raw.allow_http, parse_bool)?.unwrap_or(false);
        let url = self.required(&name("url"), raw.url, |text| checked_url(text, allow_private, allow_http))?;
        let events = self.entries(&name("events"), line, raw.events, str::parse::<HookEvent>)?;
        let has = |list: &Option<Vec<Scalar>>| list.is_some();
        let (has_pools, has_clients) = (has(&raw.pools), has(&raw.clients));
        let pools = self.entries(&name("pools"), line, raw.pools, pool_name)?;
        let clients = self.entries(&name("clients"), line, raw.clients, any_name)?;
        Ok(Webhook {
            name: self.required(&name("name"), raw.name, client_name)?,
            address: url[..url::Position::BeforePath].to_owned(),
            url: Secret::new(url),
            key: self.webhook_key(key, line, raw.secret_file, raw.secret_env)?,
            events: if events.is_empty() { HookEvent::ALL.to_vec() } else { events },
            pools: has_pools.then_some(pools),
            clients: has_clients.then_some(clients),
            allow_private,
            ca_certificates: self.value(&name("ca_file"), raw.ca_file, |path| certificates_in(self.path, path))?,
        })
    }

    /// The key, or why it is not known here: whoever only reads the policy need not have it.
    fn webhook_key(
        &self,
        key: &str,
        line: u64,
        file: Option<Scalar>,
        variable: Option<Scalar>,
    ) -> Result<Result<Secret, NoKey>, ConfigError> {
        let (name, raw) = match (file, variable) {
            (Some(file), None) => ("secret_file", file),
            (None, Some(variable)) => ("secret_env", variable),
            (Some(_), Some(variable)) => {
                let message = "stands beside `secret_file`: give only one of them";
                return Err(self.error(&format!("{key}.secret_env"), variable.line, message));
            }
            (None, None) => {
                let message = "has no key: name a file with `secret_file`, or a variable of the environment with \
                               `secret_env`";
                return Err(self.error(key, line, message));
            }
        };
        let (named, line) = (format!("{key}.{name}"), raw.line);
        let source = self.required(&named, raw, not_empty)?;
        let read = if name == "secret_file" { password_in(self.path, &source) } else { self.variable(&source) };
        let long = read.and_then(|secret| match secret.expose().len() {
            SHORTEST_KEY.. => Ok(secret),
            _ => Err(format!("names a key that is too short: it must have at least {SHORTEST_KEY} bytes")),
        });
        Ok(long.map_err(|message| NoKey(self.error(&named, line, &message))))
    }

    fn variable(&self, name: &str) -> Result<Secret, String> {
        let value = (self.lookup)(name).filter(|value| !value.is_empty()).map(Secret::new);
        value.ok_or_else(|| format!("names the environment variable `{name}`, which is not set"))
    }
}

/// An address that a webhook may have, as far as it can be told without a lookup.
fn checked_url(text: &str, allow_private: bool, allow_http: bool) -> Result<Url, String> {
    if text.len() > MOST_URL {
        return Err(format!("is too long: it may have {MOST_URL} bytes"));
    }
    let url = Url::parse(text).map_err(|error| format!("is no URL such as https://host/path: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private || allow_http => {}
        "http" => return Err("must begin with `https://`; `allow_http: true` allows what others can read".to_owned()),
        _ => return Err("must begin with `https://`".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a login".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not contain a fragment".to_owned());
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let is_local = name == "localhost" || name.ends_with(".localhost");
            is_local.then_some(std::net::Ipv4Addr::LOCALHOST.into())
        }
        None => return Err("must name a host".to_owned()),
    };
    match address.and_then(|address| forbidden(address, allow_private)) {
        Some(kind) if forbidden_always(address) => Err(format!("names a {kind} address, which no webhook may have")),
        Some(kind) => Err(format!("names a {kind} address: `allow_private: true` allows one")),
        None => Ok(url),
    }
}

fn forbidden_always(address: Option<std::net::IpAddr>) -> bool {
    address.and_then(|address| forbidden(address, true)).is_some()
}

#[cfg(test)]
#[cfg(feature = "webhooks")]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;
    use crate::{ids::PoolName, policy::Policy};

    fn parse(entry: &str) -> Result<Policy, String> {
        let text = format!("mode: \"off\"\nwebhooks:\n  - {entry}\n");
        let lookup = |name: &str| (name == "KEY").then(|| "0123456789abcdef-planted".to_owned());
        Policy::parse(&text, Path::new("policy.yaml"), &lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn the_keys_are_read_and_nothing_secret_is_shown() {
        let policy = parse(
            "{name: tickets, url: \"https://tickets.example:8443/hooks/planted\", secret_env: KEY, events: [failed, \
             timeout], pools: [lab], clients: [ci]}",
        )
        .unwrap();
        let [webhook] = policy.webhooks() else { panic!("{policy:?}") };
        assert_eq!(webhook.address, "https://tickets.example:8443");
        assert!(!format!("{policy:?}").contains("planted"), "{policy:?}");
        let (lab, other) = (PoolName::new("lab").unwrap(), PoolName::new("other").unwrap());
        assert!(webhook.wants(HookEvent::Failed, &lab, Some("ci")));
        assert!(!webhook.wants(HookEvent::Completed, &lab, Some("ci")));
        assert!(!webhook.wants(HookEvent::Failed, &other, Some("ci")));
        assert!(!webhook.wants(HookEvent::Failed, &lab, Some("someone")));
        assert!(!webhook.wants(HookEvent::Failed, &lab, None));
        let policy = parse("{name: all, url: \"https://tickets.example\", secret_env: KEY}").unwrap();
        assert!(HookEvent::ALL.iter().all(|event| policy.webhooks()[0].wants(*event, &other, None)));
    }

    /// Whoever only decides about scans, or cancels one, need not have the keys of webhooks.
    #[test]
    fn a_key_that_is_missing_is_said_to_whoever_needs_it() {
        for (key, expected) in [
            ("secret_env: NONE", "policy.yaml:3: `webhooks[0].secret_env` names the environment variable `NONE`"),
            ("secret_file: none", "policy.yaml:3: `webhooks[0].secret_file` names the file `none`"),
        ] {
            let policy = parse(&format!("{{name: a, url: \"https://a.example\", {key}}}")).unwrap();
            let message = policy.webhooks()[0].key.as_ref().unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        let lookup = |_: &str| Some("short".to_owned());
        let text = "webhooks: [{name: a, url: \"https://a.example\", secret_env: KEY}]";
        let policy = Policy::parse(text, Path::new("policy.yaml"), &lookup).unwrap();
        let message = policy.webhooks()[0].key.as_ref().unwrap_err().to_string();
        assert!(message.contains("too short") && !message.contains("`short`"), "{message}");
    }

    #[rstest]
    #[case("", "has no key: name a file")]
    #[case("secret_env: KEY, secret_file: x", "policy.yaml:3: `webhooks[0].secret_env` stands beside `secret_file`")]
    #[case(
        "secret_env: KEY, events: [complete]",
        "`webhooks[0].events[0]` is no event: `complete`; the events are: completed,"
    )]
    #[case("secret_env: KEY, events: []", "`webhooks[0].events` is empty")]
    #[case("secret_env: KEY, pools: [a b]", "`webhooks[0].pools[0]` is no name of a pool")]
    #[case("secret_env: KEY, allow_private: yess", "`webhooks[0].allow_private` must be `true` or `false`")]
    #[case("secret_env: KEY, ca_file: none.pem", "`webhooks[0].ca_file` names the file `none.pem`")]
    #[case("secret_env: KEY, event: [failed]", "policy.yaml:3: unknown key `event`, did you mean `events`?")]
    fn a_mistake_is_named_with_line_and_key(#[case] more: &str, #[case] expected: &str) {
        let message = parse(&format!("{{name: a, url: \"https://a.example\", {more}}}")).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }

    #[rstest]
    #[case("http://a.example/x", "must begin with `https://`; `allow_http: true` allows")]
    #[case("ftp://a.example/x", "must begin with `https://`")]
    #[case("a.example", "is no URL such as https://host/path")]
    #[case("https://me:word@a.example", "must not contain a login")]
    #[case("https://a.example/#x", "must not contain a fragment")]
    #[case("https://127.0.0.1/x", "names a loopback address: `allow_private: true` allows one")]
    #[case("https://localhost/x", "names a loopback address")]
    #[case("https://a.localhost./x", "names a loopback address")]
    #[case("https://2130706433/x", "names a loopback address")]
    #[case("https://0x7f.1/x", "names a loopback address")]
    #[case("https://0177.0.0.1/x", "names a loopback address")]
    #[case("https://127.1/x", "names a loopback address")]
    #[case("https://[::ffff:127.0.0.1]/x", "names a loopback address")]
    #[case("https://[::1]/x", "names a loopback address")]
    #[case("https://169.254.169.254/latest", "names a link-local address")]
    #[case("https://10.1.1.1/x", "names a private address")]
    #[case("https://0.0.0.0/x", "names a wildcard address, which no webhook may have")]
    #[case("https://224.0.0.1/x", "names a multicast address, which no webhook may have")]
    fn an_address_that_may_not_be_is_refused(#[case] url: &str, #[case] expected: &str) {
        let message = parse(&format!("{{name: a, url: \"{url}\", secret_env: KEY}}")).unwrap_err();
        assert!(message.starts_with("policy.yaml:3: `webhooks[0].url` ") && message.contains(expected), "{message}");
        assert!(!message.contains("word"), "{message}");
    }

    #[rstest]
    #[case("http://127.0.0.1:9/x", "allow_private: true", "http://127.0.0.1:9")]
    #[case("http://10.0.0.1/x", "allow_private: true", "http://10.0.0.1")]
    #[case("http://a.example/x", "allow_http: true", "http://a.example")]
    #[case("https://A.example:443/x?token=1", "allow_private: false", "https://a.example")]
    fn what_is_allowed_is_taken(#[case] url: &str, #[case] more: &str, #[case] address: &str) {
        let policy = parse(&format!("{{name: a, url: \"{url}\", secret_env: KEY, {more}}}")).unwrap();
        assert_eq!(policy.webhooks()[0].address, address);
    }

    #[test]
    fn two_of_one_name_and_too_many_are_refused() {
        let entry = |name: &str| format!("  - {{name: {name}, url: \"https://a.example\", secret_env: KEY}}\n");
        let text =
            |names: &[String]| format!("webhooks:\n{}", names.iter().map(|name| entry(name)).collect::<String>());
        let parse =
            |text: &str| Policy::parse(text, Path::new("policy.yaml"), &|_| None).map_err(|error| error.to_string());
        let message = parse(&text(&["a".to_owned(), "a".to_owned()])).unwrap_err();
        assert!(message.contains("policy.yaml:3: `webhooks[1].name` is that of another webhook, too"), "{message}");
        let names: Vec<_> = (0..=MOST).map(|number| format!("n{number}")).collect();
        assert_eq!(parse(&text(&names[..MOST])).unwrap().webhooks().len(), MOST);
        let message = parse(&text(&names)).unwrap_err();
        assert!(message.contains("`webhooks[32]` is one too many: there may be 32 webhooks"), "{message}");
    }
}
