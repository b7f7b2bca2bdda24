//! The answers of the Nessus API as far as this client reads them.
//!
//! Every field is optional and read leniently (see `lenient`), down to the elements of lists. What must be there is checked
//! where it is used. Of what may be large only what is needed is kept: counts of hosts, and of all scans those looked for.
//! Source of the shapes: Tenable's `/api` document of Nessus 10.12 and wire recordings of older versions.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use super::lenient::{Each, Elements, flag, list, number, object, text, value};
use crate::{
    ids::ScanId,
    scanner::interface::{MarkedScan, name_carries},
};

/// `POST /session`.
#[derive(Deserialize)]
pub(super) struct Login {
    #[serde(default, deserialize_with = "text")]
    pub(super) token: Option<String>,
}

/// `GET /server/status`.
#[derive(Debug, Deserialize)]
pub(super) struct ServerStatus {
    #[serde(default, deserialize_with = "text")]
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) progress: Option<u64>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) must_destroy_session: Option<bool>,
}

/// `GET /server/properties`.
#[derive(Debug, Deserialize)]
pub(super) struct Properties {
    #[serde(default, deserialize_with = "text")]
    pub(super) nessus_type: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) nessus_ui_version: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) server_version: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) loaded_plugin_set: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) plugin_set: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) used_ip_count: Option<u64>,
    #[serde(default, deserialize_with = "object")]
    pub(super) license: Option<License>,
}

/// The licence within [`Properties`].
#[derive(Debug, Deserialize)]
pub(super) struct License {
    /// Such as `manager`.
    #[serde(rename = "type", default, deserialize_with = "text")]
    pub(super) kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) ips: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) expiration_date: Option<u64>,
    #[serde(default, deserialize_with = "object")]
    pub(super) features: Option<Features>,
}

/// What the licence allows.
#[derive(Debug, Deserialize)]
pub(super) struct Features {
    #[serde(default, deserialize_with = "flag")]
    pub(super) scan_api: Option<bool>,
}

/// `GET /editor/scan/templates`.
#[derive(Debug, Deserialize)]
pub(super) struct Templates {
    #[serde(default, deserialize_with = "list")]
    pub(super) templates: Option<Vec<Template>>,
}

/// One scan template; its icon (most of the answer) is skipped.
#[derive(Debug, Deserialize)]
pub(super) struct Template {
    #[serde(default, deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) title: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) uuid: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) unsupported: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) license_fulfilled: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) is_agent: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) manager_only: Option<bool>,
}

/// `GET /policies`.
#[derive(Debug, Deserialize)]
pub(super) struct Policies {
    /// Empty for `null`; `None` for what is no list.
    #[serde(default, deserialize_with = "list_or_null")]
    pub(super) policies: Option<Vec<Policy>>,
}

fn list_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Policy>>, D::Error> {
    let mut policies = Vec::new();
    let seen = Each::new(|policy| policies.push(policy)).deserialize(deserializer)?;
    Ok(seen.filter(|seen| seen.read == seen.all).map(|_| policies))
}

/// A policy within [`Policies`].
#[derive(Debug, Deserialize)]
pub(super) struct Policy {
    #[serde(default, deserialize_with = "number")]
    pub(super) id: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) template_uuid: Option<String>,
}

/// `GET /policies/{id}`, as far as its credentials go.
#[derive(Debug, Deserialize)]
pub(super) struct PolicyDetails {
    #[serde(default, deserialize_with = "value")]
    credentials: Value,
}

impl PolicyDetails {
    /// Whether the policy has credentials of its own. They stand in it as in a scan that is created, with lists below `add` and
    /// objects by id below `edit`, or as the editor shows them. `None` when nothing is said of them.
    pub(super) fn has_credentials(&self) -> Option<bool> {
        let credentials = self.credentials.as_object()?;
        let is_filled = |value: &Value| match value {
            Value::Array(list) => !list.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => false,
        };
        let added = credentials.get("add").and_then(Value::as_object).into_iter().flat_map(|added| added.values());
        let added = added.filter_map(Value::as_object).any(|kinds| kinds.values().any(is_filled));
        let shown = ids_of(&self.credentials).is_none_or(|ids| !ids.is_empty());
        Some(added || shown || credentials.get("edit").is_some_and(is_filled))
    }
}

