//! The declared fields: names, types, and where in an item each comes from.
//!
//! The table follows counts over public exports of Nessus 4.x to 10.11 (every element seen there is in it). An
//! element that is not in the table still reaches the record in the `full` profile, under its own name; it has no
//! type, so it is text.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

use super::kind::RecordKind;

/// The most names in a list of fields that somebody asks for; nearly all are declared.
pub(crate) const MOST_NAMES: usize = 256;
/// The most bytes of a name that somebody asks for.
pub(crate) const NAME_BYTES: usize = 200;

/// The type of a field, which decides its JSON type and the filters it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text; filters are substrings.
    Text,
    /// A host name or IP address: text that also takes CIDR filters.
    Host,
    /// A name of a machine: text that filters compare without regard to case and trailing dots.
    Name,
    /// A whole number; in a list of references, the name of the register may stand before it, as in `CWE-20`.
    Integer,
    /// A decimal number, with a point or a comma.
    Number,
    /// `Info` to `Critical`.
    Severity,
    /// `true`, `yes` or `1`, in any case; absent counts as false.
    Boolean,
    /// A calendar day, `YYYY/MM/DD` or ISO 8601, before a time or alone.
    Date,
    /// The result of a compliance check: a word, which filters take as a whole and in any case.
    Outcome,
    /// A file kept with the item: an object of its XML attributes and `value`.
    Attachment,
    /// What a finding is known by; filters are equality.
    Key,
}

/// Where a field's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The enclosing `ReportHost` and its `HostProperties`.
    Host,
    /// One of the `HostProperties` that lists names: always a JSON list.
    HostList,
    /// An attribute of `ReportItem`.
    Attribute,
    /// A child element of `ReportItem`, at most once in an item.
    Element,
    /// A child element that may repeat: always a JSON list.
    List,
    /// A repeating child element whose text holds one value a line: always a JSON list.
    Lines,
    /// A child element, or the first line of the description of a compliance check that is marked as one and does not
    /// have the element.
    Check,
    /// Computed from other fields, as [`Record::any`](super::Record::any) says for each.
    Derived(Derived),
}

/// What a field is computed as: one for each derived field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derived {
    /// The best CVSS base score there is.
    BestScore,
    /// What the finding is known by in this and other exports.
    FindingKey,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Field {
    /// The name in JSON, filters, custom fields and sort orders.
    pub name: &'static str,
    /// The name in XML: of an attribute, an element or a host tag.
    pub xml: &'static str,
    /// The type.
    pub kind: Kind,
    /// The source.
    pub origin: Origin,
    /// The name as a key in the middle of a JSON object.
    pub key: &'static str,
}

macro_rules! fields {
    ($($id:ident $name:literal $xml:literal $kind:ident $origin:ident $(($derived:ident))?;)*) => {
        /// A declared field; the order is that of the keys in the `full` profile.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u8)]
        pub(crate) enum FieldId { $($id),* }

        /// The table, indexed by [`FieldId`].
        pub(crate) static FIELDS: &[Field] = &[
            $(Field {
                name: $name,
                xml: $xml,
                kind: Kind::$kind,
                origin: Origin::$origin $((Derived::$derived))?,
                key: concat!(",\"", $name, "\":"),
            }),*
        ];

        /// Every declared field, in order.
        pub(crate) static ALL: &[FieldId] = &[$(FieldId::$id),*];
    };
}

