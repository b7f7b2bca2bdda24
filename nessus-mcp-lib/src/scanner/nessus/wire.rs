//! The answers of the Nessus API as far as this client reads them.
//!
//! Types vary between versions (integers as strings, 0 for false) and any list may be `null` or absent, so every
//! field is optional and read leniently. What must be there is checked where it is used.
//! Source of the shapes: Tenable's `/api` document of Nessus 10.12 and wire recordings of older versions.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

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
    pub(super) license: Option<License>,
}

/// The licence within [`Properties`].
#[derive(Debug, Deserialize)]
pub(super) struct License {
    #[serde(default, deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) ips: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) expiration_date: Option<u64>,
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
    pub(super) templates: Vec<Template>,
}

/// One scan template; its icon (most of the answer) is skipped.
#[derive(Debug, Deserialize)]
pub(super) struct Template {
    #[serde(default, deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) uuid: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) unsupported: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) license_fulfilled: Option<bool>,
}

/// `POST /scans`.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
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

/// `GET /scans`.
#[derive(Debug, Deserialize)]
pub(super) struct ScanList {
    #[serde(default, deserialize_with = "list")]
    pub(super) folders: Vec<Folder>,
    /// `None` when there is no such field, which is no list at all; `null` is an empty one.
    #[serde(default, deserialize_with = "present_list")]
    pub(super) scans: Option<Vec<ListedScan>>,
    /// The scanner's clock, in seconds since 1970.
    #[serde(default, deserialize_with = "number")]
    pub(super) timestamp: Option<u64>,
}

/// `GET /folders`.
#[derive(Debug, Deserialize)]
pub(super) struct Folders {
    #[serde(default, deserialize_with = "list")]
    pub(super) folders: Vec<Folder>,
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

/// `GET /scans/{id}`.
#[derive(Debug, Deserialize)]
pub(super) struct Details {
    pub(super) info: Option<Info>,
    /// `None` when the scanner says `null` or nothing, as it does for a scan that never ran.
    pub(super) hosts: Option<Vec<Host>>,
    #[serde(default)]
    pub(super) notes: Value,
    #[serde(default, deserialize_with = "list")]
    pub(super) history: Vec<HistoryEntry>,
}

/// A run within [`Details`].
#[derive(Debug, Deserialize)]
pub(super) struct HistoryEntry {
    #[serde(default, deserialize_with = "number")]
    pub(super) history_id: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) uuid: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) creation_date: Option<u64>,
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
    #[serde(rename = "license_info")]
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
    #[serde(default)]
    credentials: Value,
}

impl Editor {
    /// The ids of the stored credentials: `credentials.data[].types[].instances[].id`.
    pub(super) fn credential_ids(&self) -> Vec<String> {
        let list = |value: &Value, field: &str| value.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        let types = list(&self.credentials, "data").into_iter().flat_map(|category| list(&category, "types"));
        let instances = types.flat_map(|kind| list(&kind, "instances"));
        let id = |instance: Value| match instance.get("id")? {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        };
        instances.filter_map(id).collect()
    }
}

/// A host within [`Details`]. The scale of its progress is checks, not per cent.
#[derive(Debug, Deserialize)]
pub(super) struct Host {
    #[serde(default, deserialize_with = "number")]
    pub(super) scanprogresscurrent: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) scanprogresstotal: Option<u64>,
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

/// `GET /scans/{id}/hosts/{host}`.
#[derive(Debug, Deserialize)]
pub(super) struct HostAnswer {
    pub(super) info: Option<HostInfo>,
    #[serde(default, deserialize_with = "list")]
    pub(super) vulnerabilities: Vec<HostVulnerability>,
}

/// The head of [`HostAnswer`].
#[derive(Debug, Deserialize)]
pub(super) struct HostInfo {
    #[serde(rename = "host-ip", default, deserialize_with = "text")]
    pub(super) address: Option<String>,
    #[serde(rename = "host-fqdn", default, deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(rename = "operating-system", default, deserialize_with = "text")]
    pub(super) operating_system: Option<String>,
}

/// A finding within [`HostAnswer`].
#[derive(Debug, Deserialize)]
pub(super) struct HostVulnerability {
    #[serde(default, deserialize_with = "number")]
    pub(super) plugin_id: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) plugin_name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) plugin_family: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) severity: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) count: Option<u64>,
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

/// A whole number, also when it is written as text or with a fraction; anything else is `None`.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

/// The whole part of a number that fits.
fn whole(number: f64) -> Option<u64> {
    // 2^53: larger ones are no exact integers any more.
    let exact = (0.0..=9_007_199_254_740_992.0).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    exact.then_some(number as u64)
}

/// A text, also when it is written as a number; anything else is `None`.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A truth value, also when it is written as 0, 1 or text; anything else is `None`.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(flag) => Some(flag),
        Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        Value::String(text) => match text.trim() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    })
}

/// A list, empty when it is `null`.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list where there is a field for one, empty when it is `null`.
fn present_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
    list(deserializer).map(Some)
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
        let list: ScanList = serde_json::from_str(json).unwrap();
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