/// `GET /scanners`.
#[derive(Debug, Deserialize)]
pub(super) struct Scanners {
    #[serde(default, deserialize_with = "list")]
    pub(super) scanners: Option<Vec<Scanner>>,
}

/// A scanner within [`Scanners`].
#[derive(Debug, Deserialize)]
pub(super) struct Scanner {
    #[serde(default, deserialize_with = "number")]
    pub(super) id: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) name: Option<String>,
}

/// `POST /scans`.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    #[serde(default, deserialize_with = "object")]
    pub(super) scan: Option<CreatedScan>,
}

/// The scan within [`Created`].
#[derive(Debug, Deserialize)]
pub(super) struct CreatedScan {
    #[serde(default, deserialize_with = "number")]
    pub(super) id: Option<u64>,
}

/// `POST /scans/{id}/launch`.
#[derive(Debug, Deserialize)]
pub(super) struct Launched {
    #[serde(default, deserialize_with = "text")]
    pub(super) scan_uuid: Option<String>,
}

/// `GET /scans`, as far as the scans go that are looked for.
#[derive(Debug, Default)]
pub(super) struct ScanList {
    pub(super) folders: Option<Vec<Folder>>,
    /// Those looked for; `None` when there is no list of scans, `null` being an empty one.
    pub(super) scans: Option<Vec<ListedScan>>,
    /// The scanner's clock, in seconds since 1970.
    pub(super) timestamp: Option<u64>,
}

/// Reads a [`ScanList`]: which of its scans are looked for.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// Those whose name carries this marker.
    Marker(String),
    /// The one with this id.
    Scan(u64),
    /// Those whose name carries the marker of some task.
    Marked,
}

impl Wanted {
    fn wants(&self, scan: &ListedScan) -> bool {
        match self {
            Self::Marker(marker) => scan.name.as_deref().is_some_and(|name| name_carries(name, marker)),
            Self::Scan(id) => scan.id == Some(*id),
            Self::Marked => marked(scan).is_some(),
        }
    }
}

/// A scan whose name carries the marker of some task.
pub(super) fn marked(scan: &ListedScan) -> Option<MarkedScan> {
    MarkedScan::of_name(ScanId::from(scan.id?), scan.name.as_deref()?)
}

