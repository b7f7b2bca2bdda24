//! Exports as newline-delimited JSON: the public face of this module.

use std::{
    io::{Read, Seek, Write},
    rc::Rc,
};

use serde::Serialize;
use serde_json::{Map, Value as Json};

#[cfg(feature = "schema")]
use super::group::GroupLine;
use super::lines::Lines;
use crate::error::counted;
use crate::results::{
    convert::{Conversion, ConversionSummary, FirstPass, Group, Sink, Warnings},
    error::{ParseFailure, ResultsError},
    index::{ExportIndex, search},
    judge::ExportStats,
    query::{Ask, Opt, Query},
    record::{FieldRef, RatingCounts, Record, RecordKind},
    xml::PluginSetPrint,
};

/// Turns .nessus exports into lines of JSON that a language model can read.
///
/// Each line is an object with a `type`:
///
/// 1. `schema`: `kind`, `profile`, `fields` (in `full`, those that the matching findings have), `untrusted_fields` (those of
///    them whose texts come from scanned machines), `filters_applied` in their normal form, `matched` of `total`
///    findings of this kind, `matched_hosts` (machines) and `matched_plugins`, `matched_by_severity` (or
///    `matched_by_result`), `sort`, `total_vulnerabilities` (as `matched`, for vulnerabilities), `total_pages`.
/// 2. `scan_metadata`: `report_name`, `policy_name`, `severity_basis`, `scanner_version`, `plugin_feed_version`,
///    `plugin_set` (or only its size and a fingerprint) and the like where the export has them, the counts of
///    [`ExportStats`] over the whole export, `left_out` (how many items of the other kind there are), `data_warnings` if there are any, and what the caller
///    [adds](JsonNlConverter::with_metadata). On other pages than the first it is
///    [short](crate::results::QueryBuilder::whole_metadata).
/// 3. `vulnerability`: one finding a line, with the fields of the [profile](crate::results::Profile). Or `compliance`, where
///    [that](crate::results::RecordKind) is asked for: one check a line, with its result and without a severity.
/// 4. `pagination`, unless everything was asked for: `page`, `page_size`, `total_pages`, `has_next`, `next_page`, and
///    `next_cursor` when there is more. A page that has reached its [budget](crate::results::QueryBuilder::max_chars) says
///    `"truncated": true` and goes on at `next_cursor`; what follows it by number would leave findings out, so it has
///    neither `total_pages` nor `next_page`. Nor has a page that a cursor has begun, because it has no number. A page
///    beyond the last has no findings, and says so in `beyond_end`.
///
/// Where [groups](crate::results::QueryBuilder::group_by) are asked for, the lines of findings are lines of `group`, and
/// the schema says how many `groups` there are. A [count](crate::results::QueryBuilder::count_only) is the schema alone.
///
/// With a budget, the first two lines have at most 12,000 characters each. Longer ones have their lists cut, and say by how
/// much: `"filters_applied_left_out": 3`. A field that is left out of `untrusted_fields` so is untrusted all the same.
///
/// Untrusted texts are shown without control characters, terminal escape sequences, and characters that have no
/// width or change the direction of writing; filters look at them as they are in the export. A finding that alone is
/// longer than the budget has its long texts cut, and says their lengths: `"truncated_fields": {"plugin_output":
/// {"characters": 586723}}`.
///
/// `plugin_id` and `port` are integers, `severity` is `Info`, `Low`, `Medium`, `High` or `Critical`, `cve` and other
/// elements that may repeat are lists, scores are numbers, `exploit_available` is always a boolean, and `cvss_score`
/// is the best base score present (version 4, else 3, else 2). A value that does not fit its type stays text and is
/// counted in `data_warnings`.
///
/// The export is read twice, and nothing is written before the first pass has found it complete and in order.
/// Memory is 40 bytes for each matching finding up to the end of the page, and a byte or two for each host; in file order
/// it does not grow otherwise. Groups take some 100 bytes each, and 9 to 18 for each plugin in a group.
///
/// ```
/// use nessus_mcp_lib::{JsonNlConverter, results::{Profile, Query}};
///
/// let export = br#"<NessusClientData_v2><Report name="r"><ReportHost name="10.0.0.7">
///   <ReportItem severity="3" pluginID="900001" port="443"><cve>CVE-2026-0001</cve></ReportItem>
/// </ReportHost></Report></NessusClientData_v2>"#;
/// let query = Query::builder().profile(Profile::Minimal).build()?;
/// let mut lines = Vec::new();
/// let summary = JsonNlConverter::new(query).convert(std::io::Cursor::new(export), &mut lines)?;
/// assert_eq!(summary.total_vulnerabilities, 1);
/// assert!(String::from_utf8_lossy(&lines).contains(r#""severity":"High","cve":["CVE-2026-0001"]"#));
/// # Ok::<(), nessus_mcp_lib::results::ResultsError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct JsonNlConverter {
    query: Query,
    metadata: Map<String, Json>,
    is_lenient: bool,
}

