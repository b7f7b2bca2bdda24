//! SARIF 2.1.0: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.
//!
//! A plugin is a rule, and so is a compliance check; a finding is a result at a logical location (host, port and protocol) that is also given as an
//! artifact, because some readers show nothing without. The order of members is free in JSON: results come first, and
//! the rules that were met on the way, kept in a temporary file, afterwards, when the worst of their results is known.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Seek, Write},
    net::Ipv6Addr,
};

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::{cells, fingerprints::Fingerprints};
use crate::results::{
    convert::{ConversionSummary, FirstPass, Sink},
    error::ResultsError,
    query::Query,
    record::{ComplianceResult, FieldId, FieldRef, Record, RecordKind, Severity, Value},
    texts::{NAME_CHARS, clean, untrusted},
    write::render,
    xml::Visit,
};

/// Bytes written at once.
const WRITE_BYTES: usize = 64 << 10;
/// The most rules of which some are compliance checks. No audit has a tenth of it.
const MOST_CHECKS: usize = 50_000;
const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// A log on its way out.
pub(super) struct Sarif<'q, W: Write> {
    query: &'q Query,
    output: BufWriter<W>,
    /// The rules so far, one a line, without what the worst result decides and what closes them.
    rules: BufWriter<File>,
    /// The index of each rule, by its id.
    known: HashMap<String, usize>,
    /// The worst results of each rule, by its index.
    worst: Vec<Worst>,
    fingerprints: Fingerprints,
    line: Vec<u8>,
    written: u64,
    /// The members of the run that come after the results.
    run: Map<String, Json>,
    driver: Map<String, Json>,
    notifications: Vec<Json>,
}

impl<'q, W: Write> Sarif<'q, W> {
    pub(super) fn new(query: &'q Query, output: W) -> Result<Self, ResultsError> {
        Ok(Self {
            query,
            output: BufWriter::with_capacity(WRITE_BYTES, output),
            rules: BufWriter::new(tempfile::tempfile().map_err(ResultsError::Spool)?),
            known: HashMap::new(),
            worst: Vec::new(),
            fingerprints: Fingerprints::new(),
            line: Vec::new(),
            written: 0,
            run: Map::new(),
            driver: Map::new(),
            notifications: Vec::new(),
        })
    }

    /// The index of an item's rule, which is written when it is met for the first time.
    fn rule(&mut self, record: &Record<'_>, id: &str) -> io::Result<usize> {
        if let Some(index) = self.known.get(id) {
            return Ok(*index);
        }
        let index = self.known.len();
        let rule = serde_json::to_vec(&rule(record, id))?;
        self.rules.write_all(rule.strip_suffix(OPEN_END).unwrap_or(&rule))?;
        self.rules.write_all(b"\n")?;
        self.known.insert(id.to_owned(), index);
        self.worst.push(Worst::default());
        Ok(index)
    }

    fn result(&mut self, record: &Record<'_>) -> io::Result<()> {
        let id = rule_id(record);
        // Of more checks only the plugins are told apart.
        let is_told = self.known.len() < MOST_CHECKS || self.known.contains_key(&*id);
        let id = if is_told { id } else { Cow::Borrowed(plugin(record)) };
        let index = self.rule(record, &id)?;
        if let Some(worst) = self.worst.get_mut(index) {
            worst.add(record);
        }
        let fingerprint = self.fingerprints.next(record.key());
        self.output.write_all(if self.written == 0 { b"\n" } else { b",\n" })?;
        self.written += 1;
        self.line.clear();
        serde_json::to_writer(&mut self.line, &result(record, &id, index, &fingerprint))?;
        // Its last member is the finding as it is in lines of JSON, one level down: a property bag has names of its own.
        self.line.pop();
        self.line.extend_from_slice(b",\"properties\":{\"finding\":");
        render::write_record(&mut self.line, record, &self.query.projection)?;
        self.output.write_all(self.line.trim_ascii_end())?;
        self.output.write_all(b"}}")?;
        self.line.shrink_to(WRITE_BYTES);
        Ok(())
    }

