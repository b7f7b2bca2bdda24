//! From lines of JSON to typed ones, while they are written.

use std::io::{self, Read, Seek, Write};

use super::line::ResultLine;
use crate::results::{convert::ConversionSummary, error::ResultsError, write::JsonNlConverter};

/// A writer that reads the lines of JSON it is given, and hands on what they say.
///
/// It goes where lines are written: into [`JsonNlConverter::convert`], and it takes what
/// [`PreparedResults::next`](crate::service::PreparedResults::next) gives. It holds one line at a time.
#[derive(Debug)]
pub struct ResultSink<F> {
    take: F,
    line: Vec<u8>,
}

impl<F: FnMut(ResultLine)> ResultSink<F> {
    /// Hands each line to `take`.
    pub const fn new(take: F) -> Self {
        Self { take, line: Vec::new() }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        if !self.line.is_empty() {
            let line = serde_json::from_slice(&self.line)?;
            self.line.clear();
            (self.take)(line);
        }
        Ok(())
    }
}

impl<F: FnMut(ResultLine)> Write for ResultSink<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.split_last() {
                Some((b'\n', whole)) => {
                    self.line.extend_from_slice(whole);
                    self.hand_on()?;
                }
                _ => self.line.extend_from_slice(part),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl JsonNlConverter {
    /// Reads an export as typed lines, in bounded memory: what [`convert`](Self::convert) would write, one line at a time.
    ///
    /// ```
    /// use nessus_mcp_lib::{JsonNlConverter, results::{Query, ResultLine, Severity}};
    ///
    /// let export = br#"<NessusClientData_v2><Report name="r"><ReportHost name="10.0.0.7">
    ///   <ReportItem severity="3" pluginID="900001" port="443"/></ReportHost></Report></NessusClientData_v2>"#;
    /// let mut findings = Vec::new();
    /// JsonNlConverter::new(Query::default()).for_each(std::io::Cursor::new(export), |line| {
    ///     if let ResultLine::Finding(finding) = line {
    ///         findings.push(*finding);
    ///     }
    /// })?;
    /// assert_eq!((findings[0].plugin_id, findings[0].severity), (Some(900_001), Some(Severity::High)));
    /// # Ok::<(), nessus_mcp_lib::results::ResultsError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`convert`](Self::convert).
    pub fn for_each<R: Read + Seek>(
        &self,
        input: R,
        take: impl FnMut(ResultLine),
    ) -> Result<ConversionSummary, ResultsError> {
        self.convert(input, ResultSink::new(take))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json, to_value};

    use super::*;
    use crate::results::{GroupBy, GroupSort, Page, Profile, Query, RecordKind, ResultsPage};

    const OFFICE: &str = include_str!("../../../../fixtures/exports/office.nessus");
    const COMPLIANCE: &str = include_str!("../../../../fixtures/exports/compliance.nessus");

    /// Without what is null and absent, which are the same to a typed line.
    fn without_nulls(mut line: Value) -> Value {
        line.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        line
    }

    fn queries() -> Vec<(&'static str, Query)> {
        let build = |query: crate::results::QueryBuilder| query.build().unwrap();
        let checks = || Query::builder().kind(RecordKind::Compliance);
        let mut queries = vec![
            (OFFICE, build(Query::builder().page(Page::new(1, Some(10)).unwrap()))),
            (OFFICE, build(Query::builder().page(Page::new(2, Some(10)).unwrap()))),
            (OFFICE, build(Query::builder().page(Page::new(1, None).unwrap()).max_chars(3_000))),
            (OFFICE, build(Query::builder().count_only())),
            (OFFICE, build(Query::builder().group_by(GroupBy::Host, GroupSort::WORST))),
            (OFFICE, build(Query::builder().group_by(GroupBy::Solution, GroupSort::WORST))),
            (COMPLIANCE, build(checks().profile(Profile::Full))),
            (COMPLIANCE, build(checks().group_by(GroupBy::Plugin, GroupSort::WORST))),
        ];
        for profile in [Profile::Minimal, Profile::Summary, Profile::Brief, Profile::Triage, Profile::Full] {
            queries.push((OFFICE, build(Query::builder().profile(profile))));
            queries.push((COMPLIANCE, build(checks().profile(profile))));
        }
        queries
    }

    #[test]
    fn typed_lines_say_all_that_the_lines_say() {
        for (export, query) in queries() {
            let mut written = Vec::new();
            let converter = JsonNlConverter::new(query);
            converter.convert(io::Cursor::new(export), &mut written).unwrap();
            let text = String::from_utf8(written).unwrap();
            let lines: Vec<Value> =
                text.lines().map(|line| without_nulls(serde_json::from_str(line).unwrap())).collect();
            let mut typed = Vec::new();
            converter.for_each(io::Cursor::new(export), |line| typed.push(line)).unwrap();
            let again: Vec<Value> = typed.iter().map(|line| without_nulls(to_value(line).unwrap())).collect();
            assert_eq!(again, lines);
            assert!(!typed.iter().any(|line| matches!(line, ResultLine::Other(_))));
            let page: ResultsPage = text.parse().unwrap();
            let findings = typed.iter().filter(|line| matches!(line, ResultLine::Finding(_))).count();
            let groups = typed.iter().filter(|line| matches!(line, ResultLine::Group(_))).count();
            assert_eq!((page.findings.len(), page.groups.len()), (findings, groups));
            let cursor = lines.last().unwrap().get("next_cursor").and_then(Value::as_str);
            assert_eq!(page.next_cursor(), cursor);
        }
    }

    #[test]
    fn lines_may_come_in_any_pieces_and_from_a_newer_program() {
        let text = concat!(
            r#"{"type":"schema","kind":"vulnerability","matched":1,"total":1,"new":true}"#,
            "\n",
            r#"{"type":"horoscope","says":"é"}"#,
            "\n\n",
            r#"{"type":"vulnerability","host":"h","new":[1]}"#,
            "\n",
        );
        for size in 1..text.len() {
            let mut typed = Vec::new();
            let mut sink = ResultSink::new(|line| typed.push(line));
            text.as_bytes().chunks(size).for_each(|piece| sink.write_all(piece).unwrap());
            let [ResultLine::Schema(schema), ResultLine::Other(other), ResultLine::Finding(finding)] = &typed[..]
            else {
                panic!("{typed:?}");
            };
            assert_eq!(
                (&schema.other["new"], &other["says"], &finding.other["new"]),
                (&json!(true), &json!("é"), &json!([1]))
            );
        }
        let wrong = text.replace("\"total\":1", "\"total\":{}");
        assert_eq!(wrong.parse::<ResultsPage>().unwrap_err().line, 1);
        assert_eq!("".parse::<ResultsPage>().unwrap_err().line, 1);
        assert!(ResultSink::new(drop).write_all(b"no JSON\n").is_err());
    }
}