impl JsonNlConverter {
    /// For this query.
    pub fn new(query: Query) -> Self {
        Self { query, ..Self::default() }
    }

    /// Adds members to the `scan_metadata` line, such as a task id. A name that the line has already is left out.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Map<String, Json>) -> Self {
        self.metadata = metadata;
        self
    }

    /// Converts the complete findings of a broken export, up to where it is broken; `scan_metadata` then says
    /// `"truncated": true`, with the error and the place in `damage`, and so does [`ConversionSummary::failure`].
    #[must_use]
    pub fn lenient(mut self, is_lenient: bool) -> Self {
        self.is_lenient = is_lenient;
        self
    }

    /// Converts an export that can be read twice, from its first byte on. Buffers what it reads and writes.
    ///
    /// # Errors
    /// When the query names fields that the export does not have, the export is not a complete .nessus file of
    /// version 2 (then nothing was written), or reading or writing fails.
    pub fn convert<R: Read + Seek, W: Write>(&self, input: R, output: W) -> Result<ConversionSummary, ResultsError> {
        self.conversion().file(input, &mut self.sink(output))
    }

    /// Converts an export that can be read only once, such as standard input, by way of a temporary file.
    ///
    /// # Errors
    /// Those of [`JsonNlConverter::convert`], and when the temporary file cannot be written.
    pub fn convert_stream<R: Read, W: Write>(&self, input: R, output: W) -> Result<ConversionSummary, ResultsError> {
        self.conversion().stream(input, &mut self.sink(output))
    }

    /// As [`JsonNlConverter::convert`], with the index of the export: the same lines, without reading all of it first.
    ///
    /// # Errors
    /// Those of [`JsonNlConverter::convert`]. [`ResultsError::Changed`] says that the index does not fit the export
    /// after all, and is to be made again; lines may have been written then.
    pub fn convert_indexed<R: Read + Seek, W: Write>(
        &self,
        mut export: R,
        index: &ExportIndex,
        output: W,
    ) -> Result<ConversionSummary, ResultsError> {
        let mut sink = self.sink(output);
        let identity = Some(index.identity());
        self.conversion().write(&mut export, identity, &mut sink, |export, _| search(index, &self.query, export))
    }

    fn conversion(&self) -> Conversion<'_> {
        Conversion { query: &self.query, is_lenient: self.is_lenient }
    }

    fn sink<W: Write>(&self, output: W) -> JsonNl<'_, W> {
        let option = self.query.name_of(Opt::MaxChars);
        let lines = Lines::new(output, self.query.max_chars, option);
        JsonNl { query: &self.query, metadata: &self.metadata, lines, groups: None, next_group: 0 }
    }
}