fields! {
    FindingKey "finding_key" "" Key Derived(FindingKey);
    Host "host" "name" Host Host;
    HostIp "host_ip" "host-ip" Host Host;
    HostFqdn "host_fqdn" "host-fqdn" Name Host;
    HostFqdns "host_fqdns" "host-fqdns" Name HostList;
    HostRdns "host_rdns" "host-rdns" Name Host;
    Hostname "hostname" "hostname" Name Host;
    NetbiosName "netbios_name" "netbios-name" Name Host;
    OperatingSystem "operating_system" "operating-system" Text Host;
    MacAddress "mac_address" "mac-address" Text Host;
    HostStart "host_start" "HOST_START_TIMESTAMP" Date Host;
    HostEnd "host_end" "HOST_END_TIMESTAMP" Date Host;
    Credentialed "credentialed" "Credentialed_Scan" Boolean Host;
    Port "port" "port" Integer Attribute;
    Protocol "protocol" "protocol" Text Attribute;
    SvcName "svc_name" "svc_name" Text Attribute;
    PluginId "plugin_id" "pluginID" Integer Attribute;
    PluginName "plugin_name" "pluginName" Text Attribute;
    PluginNameElement "plugin_name_element" "plugin_name" Text Element;
    PluginFamily "plugin_family" "pluginFamily" Text Attribute;
    Severity "severity" "severity" Severity Attribute;
    RiskFactor "risk_factor" "risk_factor" Text Element;
    Cve "cve" "cve" Text List;
    CvssScore "cvss_score" "" Number Derived(BestScore);
    Cvss4BaseScore "cvss4_base_score" "cvss4_base_score" Number Element;
    Cvss4Vector "cvss4_vector" "cvss4_vector" Text Element;
    Cvss4ThreatScore "cvss4_threat_score" "cvss4_threat_score" Number Element;
    Cvss4ThreatVector "cvss4_threat_vector" "cvss4_threat_vector" Text Element;
    Cvss4ScoreSource "cvss4_score_source" "cvss4_score_source" Text Element;
    Cvss3BaseScore "cvss3_base_score" "cvss3_base_score" Number Element;
    Cvss3Vector "cvss3_vector" "cvss3_vector" Text Element;
    Cvss3TemporalScore "cvss3_temporal_score" "cvss3_temporal_score" Number Element;
    Cvss3TemporalVector "cvss3_temporal_vector" "cvss3_temporal_vector" Text Element;
    Cvss3ScoreSource "cvss3_score_source" "cvss3_score_source" Text Element;
    CvssBaseScore "cvss_base_score" "cvss_base_score" Number Element;
    CvssVector "cvss_vector" "cvss_vector" Text Element;
    CvssTemporalScore "cvss_temporal_score" "cvss_temporal_score" Number Element;
    CvssTemporalVector "cvss_temporal_vector" "cvss_temporal_vector" Text Element;
    CvssScoreSource "cvss_score_source" "cvss_score_source" Text Element;
    CvssScoreRationale "cvss_score_rationale" "cvss_score_rationale" Text Element;
    Cvss "cvss" "cvss" Number Element;
    Cvssv3 "cvssv3" "cvssv3" Number Element;
    CvssV3ImpactScore "cvssV3_impactScore" "cvssV3_impactScore" Number Element;
    VprScore "vpr_score" "vpr_score" Number Element;
    VulnerabilityPriorityRating "vulnerability_priority_rating" "vulnerability_priority_rating" Number Element;
    EpssScore "epss_score" "epss_score" Number Element;
    EpssPercentile "epss_percentile" "epss_percentile" Number Element;
    ExploitAvailable "exploit_available" "exploit_available" Boolean Element;
    ExploitabilityEase "exploitability_ease" "exploitability_ease" Text Element;
    ExploitCodeMaturity "exploit_code_maturity" "exploit_code_maturity" Text Element;
    CisaKnownExploited "cisa_known_exploited" "cisa-known-exploited" Date Element;
    ExploitedByMalware "exploited_by_malware" "exploited_by_malware" Boolean Element;
    ExploitedByNessus "exploited_by_nessus" "exploited_by_nessus" Boolean Element;
    ExploitFrameworkMetasploit "exploit_framework_metasploit" "exploit_framework_metasploit" Boolean Element;
    MetasploitName "metasploit_name" "metasploit_name" Text Element;
    ExploitFrameworkCore "exploit_framework_core" "exploit_framework_core" Boolean Element;
    ExploitFrameworkCanvas "exploit_framework_canvas" "exploit_framework_canvas" Boolean Element;
    CanvasPackage "canvas_package" "canvas_package" Text Element;
    ExploitFrameworkD2Elliot "exploit_framework_d2_elliot" "exploit_framework_d2_elliot" Boolean Element;
    D2ElliotName "d2_elliot_name" "d2_elliot_name" Text Element;
    ExploitFrameworkExploithub "exploit_framework_exploithub" "exploit_framework_exploithub" Boolean Element;
    InTheNews "in_the_news" "in_the_news" Boolean Element;
    UnsupportedByVendor "unsupported_by_vendor" "unsupported_by_vendor" Boolean Element;
    DefaultAccount "default_account" "default_account" Boolean Element;
    PotentialVulnerability "potential_vulnerability" "potential_vulnerability" Boolean Element;
    AgeOfVuln "age_of_vuln" "age_of_vuln" Text Element;
    ProductCoverage "product_coverage" "product_coverage" Text Element;
    ThreatIntensityLast28 "threat_intensity_last_28" "threat_intensity_last_28" Text Element;
    ThreatRecency "threat_recency" "threat_recency" Text Element;
    ThreatSourcesLast28 "threat_sources_last_28" "threat_sources_last_28" Text Element;
    Synopsis "synopsis" "synopsis" Text Element;
    Description "description" "description" Text Element;
    Solution "solution" "solution" Text Element;
    SeeAlso "see_also" "see_also" Text Lines;
    PluginOutput "plugin_output" "plugin_output" Text Element;
    Output "output" "output" Text Element;
    VulnPublicationDate "vuln_publication_date" "vuln_publication_date" Date Element;
    PatchPublicationDate "patch_publication_date" "patch_publication_date" Date Element;
    PluginPublicationDate "plugin_publication_date" "plugin_publication_date" Date Element;
    PluginModificationDate "plugin_modification_date" "plugin_modification_date" Date Element;
    PluginType "plugin_type" "plugin_type" Text Element;
    Fname "fname" "fname" Text Element;
    ScriptVersion "script_version" "script_version" Text Element;
    PluginVersion "plugin_version" "plugin_version" Text Element;
    Agent "agent" "agent" Text Element;
    Cpe "cpe" "cpe" Text Element;
    StigSeverity "stig_severity" "stig_severity" Text Element;
    Xref "xref" "xref" Text List;
    Bid "bid" "bid" Integer List;
    Osvdb "osvdb" "osvdb" Integer List;
    Cwe "cwe" "cwe" Integer List;
    EdbId "edb_id" "edb-id" Integer List;
    Mskb "mskb" "mskb" Text List;
    Msft "msft" "msft" Text List;
    Cert "cert" "cert" Text List;
    Rhsa "rhsa" "rhsa" Text List;
    Usn "usn" "usn" Text List;
    Secunia "secunia" "secunia" Text List;
    Iava "iava" "iava" Text List;
    Iavb "iavb" "iavb" Text List;
    Iavt "iavt" "iavt" Text List;
    Owasp "owasp" "owasp" Text List;
    CiscoSa "cisco_sa" "cisco-sa" Text List;
    CiscoBugId "cisco_bug_id" "cisco-bug-id" Text List;
    CeaId "cea_id" "cea-id" Text List;
    Tra "tra" "tra" Text List;
    AppleSa "apple_sa" "apple-sa" Text List;
    Icsa "icsa" "icsa" Text List;
    AssetInventory "asset_inventory" "asset_inventory" Boolean Element;
    AssetInventoryCategory "asset_inventory_category" "asset_inventory_category" Text Element;
    OsIdentification "os_identification" "os_identification" Boolean Element;
    HardwareInventory "hardware_inventory" "hardware_inventory" Text Element;
    AlwaysRun "always_run" "always_run" Text Element;
    ThoroughTests "thorough_tests" "thorough_tests" Text Element;
    GeneratedPlugin "generated_plugin" "generated_plugin" Text Element;
    Attachment "attachment" "attachment" Attachment List;
    Compliance "compliance" "compliance" Boolean Element;
    ComplianceResult "cm:compliance-result" "cm:compliance-result" Outcome Check;
    ComplianceCheckName "cm:compliance-check-name" "cm:compliance-check-name" Text Check;
    ComplianceCheckId "cm:compliance-check-id" "cm:compliance-check-id" Text Element;
    ComplianceActualValue "cm:compliance-actual-value" "cm:compliance-actual-value" Text Element;
    CompliancePolicyValue "cm:compliance-policy-value" "cm:compliance-policy-value" Text Element;
    ComplianceInfo "cm:compliance-info" "cm:compliance-info" Text Element;
    ComplianceSolution "cm:compliance-solution" "cm:compliance-solution" Text Element;
    ComplianceReference "cm:compliance-reference" "cm:compliance-reference" Text List;
    ComplianceSeeAlso "cm:compliance-see-also" "cm:compliance-see-also" Text Element;
    ComplianceAuditFile "cm:compliance-audit-file" "cm:compliance-audit-file" Text Element;
    ComplianceOutput "cm:compliance-output" "cm:compliance-output" Text Element;
    ComplianceError "cm:compliance-error" "cm:compliance-error" Text Element;
}

