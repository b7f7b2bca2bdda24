//! The .nessus document of a mock scan, made from `findings.nessus`.
//!
//! That file is a whole document whose hosts are kinds of machines. A scanned host is one of these kinds, with most of
//! its findings; which kind and which findings is decided by a hash of its name, so that hosts differ from each other
//! and one host is the same in every run. The text is cut, not parsed: the file is ours, and a test holds its shape.

use std::sync::LazyLock;

use super::expand::{MockHost, hash};

static FINDINGS: LazyLock<Findings> = LazyLock::new(|| Findings::cut(include_str!("findings.nessus")));

/// The plugin that tells about the scan itself: every host has it.
const SCAN_INFORMATION: &str = "19506";

/// A document in pieces.
struct Findings {
    /// Up to the first host.
    head: &'static str,
    kinds: Vec<Kind>,
    /// Behind the last host.
    foot: &'static str,
}

/// A kind of machine.
struct Kind {
    /// Up to the first finding.
    head: &'static str,
    /// Each with its plugin id.
    items: Vec<(&'static str, &'static str)>,
    /// Behind the last finding.
    foot: &'static str,
}

impl Findings {
    fn cut(document: &'static str) -> Self {
        let (head, hosts, foot) = elements(document, "<ReportHost ", "</ReportHost>\n");
        let kinds = hosts.into_iter().map(|host| {
            let (head, items, foot) = elements(host, "<ReportItem ", "</ReportItem>\n");
            let items = items.into_iter().map(|item| (plugin_id(item), item)).collect();
            Kind { head, items, foot }
        });
        Self { head, kinds: kinds.collect(), foot }
    }
}

/// What stands before, in and behind the elements that begin and end so.
fn elements<'a>(text: &'a str, begin: &str, end: &str) -> (&'a str, Vec<&'a str>, &'a str) {
    let (head, mut rest) = text.split_at(text.find(begin).unwrap_or(text.len()));
    let mut found = Vec::new();
    while rest.starts_with(begin)
        && let Some(at) = rest.find(end)
    {
        let (element, behind) = rest.split_at(at + end.len());
        found.push(element);
        rest = behind;
    }
    (head, found, rest)
}

fn plugin_id(item: &str) -> &str {
    item.split_once("pluginID=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(id, _)| id)
}

/// The document's beginning, up to its first host.
pub(super) fn head(scan_name: &str, targets: &str) -> String {
    fill(FINDINGS.head, &[("SCAN", scan_name), ("TARGETS", targets)])
}

/// One host with its findings.
pub(super) fn host(scan_name: &str, host: &MockHost) -> String {
    let seed = hash(&host.name);
    let [.., a, b, c, d] = seed.to_be_bytes();
    // 02: an address of nobody's making.
    let (address, mac) = (host.address.to_string(), format!("02:00:{a:02X}:{b:02X}:{c:02X}:{d:02X}"));
    let values = [
        ("SCAN", scan_name),
        ("NAME", host.name.as_str()),
        ("IP", address.as_str()),
        ("FQDN", host.fqdn.as_str()),
        ("MAC", mac.as_str()),
    ];
    let kinds = FINDINGS.kinds.len().max(1) as u64;
    let mut text = String::new();
    for kind in FINDINGS.kinds.iter().skip(usize::try_from(seed % kinds).unwrap_or_default()).take(1) {
        text.push_str(&fill(kind.head, &values));
        for (plugin, item) in &kind.items {
            let found = !hash(&format!("{plugin} {}", host.name)).is_multiple_of(6);
            if *plugin == SCAN_INFORMATION || found {
                text.push_str(&fill(item, &values));
            }
        }
        text.push_str(&fill(kind.foot, &values));
    }
    text
}

/// The document's end, behind its last host.
pub(super) fn foot() -> &'static str {
    FINDINGS.foot
}

/// Puts values in the place of `@KEY@`, once: what a value contains is not looked at again.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut parts = text.split('@');
    filled.push_str(parts.next().unwrap_or_default());
    let mut is_key = true;
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let value = values.iter().find(|(key, _)| is_key && *key == part && parts.peek().is_some());
        if let Some((_, value)) = value {
            escape_into(&mut filled, value);
        } else {
            // No key: a lone sign of the text.
            if is_key {
                filled.push('@');
            }
            filled.push_str(part);
        }
        is_key = value.is_none();
    }
    filled
}