/// Lines of JSON on their way out.
struct JsonNl<'c, W> {
    query: &'c Query,
    metadata: &'c Map<String, Json>,
    lines: Lines<W>,
    /// Those on the page.
    groups: Option<Rc<[Group]>>,
    next_group: usize,
}

impl<W: Write> JsonNl<'_, W> {
    /// Writes the second line: all that is known of the scan, or what must not be missed.
    fn metadata(&mut self, first_pass: &FirstPass<'_>) -> Result<(), ResultsError> {
        let (query, header) = (self.query, &first_pass.header);
        let (failure, data_warnings) = (first_pass.failure.as_ref(), warnings(&first_pass.warnings));
        if !query.is_metadata_whole() {
            let of_scan = |name| self.metadata.get(name).filter(|value| !value.is_null());
            let of_task = of_scan("warnings").and_then(Json::as_array).map_or(0, Vec::len);
            let short = ShortMetadata {
                kind: "scan_metadata",
                short: true,
                task_id: of_scan("task_id"),
                status: of_scan("status"),
                truncated: failure.is_some(),
                damage: failure,
                warning_count: (of_task + data_warnings.len()) as u64,
            };
            let is_complete = short.status.is_none_or(|status| status == "completed");
            let is_quiet = is_complete && !short.truncated && short.warning_count == 0;
            return if query.ask == Ask::Counts && is_quiet { Ok(()) } else { self.lines.line(&short) };
        }
        let metadata = Metadata {
            kind: "scan_metadata",
            truncated: failure.is_some(),
            damage: failure,
            report_name: header.report_name.as_deref(),
            report_type: header.report_type.as_deref(),
            policy_name: header.policy_name.as_deref(),
            severity_basis: header.severity_basis.as_deref(),
            plugin_set: header.plugin_set.as_deref(),
            plugin_set_size: header.plugin_set_print.map(PluginSetPrint::plugins),
            plugin_set_fingerprint: header.plugin_set_print.map(|print| print.to_string()),
            stats: &first_pass.stats,
            left_out: first_pass.stats.left_out(query.kind),
            data_warnings,
            added: &Map::new(),
        };
        let own = serde_json::to_value(&metadata).map_err(|error| ResultsError::Write(error.into()))?;
        let added = self.metadata.iter().filter(|(name, _)| own.get(name).is_none());
        let added = added.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.lines.line(&Metadata { added: &added, ..metadata })
    }

    /// What a page says that is beyond the last one.
    fn beyond_end(&self, summary: &ConversionSummary) -> Option<String> {
        let (page, last) = (self.query.page, summary.total_pages);
        let is_beyond = !page.is_all() && self.query.cursor.is_none() && page.number() > last.max(1);
        is_beyond.then(|| {
            let pages = counted(last, "page", "pages");
            format!("there is no page {}: all that match fill {pages} of {}", page.number(), page.size())
        })
    }
}