impl FieldId {
    /// The field's row.
    pub(crate) fn field(self) -> &'static Field {
        &FIELDS[self as usize]
    }

    /// The field's name in JSON.
    pub(crate) fn name(self) -> &'static str {
        self.field().name
    }

    /// Whether the JSON value is always a list.
    pub(crate) fn is_list(self) -> bool {
        matches!(self.field().origin, Origin::List | Origin::Lines | Origin::HostList)
    }

    /// Of which kind the items are that have it; `None` for both.
    pub(crate) fn kind(self) -> Option<RecordKind> {
        if FieldSet::OF_CHECKS.contains(self) {
            Some(RecordKind::Compliance)
        } else if FieldSet::RATINGS.contains(self) {
            Some(RecordKind::Vulnerability)
        } else {
            None
        }
    }

    /// Whether its texts are what a scanned machine has answered, in an item of this kind.
    pub(crate) fn is_untrusted(self, kind: impl FnOnce() -> RecordKind) -> bool {
        // That of a compliance check tells what was found, too.
        let is_found = || self == Self::Description && kind() == RecordKind::Compliance;
        matches!(
            self,
            Self::HostFqdn
                | Self::HostFqdns
                | Self::HostRdns
                | Self::Hostname
                | Self::NetbiosName
                | Self::OperatingSystem
                | Self::PluginOutput
                | Self::Output
                | Self::Attachment
                | Self::ComplianceActualValue
                | Self::ComplianceOutput
                | Self::ComplianceError
        ) || is_found()
    }

    /// The field that a child element of this name fills.
    pub(crate) fn of_element(name: &str) -> Option<Self> {
        ELEMENTS.get(name).copied()
    }

    /// The field that an attribute of `ReportItem` of this name fills.
    pub(crate) fn of_attribute(name: &str) -> Option<Self> {
        const ATTRIBUTES: [FieldId; 7] = [
            FieldId::Port,
            FieldId::SvcName,
            FieldId::Protocol,
            FieldId::Severity,
            FieldId::PluginId,
            FieldId::PluginName,
            FieldId::PluginFamily,
        ];
        ATTRIBUTES.into_iter().find(|id| id.field().xml == name)
    }

    /// The field that a host tag of this name fills.
    pub(crate) fn of_host_tag(name: &str) -> Option<Self> {
        const TAGS: [FieldId; 11] = [
            FieldId::HostIp,
            FieldId::HostFqdn,
            FieldId::HostFqdns,
            FieldId::HostRdns,
            FieldId::Hostname,
            FieldId::NetbiosName,
            FieldId::OperatingSystem,
            FieldId::MacAddress,
            FieldId::HostStart,
            FieldId::HostEnd,
            FieldId::Credentialed,
        ];
        // Older scanners write times without a time zone only.
        match name {
            "HOST_START" => Some(Self::HostStart),
            "HOST_END" => Some(Self::HostEnd),
            _ => TAGS.into_iter().find(|id| id.field().xml == name),
        }
    }

    /// The field a caller means: its JSON name, its XML name or `compliance_...`, in any case, `-` for `_` allowed.
    pub(crate) fn named(text: &str) -> Option<Self> {
        let wanted = plain(text);
        ALL.iter().copied().find(|id| plain(id.name()) == wanted).or_else(|| {
            let in_item =
                |id: &Self| !matches!(id.field().origin, Origin::Host | Origin::HostList | Origin::Derived(_));
            ALL.iter().copied().filter(in_item).find(|id| plain(id.field().xml) == wanted)
        })
    }
}

