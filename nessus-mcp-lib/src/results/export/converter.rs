//! The face of all formats.

use std::{
    fmt,
    io::{Read, Seek, Write},
    str::FromStr,
};

use super::{csv, html, sarif};
use crate::results::{
    convert::{Conversion, ConversionSummary},
    error::ResultsError,
    query::Query,
    write::JsonNlConverter,
};

/// What a conversion writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Lines of JSON, as [`JsonNlConverter`] writes them.
    #[default]
    JsonNl,
    /// Comma-separated values (RFC 4180), a line of field names first, a finding a row.
    ///
    /// Several values of a field are separated by `; `. A text that a spreadsheet would run as a formula has an
    /// apostrophe before it. A text that has more characters than a spreadsheet takes (32,767 units of UTF-16, with quotation
    /// marks doubled) is cut and says so: `… [cut, 586723 characters in all]`. There is no place to say that an export was
    /// broken.
    Csv,
    /// The Static Analysis Results Interchange Format (OASIS), version 2.1.0: a rule for each plugin and each compliance check, a result for each
    /// finding with the fields of the profile as its property `finding`, what is missing as notifications.
    ///
    /// The fingerprint of a result is the finding's `finding_key`. Findings of a report that share a key have a running number
    /// behind it that is no part of the key: `/2`, `/3`. A rule has the highest level and score of its results.
    Sarif,
    /// A report for people: one HTML file without scripts and references to other files.
    Html,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::JsonNl, Self::Csv, Self::Sarif, Self::Html];

    /// The format's name, which is also the usual ending of its files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JsonNl => "jsonl",
            Self::Csv => "csv",
            Self::Sarif => "sarif",
            Self::Html => "html",
        }
    }

    /// The names of all formats.
    pub fn names() -> [&'static str; 4] {
        Self::ALL.map(Self::name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = ResultsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| ResultsError::UnknownFormat {
            name: crate::error::excerpt(text).to_string(),
            known: Self::names().into(),
        })
    }
}

/// Turns .nessus exports into any [`Format`].
///
/// ```
/// use nessus_mcp_lib::results::{Converter, Format, Profile, Query};
///
/// let export = br#"<NessusClientData_v2><Report name="r"><ReportHost name="10.0.0.7">
///   <ReportItem severity="3" pluginID="900001" port="443"><cve>CVE-2026-0001</cve></ReportItem>
/// </ReportHost></Report></NessusClientData_v2>"#;
/// let query = Query::builder().profile(Profile::Minimal).build()?;
/// let mut table = Vec::new();
/// Converter::new(query, Format::Csv).convert(std::io::Cursor::new(export), &mut table)?;
/// assert_eq!(
///     String::from_utf8_lossy(&table),
///     "host,plugin_id,severity,cve,cvss_score,exploit_available\r\n10.0.0.7,900001,High,CVE-2026-0001,,false\r\n"
/// );
/// # Ok::<(), nessus_mcp_lib::results::ResultsError>(())
/// ```
///
/// The budget of a query is for lines of JSON; the other formats have as many findings as the page, and refuse a query for
/// groups or a count.
#[derive(Debug, Clone, Default)]
pub struct Converter {
    query: Query,
    format: Format,
    is_lenient: bool,
}

impl Converter {
    /// For this query and format.
    pub fn new(query: Query, format: Format) -> Self {
        Self { query, format, ..Self::default() }
    }

    /// Converts the complete findings of a broken export, up to where it is broken. The output says so (but for CSV,
    /// which has no place for it), and so does [`ConversionSummary::failure`].
    #[must_use]
    pub fn lenient(mut self, is_lenient: bool) -> Self {
        self.is_lenient = is_lenient;
        self
    }

    /// Converts an export that can be read twice, from its first byte on. Buffers what it reads and writes.
    ///
    /// # Errors
    /// Those of [`JsonNlConverter::convert`].
    pub fn convert<R: Read + Seek, W: Write>(&self, input: R, output: W) -> Result<ConversionSummary, ResultsError> {
        self.check()?;
        match self.format {
            Format::JsonNl => self.json_nl().convert(input, output),
            Format::Csv => self.conversion().file(input, &mut csv::Csv::new(&self.query, output)),
            Format::Sarif => self.conversion().file(input, &mut sarif::Sarif::new(&self.query, output)?),
            Format::Html => self.conversion().file(input, &mut html::Html::new(&self.query, output)),
        }
    }

    /// Converts an export that can be read only once, such as standard input, by way of a temporary file.
    ///
    /// # Errors
    /// Those of [`JsonNlConverter::convert_stream`].
    pub fn convert_stream<R: Read, W: Write>(&self, input: R, output: W) -> Result<ConversionSummary, ResultsError> {
        self.check()?;
        match self.format {
            Format::JsonNl => self.json_nl().convert_stream(input, output),
            Format::Csv => self.conversion().stream(input, &mut csv::Csv::new(&self.query, output)),
            Format::Sarif => self.conversion().stream(input, &mut sarif::Sarif::new(&self.query, output)?),
            Format::Html => self.conversion().stream(input, &mut html::Html::new(&self.query, output)),
        }
    }

    /// Only lines of JSON can say how many findings there are in place of the findings.
    fn check(&self) -> Result<(), ResultsError> {
        if self.format == Format::JsonNl { Ok(()) } else { self.query.only_findings(self.format.name()) }
    }

    fn conversion(&self) -> Conversion<'_> {
        Conversion { query: &self.query, is_lenient: self.is_lenient }
    }

    fn json_nl(&self) -> JsonNlConverter {
        JsonNlConverter::new(self.query.clone()).lenient(self.is_lenient)
    }
}
