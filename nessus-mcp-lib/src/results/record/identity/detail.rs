//! What tells the findings of one plugin at one port apart.
//!
//! Most plugins report once at a port, and nothing is read of them. For those that may report several times there is a rule
//! by plugin or by family of plugins. A rule names the place where it reads, and takes nothing else of the output: numbers,
//! times and versions there change from scan to scan. Findings of which a rule finds nothing share what they are known by.

use std::borrow::Cow;

use memchr::{memchr, memmem, memrchr};

use super::super::{compliance, fields::FieldId, host::Host, item::Item, kind::RecordKind};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Detail<'r> {
    /// What it is: a path is never taken for a certificate.
    pub kind: &'static str,
    pub text: Cow<'r, str>,
    /// What is told of it beside, or nothing: the audit file of a check, the input of a web page.
    pub more: Cow<'r, str>,
}

/// Families of plugins that look at web sites. All plugins of a web application scan do, whose hosts are URLs.
const WEB: [&str; 3] = ["CGI abuses", "CGI abuses : XSS", "Web Servers"];

/// Plugins about a certificate, or about certificates of a chain.
const CERTIFICATE: [u32; 23] = [
    10_863, 15_901, 35_291, 42_053, 42_980, 42_981, 45_410, 45_411, 51_192, 51_356, 56_284, 56_471, 56_472, 57_582,
    60_108, 69_551, 83_298, 86_067, 94_761, 95_631, 112_491, 121_009, 124_410,
];

/// Plugins about the login by one protocol.
const LOGIN: [u32; 6] = [104_410, 110_095, 110_385, 110_723, 117_885, 141_118];

/// What services listen at a port: a port that speaks TLS has two.
const SERVICES: u32 = 22_964;

/// Web servers that answer a plugin in a way that makes no sense.
const BROKEN_SERVERS: u32 = 42_799;

/// Plugins that report once at a port what they have found on a whole site: pages, cookies, addresses, requests.
const LISTS_OF_SITES: [u32; 14] =
    [10_662, 11_032, 33_817, 39_470, 40_406, 40_984, 49_704, 49_705, 50_344, 50_345, 85_582, 85_601, 85_602, 91_815];

/// Programs that listen at a port: several may share it. Of Windows, and of systems with SSH.
const WINDOWS_LISTENERS: u32 = 34_252;
const LISTENERS: u32 = 25_221;

/// The place of what is installed, as plugins call it.
const INSTALLED: [&str; 14] = [
    "path",
    "install path",
    "installed path",
    "installation path",
    "install location",
    "installed location",
    "installation location",
    "install directory",
    "installation directory",
    "application path",
    "file path",
    "file",
    "filename",
    "file name",
];

/// A page of a service that is no web site.
const URL: [&str; 2] = ["url", "uri"];

/// What is installed, where a plugin does not say its place.
const PACKAGE: [&str; 2] = ["package", "package name"];

/// A page of a web site.
const PAGE: [&str; 8] = ["url", "uri", "page", "path", "source", "version source", "install url", "vulnerable url"];

pub(super) fn detail<'r>(item: &'r Item, host: &Host, plugin: u32) -> Option<Detail<'r>> {
    if let Some(check) = check(item) {
        return Some(check);
    }
    let first = |id| item.first(id);
    let output = first(FieldId::PluginOutput).or_else(|| first(FieldId::Output))?;
    let alone = |kind, text: Cow<'r, str>| Detail { kind, text, more: Cow::Borrowed("") };
    if CERTIFICATE.contains(&plugin) {
        return subject(output).map(|subject| alone("certificate", subject));
    }
    if LOGIN.contains(&plugin) {
        let [protocol] = least(output, [(&["protocol"], |value| Some(Cow::Owned(value.to_ascii_lowercase())))]);
        return protocol.map(|protocol| alone("login", protocol));
    }
    match plugin {
        SERVICES => return service(output).map(|service| alone("service", service.into())),
        BROKEN_SERVERS => {
            let script = output.split_ascii_whitespace().find(|word| word.strip_suffix(".nasl").is_some())?;
            return Some(alone("script", script.into()));
        }
        WINDOWS_LISTENERS => {
            let process = output.split_once("process '")?.1.split('\'').next()?;
            return Some(alone("program", process.to_lowercase().into()));
        }
        LISTENERS => {
            let [program] = least(output, [(&["executable"], |value| Some(installed(value)))]);
            return program.map(|program| alone("program", program));
        }
        _ if LISTS_OF_SITES.contains(&plugin) => return None,
        _ => {}
    }
    let family = first(FieldId::PluginFamily).unwrap_or_default().trim();
    if host.name.contains("://") {
        return input(output);
    }
    if WEB.contains(&family) {
        return page_of_site(output).map(|page| alone("page", page));
    }
    // Those of distributions report once, with a list of packages.
    let packages: &[&str] = if family.ends_with("Local Security Checks") { &[] } else { &PACKAGE };
    let [page, installed, package] = least(
        output,
        [(&URL, page), (&INSTALLED, |value| Some(installed(value))), (packages, |value| Some(without_versions(value)))],
    );
    let kinds = [("page", page), ("installed", installed), ("package", package)];
    kinds.into_iter().find_map(|(kind, found)| Some(alone(kind, found?)))
}