    fn finish(&mut self, summary: &ConversionSummary) -> io::Result<()> {
        if let Some(failure) = &summary.failure {
            self.notifications.push(notification("error", &failure.message));
        }
        let invocation = json!({
            "executionSuccessful": summary.failure.is_none(),
            "toolExecutionNotifications": self.notifications,
        });
        self.run.insert("invocations".to_owned(), json!([invocation]));
        self.output.write_all(b"\n]")?;
        for (name, member) in &self.run {
            write!(self.output, ",\n{}:{member}", Json::from(name.as_str()))?;
        }
        self.output.write_all(b",\n\"tool\":{\"driver\":{\"rules\":[\n")?;
        self.rules.flush()?;
        let rules = self.rules.get_mut();
        rules.rewind()?;
        let mut rules = BufReader::new(rules);
        for (at, worst) in self.worst.iter().enumerate() {
            self.line.clear();
            rules.read_until(b'\n', &mut self.line)?;
            self.output.write_all(if at == 0 { b"" } else { b",\n" })?;
            self.output.write_all(self.line.trim_ascii_end())?;
            if let Some(score) = worst.score {
                // Code scanning services sort by this property, and want a text.
                write!(self.output, ",\"security-severity\":\"{score:.1}\"")?;
            }
            write!(self.output, "}},\"defaultConfiguration\":{{\"level\":\"{}\"}}}}", worst.level.name())?;
        }
        self.output.write_all(b"\n]")?;
        for (name, member) in &self.driver {
            write!(self.output, ",\n{}:{member}", Json::from(name.as_str()))?;
        }
        self.output.write_all(b"}}}]}\n")?;
        self.output.flush()
    }
}

impl<W: Write> Sink for Sarif<'_, W> {
    fn look(&mut self, visit: Visit<'_>, matches: bool) {
        if let Visit::Item(record) = visit
            && matches
        {
            self.fingerprints.expect(record.key());
        }
    }

    fn forget(&mut self) {
        self.fingerprints = Fingerprints::new();
    }

    fn begin(&mut self, first_pass: &FirstPass<'_>) -> Result<(), ResultsError> {
        let stats = &first_pass.stats;
        self.driver = members(json!({
            "name": "Nessus",
            "organization": "Tenable",
            "informationUri": "https://www.tenable.com/products/nessus",
        }));
        let version = stats.scanner_version.as_deref().filter(|version| !version.is_empty());
        self.driver.extend(version.map(|version| ("version".to_owned(), json!(version))));
        let feed = stats.plugin_feed_version.as_deref();
        let mut about = members(json!({
            "kind": self.query.kind,
            "filters_applied": self.query.filters.to_json(),
            "sort": self.query.sort.to_string(),
            "profile": self.query.projection.name(),
            "matched": first_pass.matched,
            "total": stats.of_kind(self.query.kind),
            "hosts": stats.hosts,
            "severity_counts": stats.severity_counts,
            "compliance_counts": stats.compliance_counts,
            "truncated": first_pass.failure.is_some(),
        }));
        let header = &first_pass.header;
        let left_out = stats.left_out(self.query.kind);
        let texts = [
            ("left_out", left_out.as_deref()),
            ("report_name", header.report_name.as_deref()),
            ("policy_name", header.policy_name.as_deref().or(stats.policy_used.as_deref())),
            ("plugin_feed_version", feed),
            ("severity_basis", header.severity_basis.as_deref()),
        ];
        about.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?)))));
        let converter = json!({"tool": {"driver": {"name": "nessus-mcp", "version": env!("CARGO_PKG_VERSION")}}});
        self.run = members(json!({"columnKind": "unicodeCodePoints", "conversion": converter, "properties": about}));
        if stats.hosts_without_findings > 0 {
            let count = stats.hosts_without_findings;
            let names = stats.hosts_without_findings_names.join(", ");
            let text =
                format!("hosts without any finding, which did not answer or were not scanned: {count} ({names})");
            self.notifications.push(notification("warning", &text));
        }
        let start = format!("{{\"$schema\":\"{SCHEMA}\",\"version\":\"2.1.0\",\"runs\":[{{\"results\":[");
        self.output.write_all(start.as_bytes()).map_err(ResultsError::Write)
    }

    fn record(&mut self, record: &Record<'_>) -> Result<bool, ResultsError> {
        self.result(record).map_err(ResultsError::Write)?;
        Ok(true)
    }

    fn end(&mut self, summary: &ConversionSummary) -> Result<(), ResultsError> {
        self.finish(summary).map_err(ResultsError::Write)
    }
}