/// What an undeclared element or attribute is called in JSON, filters and the like: with `_element` behind its name
/// when that is a key that means something else, or could be taken for one that was made so.
pub(crate) fn key_of_other(name: &str) -> Cow<'_, str> {
    match name {
        // `plugin_name_element` is declared, so this is an attribute.
        "plugin_name" => Cow::Borrowed("plugin_name_attribute"),
        _ if clashes(name) => Cow::Owned(format!("{name}_element")),
        _ => Cow::Borrowed(name),
    }
}

fn clashes(name: &str) -> bool {
    matches!(name, "type" | "truncated_fields" | "truncated_record" | "plugin_name_attribute")
        || ALL.iter().any(|id| id.name() == name)
        || name.strip_suffix("_element").is_some_and(clashes)
}

/// A name without what callers write differently: case, `-` or `_`, and the namespace prefix.
fn plain(name: &str) -> String {
    name.strip_prefix("cm:").unwrap_or(name).replace('-', "_").to_ascii_lowercase()
}

/// Some of the declared fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FieldSet([u64; FIELD_WORDS]);

/// Words of 64 bits that have a bit for every field.
pub(crate) const FIELD_WORDS: usize = 3;
const _: () = assert!(FIELDS.len() <= FIELD_WORDS * 64, "a field has no bit");