/// A compliance check: its name and the audit it stands in. Its identifier in the export is a hash of all of the check, so
/// that it changes with the value that is wanted; it stands in for a name.
fn check(item: &Item) -> Option<Detail<'_>> {
    if compliance::kind(item) != RecordKind::Compliance {
        return None;
    }
    let first = |id| item.first(id).map(str::trim).filter(|text| !text.is_empty());
    let named = || first(FieldId::ComplianceCheckName).or_else(|| first(FieldId::ComplianceCheckId));
    let name = named().or_else(|| compliance::name(item))?;
    let audit = first(FieldId::ComplianceAuditFile).unwrap_or_default();
    Some(Detail { kind: "check", text: one_space(name), more: one_space(audit) })
}

/// The page that a finding of a web site is on: by its label, or else the only one on lines that are nothing but a URL. A
/// plugin that lists several pages reports once. The output may repeat what the server has answered, so a URL in the middle
/// of a line is none.
fn page_of_site(output: &str) -> Option<Cow<'_, str>> {
    let [labelled] = least(output, [(&PAGE, page)]);
    labelled.or_else(|| {
        let lines = output.lines().map(|line| line.trim_matches(is_decoration));
        let mut pages = lines.filter(|line| !line.contains(char::is_whitespace)).filter_map(page_of_url);
        let first = pages.next()?;
        pages.all(|page| page == first).then_some(first)
    })
}

/// The page that a finding of a web application scan is on, the first URL there is, and the input of that page, as in `on
/// URL 'http://…' by exploiting 'form' element named 'query'`.
fn input(output: &str) -> Option<Detail<'_>> {
    let scheme = memmem::find(output.as_bytes(), b"://")?;
    let begin = output[..scheme].rfind(|letter: char| !letter.is_ascii_alphabetic()).map_or(0, |at| at + 1);
    let text = page_of_url(output.get(begin..)?)?;
    let named = memmem::find(output.as_bytes(), b" named '").and_then(|at| output.get(at + 8..)?.split('\'').next());
    Some(Detail { kind: "page", text, more: Cow::Borrowed(named.unwrap_or_default()) })
}

/// The path in a value that is a URL or begins with a path.
fn page(value: &str) -> Option<Cow<'_, str>> {
    let value = value.split_ascii_whitespace().next()?;
    if value.contains("://") { page_of_url(value) } else { value.starts_with('/').then(|| path(value)) }
}

fn page_of_url(url: &str) -> Option<Cow<'_, str>> {
    let (scheme, rest) = url.split_once("://")?;
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let rest = rest.split(|letter: char| letter.is_whitespace() || matches!(letter, '\'' | '"' | '<' | '>')).next()?;
    is_web.then(|| rest.find('/').and_then(|at| rest.get(at..)).map_or(Cow::Borrowed("/"), path))
}

/// A path without query, session and what ends a sentence.
fn path(value: &str) -> Cow<'_, str> {
    let end = value.find(['?', '#', ';']).unwrap_or(value.len());
    let path = value[..end].trim_end_matches(['.', ',', ')']);
    if path.is_empty() { Cow::Borrowed("/") } else { without_versions(path) }
}

/// The place of what is installed: that of another version or revision is the same, and Windows does not tell letters apart
/// by case.
fn installed(value: &str) -> Cow<'_, str> {
    let path = without_revisions(without_versions(value));
    let is_windows = path.contains('\\');
    let path = if is_windows { Cow::Owned(path.to_lowercase()) } else { path };
    match path.trim_end_matches(['\\', '/']) {
        "" => path,
        shorter if shorter.len() == path.len() => path,
        shorter => Cow::Owned(shorter.to_owned()),
    }
}

/// The common name of a certificate's subject, or else all of the subject; of a chain, the least.
fn subject(output: &str) -> Option<Cow<'_, str>> {
    fn name(value: &str) -> Cow<'_, str> {
        Cow::Owned(value.trim().to_lowercase())
    }
    let [subject] = least(
        output,
        [(&["subject"], |subject| {
            let parts = subject.split(['/', ',']).map(str::trim);
            let common = parts.filter_map(|part| part.strip_prefix("CN=")).find(|common| !common.is_empty());
            Some(name(common.unwrap_or(subject)))
        })],
    );
    subject
        .or_else(|| {
            // What comes behind is the issuer's.
            let own = memmem::find(output.as_bytes(), b"Issuer").map_or(output, |at| &output[..at]);
            let [common] = least(own, [(&["common name"], |value| Some(name(value)))]);
            common
        })
        .or_else(|| {
            let is_before = |line: &&str| !line.trim_start().starts_with("The Common Name in the certificate");
            let line = output.lines().skip_while(is_before).skip(1).find(|line| !line.trim().is_empty())?;
            Some(name(line))
        })
}

