//! Exports of every shape: what a scanner writes, what other programs make of it, and what XML allows beside.

use proptest::{collection::vec, prelude::*, sample::select};

/// Which characters texts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Texts {
    /// All, and all ways to write them: references, CDATA sections, comments, elements inside.
    Any,
    /// Those that are shown as they are.
    Plain,
}

const VALUES: [&str; 40] = [
    "7.5",
    "10.0",
    "0",
    "1",
    "-1",
    "1e3",
    "NaN",
    "+5",
    ".5",
    " 42 ",
    "4294967296",
    "99999999999999999999",
    "true",
    "True",
    "FALSE",
    "maybe",
    "2025/01/31",
    "2025-01-31",
    "2026-11-20T18:00:00+02:00",
    "2025/13/01",
    "soon",
    "",
    " ",
    "10.0.0.7",
    "Apache",
    "apache 2.4",
    "CWE-5",
    "cwe:42, 7",
    "CWE 1",
    "BID-5; 42",
    "EDB-ID:5",
    "OSVDB-1",
    "7,5",
    "N/A",
    "none",
    "-",
    "2025-1-5",
    "+007",
    "High",
    "cve-2026-0001, CVE-2026-2",
];
const WORDS: [&str; 10] = [
    "\"1.1 x\" : [FAILED]\n\nmore",
    "passed",
    "CVE-2026-0001",
    "Überlauf",
    "a\nb",
    "\n line \n\n next ",
    "x &amp; y",
    "&lt;b>",
    "ÖPNV",
    "'\"",
];
const MARKUP: [&str; 22] = [
    "&#xd;",
    "&#10;",
    "&#x1F600;",
    "&#233;",
    "&apos;&quot;",
    "\r\n",
    "\r",
    "\t",
    "<![CDATA[ <y> &amp; ]]>",
    "<![CDATA[]]>",
    "<!-- & < -->",
    "<?p i?>",
    "<b>bold<i/></b>",
    "<cve>CVE-1</cve>",
    "\u{200B}",
    "\u{202E}x",
    "\u{1B}[31mred",
    "\u{1}",
    "\u{AD}",
    "\u{85}\u{7F}",
    "\u{FEFF}",
    "€😀",
];

fn text(texts: Texts) -> BoxedStrategy<String> {
    let plain = prop_oneof![3 => select(&VALUES[..]), 2 => select(&WORDS[..])];
    let plain = prop_oneof![plain.prop_map(str::to_owned), "[a-zA-Z0-9 .,:/-]{0,12}"];
    match texts {
        Texts::Plain => plain.boxed(),
        Texts::Any => {
            let piece = prop_oneof![2 => plain.clone(), 1 => select(&MARKUP[..]).prop_map(str::to_owned)];
            prop_oneof![plain, vec(piece, 0..5).prop_map(|pieces| pieces.concat())].boxed()
        }
    }
}

/// An attribute's value with its quotes.
fn quoted(texts: Texts) -> BoxedStrategy<String> {
    let safe = |text: String| text.replace('<', "&lt;");
    let usual = text(Texts::Plain).prop_map(safe);
    let odd = select(vec!["a\nb\tc", "&#10;&#9;", "\u{1}x", "\r\n", "é\u{200B}", ""]).prop_map(str::to_owned);
    let value = if texts == Texts::Any { prop_oneof![4 => usual, 1 => odd].boxed() } else { usual.boxed() };
    (value, any::<bool>())
        .prop_map(|(value, single)| {
            if single {
                format!("'{}'", value.replace('\'', "&apos;"))
            } else {
                format!("\"{}\"", value.replace('"', "&quot;"))
            }
        })
        .boxed()
}

