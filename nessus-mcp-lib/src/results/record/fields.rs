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
    /// What the values are, in a few words.
    pub meaning: &'static str,
    /// The name as a key in the middle of a JSON object.
    pub key: &'static str,
}

macro_rules! fields {
    ($($id:ident $name:literal $xml:literal $kind:ident $origin:ident $(($derived:ident))? $meaning:literal;)*) => {
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
                meaning: $meaning,
                key: concat!(",\"", $name, "\":"),
            }),*
        ];

        /// Every declared field, in order.
        pub(crate) static ALL: &[FieldId] = &[$(FieldId::$id),*];
    };
}

fields! {
    FindingKey "finding_key" "" Key Derived(FindingKey) "what the finding is known by in this and later exports";
    Host "host" "name" Host Host "what was scanned: name, address or URL";
    HostIp "host_ip" "host-ip" Host Host "address of the host";
    HostFqdn "host_fqdn" "host-fqdn" Name Host "full name in DNS";
    HostFqdns "host_fqdns" "host-fqdns" Name HostList "all names in DNS";
    HostRdns "host_rdns" "host-rdns" Name Host "name by reverse DNS";
    Hostname "hostname" "hostname" Name Host "name the host has for itself";
    NetbiosName "netbios_name" "netbios-name" Name Host "name in NetBIOS";
    OperatingSystem "operating_system" "operating-system" Text Host "most likely operating system";
    MacAddress "mac_address" "mac-address" Text Host "hardware addresses";
    HostStart "host_start" "HOST_START_TIMESTAMP" Date Host "begin of the host's scan";
    HostEnd "host_end" "HOST_END_TIMESTAMP" Date Host "end of the host's scan";
    Credentialed "credentialed" "Credentialed_Scan" Boolean Host "whether the scanner says that it was logged in";
    Port "port" "port" Integer Attribute "port; 0 is the host as a whole";
    Protocol "protocol" "protocol" Text Attribute "tcp, udp or icmp";
    SvcName "svc_name" "svc_name" Text Attribute "service at the port";
    PluginId "plugin_id" "pluginID" Integer Attribute "number of the plugin";
    PluginName "plugin_name" "pluginName" Text Attribute "title of the plugin";
    PluginNameElement "plugin_name_element" "plugin_name" Text Element "title in the element, where it is another";
    PluginFamily "plugin_family" "pluginFamily" Text Attribute "family of the plugin";
    Severity "severity" "severity" Severity Attribute "Info to Critical, as the scan rates it";
    RiskFactor "risk_factor" "risk_factor" Text Element "rating in words by the plugin: None to Critical";
    Cve "cve" "cve" Text List "CVE numbers";
    CvssScore "cvss_score" "" Number Derived(BestScore) "best base score there is: CVSS 4, else 3, else 2";
    Cvss4BaseScore "cvss4_base_score" "cvss4_base_score" Number Element "CVSS 4 base score, 0 to 10";
    Cvss4Vector "cvss4_vector" "cvss4_vector" Text Element "CVSS 4 vector";
    Cvss4ThreatScore "cvss4_threat_score" "cvss4_threat_score" Number Element "CVSS 4 score with threat";
    Cvss4ThreatVector "cvss4_threat_vector" "cvss4_threat_vector" Text Element "CVSS 4 threat vector";
    Cvss4ScoreSource "cvss4_score_source" "cvss4_score_source" Text Element "CVE that the CVSS 4 score is of";
    Cvss3BaseScore "cvss3_base_score" "cvss3_base_score" Number Element "CVSS 3 base score, 0 to 10";
    Cvss3Vector "cvss3_vector" "cvss3_vector" Text Element "CVSS 3 vector";
    Cvss3TemporalScore "cvss3_temporal_score" "cvss3_temporal_score" Number Element "CVSS 3 temporal score";
    Cvss3TemporalVector "cvss3_temporal_vector" "cvss3_temporal_vector" Text Element "CVSS 3 temporal vector";
    Cvss3ScoreSource "cvss3_score_source" "cvss3_score_source" Text Element "CVE that the CVSS 3 score is of";
    CvssBaseScore "cvss_base_score" "cvss_base_score" Number Element "CVSS 2 base score, 0 to 10";
    CvssVector "cvss_vector" "cvss_vector" Text Element "CVSS 2 vector";
    CvssTemporalScore "cvss_temporal_score" "cvss_temporal_score" Number Element "CVSS 2 temporal score";
    CvssTemporalVector "cvss_temporal_vector" "cvss_temporal_vector" Text Element "CVSS 2 temporal vector";
    CvssScoreSource "cvss_score_source" "cvss_score_source" Text Element "CVE that the score is of";
    CvssScoreRationale "cvss_score_rationale" "cvss_score_rationale" Text Element "why the score is what it is";
    Cvss "cvss" "cvss" Number Element "CVSS 2 score in web application scans";
    Cvssv3 "cvssv3" "cvssv3" Number Element "CVSS 3 score in web application scans";
    CvssV3ImpactScore "cvssV3_impactScore" "cvssV3_impactScore" Number Element "CVSS 3 impact score";
    VprScore "vpr_score" "vpr_score" Number Element "Tenable's priority (VPR), 0.1 to 10";
    VulnerabilityPriorityRating "vulnerability_priority_rating" "vulnerability_priority_rating" Number Element "VPR under its older name";
    EpssScore "epss_score" "epss_score" Number Element "chance of exploitation within 30 days (EPSS), 0 to 1";
    EpssPercentile "epss_percentile" "epss_percentile" Number Element "share of vulnerabilities with a lower EPSS, 0 to 1";
    ExploitAvailable "exploit_available" "exploit_available" Boolean Element "whether an exploit is known";
    ExploitabilityEase "exploitability_ease" "exploitability_ease" Text Element "how easily it is exploited, in words";
    ExploitCodeMaturity "exploit_code_maturity" "exploit_code_maturity" Text Element "state of exploit code, in a word";
    CisaKnownExploited "cisa_known_exploited" "cisa-known-exploited" Date Element "day by which CISA requires a fix; present if listed as exploited (KEV)";
    ExploitedByMalware "exploited_by_malware" "exploited_by_malware" Boolean Element "whether malware exploits it";
    ExploitedByNessus "exploited_by_nessus" "exploited_by_nessus" Boolean Element "whether this scan exploited it";
    ExploitFrameworkMetasploit "exploit_framework_metasploit" "exploit_framework_metasploit" Boolean Element "whether Metasploit has an exploit";
    MetasploitName "metasploit_name" "metasploit_name" Text Element "its name in Metasploit";
    ExploitFrameworkCore "exploit_framework_core" "exploit_framework_core" Boolean Element "whether Core Impact has an exploit";
    ExploitFrameworkCanvas "exploit_framework_canvas" "exploit_framework_canvas" Boolean Element "whether Canvas has an exploit";
    CanvasPackage "canvas_package" "canvas_package" Text Element "its package of Canvas";
    ExploitFrameworkD2Elliot "exploit_framework_d2_elliot" "exploit_framework_d2_elliot" Boolean Element "whether D2 Elliot has an exploit";
    D2ElliotName "d2_elliot_name" "d2_elliot_name" Text Element "its name in D2 Elliot";
    ExploitFrameworkExploithub "exploit_framework_exploithub" "exploit_framework_exploithub" Boolean Element "whether ExploitHub has an exploit";
    InTheNews "in_the_news" "in_the_news" Boolean Element "whether the press wrote of it";
    UnsupportedByVendor "unsupported_by_vendor" "unsupported_by_vendor" Boolean Element "whether the product is out of support";
    DefaultAccount "default_account" "default_account" Boolean Element "whether it is a default account";
    PotentialVulnerability "potential_vulnerability" "potential_vulnerability" Boolean Element "whether it was only inferred, as from a version";
    AgeOfVuln "age_of_vuln" "age_of_vuln" Text Element "age of the vulnerability, a range of days";
    ProductCoverage "product_coverage" "product_coverage" Text Element "how common the product is";
    ThreatIntensityLast28 "threat_intensity_last_28" "threat_intensity_last_28" Text Element "how much it was talked of in 28 days";
    ThreatRecency "threat_recency" "threat_recency" Text Element "when it was last talked of";
    ThreatSourcesLast28 "threat_sources_last_28" "threat_sources_last_28" Text Element "where it was talked of in 28 days";
    Synopsis "synopsis" "synopsis" Text Element "the finding in one sentence";
    Description "description" "description" Text Element "the finding in full";
    Solution "solution" "solution" Text Element "what to do";
    SeeAlso "see_also" "see_also" Text Lines "links";
    PluginOutput "plugin_output" "plugin_output" Text Element "what the plugin saw on this host";
    Output "output" "output" Text Element "the same in exports made by hand";
    VulnPublicationDate "vuln_publication_date" "vuln_publication_date" Date Element "day the vulnerability was published";
    PatchPublicationDate "patch_publication_date" "patch_publication_date" Date Element "day a patch was published";
    PluginPublicationDate "plugin_publication_date" "plugin_publication_date" Date Element "day the plugin was published";
    PluginModificationDate "plugin_modification_date" "plugin_modification_date" Date Element "day the plugin was changed";
    PluginType "plugin_type" "plugin_type" Text Element "remote, local, combined and the like";
    Fname "fname" "fname" Text Element "file of the plugin";
    ScriptVersion "script_version" "script_version" Text Element "version of the plugin";
    PluginVersion "plugin_version" "plugin_version" Text Element "version of the plugin in other exports";
    Agent "agent" "agent" Text Element "systems on which agents run it";
    Cpe "cpe" "cpe" Text Element "product affected (CPE)";
    StigSeverity "stig_severity" "stig_severity" Text Element "category in STIGs: I to III";
    Xref "xref" "xref" Text List "references as TYPE:ID";
    Bid "bid" "bid" Integer List "Bugtraq numbers";
    Osvdb "osvdb" "osvdb" Integer List "OSVDB numbers";
    Cwe "cwe" "cwe" Integer List "CWE numbers";
    EdbId "edb_id" "edb-id" Integer List "Exploit-DB numbers";
    Mskb "mskb" "mskb" Text List "Microsoft KB numbers";
    Msft "msft" "msft" Text List "Microsoft bulletins";
    Cert "cert" "cert" Text List "CERT numbers";
    Rhsa "rhsa" "rhsa" Text List "Red Hat advisories";
    Usn "usn" "usn" Text List "Ubuntu notices";
    Secunia "secunia" "secunia" Text List "Secunia numbers";
    Iava "iava" "iava" Text List "IAVA numbers";
    Iavb "iavb" "iavb" Text List "IAVB numbers";
    Iavt "iavt" "iavt" Text List "IAVT numbers";
    Owasp "owasp" "owasp" Text List "OWASP categories";
    CiscoSa "cisco_sa" "cisco-sa" Text List "Cisco advisories";
    CiscoBugId "cisco_bug_id" "cisco-bug-id" Text List "Cisco bug numbers";
    CeaId "cea_id" "cea-id" Text List "CEA numbers";
    Tra "tra" "tra" Text List "Tenable research advisories";
    AppleSa "apple_sa" "apple-sa" Text List "Apple advisories";
    Icsa "icsa" "icsa" Text List "ICS advisories";
    AssetInventory "asset_inventory" "asset_inventory" Boolean Element "whether the plugin takes inventory";
    AssetInventoryCategory "asset_inventory_category" "asset_inventory_category" Text Element "kind of inventory";
    OsIdentification "os_identification" "os_identification" Boolean Element "whether the plugin identifies the system";
    HardwareInventory "hardware_inventory" "hardware_inventory" Text Element "whether the plugin lists hardware";
    AlwaysRun "always_run" "always_run" Text Element "whether the plugin always runs";
    ThoroughTests "thorough_tests" "thorough_tests" Text Element "whether it needs thorough tests";
    GeneratedPlugin "generated_plugin" "generated_plugin" Text Element "whether the plugin was generated";
    Attachment "attachment" "attachment" Attachment List "files kept with the finding";
    Compliance "compliance" "compliance" Boolean Element "whether the item is marked as a compliance check";
    ComplianceResult "cm:compliance-result" "cm:compliance-result" Outcome Check "PASSED, FAILED, WARNING or ERROR";
    ComplianceCheckName "cm:compliance-check-name" "cm:compliance-check-name" Text Check "title of the check";
    ComplianceCheckId "cm:compliance-check-id" "cm:compliance-check-id" Text Element "identifier of the check";
    ComplianceActualValue "cm:compliance-actual-value" "cm:compliance-actual-value" Text Element "value that was found";
    CompliancePolicyValue "cm:compliance-policy-value" "cm:compliance-policy-value" Text Element "value that is required";
    ComplianceInfo "cm:compliance-info" "cm:compliance-info" Text Element "what the check is about";
    ComplianceSolution "cm:compliance-solution" "cm:compliance-solution" Text Element "how to comply";
    ComplianceReference "cm:compliance-reference" "cm:compliance-reference" Text List "what the check is based on, as STANDARD|control";
    ComplianceSeeAlso "cm:compliance-see-also" "cm:compliance-see-also" Text Element "link to the benchmark";
    ComplianceAuditFile "cm:compliance-audit-file" "cm:compliance-audit-file" Text Element "audit file the check stands in";
    ComplianceOutput "cm:compliance-output" "cm:compliance-output" Text Element "output of the check";
    ComplianceError "cm:compliance-error" "cm:compliance-error" Text Element "why the check could not be done";
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

    /// Those whose texts mean what they say but for white space around them.
    pub(crate) const TEXTS: Self = fields_that!(|id, _field| !Self::TYPED.contains(id));

    /// Those with an element for each value, which may have several all the same.
    pub(crate) const SEVERAL: Self =
        fields_that!(|id, field| matches!(field.origin, Origin::List) && !matches!(field.kind, Kind::Attachment));

    /// Those that only items have that are compliance checks.
    pub(crate) const SIGNS_OF_CHECK: Self = Self::of(&[
        FieldId::Compliance,
        FieldId::ComplianceResult,
        FieldId::ComplianceCheckName,
        FieldId::ComplianceCheckId,
    ]);

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

    /// Whether the two have a field in common.
    pub(crate) fn meets(self, other: Self) -> bool {
        let common = self.intersection(other).0;
        common.iter().fold(0, |all, word| all | word) != 0
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