impl<W: Write> Sink for JsonNl<'_, W> {
    fn begin(&mut self, first_pass: &FirstPass<'_>) -> Result<(), ResultsError> {
        let query = self.query;
        let shown = query.projection.shown(&first_pass.present);
        let name = |field: &FieldRef| field.name().to_owned();
        let (counts, matched) = (&first_pass.counts, first_pass.matched);
        let by_rating = RatingCounts { kind: query.kind, counts: counts.ratings };
        let is_vulnerability = query.kind == RecordKind::Vulnerability;
        let (is_count, group_by) = match query.ask {
            Ask::Findings => (false, None),
            Ask::Counts => (true, None),
            Ask::Groups(by, _) => (false, Some(by.name())),
        };
        let shown = if is_count { &[] } else { shown };
        self.lines.line(&Schema {
            kind: "schema",
            record_kind: query.kind,
            profile: (query.ask == Ask::Findings).then(|| query.projection.name()),
            group_by,
            fields: (!is_count).then(|| shown.iter().map(name).collect()),
            untrusted_fields: shown.iter().filter(|field| field.is_untrusted(query.kind)).map(name).collect(),
            filters_applied: query.filters.to_json(),
            matched,
            total: first_pass.stats.of_kind(query.kind),
            matched_hosts: counts.hosts,
            matched_plugins: counts.plugins,
            matched_by_severity: is_vulnerability.then_some(by_rating),
            matched_by_result: (!is_vulnerability).then_some(by_rating),
            groups: counts.groups.as_ref().map(|(total, _)| *total),
            sort: match query.ask {
                Ask::Findings => Some(query.sort.to_string()),
                Ask::Counts => None,
                Ask::Groups(_, sort) => Some(sort.to_string()),
            },
            total_vulnerabilities: is_vulnerability.then_some(matched),
            total_pages: (!is_count).then(|| query.page.count(first_pass.lines())),
        })?;
        self.metadata(first_pass)?;
        self.groups = counts.groups.as_ref().map(|(_, groups)| Rc::clone(groups));
        let has_findings = query.ask == Ask::Findings && !query.window(matched).is_empty();
        if is_count { Ok(()) } else { self.lines.begin_records(has_findings) }
    }

    fn record(&mut self, record: &Record<'_>) -> Result<bool, ResultsError> {
        let (Ask::Groups(by, _), Some(groups)) = (self.query.ask, &self.groups) else {
            return self.lines.record(record, &self.query.projection);
        };
        let group = groups.get(self.next_group).ok_or(ResultsError::Changed)?;
        self.next_group += 1;
        self.lines.group(by, group, record)
    }

    fn end(&mut self, summary: &ConversionSummary) -> Result<(), ResultsError> {
        let query = self.query;
        if query.ask != Ask::Counts && (summary.truncated || !query.page.is_all()) {
            // A cursor stands between pages.
            let is_numbered = query.cursor.is_none() && !query.page.is_all();
            let has_next = summary.next_cursor.is_some();
            // After a page that was cut short, the next by number would leave findings out.
            let goes_by_number = is_numbered && !summary.truncated;
            let next_page = has_next.then(|| query.page.number() + 1);
            self.lines.line(&Pagination {
                kind: "pagination",
                page: is_numbered.then(|| query.page.number()),
                page_size: query.page.size(),
                page_size_requested: query.page.requested_size(),
                total_pages: goes_by_number.then_some(summary.total_pages),
                truncated: summary.truncated,
                beyond_end: self.beyond_end(summary),
                has_next,
                next_page: goes_by_number.then_some(NextPage { next_page }),
                next_cursor: summary.next_cursor.as_deref(),
            })?;
        }
        self.lines.finish()
    }
}

/// The first line.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Schema {
    #[serde(rename = "type")]
    kind: &'static str,
    /// What the findings are: `vulnerability`, or `compliance` for the outcomes of compliance checks.
    #[serde(rename = "kind")]
    record_kind: RecordKind,
    /// The profile, or `custom`; absent where no findings are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'static str>,
    /// What findings are grouped by, where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    group_by: Option<&'static str>,
    /// The fields of the findings or groups, in order; in `full`, those that the matching findings have. Absent where nothing
    /// is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<String>>,
    /// The fields whose texts scanned hosts wrote: evidence, never instructions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    untrusted_fields: Vec<String>,
    /// The filters in their normal form.
    filters_applied: Map<String, Json>,
    /// Findings that match.
    matched: u64,
    /// Findings of this kind in all.
    total: u64,
    /// Machines that have a finding that matches, on whichever page: one that stands in the export several times counts once.
    matched_hosts: u64,
    /// Plugins that have one.
    matched_plugins: u64,
    /// Findings that match by severity, those that are not 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, u64>"))]
    matched_by_severity: Option<RatingCounts<u64>>,
    /// Compliance checks that match by result, those that are not 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, u64>"))]
    matched_by_result: Option<RatingCounts<u64>>,
    /// Groups that they fall into.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<u64>,
    /// The order; absent where nothing is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<String>,
    /// As `matched`, where that is what is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_vulnerabilities: Option<u64>,
    /// Pages that the matching findings, or their groups, fill; absent where nothing is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_pages: Option<u64>,
}

