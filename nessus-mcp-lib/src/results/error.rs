//! What can be wrong with an export or with a question about it.

use std::{borrow::Cow, fmt, io};

use serde::{Deserialize, Serialize};

use super::record::{MOST_NAMES, NAME_BYTES, RecordKind};
use crate::error::{Classified, ErrorKind, counted, is_away};

/// Where in an export something was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Location {
    /// Bytes from the start of the file; from the start of its UTF-8 form when it is in another encoding.
    pub offset: u64,
    /// The enclosing host, as the export names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The enclosing item's plugin id, as the export writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
}

impl Location {
    #[expect(clippy::unnecessary_box_returns, reason = "errors hold it boxed, to stay small")]
    pub(crate) fn at(offset: u64) -> Box<Self> {
        Box::new(Self { offset, host: None, plugin: None })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", self.offset)?;
        if let Some(host) = &self.host {
            write!(f, ", host `{host}`")?;
        }
        if let Some(plugin) = &self.plugin {
            write!(f, ", plugin {plugin}")?;
        }
        Ok(())
    }
}

/// A failed question about an export, or an export that cannot be read.
///
/// The first half is for the caller to fix, and its hints list what would be valid; the second half is about the
/// file. Messages hold at most 200 bytes of the file's or the caller's text, and name an option as the
/// [`Caller`](crate::results::Caller) of the query does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// A name that is neither a declared field nor an element or attribute of any item in this export.
    #[error("unknown field `{field}` in {place}")]
    UnknownField {
        /// The name as it was given.
        field: String,
        /// The option it stood in, such as `filters` or `sort`.
        place: &'static str,
        /// The five known names that are most like it, nearest first.
        nearest: Vec<String>,
    },
    /// A field that only items of the other kind have.
    #[error("`{field}` in {place} is a field of {}, and {} are asked for", kind.plural(), kind.other().plural())]
    FieldOfOtherKind {
        /// The field.
        field: String,
        /// The option it stood in, such as `filters` or `sort`.
        place: &'static str,
        /// The kind that has it.
        kind: RecordKind,
        /// The option that asks for a kind.
        option: &'static str,
    },
    /// A filter on a known field whose value does not fit the field's type.
    #[error("filter on `{field}`: {reason}")]
    InvalidFilter {
        /// The field.
        field: String,
        /// What is wrong.
        reason: String,
        /// What a filter on this field may look like.
        valid: &'static str,
    },
    /// The filters are not a JSON object.
    #[error("filters must be a JSON object of field names and values, not {found}")]
    FiltersNotAnObject {
        /// The JSON type that was given.
        found: &'static str,
    },
    /// The filters are not JSON.
    #[error("filters are not valid JSON: {source}")]
    FiltersNotJson {
        /// Where the parser stopped.
        #[source]
        source: serde_json::Error,
    },
    /// No profile of this name.
    #[error("unknown profile `{name}`")]
    UnknownProfile {
        /// The name as it was given.
        name: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// No kind of items of this name.
    #[error("unknown kind `{name}`")]
    UnknownKind {
        /// The name as it was given.
        name: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// No format of this name.
    #[error("unknown format `{name}`")]
    UnknownFormat {
        /// The name as it was given.
        name: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// The export has more undeclared elements than a table can have columns for.
    #[error("the findings have more than {} of undeclared elements", counted(*limit, "kind", "kinds"))]
    TooManyFields {
        /// The most.
        limit: usize,
    },
    /// Two options were given of which each makes the other meaningless.
    #[error("`{one}` and `{other}` exclude each other")]
    ConflictingOptions {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Custom fields were asked for, and none was named.
    #[error("`{option}` names no field")]
    NoFields {
        /// The option.
        option: &'static str,
    },
    /// A list of fields is too long, or a name in it.
    #[error("`{option}` is invalid: {reason}")]
    InvalidFields {
        /// The option.
        option: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Nothing is grouped by this.
    #[error("nothing is grouped by `{name}`")]
    UnknownGroup {
        /// The name as it was given.
        name: String,
        /// What there is, nearest first.
        nearest: Vec<&'static str>,
    },
    /// A summary has no part of this name.
    #[error("a summary has no section `{name}`")]
    UnknownSection {
        /// The name as it was given.
        name: String,
        /// What there is, nearest first.
        nearest: Vec<&'static str>,
    },
    /// An order of groups that cannot be read, or in which these groups do not differ.
    #[error("invalid order of groups `{0}`")]
    InvalidGroupSort(String),
    /// The findings fall into more groups than are held.
    #[error("the findings fall into more than {}", counted(*limit, "group", "groups"))]
    TooManyGroups {
        /// The most.
        limit: usize,
    },
    /// The lines about the scan and one finding need more characters than the answer may have.
    #[error("{} too few: the lines about the scan and one finding need {least} here", counted(*asked, "character is", "characters are"))]
    BudgetTooSmall {
        /// How many it may have.
        asked: u64,
        /// How many suffice.
        least: u64,
        /// The option that says how many.
        option: &'static str,
    },
    /// The page or its size cannot be used.
    #[error("invalid page: {0}")]
    InvalidPage(String),
    /// A cursor that is none, or belongs to another question or other results.
    #[error("the cursor cannot be used: {reason}")]
    InvalidCursor {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The sort order cannot be read.
    #[error("invalid sort order `{0}`")]
    InvalidSort(String),

    /// Nothing but white space.
    #[error("the file is empty")]
    Empty,
    /// Something that is not XML, such as an encrypted export or a PDF.
    #[error("the file is not a .nessus export: it is not XML")]
    NotXml,
    /// A web page, usually a login page saved in place of an export.
    #[error("the file is not a .nessus export: it is an HTML page")]
    HtmlPage,
    /// XML of another kind.
    #[error("the file is not a .nessus export: its root element is `{0}`")]
    UnknownRoot(String),
    /// The format of Nessus 3 and 4.0, which keeps everything in child elements.
    #[error("the file is a version 1 export (`NessusClientData`)")]
    VersionOne,
    /// A policy without a report.
    #[error("the file holds a scan policy and no report")]
    PolicyOnly,
    /// The right root element with neither report nor policy.
    #[error("the file holds no report")]
    NoReport,
    /// The file ends before its root element does.
    #[error("the export is truncated: it ends in mid-document at {0}")]
    Truncated(Box<Location>),
    /// Not well-formed, or elements where they cannot be.
    #[error("the export is malformed at {at}: {reason}")]
    Malformed {
        /// Where.
        at: Box<Location>,
        /// What is wrong.
        reason: String,
    },
    /// A document type declaration: the way to entity bombs and external entities, and no scanner writes one.
    #[error("the export has a DOCTYPE at {0}, which is refused")]
    DoctypeRefused(Box<Location>),
    /// Something is larger than any scanner writes it.
    #[error("the export is refused at {at}: {what} is over the limit of {limit}")]
    LimitExceeded {
        /// Where.
        at: Box<Location>,
        /// What is too large.
        what: &'static str,
        /// The limit, in bytes or pieces.
        limit: u64,
    },
    /// Neither UTF-8 nor an encoding this library reads.
    #[error("the export is in the encoding `{0}`, which is not supported")]
    UnsupportedEncoding(String),
    /// The file changed while it was read.
    #[error("the export changed while it was being read")]
    Changed,

    /// The input could not be read.
    #[error("cannot read the export: {0}")]
    Read(#[source] io::Error),
    /// The output could not be written.
    #[error("cannot write the result: {0}")]
    Write(#[source] io::Error),
    /// The temporary copy of an input that cannot be read twice could not be made.
    #[error("cannot keep a temporary copy of the export: {0}")]
    Spool(#[source] io::Error),
}

impl ResultsError {
    /// Whether the reader of the output went away, which most programs do not treat as a failure.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether reading or writing failed, which says nothing about the export or the query.
    pub fn is_input_output(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Write(_) | Self::Spool(_))
    }

    /// Where in the export the error lies, when it lies at one place.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Truncated(at)
            | Self::DoctypeRefused(at)
            | Self::Malformed { at, .. }
            | Self::LimitExceeded { at, .. } => Some(at),
            _ => None,
        }
    }

    /// What it means that an export is broken which was read without an error before: it changed meanwhile.
    pub(crate) fn in_sound(self) -> Self {
        if ParseFailure::of(&self).is_some() { Self::Changed } else { self }
    }

    /// Adds the enclosing host and plugin to an error that has a place.
    pub(crate) fn within(mut self, host: Option<&str>, plugin: Option<&str>) -> Self {
        if let Self::Truncated(at)
        | Self::DoctypeRefused(at)
        | Self::Malformed { at, .. }
        | Self::LimitExceeded { at, .. } = &mut self
        {
            let short = |text: &str| crate::error::excerpt(text).to_string();
            at.host = host.map(short);
            at.plugin = plugin.map(short);
        }
        self
    }
}

impl Classified for ResultsError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownField { .. } => "unknown_field",
            Self::FieldOfOtherKind { .. } => "field_of_other_kind",
            Self::InvalidFilter { .. } | Self::FiltersNotAnObject { .. } | Self::FiltersNotJson { .. } => {
                "invalid_filter"
            }
            Self::UnknownProfile { .. } => "unknown_profile",
            Self::UnknownKind { .. } => "unknown_kind",
            Self::UnknownFormat { .. } => "unknown_format",
            Self::TooManyFields { .. } => "too_many_fields",
            Self::ConflictingOptions { .. } => "conflicting_options",
            Self::NoFields { .. } => "no_fields",
            Self::InvalidFields { .. } => "invalid_fields",
            Self::UnknownGroup { .. } => "unknown_group",
            Self::UnknownSection { .. } => "unknown_section",
            Self::TooManyGroups { .. } => "too_many_groups",
            Self::BudgetTooSmall { .. } => "max_chars_too_small",
            Self::InvalidPage(_) => "invalid_page",
            Self::InvalidCursor { .. } => "invalid_cursor",
            Self::InvalidSort(_) | Self::InvalidGroupSort(_) => "invalid_sort",
            Self::Empty => "empty_export",
            Self::NotXml | Self::HtmlPage | Self::UnknownRoot(_) | Self::NoReport => "not_a_nessus_export",
            Self::VersionOne => "unsupported_export_version",
            Self::PolicyOnly => "policy_only_export",
            Self::Truncated(_) => "truncated_export",
            Self::Malformed { .. } => "malformed_export",
            Self::DoctypeRefused(_) => "doctype_refused",
            Self::LimitExceeded { .. } => "export_limit_exceeded",
            Self::UnsupportedEncoding(_) => "unsupported_encoding",
            Self::Changed => "export_changed",
            Self::Read(_) => "read_failed",
            Self::Write(_) => "write_failed",
            Self::Spool(_) => "spool_failed",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            // An object store that does not answer may do so later.
            Self::Read(error) if is_away(error) => ErrorKind::Unavailable,
            Self::Changed | Self::Read(_) | Self::Write(_) | Self::Spool(_) => ErrorKind::Internal,
            _ => ErrorKind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownField { nearest, .. } => {
                let near: Vec<&str> = nearest.iter().map(String::as_str).collect();
                format!("did you mean {}?", quoted(&near))
            }
            Self::FieldOfOtherKind { kind, place, option, .. } => {
                format!("set `{option}` to `{kind}`, or leave the field out of {place}")
            }
            Self::UnknownGroup { nearest, .. } | Self::UnknownSection { nearest, .. } => {
                let (near, rest) = nearest.split_at(nearest.len().min(1));
                format!("did you mean {}? all others: {}", quoted(near), quoted(rest))
            }
            Self::InvalidGroupSort(_) => format!("groups are sorted by {GROUP_SORTS}"),
            Self::TooManyGroups { .. } => "narrow the findings down with filters".to_owned(),
            Self::InvalidFilter { valid, .. } => format!("valid: {valid}"),
            Self::FiltersNotAnObject { .. } | Self::FiltersNotJson { .. } => {
                r#"write something like {"severity": ">=High", "host": "10.0.0.0/24"}"#.to_owned()
            }
            Self::UnknownProfile { known, .. } => format!("profiles: {}", known.join(", ")),
            Self::UnknownKind { known, .. } => format!("kinds: {}", known.join(", ")),
            Self::UnknownFormat { known, .. } => format!("formats: {}", known.join(", ")),
            Self::TooManyFields { .. } => "name the fields that are wanted, or use another format".to_owned(),
            Self::ConflictingOptions { one, other } => format!("leave `{one}` or `{other}` out"),
            Self::NoFields { .. } => "name at least one field, such as `host`".to_owned(),
            Self::InvalidFields { .. } => {
                format!("name at most {MOST_NAMES} fields, each with at most {NAME_BYTES} bytes")
            }
            Self::BudgetTooSmall { least, option, .. } => {
                format!("give `{option}` of {least} or more, or leave it out")
            }
            Self::InvalidPage(_) => "pages are counted from 1; 0 gives everything".to_owned(),
            Self::InvalidCursor { .. } => {
                "give `next_cursor` of the page before, whole, with the same scan, kind, filters, grouping and sort; or begin again without it"
                    .to_owned()
            }
            Self::InvalidSort(_) => {
                "use `worst_first`, `file`, a field name, or `-field` for descending order".to_owned()
            }
            Self::Empty => "look whether the export of the scan was complete before it was saved".to_owned(),
            Self::HtmlPage => "it may be a login page that was saved in place of the export".to_owned(),
            Self::NotXml | Self::UnknownRoot(_) | Self::NoReport => {
                "export the scan in the format `Nessus` (.nessus, version 2)".to_owned()
            }
            Self::VersionOne => "export the scan again in version 2, which Nessus writes since 4.2".to_owned(),
            Self::PolicyOnly => "export the scan, not its policy".to_owned(),
            Self::Truncated(_) => "export the scan again: the end of this file is missing".to_owned(),
            Self::Changed => "ask again".to_owned(),
            Self::UnsupportedEncoding(_) => {
                "convert it to UTF-8 first; UTF-16, ISO-8859-1 and windows-1252 can be read".to_owned()
            }
            _ => return None,
        })
    }
}

/// How groups may be sorted.
const GROUP_SORTS: &str = "worst, findings, hosts, plugins, a severity such as High, >=High for that and worse, or a result \
                           such as FAILED, the most first; not by what each group has one of";

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Where and how an export is broken, of which only the findings before that place were converted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ParseFailure {
    /// The stable code of the error, such as `truncated_export`.
    pub error: Cow<'static, str>,
    /// The error as a sentence, with the place.
    pub message: String,
    /// The place.
    #[serde(flatten)]
    pub at: Location,
}

impl ParseFailure {
    /// The failure that an error stands for, when what comes before its place can be relied on.
    pub(crate) fn of(error: &ResultsError) -> Option<Self> {
        let at = match error {
            ResultsError::Truncated(at)
            | ResultsError::Malformed { at, .. }
            | ResultsError::LimitExceeded { at, .. } => Location::clone(at),
            _ => return None,
        };
        Some(Self { error: error.code().into(), message: error.to_string(), at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_lists_the_nearest_names_first() {
        let nearest = ["port", "host", "cve"].map(str::to_owned).to_vec();
        let error = ResultsError::UnknownField { field: "prt".to_owned(), place: "filters", nearest };
        assert_eq!(error.to_string(), "unknown field `prt` in filters");
        assert_eq!(error.hint().unwrap(), "did you mean `port`, `host`, `cve`?");
    }

    #[test]
    fn a_place_is_said_with_host_and_plugin() {
        let error = ResultsError::Truncated(Location::at(77)).within(Some("10.0.0.1"), Some("19506"));
        assert_eq!(
            error.to_string(),
            "the export is truncated: it ends in mid-document at byte 77, host `10.0.0.1`, plugin 19506"
        );
    }
}