/// How much a result matters, the least first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    None,
    Note,
    Warning,
    Error,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The highest level and score of a rule's results.
#[derive(Debug, Clone, Copy, Default)]
struct Worst {
    level: Level,
    score: Option<f64>,
}

impl Worst {
    fn add(&mut self, record: &Record<'_>) {
        self.level = self.level.max(level(record).1);
        self.score = score(record).map(|score| self.score.map_or(score, |most| most.max(score))).or(self.score);
    }
}

/// What closes a rule and its properties, before which more properties can stand.
const OPEN_END: &[u8] = b"}}";

/// A `reportingDescriptor`, but for what the worst of its results decides.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule<'r> {
    id: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_description: Option<Message<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_description: Option<Message<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<Message<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help_uri: Option<Cow<'r, str>>,
    /// The last, so that more can be added.
    properties: Tags,
}

#[derive(Serialize)]
struct Tags {
    tags: Vec<String>,
}

#[derive(Serialize)]
struct Message<'r> {
    text: Cow<'r, str>,
}

/// The plugin of an item.
fn plugin<'r>(record: &Record<'r>) -> &'r str {
    record.plugin().unwrap_or("unknown")
}

/// What the rule of an item is called: its plugin, and of a compliance check also the check, because a plugin does many.
fn rule_id<'r>(record: &Record<'r>) -> Cow<'r, str> {
    let plugin = plugin(record);
    let check = first(record, FieldId::ComplianceCheckName).filter(|_| record.kind() == RecordKind::Compliance);
    check.map_or(Cow::Borrowed(plugin), |check| Cow::Owned(format!("{plugin}/{}", clean(&check, NAME_CHARS))))
}

fn rule<'r>(record: &Record<'r>, id: &'r str) -> Rule<'r> {
    let is_check = record.kind() == RecordKind::Compliance;
    // What a check without a name says is about this one, and its rule is the plugin.
    let has_texts = !is_check || id != plugin(record);
    let text = |of_finding, of_check| {
        let id = if is_check { of_check } else { of_finding };
        Some(Message { text: first(record, Some(id).filter(|_| has_texts)?)? })
    };
    let mut tags = Vec::new();
    for field in [FieldId::PluginFamily, FieldId::Cve, FieldId::Cwe] {
        cells::values(record, &FieldRef::Declared(field), |value| {
            let text = cells::text(value, record);
            tags.push(if field == FieldId::Cwe { cwe_tag(&text) } else { text.into_owned() });
        });
    }
    tags.sort();
    tags.dedup();
    let mut links = Vec::new();
    let link = if is_check { FieldId::ComplianceSeeAlso } else { FieldId::SeeAlso };
    cells::values(record, &FieldRef::Declared(link), |value| links.push(cells::text(value, record)));
    Rule {
        id,
        short_description: text(FieldId::PluginName, FieldId::ComplianceCheckName)
            .or_else(|| Some(Message { text: first(record, FieldId::PluginName)? })),
        full_description: text(FieldId::Description, FieldId::ComplianceInfo)
            .or_else(|| text(FieldId::Synopsis, FieldId::ComplianceInfo)),
        help: text(FieldId::Solution, FieldId::ComplianceSolution),
        help_uri: links.into_iter().find(|link| has_texts && cells::is_link(link)),
        properties: Tags { tags },
    }
}

