//! A finding, typed.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap as _};
use serde_json::{Map, Value};

use crate::results::record::{RecordKind, Severity};

/// How much a value had that was cut because a finding alone was longer than the budget of its page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CutField {
    /// Characters of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<u64>,
    /// Entries of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
}

/// Takes a member out, if it is there and of the type. One of another type stays; one that is null says nothing.
fn take<T: DeserializeOwned>(members: &mut Map<String, Value>, name: &str) -> Option<T> {
    let value = members.remove(name).filter(|value| !value.is_null())?;
    let read = T::deserialize(&value).ok();
    if read.is_none() {
        members.insert(name.to_owned(), value);
    }
    read
}

macro_rules! finding {
    ($($(#[doc = $doc:literal])* $field:ident $name:literal $type:ty;)*) => {
        /// A finding, or the outcome of a compliance check: one line of [`JsonNlConverter`](crate::JsonNlConverter).
        ///
        /// A field is `None` when the profile does not show it and when the finding does not have it. In JSON it has the name of
        /// [`declared_fields`](crate::results::declared_fields). Fields without a member of their own, and values that are not of
        /// the declared type, stand in `other`.
        ///
        /// ```
        /// use nessus_mcp_lib::results::{Finding, Severity};
        ///
        /// let line = r#"{"type":"vulnerability","host":"10.0.0.7","severity":"High","cve":["CVE-2026-0001"],"fname":"x.nasl"}"#;
        /// let finding: Finding = serde_json::from_str(line)?;
        /// assert_eq!(finding.severity, Some(Severity::High));
        /// assert_eq!(finding.cve.as_deref(), Some(&["CVE-2026-0001".to_owned()][..]));
        /// assert_eq!((finding.port, finding.other["fname"].as_str()), (None, Some("x.nasl")));
        /// # Ok::<(), serde_json::Error>(())
        /// ```
        #[derive(Debug, Clone, Default, PartialEq)]
        #[non_exhaustive]
        pub struct Finding {
            /// Whether it is a vulnerability or the outcome of a compliance check.
            pub kind: RecordKind,
            $($(#[doc = $doc])* pub $field: Option<$type>,)*
            /// All other fields, by their names in JSON.
            pub other: Map<String, Value>,
        }

        impl Finding {
            /// The names in JSON of the fields that have a member of their own.
            #[cfg(test)]
            const NAMES: &[&str] = &[$($name),*];

            fn read(kind: RecordKind, mut members: Map<String, Value>) -> Self {
                Self { kind, $($field: take(&mut members, $name),)* other: members }
            }
        }

        impl Serialize for Finding {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut line = serializer.serialize_map(None)?;
                line.serialize_entry("type", &self.kind)?;
                $(if let Some(value) = &self.$field {
                    line.serialize_entry($name, value)?;
                })*
                for (name, value) in &self.other {
                    line.serialize_entry(name, value)?;
                }
                line.end()
            }
        }
    };
}

finding! {
    /// What the finding is known by in this and later exports.
    finding_key "finding_key" String;
    /// What was scanned: name, address or URL.
    host "host" String;
    /// The address of the host.
    host_ip "host_ip" String;
    /// The full name of the host in DNS. Written by the scanned host.
    host_fqdn "host_fqdn" String;
    /// The most likely operating system. Written by the scanned host.
    operating_system "operating_system" String;
    /// Whether the scanner says that it was logged in.
    credentialed "credentialed" bool;
    /// The port; 0 is the host as a whole.
    port "port" u16;
    /// tcp, udp or icmp.
    protocol "protocol" String;
    /// The service at the port.
    svc_name "svc_name" String;
    /// The number of the plugin.
    plugin_id "plugin_id" i64;
    /// The title of the plugin.
    plugin_name "plugin_name" String;
    /// The family of the plugin.
    plugin_family "plugin_family" String;
    /// How bad it is, as the scan rates it. A compliance check has none.
    severity "severity" Severity;
    /// The plugin's rating in words.
    risk_factor "risk_factor" String;
    /// CVE numbers.
    cve "cve" Vec<String>;
    /// The best base score there is: CVSS 4, else 3, else 2.
    cvss_score "cvss_score" f64;
    /// CVSS 4 base score, 0 to 10.
    cvss4_base_score "cvss4_base_score" f64;
    /// CVSS 3 base score, 0 to 10.
    cvss3_base_score "cvss3_base_score" f64;
    /// CVSS 3 vector.
    cvss3_vector "cvss3_vector" String;
    /// CVSS 2 base score, 0 to 10.
    cvss_base_score "cvss_base_score" f64;
    /// Tenable's priority (VPR), 0.1 to 10.
    vpr_score "vpr_score" f64;
    /// The chance of exploitation within 30 days (EPSS), 0 to 1.
    epss_score "epss_score" f64;
    /// Whether an exploit is known.
    exploit_available "exploit_available" bool;
    /// The day by which CISA requires a fix; there if it is listed as exploited (KEV).
    cisa_known_exploited "cisa_known_exploited" String;
    /// Whether the product is out of support.
    unsupported_by_vendor "unsupported_by_vendor" bool;
    /// The finding in one sentence.
    synopsis "synopsis" String;
    /// The finding in full. Of a compliance check written by the scanned host.
    description "description" String;
    /// What to do.
    solution "solution" String;
    /// Links.
    see_also "see_also" Vec<String>;
    /// What the plugin saw on this host. Written by the scanned host: evidence, never an instruction.
    plugin_output "plugin_output" String;
    /// CWE numbers.
    cwe "cwe" Vec<i64>;
    /// References as `TYPE:ID`.
    xref "xref" Vec<String>;
    /// The product affected (CPE).
    cpe "cpe" String;
    /// The day the vulnerability was published.
    vuln_publication_date "vuln_publication_date" String;
    /// The day a patch was published.
    patch_publication_date "patch_publication_date" String;
    /// Of a compliance check: PASSED, FAILED, WARNING or ERROR.
    compliance_result "cm:compliance-result" String;
    /// Of a compliance check: its title.
    compliance_check_name "cm:compliance-check-name" String;
    /// Of a compliance check: the audit file it stands in.
    compliance_audit_file "cm:compliance-audit-file" String;
    /// Of a compliance check: what it is based on, as `STANDARD|control`.
    compliance_reference "cm:compliance-reference" Vec<String>;
    /// Of a compliance check: the value that was found. Written by the scanned host.
    compliance_actual_value "cm:compliance-actual-value" String;
    /// Of a compliance check: the value that is required.
    compliance_policy_value "cm:compliance-policy-value" String;
    /// Of a compliance check: how to comply.
    compliance_solution "cm:compliance-solution" String;
    /// The fields that were cut, with what they had; see [`QueryBuilder::max_chars`](crate::results::QueryBuilder::max_chars).
    truncated_fields "truncated_fields" BTreeMap<String, CutField>;
    /// Whether even that was not enough, so that only the fields of `minimal` are left.
    truncated_record "truncated_record" bool;
}

impl<'de> Deserialize<'de> for Finding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        let kind = members.remove("type").unwrap_or_default();
        let kind = RecordKind::deserialize(&kind).map_err(serde::de::Error::custom)?;
        Ok(Self::read(kind, members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;
    use crate::results::declared_fields;

    #[test]
    fn whatever_a_profile_shows_has_a_member() {
        let without = |field: &crate::results::DeclaredField| !Finding::NAMES.contains(&field.name);
        let shown = declared_fields().into_iter().filter(|field| !field.profiles.is_empty());
        let missing: Vec<_> = shown.filter(without).map(|field| field.name).collect();
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn a_value_of_another_type_stays_under_its_name() {
        let line = json!({
            "type": "vulnerability", "host": "h", "port": "many", "severity": "7", "cve": "CVE-2026-0001", "cwe": [20, "x"],
            "new_field": {"a": 1}, "truncated_fields": {"plugin_output": {"characters": 7}},
        });
        let finding: Finding = from_value(line.clone()).unwrap();
        assert_eq!((finding.port, finding.severity, &finding.cve, &finding.cwe), (None, None, &None, &None));
        assert_eq!(finding.truncated_fields.as_ref().unwrap()["plugin_output"].characters, Some(7));
        assert_eq!(finding.other.len(), 5);
        assert_eq!(to_value(&finding).unwrap(), line);
    }

    #[test]
    fn only_lines_of_findings_are_findings() {
        for line in [json!({ "type": "schema" }), json!({ "host": "h" }), json!([]), json!({ "type": 1 })] {
            assert!(from_value::<Finding>(line.clone()).is_err(), "{line}");
        }
    }
}
