//! What is kept of a host.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::{Timestamp, civil::DateTime, fmt::strtime};
use roxmltree::Node;
use serde_json::{Map, Value, json};

use super::{item::typed, machines::Evidence, names, spelling, table::Type};

/// Tags that are fields, in the order of preference of those that say the same.
const TAGS: [(&str, &str, Type); 10] = [
    ("host-ip", "host_ip", Type::Text),
    ("host-fqdn", "host_fqdn", Type::Text),
    ("host-rdns", "host_rdns", Type::Text),
    ("hostname", "hostname", Type::Text),
    ("operating-system", "operating_system", Type::Text),
    ("netbios-name", "netbios_name", Type::Text),
    ("mac-address", "mac_address", Type::Text),
    ("Credentialed_Scan", "credentialed", Type::Boolean),
    ("HOST_START", "host_start", Type::Date),
    ("HOST_END", "host_end", Type::Date),
];

/// A host and its properties so far.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    name: String,
    tags: Vec<(String, String)>,
}

impl Host {
    pub(crate) fn named(name: String) -> Self {
        Self { name, tags: Vec::new() }
    }

    /// Takes a tag; one without a value says nothing.
    pub(crate) fn take(&mut self, tag: Node<'_, '_>) {
        let (name, value) = (names::attribute(tag, "name").unwrap_or_default(), names::text(tag));
        let is_text =
            !matches!(TAGS.iter().find(|(tag, ..)| name.starts_with(tag)), Some((.., Type::Boolean | Type::Date)));
        if !value.is_empty() && (is_text || !spelling::is_nothing(&value)) {
            self.tags.push((name, value));
        }
    }

    /// What tells which machine it is.
    pub(crate) fn evidence(&self) -> Evidence {
        let address = |text: &str| text.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let mut names: Vec<String> = ["host-fqdn", "host-rdns", "hostname"]
            .into_iter()
            .filter_map(|tag| self.last(tag))
            .map(str::to_owned)
            .collect();
        names.extend(self.last("netbios-name").and_then(|name| name.rsplit('\\').next()).map(str::to_owned));
        let listed = self.last("host-fqdns").map(listed).unwrap_or_default();
        names.extend(listed.iter().filter_map(|name| name.as_str().map(str::to_owned)));
        Evidence {
            name: self.name.clone(),
            address: self.last("host-ip").and_then(address).or_else(|| address(&self.name)),
            names,
        }
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.tags.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The fields of the host in every one of its items.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("host".to_owned(), json!(Some(&self.name).filter(|name| !name.is_empty())));
        if self.name.parse::<IpAddr>().is_ok() {
            fields.insert("host_ip".to_owned(), json!(self.name));
        }
        if let Some(list) = self.last("host-fqdns").map(listed).filter(|list| !list.is_empty()) {
            fields.insert("host_fqdns".to_owned(), Value::Array(list));
        }
        for (tag, name, kind) in TAGS {
            if kind == Type::Date {
                fields.extend(self.time(tag).map(|time| (name.to_owned(), json!(time))));
            } else if let Some(value) = self.last(tag) {
                let value = typed(name, kind, value, &mut BTreeMap::new());
                fields.extend(value.map(|value| (name.to_owned(), value)));
            }
        }
        fields
    }

    /// When a scan of the host began or ended: the last time that says its zone, else the first that does not.
    fn time(&self, tag: &str) -> Option<String> {
        let exact = format!("{tag}_TIMESTAMP");
        let times = self.tags.iter().filter(|(name, _)| name == tag || *name == exact).map(|(_, value)| value.trim());
        let mut zoned = times.clone().filter_map(|time| {
            let seconds = time.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
            let time = seconds.or_else(|| time.parse().ok())?;
            // To the millisecond, and without a fraction where there is none.
            let time = Timestamp::from_millisecond(time.as_millisecond()).unwrap();
            Some(format!("{time:.3}").replace(".000Z", "Z"))
        });
        let local = |time: &str| {
            let time: DateTime = strtime::parse("%a %b %d %H:%M:%S %Y", time).ok()?.to_datetime().ok()?;
            Some(time.to_string())
        };
        zoned.next_back().or_else(|| times.clone().next().map(|time| local(time).unwrap_or_else(|| time.to_owned())))
    }
}

/// The names of a list such as `[{"FQDN": "a.example"}]`; a text of another form is the only one.
fn listed(text: &str) -> Vec<Value> {
    let shown = |name: &str| typed("host_fqdns", Type::Text, name, &mut BTreeMap::new());
    let name = |entry: &Value| entry.as_str().or_else(|| entry["FQDN"].as_str()).map(str::to_owned);
    let names: Option<Vec<String>> =
        serde_json::from_str::<Vec<Value>>(text).ok().and_then(|list| list.iter().map(name).collect());
    match names {
        Some(names) => names.iter().filter_map(|name| shown(name)).collect(),
        None => shown(text).into_iter().collect(),
    }
}
