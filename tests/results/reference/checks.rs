//! Which items are compliance checks, and what they say.

use roxmltree::Node;

use super::names;

/// The elements that old files leave out, because they say it in the first line of the description.
pub(crate) const FIRST_LINE: [&str; 2] = ["cm:compliance-check-name", "cm:compliance-result"];

/// The elements that rate a vulnerability. Checks may have them, and they say nothing.
const RATINGS: &str = "risk_factor cvss4_base_score cvss4_vector cvss4_threat_score cvss4_threat_vector cvss4_score_source \
                       cvss3_base_score cvss3_vector cvss3_temporal_score cvss3_temporal_vector cvss3_score_source \
                       cvss_base_score cvss_vector cvss_temporal_score cvss_temporal_vector cvss_score_source \
                       cvss_score_rationale cvss cvssv3 cvssV3_impactScore vpr_score vulnerability_priority_rating \
                       epss_score epss_percentile exploit_available exploitability_ease exploit_code_maturity \
                       cisa-known-exploited exploited_by_malware exploited_by_nessus exploit_framework_metasploit \
                       metasploit_name exploit_framework_core exploit_framework_canvas canvas_package \
                       exploit_framework_d2_elliot d2_elliot_name exploit_framework_exploithub in_the_news \
                       unsupported_by_vendor default_account potential_vulnerability age_of_vuln product_coverage \
                       threat_intensity_last_28 threat_recency threat_sources_last_28 vuln_publication_date \
                       patch_publication_date";

pub(crate) fn is_rating(element: &str) -> bool {
    RATINGS.split_ascii_whitespace().any(|rating| rating == element)
}

/// Whether a field, by its name in JSON, is one of vulnerabilities only (`Some(false)`) or of checks only.
pub(crate) fn is_of_checks(field: &str) -> Option<bool> {
    if field.starts_with("cm:") || field == "compliance" {
        return Some(true);
    }
    let is_known = is_rating(field) || field == "cisa_known_exploited";
    (is_known || matches!(field, "severity" | "cvss_score")).then_some(false)
}

pub(crate) fn is_check(item: Node<'_, '_>) -> bool {
    let says = ["cm:compliance-result", "cm:compliance-check-name", "cm:compliance-check-id"];
    is_marked(item) || says.into_iter().any(|name| first(item, name).is_some())
}

fn is_marked(item: Node<'_, '_>) -> bool {
    let is_true = |text: String| matches!(text.trim().to_ascii_lowercase().as_str(), "true" | "yes" | "1");
    texts(item, "compliance").any(is_true)
}

/// The name of a check, and its result: one of four words, or another one as it is written.
pub(crate) fn name_and_result(item: Node<'_, '_>) -> [Option<String>; 2] {
    let [mut name, mut result] = FIRST_LINE.map(|element| first(item, element));
    if is_marked(item)
        && let Some(description) = first(item, "description")
        && let Some((before, after)) = description.lines().next().unwrap().rsplit_once('[')
        && let Some((word, _)) = after.split_once(']')
        && let Some(written) = before.trim().strip_suffix(':')
    {
        let written = written.trim();
        let quoted = written.strip_prefix('"').and_then(|written| written.strip_suffix('"'));
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        name = name.or_else(|| said(quoted.unwrap_or(written)));
        result = result.or_else(|| said(word.trim()));
    }
    let result = result.map(|word| {
        let upper = word.to_ascii_uppercase();
        if ["PASSED", "FAILED", "WARNING", "ERROR"].contains(&upper.as_str()) { upper } else { word }
    });
    [name, result]
}

fn texts(item: Node<'_, '_>, name: &str) -> impl Iterator<Item = String> {
    let children = item.children().filter(Node::is_element);
    let children: Vec<_> = children.filter(|child| names::in_item(*child, item) == (name.to_owned(), true)).collect();
    children.into_iter().map(names::text)
}

/// The first text that says something.
fn first(item: Node<'_, '_>, name: &str) -> Option<String> {
    texts(item, name).map(|text| text.trim().to_owned()).find(|text| !text.is_empty())
}