/// Elements that have a field, and such that have none but the name of one.
const CHILDREN: [&str; 57] = [
    "cve",
    "cve",
    "xref",
    "bid",
    "osvdb",
    "cwe",
    "edb-id",
    "see_also",
    "iava",
    "mskb",
    "cisco-sa",
    "cvss_base_score",
    "cvss3_base_score",
    "cvss4_base_score",
    "cvssv3",
    "cvss",
    "cvssV3_impactScore",
    "vpr_score",
    "epss_score",
    "exploit_available",
    "in_the_news",
    "asset_inventory",
    "compliance",
    "cisa-known-exploited",
    "vuln_publication_date",
    "plugin_modification_date",
    "plugin_name",
    "risk_factor",
    "synopsis",
    "description",
    "solution",
    "plugin_output",
    "output",
    "fname",
    "cpe",
    "cm:compliance-result",
    "cm:compliance-check-name",
    "cm:compliance-check-id",
    "cm:compliance-actual-value",
    "cm:compliance-reference",
    "cm:compliance-reference-x",
    "attachment",
    "attachment",
    "host",
    "port",
    "type",
    "severity",
    "value",
    "host_element",
    "plugin_name_element",
    "truncated_fields",
    "cisa_known_exploited",
    "ns0:compliance-result",
    "ns0:description",
    "compliance-result",
    "cm:compliance-result",
    "x:cve",
];
/// Those whose texts mean something to the comparison of whole items with their JSON.
const PLAIN_CHILDREN: usize = 43;
const ATTRIBUTES: [&str; 14] = [
    "port",
    "svc_name",
    "protocol",
    "severity",
    "pluginID",
    "pluginName",
    "pluginFamily",
    "host",
    "cve",
    "type",
    "owner",
    "xmlns:x",
    "host_element",
    "plugin_name",
];
const TAGS: [&str; 17] = [
    "host-ip",
    "host-fqdn",
    "host-fqdns",
    "host-rdns",
    "hostname",
    "operating-system",
    "netbios-name",
    "mac-address",
    "Credentialed_Scan",
    "HOST_START",
    "HOST_END",
    "HOST_START_TIMESTAMP",
    "HOST_END_TIMESTAMP",
    "cpe-0",
    "os",
    "",
    "name",
];
const TIMES: [&str; 5] =
    ["1795200612", "Fri Nov 20 19:30:12 2026", "Fri Nov  7 13:25:52 2025", "2026-11-20T18:00:00.5+02:00", "yesterday"];
/// What names of machines are written like.
const NAMES: [&str; 4] = [
    "A.corp.example.",
    r"CORP\web",
    r#"[{"FQDN":"A.corp.example","sources":["x"]},{"FQDN":"b.corp.example"}]"#,
    r#"["web", "", "::ffff:10.0.0.7"]"#,
];

fn attributes(names: &'static [&'static str], most: usize, texts: Texts) -> BoxedStrategy<String> {
    let space = select(vec![" ", "\n", "  ", "\r\n\t"]);
    let equals = select(if texts == Texts::Any { vec!["=", "=", " = "] } else { vec!["="] });
    vec((select(names), space, equals, quoted(texts)), 0..=most)
        .prop_map(|mut all| {
            let mut known = std::collections::HashSet::new();
            all.retain(|(name, ..)| known.insert(*name));
            all.into_iter()
                .flat_map(|(name, space, equals, value)| {
                    [space, name, equals].map(str::to_owned).into_iter().chain([value])
                })
                .collect()
        })
        .boxed()
}

fn element(name: &str, attributes: &str, content: Option<&str>) -> String {
    match content {
        Some(content) => format!("<{name}{attributes}>{content}</{name}>"),
        None => format!("<{name}{attributes}/>"),
    }
}

fn child(texts: Texts) -> BoxedStrategy<String> {
    let names = if texts == Texts::Any { &CHILDREN[..] } else { &CHILDREN[..PLAIN_CHILDREN] };
    let invented =
        "[a-z][a-z0-9_.-]{0,6}".prop_filter("not the prefix of a namespace", |name| !name.starts_with("xml"));
    let name =
        prop_oneof![6 => select(names).prop_map(str::to_owned), 1 => invented, 1 => Just("brand_new".to_owned())];
    let attributes =
        prop_oneof![3 => Just(String::new()), 1 => attributes(&["name", "type", "value", "kind"], 3, texts)];
    let content = prop_oneof![8 => text(texts).prop_map(Some), 1 => Just(None)];
    let declared = if texts == Texts::Any { select(&DECLARATIONS[..]).boxed() } else { Just("").boxed() };
    (name, attributes, declared, content)
        .prop_map(|(name, attributes, declared, content)| {
            element(&name, &format!("{attributes}{declared}"), content.as_deref())
        })
        .boxed()
}

fn item(texts: Texts) -> BoxedStrategy<String> {
    let between = if texts == Texts::Any {
        select(vec!["", "\n", "<!-- c -->", "stray", "<![CDATA[x]]>", "<?p?>", " \r\n "]).boxed()
    } else {
        select(vec!["", "\n"]).boxed()
    };
    let severity = select(vec![
        "",
        " severity='0'",
        " severity='2'",
        " severity='3'",
        " severity='4'",
        " severity=' 1 '",
        " severity='9'",
    ]);
    let names: &'static [&'static str] = if texts == Texts::Any { &ATTRIBUTES } else { &ATTRIBUTES[..7] };
    let declared = if texts == Texts::Any { select(&DECLARATIONS[..]).boxed() } else { Just("").boxed() };
    (attributes(names, 7, texts), declared, severity, vec((child(texts), between), 0..9))
        .prop_map(|(mut attributes, declared, severity, children)| {
            attributes.push_str(declared);
            if !attributes.contains("severity") {
                attributes.push_str(severity);
            }
            let children: String =
                children.into_iter().flat_map(|(child, between)| [child, between.to_owned()]).collect();
            element("ReportItem", &attributes, (!children.is_empty()).then_some(&*children))
        })
        .boxed()
}

