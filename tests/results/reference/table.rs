//! The fields that have a type, by the name of their element.

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Integer,
    Number,
    Boolean,
    Date,
}

/// What the values of a field are in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    Date,
    Severity,
    /// The result of a compliance check.
    Outcome,
}

/// What a field of this name holds; those that nobody knows hold text.
pub(crate) fn kind(name: &str) -> Kind {
    if name == "cm:compliance-result" {
        return Kind::Outcome;
    }
    let known = element(name).or_else(|| element(&name.replace('_', "-")));
    match (name, known) {
        ("severity", _) => Kind::Severity,
        ("port" | "plugin_id", _) | (_, Some((Type::Integer, _))) => Kind::Integer,
        ("cvss_score", _) | (_, Some((Type::Number, _))) => Kind::Number,
        ("credentialed", _) | (_, Some((Type::Boolean, _))) => Kind::Boolean,
        ("host_start" | "host_end", _) | (_, Some((Type::Date, _))) => Kind::Date,
        _ => Kind::Text,
    }
}

/// How often an element may stand in an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Once,
    Often,
    /// Often, and with one value a line.
    Lines,
}

const INTEGER_LISTS: &str = "bid osvdb cwe edb-id";
const TEXT_LISTS: &str = "cm:compliance-reference cve xref mskb msft cert rhsa usn secunia iava iavb iavt owasp cisco-sa cisco-bug-id cea-id tra \
                          apple-sa icsa";
const NUMBERS: &str = "cvss_base_score cvss_temporal_score cvss3_base_score cvss3_temporal_score cvss4_base_score \
                       cvss4_threat_score cvss cvssv3 cvssV3_impactScore vpr_score vulnerability_priority_rating epss_score \
                       epss_percentile";
const BOOLEANS: &str = "exploit_available exploited_by_malware exploited_by_nessus exploit_framework_metasploit \
                        exploit_framework_core exploit_framework_canvas exploit_framework_d2_elliot exploit_framework_exploithub \
                        in_the_news unsupported_by_vendor default_account potential_vulnerability asset_inventory \
                        os_identification compliance";
const DATES: &str = "cisa-known-exploited vuln_publication_date patch_publication_date plugin_publication_date \
                     plugin_modification_date";
const TEXTS: &str = "plugin_name risk_factor cvss_vector cvss_temporal_vector cvss3_vector cvss3_temporal_vector cvss4_vector \
                     cvss4_threat_vector cvss_score_source cvss3_score_source cvss4_score_source cvss_score_rationale \
                     exploitability_ease exploit_code_maturity metasploit_name canvas_package d2_elliot_name age_of_vuln \
                     product_coverage threat_intensity_last_28 threat_recency threat_sources_last_28 synopsis description \
                     solution plugin_output output plugin_type fname script_version plugin_version agent cpe stig_severity \
                     asset_inventory_category hardware_inventory always_run thorough_tests generated_plugin \
                     cm:compliance-result cm:compliance-check-name cm:compliance-check-id cm:compliance-actual-value \
                     cm:compliance-policy-value cm:compliance-info cm:compliance-solution \
                     cm:compliance-see-also cm:compliance-audit-file cm:compliance-output cm:compliance-error";

/// Type and multiplicity of a child element; `None` when it is none that is known.
pub(crate) fn element(name: &str) -> Option<(Type, Times)> {
    let is_in = |list: &str| list.split_ascii_whitespace().any(|found| found == name);
    [
        (INTEGER_LISTS, Type::Integer, Times::Often),
        (TEXT_LISTS, Type::Text, Times::Often),
        ("see_also", Type::Text, Times::Lines),
        (NUMBERS, Type::Number, Times::Once),
        (BOOLEANS, Type::Boolean, Times::Once),
        (DATES, Type::Date, Times::Once),
        (TEXTS, Type::Text, Times::Once),
    ]
    .into_iter()
    .find(|(list, ..)| is_in(list))
    .map(|(_, kind, times)| (kind, times))
}

/// What a known element is called in JSON.
pub(crate) fn json_name(element: &str) -> String {
    match element {
        "plugin_name" => "plugin_name_element".to_owned(),
        _ if element.starts_with("cm:") => element.to_owned(),
        _ => element.replace('-', "_"),
    }
}

/// The attributes of an item that have a type, and their names in JSON.
pub(crate) const ATTRIBUTES: [(&str, &str); 7] = [
    ("port", "port"),
    ("protocol", "protocol"),
    ("svc_name", "svc_name"),
    ("pluginID", "plugin_id"),
    ("pluginName", "plugin_name"),
    ("pluginFamily", "plugin_family"),
    ("severity", "severity"),
];

/// Whether a key of the JSON object means something else than an element of this name that nobody knows.
pub(crate) fn is_taken(name: &str) -> bool {
    const OTHERS: &str = "type host host_ip host_fqdn host_fqdns host_rdns hostname operating_system netbios_name mac_address host_start host_end \
                          credentialed port protocol svc_name plugin_id plugin_name plugin_family severity cvss_score \
                          attachment truncated_fields truncated_record";
    let all = [OTHERS, INTEGER_LISTS, TEXT_LISTS, "see_also", NUMBERS, BOOLEANS, DATES, TEXTS];
    all.iter().flat_map(|list| list.split_ascii_whitespace()).any(|known| json_name(known) == name)
        || matches!(name, "plugin_name" | "plugin_name_attribute")
        || name.strip_suffix("_element").is_some_and(is_taken)
}

/// Whether what stands in a known field is what a scanned machine has answered.
pub(crate) fn is_untrusted(name: &str) -> bool {
    const ALL: [&str; 11] = [
        "host_fqdn",
        "host_fqdns",
        "host_rdns",
        "hostname",
        "operating_system",
        "netbios_name",
        "plugin_output",
        "output",
        "cm:compliance-actual-value",
        "cm:compliance-output",
        "cm:compliance-error",
    ];
    ALL.contains(&name)
}
