//! A report for people: what was found, what was not scanned, and every finding to open.
//!
//! One file that needs no other, no script and no network: charts are inline SVG, findings open with `details`. Texts
//! of an export may be hostile, so every one goes through [`escape`], links are links only when they lead to a page,
//! and a content security policy forbids everything but the styles.

mod charts;
mod checks;
mod markup;
mod overview;
mod parts;
mod style;

use std::{
    borrow::Cow,
    io::{self, BufWriter, Write},
};

use self::{markup::escape, overview::Overview};
pub use self::{
    markup::severity_class,
    parts::{REPORT_STYLE, host_chart, severity_chart},
};
use super::cells;
use crate::error::counted;
use crate::results::{
    convert::{ConversionSummary, FirstPass, Sink},
    error::ResultsError,
    query::Query,
    record::{ComplianceResult, FieldId, FieldRef, FieldSet, Record, RecordKind, Severity},
    xml::Visit,
};

/// Bytes written at once.
const WRITE_BYTES: usize = 64 << 10;

/// A report on its way out.
pub(super) struct Html<'q, W: Write> {
    query: &'q Query,
    output: BufWriter<W>,
    overview: Overview,
    columns: Vec<FieldRef>,
}

impl<'q, W: Write> Html<'q, W> {
    pub(super) fn new(query: &'q Query, output: W) -> Self {
        let output = BufWriter::with_capacity(WRITE_BYTES, output);
        Self { query, output, overview: Overview::new(query.kind), columns: Vec::new() }
    }

    fn head(&mut self, first_pass: &FirstPass<'_>) -> io::Result<()> {
        let output = &mut self.output;
        let name = first_pass.header.report_name.as_deref().unwrap_or("Scan without a name");
        let name = escape(name);
        write!(
            output,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n<title>{name}</title>\n<style>\n{}</style>\n</head>\n<body>\n\
             <header>\n<p class=\"kind\">{}</p>\n<h1>{name}</h1>\n",
            style::SHEET,
            match self.query.kind {
                RecordKind::Vulnerability => "Vulnerability scan",
                RecordKind::Compliance => "Compliance audit",
            }
        )?;
        self.overview.facts(first_pass, output)?;
        output.write_all(b"</header>\n<main>\n")?;
        if let Some(failure) = &first_pass.failure {
            let message = escape(&failure.message);
            writeln!(
                output,
                "<p class=\"alarm\" role=\"alert\"><strong>This report is not complete.</strong> It shows what stands in the \
                 export before the place where it is broken: {message}.</p>"
            )?;
        }
        self.overview.write(first_pass, output)?;
        self.list_head(first_pass)
    }

    /// What the list of findings shows.
    fn list_head(&mut self, first_pass: &FirstPass<'_>) -> io::Result<()> {
        let query = self.query;
        let output = &mut self.output;
        let total = first_pass.stats.of_kind(query.kind);
        let (title, total) = match query.kind {
            RecordKind::Vulnerability => ("Findings", counted(total, "finding", "findings")),
            RecordKind::Compliance => ("Outcomes", counted(total, "compliance check", "compliance checks")),
        };
        write!(output, "<section>\n<h2>{title}</h2>\n<p class=\"note\">{} of {total}", first_pass.matched)?;
        let filters = query.filters.to_json();
        if !filters.is_empty() {
            let filters = serde_json::to_string(&filters)?;
            let verb = if first_pass.matched == 1 { "matches" } else { "match" };
            write!(output, " {verb} <code>{}</code>", escape(&filters))?;
        }
        let window = query.window(first_pass.matched);
        if window.end - window.start < first_pass.matched {
            let first = if window.is_empty() { window.start } else { window.start + 1 };
            write!(output, ", shown are {first} to {}", window.end)?;
        }
        writeln!(output, "; order: <code>{}</code>.</p>", escape(&query.sort.to_string()))?;
        if first_pass.has_more_fields {
            output.write_all(
                b"<p class=\"alarm\">Findings have more kinds of elements than are shown here; lines of JSON have all.</p>\n",
            )?;
        }
        Ok(())
    }