fn properties(texts: Texts) -> BoxedStrategy<String> {
    let value = prop_oneof![2 => text(texts).prop_map(Some), 2 => select(&TIMES[..]).prop_map(|time| Some(time.to_owned())), 1 => select(&NAMES[..]).prop_map(|name| Some(name.to_owned())), 1 => Just(None)];
    let tag = (select(&TAGS[..]), value)
        .prop_map(|(name, value)| element("tag", &format!(" name=\"{name}\""), value.as_deref()));
    vec(tag, 0..6).prop_map(|tags| element("HostProperties", "", Some(&tags.concat()))).boxed()
}

fn host(texts: Texts) -> BoxedStrategy<String> {
    let name = prop_oneof![
        select(vec!["10.0.0.7", "10.0.0.10", "web", "Web2", "2001:db8::7", ""])
            .prop_map(|name| format!(" name='{name}'")),
        Just(String::new())
    ];
    let part = prop_oneof![6 => item(texts), 1 => properties(texts), 1 => Just("\n<!-- -->".to_owned()), 1 => Just("<Other><ReportItem/>x</Other>".to_owned())];
    let declared = if texts == Texts::Any { select(&DECLARATIONS[..]).boxed() } else { Just("").boxed() };
    (name, declared, prop::option::of(properties(texts)), vec(part, 0..6))
        .prop_map(|(mut name, declared, properties, parts)| {
            name.push_str(declared);
            let content = properties.unwrap_or_default() + &parts.concat();
            element("ReportHost", &name, (!content.is_empty()).then_some(&*content))
        })
        .boxed()
}

/// Declarations of namespaces; most elements have none.
const DECLARATIONS: [&str; 10] = [
    "",
    "",
    "",
    "",
    " xmlns:cm='http://www.nessus.org/cm'",
    " xmlns:cm='urn:x'",
    " xmlns='urn:x'",
    " xmlns='http://www.nessus.org/cm'",
    " xmlns:ns0='http://www.nessus.org/&#x63;m'",
    " xmlns:ns0='urn:x' xmlns:cm='urn:x'",
];

/// A whole export, as text.
pub(crate) fn export(texts: Texts) -> BoxedStrategy<String> {
    let policy = select(vec![
        "",
        "<Policy/>",
        "<Policy><policyName>p &amp; q</policyName><Preferences><x>1<y/></x></Preferences></Policy>\n",
    ]);
    let head = select(vec!["", "<?xml version='1.0'?>\n", "<!-- c --><?p?>", "\n"]);
    let namespace = if texts == Texts::Any { select(&DECLARATIONS[..]) } else { select(&DECLARATIONS[..5]) };
    (head, policy, namespace, vec(host(texts), 0..4), any::<bool>())
        .prop_map(move |(head, policy, namespace, hosts, in_report)| {
            let hosts = hosts.concat();
            // Some programs leave the report out; without hosts nothing would be left.
            let hosts = if in_report || hosts.is_empty() || texts == Texts::Plain {
                element("Report", namespace, Some(&hosts))
            } else {
                hosts
            };
            format!("{head}<NessusClientData_v2>{policy}{hosts}</NessusClientData_v2>\n")
        })
        .boxed()
}

/// The encodings that are read, and UTF-8 with and without a byte order mark.
pub(crate) const ENCODINGS: u8 = 6;

/// An export in one of the encodings.
pub(crate) fn encode(text: &str, encoding: u8) -> Vec<u8> {
    let wide = |mark: &str, bytes: fn(u16) -> [u8; 2]| {
        format!("{mark}{}", text.trim_start()).encode_utf16().flat_map(bytes).collect()
    };
    match encoding {
        0 => format!("\u{FEFF}{text}").into_bytes(),
        1 => wide("\u{FEFF}", u16::to_le_bytes),
        2 => wide("\u{FEFF}", u16::to_be_bytes),
        3 => wide("", u16::to_le_bytes),
        4 if !text.starts_with("<?xml") => {
            let byte = |found: char| match found {
                '€' => 0x80,
                '\u{80}'..='\u{9F}' => b'?',
                other => u8::try_from(u32::from(other)).unwrap_or(b'?'),
            };
            let declaration = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>";
            declaration.chars().chain(text.trim_start().chars()).map(byte).collect()
        }
        _ => text.as_bytes().to_vec(),
    }
}