/// The fields for which something holds, known when the program is compiled; closures cannot be called then.
macro_rules! fields_that {
    (|$id:ident, $field:ident| $holds:expr) => {{
        let mut set = FieldSet([0; FIELD_WORDS]);
        let mut at = 0;
        while at < ALL.len() {
            let ($id, $field) = (ALL[at], &FIELDS[at]);
            if $holds {
                set.insert($id);
            }
            at += 1;
        }
        set
    }};
}

impl FieldSet {
    /// Those with values that may not fit their type.
    pub(crate) const TYPED: Self = fields_that!(|id, field| !matches!(
        field.kind,
        Kind::Text | Kind::Host | Kind::Name | Kind::Outcome | Kind::Attachment
    ));

    /// Those that say how bad a vulnerability is. A compliance check has a severity and a risk too, as the stand-in for
    /// its result; that is no rating, and none of these is ever a value of a check.
    pub(crate) const RATINGS: Self = fields_that!(|id, field| {
        let (at, _) = (id as u8, field);
        matches!(
            id,
            FieldId::Severity | FieldId::RiskFactor | FieldId::VulnPublicationDate | FieldId::PatchPublicationDate
        ) || FieldId::CvssScore as u8 <= at && at <= FieldId::ThreatSourcesLast28 as u8
    });

    /// Those that only compliance checks have.
    pub(crate) const OF_CHECKS: Self = fields_that!(|id, field| {
        matches!(field.name.as_bytes(), [b'c', b'm', b':', ..]) || matches!(id, FieldId::Compliance)
    });

    /// Those that have a value wherever they occur: the attributes, and the elements that are no lists and repeat no
    /// attribute.
    pub(crate) const SINGLE: Self = fields_that!(|id, field| {
        matches!(field.origin, Origin::Attribute | Origin::Element) && !matches!(id, FieldId::PluginNameElement)
    });

    /// Those that may have a value without an occurrence of their own in the item.
    pub(crate) const BESIDE: Self = fields_that!(|id, field| {
        matches!(field.origin, Origin::Host | Origin::HostList | Origin::Check | Origin::Derived(_))
            || matches!(id, FieldId::PluginName)
    })
    .without(Self::ON_REQUEST);

    /// Those that cost so much that the `full` profile shows them only where they are asked for.
    pub(crate) const ON_REQUEST: Self = Self::of(&[FieldId::FindingKey]);

    /// Those with one text, which means what it says but for white space around it.
    pub(crate) const PLAIN: Self = fields_that!(
        |id, field| matches!(field.kind, Kind::Text | Kind::Host) && !matches!(field.origin, Origin::List)
    );