/// `web server` in `A web server is running on this port through TLSv1.2.`; what speaks TLS, whichever, is `tls server`.
fn service(output: &str) -> Option<String> {
    let sentence = output.trim_start();
    let end = [" is running", " answered", " seems to be", " is listening"]
        .iter()
        .filter_map(|verb| sentence.find(verb))
        .min();
    let words = sentence[..end?].split_ascii_whitespace().filter(|word| !matches!(*word, "A" | "An" | "The"));
    let plain = words.map(|word| {
        let word = word.to_ascii_lowercase();
        if word.starts_with("tlsv") || word.starts_with("sslv") { "tls".to_owned() } else { word }
    });
    let name: Vec<String> = plain.collect();
    (!name.is_empty()).then(|| without_versions(&name.join(" ")).into_owned())
}

/// What stands around a label or a line of a list.
fn is_decoration(letter: char) -> bool {
    letter.is_ascii_whitespace() || matches!(letter, '-' | '*' | '+' | '|')
}

/// The labels of values, and what is taken of a value.
type Labelled<'l, 'o> = (&'l [&'l str], fn(&'o str) -> Option<Cow<'o, str>>);

/// Of the values with one of these labels the least, for each list of labels: plugins list what they have found in any
/// order. A label stands before the first `:` of its line.
fn least<'o, const N: usize>(output: &'o str, wanted: [Labelled<'_, 'o>; N]) -> [Option<Cow<'o, str>>; N] {
    let bytes = output.as_bytes();
    let mut found = [const { None::<Cow<'o, str>> }; N];
    let mut begin = 0;
    while let Some(colon) = memchr(b':', &bytes[begin..]).map(|at| begin + at) {
        let line = memrchr(b'\n', &bytes[begin..colon]).map_or(begin, |at| begin + at + 1);
        let end = memchr(b'\n', &bytes[colon..]).map_or(bytes.len(), |at| colon + at);
        let label = output[line..colon].trim_matches(is_decoration);
        for (found, (labels, read)) in found.iter_mut().zip(wanted) {
            if labels.iter().any(|wanted| wanted.eq_ignore_ascii_case(label))
                && let value = output[colon + 1..end].trim()
                && !value.is_empty()
                && let Some(value) = read(value)
                && found.as_ref().is_none_or(|least| value < *least)
            {
                *found = Some(value);
            }
        }
        begin = end;
    }
    found
}

/// A path with `#` for every part that is a number, as snaps and processes have.
fn without_revisions(path: Cow<'_, str>) -> Cow<'_, str> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !path.split(['/', '\\']).any(is_number) {
        return path;
    }
    let parts = path.split_inclusive(['/', '\\']).map(|part| {
        let name = part.trim_end_matches(['/', '\\']);
        if is_number(name) { ["#", &part[name.len()..]].concat() } else { part.to_owned() }
    });
    Cow::Owned(parts.collect())
}

/// A text with `#` for every version (two numbers or more, with `.`, `_` or `-` between) and for every long row of
/// hexadecimal digits, as containers, sessions and products have; these may have `-` between.
fn without_versions(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut shown: Option<String> = None;
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        let run = |begin: usize, is_in: fn(&u8) -> bool| bytes[begin..].iter().take_while(|byte| is_in(byte)).count();
        let begins_word = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        let hex = if begins_word { hex_digits(&bytes[at..]) } else { 0 };
        let mut end = at + run(at, u8::is_ascii_digit);
        let mut numbers = u32::from(end > at);
        while numbers > 0 && matches!(bytes.get(end), Some(b'.' | b'_' | b'-')) {
            let digits = run(end + 1, u8::is_ascii_digit);
            if digits == 0 {
                break;
            }
            end += 1 + digits;
            numbers += 1;
        }
        let found = if hex > 0 { Some(at + hex) } else { (numbers > 1).then_some(end) };
        if let Some(end) = found {
            let shown = shown.get_or_insert_default();
            shown.push_str(&text[copied..at]);
            shown.push('#');
            (at, copied) = (end, end);
        } else {
            at = end.max(at + 1);
        }
    }
    match shown {
        Some(shown) => Cow::Owned(shown + &text[copied..]),
        None => Cow::Borrowed(text),
    }
}

/// How many bytes of a text begin it as a long row of hexadecimal digits; 0 when none do.
fn hex_digits(text: &[u8]) -> usize {
    const LEAST: usize = 16;
    let row = text.iter().take_while(|byte| byte.is_ascii_hexdigit() || **byte == b'-').count();
    let row = &text[..row];
    let end = row.iter().rposition(|byte| *byte != b'-').map_or(0, |at| at + 1);
    let digits = row[..end].iter().filter(|byte| **byte != b'-').count();
    if digits >= LEAST { end } else { 0 }
}

/// A text with one space for every white space.
fn one_space(text: &str) -> Cow<'_, str> {
    let is_plain = !text.contains("  ") && !text.contains(['\n', '\r', '\t']);
    if is_plain { Cow::Borrowed(text) } else { Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" ")) }
}