impl<'de> DeserializeSeed<'de> for Wanted {
    type Value = ScanList;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ScanList, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted {
    type Value = ScanList;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of scans")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ScanList, A::Error> {
        let mut read = ScanList::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "folders" => read.folders = map.next_value::<List<Folder>>()?.0,
                "timestamp" => read.timestamp = map.next_value::<Number>()?.0,
                "scans" => {
                    let mut scans = Vec::new();
                    let keep = |scan| {
                        if self.wants(&scan) {
                            scans.push(scan);
                        }
                    };
                    let seen = map.next_value_seed(Each::new(keep))?;
                    read.scans = seen.is_some_and(Elements::is_an_answer).then_some(scans);
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(read)
    }
}

#[derive(Deserialize)]
#[serde(bound = "T: serde::de::DeserializeOwned")]
struct List<T>(#[serde(deserialize_with = "list")] Option<Vec<T>>);

#[derive(Deserialize)]
struct Number(#[serde(deserialize_with = "number")] Option<u64>);

/// `GET /folders`.
#[derive(Debug, Deserialize)]
pub(super) struct Folders {
    #[serde(default, deserialize_with = "list")]
    pub(super) folders: Option<Vec<Folder>>,
}

/// A folder within [`ScanList`] and [`Folders`].
#[derive(Debug, Deserialize)]
pub(super) struct Folder {
    #[serde(default, deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) id: Option<u64>,
    #[serde(rename = "type", default, deserialize_with = "text")]
    pub(super) kind: Option<String>,
}

/// A scan within [`ScanList`].
#[derive(Debug, Deserialize)]
pub(super) struct ListedScan {
    #[serde(default, deserialize_with = "number")]
    pub(super) id: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) folder_id: Option<u64>,
    /// By the scanner's clock, in seconds since 1970.
    #[serde(default, deserialize_with = "number")]
    pub(super) creation_date: Option<u64>,
}

/// `GET /scans/{id}`; of its hosts only the sums.
#[derive(Debug, Deserialize)]
pub(super) struct Details {
    #[serde(default, deserialize_with = "object")]
    pub(super) info: Option<Info>,
    /// `None` when the scanner says `null` or nothing, as it does for a scan that never ran.
    #[serde(default, deserialize_with = "host_sums")]
    pub(super) hosts: Option<HostSums>,
    #[serde(default, deserialize_with = "value")]
    pub(super) notes: Value,
    #[serde(default, deserialize_with = "history")]
    pub(super) history: History,
}

/// How many hosts [`Details`] have, and how far they are. The scale of their progress is checks, not per cent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HostSums {
    pub(super) hosts: u64,
    /// Those all of whose checks are done.
    pub(super) hosts_done: u64,
    pub(super) checks_done: u128,
    pub(super) checks: u128,
}

fn host_sums<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HostSums>, D::Error> {
    let mut sums = HostSums::default();
    let add = |host: HostProgress| {
        let (done, all) = (host.scanprogresscurrent.unwrap_or_default(), host.scanprogresstotal.unwrap_or_default());
        sums.hosts += 1;
        sums.hosts_done += u64::from(all > 0 && done >= all);
        sums.checks_done += u128::from(done);
        sums.checks += u128::from(all);
    };
    let seen = Each::new(add).deserialize(deserializer)?;
    Ok(seen.filter(|seen| !seen.is_null).map(|_| sums))
}

/// The runs within [`Details`].
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) runs: Vec<HistoryEntry>,
    /// Whether these are all there are: nothing in the list was unreadable.
    pub(super) is_whole: bool,
}

fn history<'de, D: Deserializer<'de>>(deserializer: D) -> Result<History, D::Error> {
    let mut runs = Vec::new();
    let seen = Each::new(|run| runs.push(run)).deserialize(deserializer)?;
    Ok(History { runs, is_whole: seen.is_some_and(|seen| seen.read == seen.all) })
}

/// A run within [`Details`].
#[derive(Debug, Deserialize)]
pub(super) struct HistoryEntry {
    #[serde(default, deserialize_with = "number")]
    pub(super) history_id: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) uuid: Option<String>,
}

/// The head of [`Details`].
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    #[serde(default, deserialize_with = "text")]
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) uuid: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) targets: Option<String>,
    #[serde(rename = "license_info", default, deserialize_with = "object")]
    pub(super) license: Option<LicenseInfo>,
    #[serde(default, deserialize_with = "text")]
    pub(super) policy_template_uuid: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) folder_id: Option<u64>,
}

/// What the licence did to a scan.
#[derive(Debug, Deserialize)]
pub(super) struct LicenseInfo {
    /// How many hosts it left out.
    #[serde(default, deserialize_with = "number")]
    pub(super) trimmed: Option<u64>,
}

/// `POST /file/upload`.
#[derive(Debug, Deserialize)]
pub(super) struct Uploaded {
    #[serde(default, deserialize_with = "text")]
    pub(super) fileuploaded: Option<String>,
}

/// `GET /editor/scan/{id}`, as far as its credentials go.
#[derive(Debug, Deserialize)]
pub(super) struct Editor {
    #[serde(default, deserialize_with = "text")]
    pub(super) uuid: Option<String>,
    #[serde(default, deserialize_with = "value")]
    credentials: Value,
}

impl Editor {
    /// The ids of the stored credentials. `None` when there is one without an id that can be read: it could not be deleted.
    pub(super) fn credential_ids(&self) -> Option<Vec<String>> {
        ids_of(&self.credentials)
    }
}