    /// Those whose texts are words and numbers of a register, which are the same in any case: references, and what has few
    /// values.
    pub(crate) const WORDS: Self = fields_that!(|id, field| {
        matches!((field.origin, field.kind), (Origin::List, Kind::Text))
            || matches!(
                id,
                FieldId::Protocol
                    | FieldId::RiskFactor
                    | FieldId::ExploitCodeMaturity
                    | FieldId::PluginType
                    | FieldId::Agent
                    | FieldId::StigSeverity
            )
    });

    pub(crate) const fn of(ids: &[FieldId]) -> Self {
        let mut set = Self([0; FIELD_WORDS]);
        let mut at = 0;
        while at < ids.len() {
            set.insert(ids[at]);
            at += 1;
        }
        set
    }

    pub(crate) const fn insert(&mut self, id: FieldId) {
        self.0[id as usize / 64] |= 1 << (id as usize % 64);
    }

    pub(crate) const fn contains(self, id: FieldId) -> bool {
        self.0[id as usize / 64] >> (id as usize % 64) & 1 == 1
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    pub(crate) fn intersection(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & other.0[at]))
    }

    pub(crate) const fn without(mut self, other: Self) -> Self {
        let mut at = 0;
        while at < FIELD_WORDS {
            self.0[at] &= !other.0[at];
            at += 1;
        }
        self
    }

    /// The fields in the order of the table.
    pub(crate) fn iter(self) -> impl Iterator<Item = FieldId> {
        let Self(mut words) = self;
        let mut at = 0;
        std::iter::from_fn(move || {
            while at < FIELD_WORDS {
                let bits = words[at];
                if bits != 0 {
                    // Without the lowest bit.
                    words[at] &= bits - 1;
                    return ALL.get(at * 64 + bits.trailing_zeros() as usize).copied();
                }
                at += 1;
            }
            None
        })
    }
}

static ELEMENTS: LazyLock<HashMap<&'static str, FieldId, BuildHasherDefault<NameHasher>>> = LazyLock::new(|| {
    let is_element =
        |id: &FieldId| matches!(id.field().origin, Origin::Element | Origin::List | Origin::Lines | Origin::Check);
    ALL.iter().copied().filter(is_element).map(|id| (id.field().xml, id)).collect()
});

/// FNV-1a: the names are short, and the table's keys are ours, so nobody can make them collide.
struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::field_ref::FieldRef, *};

    #[test]
    fn names_are_unique_even_in_the_plain_form() {
        let names: HashSet<String> = ALL.iter().map(|id| plain(id.name())).collect();
        assert_eq!(names.len(), FIELDS.len());
    }

    #[test]
    fn callers_may_write_a_name_in_several_ways() {
        for (text, id) in [
            ("plugin_id", FieldId::PluginId),
            ("pluginID", FieldId::PluginId),
            ("cisa-known-exploited", FieldId::CisaKnownExploited),
            ("compliance_result", FieldId::ComplianceResult),
            ("cm:compliance-result", FieldId::ComplianceResult),
            ("CVE", FieldId::Cve),
            ("host", FieldId::Host),
            ("cvssv3_impactscore", FieldId::CvssV3ImpactScore),
        ] {
            assert_eq!(FieldId::named(text), Some(id), "{text}");
        }
        for text in ["", "name", "nonsense", "host_"] {
            assert_eq!(FieldId::named(text), None, "{text}");
        }
    }

    #[test]
    fn fields_belong_to_a_kind_or_to_both() {
        let of = |kind: RecordKind| move |id: &FieldId| id.kind() == Some(kind);
        let names = |kind| ALL.iter().filter(|id| of(kind)(id)).map(|id| id.name()).collect::<Vec<_>>();
        insta::assert_snapshot!(names(RecordKind::Vulnerability).join(" "));
        let checks = names(RecordKind::Compliance);
        assert!(checks.iter().all(|name| name.starts_with("cm:") || *name == "compliance"), "{checks:?}");
        for name in ["host", "port", "plugin_id", "plugin_name", "description", "solution", "cve", "xref", "new"] {
            assert_eq!(FieldRef::named(name).kind(), None, "{name}");
        }
    }
}