/// Escapes for text and attributes; a line break in a name must not begin a line of a finding's output.
fn escape_into(to: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => to.push(' '),
            other if other.is_control() => to.push(' '),
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use rstest::rstest;

    use super::{super::expand::expand, *};

    fn document(name: &str, targets: &str) -> String {
        let hosts = expand(targets, 16);
        let body: String = hosts.iter().map(|one| host(name, one)).collect();
        format!("{}{body}{}", head(name, targets), foot())
    }

    /// Walks through a document, checks that its tags are balanced and its text escaped, and counts its elements.
    fn elements_of(document: &str) -> BTreeMap<&str, usize> {
        let mut seen = BTreeMap::new();
        let mut open = Vec::new();
        let body = document.split_once("?>\n").unwrap().1;
        for part in body.split_once("-->\n").unwrap().1.split('<').skip(1) {
            let (tag, text) = part.split_once('>').unwrap();
            assert!(!text.contains('>') && tag.matches('"').count() % 2 == 0, "{part}");
            for entity in tag.split('&').skip(1).chain(text.split('&').skip(1)) {
                let known = ["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known));
                assert!(known, "{part}");
            }
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else {
                let name = tag.split(' ').next().unwrap();
                *seen.entry(name).or_default() += 1;
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
        seen
    }

    #[test]
    fn the_findings_have_the_shape_that_is_cut() {
        assert_eq!(FINDINGS.kinds.len(), 5);
        for kind in &FINDINGS.kinds {
            assert!(kind.head.ends_with("</HostProperties>\n") && kind.foot == "</ReportHost>\n");
            let plugins: HashSet<_> = kind.items.iter().map(|(plugin, _)| plugin).collect();
            assert!(plugins.len() == kind.items.len() && (8..=10).contains(&plugins.len()));
            assert!(plugins.contains(&SCAN_INFORMATION) && plugins.iter().all(|id| id.parse::<u32>().is_ok()));
        }
        assert!(FINDINGS.foot.ends_with("</NessusClientData_v2>\n"));
    }

    #[rstest]
    #[case("192.0.2.1", 1)]
    #[case("192.0.2.0/24", 16)]
    #[case("192.0.2.1,web.example,2001:db8::1", 3)]
    #[case("", 0)]
    fn a_document_is_well_formed_and_has_its_hosts(#[case] targets: &str, #[case] hosts: usize) {
        let document = document("a <b> & \"c\" @IP@\u{0}", targets);
        let seen = elements_of(&document);
        assert_eq!(seen.get("ReportHost").copied().unwrap_or_default(), hosts);
        assert_eq!(seen["NessusClientData_v2"], 1);
        let items = seen.get("ReportItem").copied().unwrap_or_default();
        assert!((hosts * 5..=hosts * 10).contains(&items), "{items}");
    }

    #[test]
    fn hosts_differ_and_are_the_same_in_every_run() {
        let hosts = expand("192.0.2.0/24", 16);
        let kinds: HashSet<_> = hosts.iter().map(|one| hash(&one.name) % 5).collect();
        assert!(kinds.len() >= 4, "{kinds:?}");
        let twice = [document("n", "192.0.2.0/24"), document("n", "192.0.2.0/24")];
        assert_eq!(twice[0], twice[1]);
        for severity in 0..=4 {
            assert!(twice[0].contains(&format!("severity=\"{severity}\"")), "{severity}");
        }
        // A change of the file or the hash changes the results of everybody's demo: it shall be seen.
        assert_eq!(twice[0].matches("<ReportItem ").count(), 129);
    }

    #[test]
    fn a_name_cannot_forge_a_line_of_the_output() {
        let text = document("x\nCredentialed checks : yes", "192.0.2.1");
        assert!(!text.contains("\nCredentialed checks : yes"), "{text}");
        assert!(text.contains("\nCredentialed checks : no"));
    }

    #[rstest]
    #[case("a@IP@b", "a1b")]
    #[case("@IP@@IP@", "11")]
    #[case("a@b@c @IP@", "a@b@c 1")]
    #[case("@IP", "@IP")]
    #[case("me@IP@", "me1")]
    #[case("@ME@", "@IP@")]
    fn only_keys_are_filled_in(#[case] text: &str, #[case] filled: &str) {
        assert_eq!(fill(text, &[("IP", "1"), ("ME", "@IP@")]), filled);
    }
}