/// `credentials.data[].types[].instances[].id`, as the editor shows them.
fn ids_of(credentials: &Value) -> Option<Vec<String>> {
    let list = |value: &Value, field: &str| value.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let types = list(credentials, "data").into_iter().flat_map(|category| list(&category, "types"));
    let instances = types.flat_map(|kind| list(&kind, "instances")).filter(|instance| !instance.is_null());
    let id = |instance: Value| match instance.get("id")? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    };
    instances.map(id).collect()
}

/// `GET /scans/{id}` once more, for its hosts one by one.
#[derive(Debug, Deserialize)]
pub(super) struct HostList {
    #[serde(default, deserialize_with = "object")]
    pub(super) info: Option<Info>,
    /// Empty when there is no such field, as for a scan that never ran; `None` for what is no list.
    #[serde(default = "no_hosts", deserialize_with = "list")]
    pub(super) hosts: Option<Vec<Host>>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the type of the field")]
fn no_hosts() -> Option<Vec<Host>> {
    Some(Vec::new())
}

/// How far a host within [`Details`] is.
#[derive(Debug, Deserialize)]
struct HostProgress {
    #[serde(default, deserialize_with = "number")]
    scanprogresscurrent: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    scanprogresstotal: Option<u64>,
}

/// A host within [`HostList`].
#[derive(Debug, Deserialize)]
pub(super) struct Host {
    #[serde(rename = "host_id", default, deserialize_with = "number")]
    pub(super) id: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) hostname: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) info: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) low: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) medium: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) high: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) critical: Option<u64>,
}

/// `POST /scans/{id}/export`.
#[derive(Deserialize)]
pub(super) struct ExportRequested {
    #[serde(default, deserialize_with = "number")]
    pub(super) file: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) token: Option<String>,
    /// What versions before 8 call it.
    #[serde(default, deserialize_with = "text")]
    pub(super) temp_token: Option<String>,
}

/// `GET /scans/{id}/export/{file}/status` and `GET /tokens/{token}/status`.
#[derive(Debug, Deserialize)]
pub(super) struct ExportStatus {
    #[serde(default, deserialize_with = "text")]
    pub(super) status: Option<String>,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"scans":null,"folders":null,"timestamp":"0"}"#, Some(0))]
    #[case(r"{}", None)]
    #[case(r#"{"scans":[{"id":"5","name":7,"folder_id":null,"starttime":{"odd":1}}]}"#, Some(1))]
    fn a_scan_list_is_read_leniently(#[case] json: &str, #[case] scans: Option<usize>) {
        let list = Wanted::Scan(5).deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap();
        assert_eq!(list.scans.as_ref().map(Vec::len), scans);
        for scan in list.scans.iter().flatten() {
            assert_eq!((scan.id, scan.name.as_deref(), scan.folder_id), (Some(5), Some("7"), None));
        }
    }

    #[rstest]
    #[case("16", Some(16))]
    #[case("\"16\"", Some(16))]
    #[case("16.9", Some(16))]
    #[case("-1", None)]
    #[case("1e300", None)]
    #[case("\"many\"", None)]
    #[case("null", None)]
    #[case("[]", None)]
    fn numbers_are_read_leniently(#[case] json: &str, #[case] ips: Option<u64>) {
        let license: License = serde_json::from_str(&format!(r#"{{"ips":{json}}}"#)).unwrap();
        assert_eq!(license.ips, ips);
    }

    #[rstest]
    #[case("1", Some(true))]
    #[case("0", Some(false))]
    #[case("\"true\"", Some(true))]
    #[case("false", Some(false))]
    #[case("null", None)]
    fn flags_are_read_leniently(#[case] json: &str, #[case] expected: Option<bool>) {
        let template: Template = serde_json::from_str(&format!(r#"{{"unsupported":{json}}}"#)).unwrap();
        assert_eq!(template.unsupported, expected);
    }
}