    fn finding(&mut self, record: &Record<'_>) -> io::Result<()> {
        let output = &mut self.output;
        let (class, label) = rating(record);
        let text = |id| record.first(id).map(|value| cells::text(value, record)).unwrap_or_default();
        let place = match (text(FieldId::Port), text(FieldId::Protocol)) {
            (port, protocol) if !port.is_empty() && port != "0" => format!("{port}/{protocol}"),
            _ => String::new(),
        };
        let name = match text(FieldId::ComplianceCheckName) {
            name if name.is_empty() => text(FieldId::PluginName),
            name => name,
        };
        let name = match name {
            name if name.trim().is_empty() => format!("Plugin {}", text(FieldId::PluginId)).into(),
            name => name,
        };
        write!(
            output,
            "<details class=\"{class}\"><summary><span class=\"rating\">{}</span> <span class=\"where\">{} {}</span> \
             <span class=\"name\">{}</span> <span class=\"score\">{}</span></summary>\n<dl>\n",
            escape(&label),
            escape(&record.host.name),
            escape(&place),
            escape(&name),
            record.best_score().map(|score| format!("{score:.1}")).unwrap_or_default(),
        )?;
        let beside = self.query.projection.beside_all();
        let shown = beside.map(|beside| record.shown_beside(FieldSet::default()).union(beside));
        for field in &self.columns {
            if let FieldRef::Declared(id) = field
                && shown.is_some_and(|shown| !shown.contains(*id))
            {
                continue;
            }
            let mut values = Vec::new();
            cells::values(record, field, |value| values.push(cells::text(value, record)));
            values.retain(|value| !value.trim().is_empty());
            if values.is_empty() {
                continue;
            }
            let mark =
                if field.is_untrusted(self.query.kind) { " <small>said by the scanned host</small>" } else { "" };
            write!(output, "<dt>{}{mark}</dt>", escape(&field.name().replace('_', " ")))?;
            for value in values {
                output.write_all(b"<dd>")?;
                if cells::is_link(&value) && !field.is_untrusted(self.query.kind) {
                    let link = escape(&value);
                    write!(output, "<a href=\"{link}\" rel=\"noopener noreferrer\">{link}</a>")?;
                } else {
                    output.write_all(escape(&value).as_bytes())?;
                }
                output.write_all(b"</dd>")?;
            }
            output.write_all(b"\n")?;
        }
        output.write_all(b"</dl></details>\n")
    }

    fn foot(&mut self, summary: &ConversionSummary) -> io::Result<()> {
        let output = &mut self.output;
        if summary.total_vulnerabilities == 0 {
            output.write_all(b"<p>Nothing matches.</p>\n")?;
        }
        if let Some(cursor) = &summary.next_cursor {
            writeln!(
                output,
                "<p class=\"note\">There is more: go on with the cursor <code>{}</code>.</p>",
                escape(cursor)
            )?;
        }
        write!(
            output,
            "</section>\n</main>\n<footer>Written by nessus-mcp {} from a .nessus export. Texts of scanned hosts are \
             evidence, not advice.</footer>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION")
        )?;
        output.flush()
    }
}

impl<W: Write> Sink for Html<'_, W> {
    fn look(&mut self, visit: Visit<'_>, matches: bool) {
        self.overview.look(visit, matches);
    }

    fn forget(&mut self) {
        self.overview = Overview::new(self.query.kind);
    }

    fn begin(&mut self, first_pass: &FirstPass<'_>) -> Result<(), ResultsError> {
        self.columns = self.query.projection.shown(&first_pass.present).to_vec();
        self.head(first_pass).map_err(ResultsError::Write)
    }

    fn record(&mut self, record: &Record<'_>) -> Result<bool, ResultsError> {
        self.finding(record).map_err(ResultsError::Write)?;
        Ok(true)
    }

    fn end(&mut self, summary: &ConversionSummary) -> Result<(), ResultsError> {
        self.foot(summary).map_err(ResultsError::Write)
    }
}

/// The class of a finding, and what its badge says.
fn rating<'r>(record: &Record<'r>) -> (&'static str, Cow<'r, str>) {
    if record.kind() == RecordKind::Compliance {
        let class = if record.compliance_result() == ComplianceResult::Failed { "failed" } else { "checked" };
        let word = record.first(FieldId::ComplianceResult).map(|word| cells::text(word, record));
        return (class, word.unwrap_or("NO RESULT".into()));
    }
    let severity = record.severity();
    (severity_class(severity), severity.map_or("Unknown", Severity::name).into())
}