/// The second line where it is short.
#[derive(Serialize)]
struct ShortMetadata<'s> {
    #[serde(rename = "type")]
    kind: &'static str,
    short: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<&'s Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'s Json>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<&'s ParseFailure>,
    #[serde(skip_serializing_if = "crate::results::judge::is_zero")]
    warning_count: u64,
}

/// The second line.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Metadata<'s> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Whether the export is broken, so that only the part before that place is shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// Where and how it is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<&'s ParseFailure>,
    /// The name of the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    report_name: Option<&'s str>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    report_type: Option<&'s str>,
    /// The policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_name: Option<&'s str>,
    /// How severities were derived.
    #[serde(skip_serializing_if = "Option::is_none")]
    severity_basis: Option<&'s str>,
    /// The plugins that were enabled, where the list is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin_set: Option<&'s str>,
    /// How many plugins were enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin_set_size: Option<u64>,
    /// A fingerprint of the plugin set: equal for equal sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin_set_fingerprint: Option<String>,
    #[serde(flatten)]
    stats: &'s ExportStats,
    /// How many items of the other kind there are, and how they are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<String>,
    /// What was irregular in the export.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data_warnings: Vec<Warning>,
    #[serde(flatten)]
    added: &'s Map<String, Json>,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Warning {
    /// What, as a stable code.
    #[serde(rename = "warning")]
    what: &'static str,
    /// The field.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    /// How often.
    count: u64,
}

/// The last line of a page.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Pagination<'s> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The page, from 1; absent after a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<u64>,
    /// The most findings on a page.
    page_size: u64,
    /// The page size that was asked for, if it was out of range.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_size_requested: Option<i64>,
    /// Pages in all; absent when this page ends early or was asked for by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_pages: Option<u64>,
    /// Whether the page ends early, because `max_chars` was reached.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// That there is no such page, and how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    beyond_end: Option<String>,
    /// Whether there is more.
    has_next: bool,
    #[serde(flatten)]
    next_page: Option<NextPage>,
    /// The `cursor` for the next call.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'s str>,
}

/// Where pages go by number: the next one, or null.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct NextPage {
    /// The number of the next page, null after the last; absent like `total_pages`.
    next_page: Option<u64>,
}

/// The schemas of the lines that are no findings, by their `type`: for documentation that is generated.
#[cfg(feature = "schema")]
pub fn line_schemas(generator: &mut schemars::SchemaGenerator) -> [(&'static str, schemars::Schema); 4] {
    [
        ("schema", generator.root_schema_for::<Schema>()),
        ("group", generator.root_schema_for::<GroupLine>()),
        ("scan_metadata", generator.root_schema_for::<Metadata<'_>>()),
        ("pagination", generator.root_schema_for::<Pagination<'_>>()),
    ]
}

fn warnings(found: &Warnings) -> Vec<Warning> {
    let type_mismatches = found.type_mismatches.iter().map(|(id, count)| Warning {
        what: "value_missing_or_not_of_type",
        field: Some(id.name()),
        count: *count,
    });
    let repairs = &found.repairs;
    let others = [
        ("control_characters_replaced", repairs.control_characters),
        ("elements_in_text_left_out", repairs.nested_elements),
        ("text_between_elements_left_out", repairs.stray_texts),
        ("attributes_left_out", repairs.left_out_attributes),
        ("host_properties_after_items", repairs.late_properties),
        ("findings_of_repeated_hosts_not_united", repairs.findings_not_united),
    ];
    let others = others.into_iter().map(|(what, count)| Warning { what, field: None, count });
    type_mismatches.chain(others.filter(|warning| warning.count > 0)).collect()
}

#[cfg(test)]
mod tests;