/// A `result`, but for its properties.
fn result(record: &Record<'_>, id: &str, index: usize, fingerprint: &str) -> Json {
    let host = untrusted::clean(&record.host.name);
    let text = |id| first(record, id);
    let place = match (text(FieldId::Port), text(FieldId::Protocol)) {
        (Some(port), Some(protocol)) if port != "0" => format!("{}:{port}/{protocol}", before_port(&host)),
        _ => host.clone().into_owned(),
    };
    let name = text(FieldId::PluginName).unwrap_or_else(|| format!("plugin {}", plugin(record)).into());
    let mut message = format!("{name} on {place}");
    let check = [FieldId::ComplianceCheckName, FieldId::ComplianceResult].map(text).into_iter().flatten();
    let check = check.collect::<Vec<_>>().join(": ");
    let check = Some(check).filter(|check| !check.is_empty()).map(Cow::from);
    for more in [check, text(FieldId::Synopsis)].into_iter().flatten() {
        // Writing to a string does not fail.
        let _ = write!(message, "\n\n{more}");
    }
    let (kind, level) = level(record);
    let mut result = json!({
        "ruleId": id,
        "ruleIndex": index,
        "kind": kind,
        "level": level.name(),
        "message": {"text": message},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": uri(&host)}},
            "logicalLocations": [{"name": host, "fullyQualifiedName": place, "kind": "resource"}],
        }],
        "partialFingerprints": {"findingKey/v1": fingerprint},
    });
    if let (Some(score), Some(result)) = (score(record), result.as_object_mut()) {
        result.insert("rank".to_owned(), json!((score * 100.0).round() / 10.0));
    }
    result
}

/// The kind of a result and its level, which is `none` for every kind but a failure.
fn level(record: &Record<'_>) -> (&'static str, Level) {
    if record.kind() == RecordKind::Compliance {
        return match record.compliance_result() {
            ComplianceResult::Passed => ("pass", Level::None),
            ComplianceResult::Failed => ("fail", Level::Error),
            ComplianceResult::Warning => ("review", Level::None),
            ComplianceResult::Error | ComplianceResult::Other => ("open", Level::None),
        };
    }
    match record.severity() {
        Some(Severity::Critical | Severity::High) => ("fail", Level::Error),
        Some(Severity::Medium) | None => ("fail", Level::Warning),
        Some(Severity::Low) => ("fail", Level::Note),
        Some(Severity::Info) => ("informational", Level::None),
    }
}

/// The score of a finding, if it is one.
fn score(record: &Record<'_>) -> Option<f64> {
    record.best_score().filter(|score| (0.0..=10.0).contains(score))
}

/// A host as it stands before `:` and a port: an IPv6 address in brackets, because it has colons of its own.
fn before_port(host: &str) -> Cow<'_, str> {
    let host = host.trim();
    let address = host.split('%').next().unwrap_or_default();
    if address.parse::<Ipv6Addr>().is_ok() { Cow::Owned(format!("[{host}]")) } else { Cow::Borrowed(host) }
}

/// `CWE-20`, whether the export writes that or only the number.
fn cwe_tag(text: &str) -> String {
    let text = text.trim();
    let has_prefix = text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("cwe-"));
    format!("CWE-{}", if has_prefix { &text[4..] } else { text })
}

/// A host as a relative reference: everything that is not plain is written in hexadecimal.
fn uri(host: &str) -> String {
    // A name of nothing but dots would be a step to another folder.
    let dots = host.bytes().all(|byte| byte == b'.');
    host.bytes().fold("hosts/".to_owned(), |mut uri, byte| {
        match byte {
            b'.' if dots => uri.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            _ => _ = write!(uri, "%{byte:02X}"),
        }
        uri
    })
}

/// The first value of a field as text, unless it is empty.
fn first<'r>(record: &Record<'r>, id: FieldId) -> Option<Cow<'r, str>> {
    let value: Value<'r> = record.first(id)?;
    Some(cells::text(value, record)).filter(|text| !text.trim().is_empty())
}

fn notification(level: &str, text: &str) -> Json {
    json!({"level": level, "message": {"text": untrusted::clean(text)}})
}

/// The members of an object.
fn members(object: Json) -> Map<String, Json> {
    match object {
        Json::Object(members) => members,
        _ => Map::new(),
    }
}
