//! Which findings are let through.
//!
//! Filters look at every field of a record, whatever the profile shows, and all of an object's members must match. A
//! filter that cannot be applied never silently matches nothing: unknown fields, operands of the wrong type and an
//! operator on text are errors.
//!
//! # The language
//! A filter is a JSON object whose members are fields with conditions, or one of three combinations:
//!
//! | member | lets through |
//! |---|---|
//! | `"field": condition` | what the condition holds for |
//! | `"any": [{..}, {..}]` | what at least one of the filters lets through |
//! | `"all": [{..}, {..}]` | what every one of the filters lets through |
//! | `"not": {..}` | what the filter does not let through |
//!
//! A condition is a value, a list of conditions of which one must hold, or an object with one or more of `any`, `all`
//! (lists of conditions) and `not` (a condition). So a range is `{"cvss_score": {"all": [">=5", "<8"]}}`. On a field
//! with several values, each condition looks for a value of its own.
//!
//! | field | value | matches |
//! |---|---|---|
//! | text | `"apache"` | contains it, in any case |
//! | | `"=Apache"` | is exactly this, in this case; references (`cve`, `xref`) and words such as `protocol` in any case |
//! | | `"="` | there is none: an empty text is none |
//! | | `"\"<script>\""` | contains what stands between the quotes, for texts that begin with an operator |
//! | result | `"FAILED"`, `["failed", "error"]` | is this word, in any case |
//! | number | `7`, `"7"`, `">=7"` | `>`, `>=`, `<`, `<=`, `=`, `!=`; `"CWE-20"` is 20, in `bid`, `osvdb` and `edb_id` likewise |
//! | severity | `"High"`, `3`, `">=High"` | the same operators, with a name or 0 to 4 |
//! | date | `">=2025/01/31"` | the same operators, with `/` or `-`; the day counts, not the time |
//! | truth value | `true`, `"false"` | an absent value is false |
//! | `finding_key` | `"v1:4bbf966120fe56efe59d4326b615ac40"` | is this one |
//! | `host`, `host_ip` | `"10.0.0.0/24"`, `"10.0.0.7"` | the host's address is in it, is it |
//! | `host`, `host_ip`, names of the host | `"=web01"`, `"!=web01"` | is exactly this, is not, in any case and with or without a dot at the end |
//!
//! `host` looks at everything that the machine is known as: what was scanned, its address, `host_fqdn`, `host_fqdns`,
//! `host_rdns`, `hostname` and `netbios_name`. One of them is enough, so `!=web01` leaves a machine out when one is
//! `web01`.
//!
//! White space around a value is left aside, of the export as of the condition, but not between quotes.
//!
//! Combinations are at most 16 deep inside each other, and there are at most 1,000 conditions, whose names and values have
//! at most 50,000 bytes in all.

mod condition;

use std::{collections::HashSet, str::FromStr};

use serde_json::{Map, Value as Json};

pub(super) use self::condition::valid;
use self::condition::{Test, invalid, type_of, unwanted_name};
use crate::results::{
    error::ResultsError,
    record::{FieldRef, Record, Value},
};

/// Combinations inside each other.
const DEPTH: usize = 16;
/// Conditions in one filter.
const CONDITIONS: usize = 1000;
/// Bytes of all names and values in one filter.
const BYTES: usize = 50_000;
const VALID_COMBINATION: &str =
    r#"{"any": [{"severity": "Critical"}, {"cvss_score": ">=9"}]}, {"all": [{..}, {..}]} or {"not": {"host": "lab"}}"#;

/// What findings must be like to be shown. The default lets everything through.
///
/// ```
/// use nessus_mcp_lib::results::FilterSet;
///
/// let filters: FilterSet = r#"{
///     "any": [{"severity": ">=High"}, {"cisa_known_exploited": ">=2020/01/01"}],
///     "not": {"host": "10.9.0.0/16"},
///     "cvss_score": {"all": [">=5", "<9.5"]}
/// }"#.parse()?;
/// assert_eq!(filters.to_json()["cvss_score"].to_string(), r#"{"all":[">=5","<9.5"]}"#);
/// # Ok::<(), nessus_mcp_lib::results::ResultsError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FilterSet {
    /// All must hold; sorted by name.
    members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq)]
enum Member {
    All(Vec<FilterSet>),
    Any(Vec<FilterSet>),
    Not(Box<FilterSet>),
    Field(Filter),
}

/// A field and what must be true of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    field: FieldRef,
    condition: Condition,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Test(Test),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
}

/// What reading a filter may still use up.
struct Allowance {
    depth: usize,
    conditions: usize,
    bytes: usize,
}

impl Allowance {
    /// Takes a condition, if it is still allowed.
    fn condition(&mut self) -> Result<(), ResultsError> {
        let left = self.conditions.checked_sub(1);
        self.conditions =
            left.ok_or_else(|| combination("filters", format!("there are more than {CONDITIONS} conditions")))?;
        Ok(())
    }

    /// Takes a name or a value, if it is still allowed.
    fn text(&mut self, text: &str) -> Result<(), ResultsError> {
        let left = self.bytes.checked_sub(text.len());
        self.bytes = left
            .ok_or_else(|| combination("filters", format!("names and values have more than {BYTES} bytes in all")))?;
        Ok(())
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, ResultsError>) -> Result<T, ResultsError> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| {
            combination("filters", format!("combinations are more than {DEPTH} deep inside each other"))
        })?;
        let result = read(self);
        self.depth += 1;
        result
    }
}

impl FilterSet {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// When it is not an object, or a value does not fit its field. A name that is not declared is only found out
    /// to be wrong when the export is read, because elements of newer scanners may be filtered by too; whether a value
    /// fits such a name is said then as well.
    pub fn from_json(filters: &Json) -> Result<Self, ResultsError> {
        Self::read(filters, &mut Allowance { depth: DEPTH, conditions: CONDITIONS, bytes: BYTES })
    }

    fn read(filters: &Json, allowance: &mut Allowance) -> Result<Self, ResultsError> {
        let Json::Object(filters) = filters else {
            return Err(ResultsError::FiltersNotAnObject { found: type_of(filters) });
        };
        let mut set = Self::default();
        let mut seen = HashSet::new();
        for (name, value) in filters {
            allowance.text(name)?;
            set.members.push(match name.as_str() {
                "any" => Member::Any(Self::read_several("any", value, allowance)?),
                "all" => Member::All(Self::read_several("all", value, allowance)?),
                "not" => Member::Not(Box::new(Self::read_nested("not", value, allowance)?)),
                _ => {
                    let field = FieldRef::named(name);
                    if !seen.insert(field.name().to_owned()) {
                        let reason = "the field is filtered twice under different spellings: give its conditions as a list \
                                      for one of them, as {\"all\": [..]} for all";
                        return Err(invalid(&field, reason));
                    }
                    let condition = Condition::read(&field, value, allowance)?;
                    Member::Field(Filter { field, condition })
                }
            });
        }
        // So that the same filters are written in the same way, in whatever order they were given.
        set.members.sort_by(|left, right| left.name().cmp(right.name()));
        Ok(set)
    }

    fn read_several(name: &'static str, value: &Json, allowance: &mut Allowance) -> Result<Vec<Self>, ResultsError> {
        match value {
            Json::Array(filters) if !filters.is_empty() => {
                filters.iter().map(|filter| Self::read_nested(name, filter, allowance)).collect()
            }
            Json::Array(_) => Err(combination(name, "an empty list combines nothing")),
            other => Err(combination(name, format!("it takes a list of filters, not {}", type_of(other)))),
        }
    }

    fn read_nested(name: &'static str, value: &Json, allowance: &mut Allowance) -> Result<Self, ResultsError> {
        if !value.is_object() {
            return Err(combination(name, format!("{} is no filter", type_of(value))));
        }
        let filter = allowance.nested(|allowance| Self::read(value, allowance))?;
        if filter.is_empty() { Err(combination(name, "an empty filter lets everything through")) } else { Ok(filter) }
    }

    /// The filters in their normal form, which reads back as the same filters.
    pub fn to_json(&self) -> Map<String, Json> {
        self.members.iter().map(|member| (member.name().to_owned(), member.to_json())).collect()
    }

    /// Whether everything is let through.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The fields that are looked at.
    pub(crate) fn fields(&self) -> Vec<&FieldRef> {
        self.members
            .iter()
            .flat_map(|member| match member {
                Member::Field(filter) => vec![&filter.field],
                Member::Not(filter) => filter.fields(),
                Member::Any(filters) | Member::All(filters) => filters.iter().flat_map(Self::fields).collect(),
            })
            .collect()
    }

    /// The error of the first condition that does not fit its field, for an export that has all the names.
    pub(crate) fn check(&self) -> Result<(), ResultsError> {
        self.members.iter().try_for_each(|member| match member {
            Member::Field(filter) => filter.condition.check(&filter.field),
            Member::Not(filter) => filter.check(),
            Member::Any(filters) | Member::All(filters) => filters.iter().try_for_each(Self::check),
        })
    }

    /// Whether a record is let through.
    pub(crate) fn matches(&self, record: &Record<'_>) -> bool {
        self.verdict(&|filter| Some(filter.holds(record))) == Some(true)
    }

    /// Whether a record is let through of which `ask` may not know everything; `None` when it depends on that.
    pub(crate) fn verdict(&self, ask: &impl Fn(&Filter) -> Option<bool>) -> Option<bool> {
        every(self.members.iter().map(|member| match member {
            Member::Field(filter) => ask(filter),
            Member::Not(filter) => filter.verdict(ask).map(|holds| !holds),
            Member::All(filters) => every(filters.iter().map(|filter| filter.verdict(ask))),
            Member::Any(filters) => some(filters.iter().map(|filter| filter.verdict(ask))),
        }))
    }
}

impl FromStr for FilterSet {
    type Err = ResultsError;

    /// Reads the text of a JSON object.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let json = serde_json::from_str(text).map_err(|source| ResultsError::FiltersNotJson { source })?;
        Self::from_json(&json)
    }
}

impl Member {
    fn name(&self) -> &str {
        match self {
            Self::All(_) => "all",
            Self::Any(_) => "any",
            Self::Not(_) => "not",
            Self::Field(filter) => filter.field.name(),
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Self::All(filters) | Self::Any(filters) => {
                filters.iter().map(|filter| Json::Object(filter.to_json())).collect()
            }
            Self::Not(filter) => Json::Object(filter.to_json()),
            Self::Field(filter) => filter.condition.to_json(),
        }
    }
}

impl Filter {
    /// The field that is looked at.
    pub(crate) fn field(&self) -> &FieldRef {
        &self.field
    }

    /// Whether it holds for a field that has this one value or none; not for fields of the host.
    pub(crate) fn holds_for(&self, value: Option<Value<'_>>) -> bool {
        self.condition.evaluate(&|test| test.holds_for(value))
    }

    /// Whether it holds for a record.
    pub(crate) fn holds(&self, record: &Record<'_>) -> bool {
        self.condition.evaluate(&|test| test.holds(&self.field, record))
    }
}

impl Condition {
    fn read(field: &FieldRef, value: &Json, allowance: &mut Allowance) -> Result<Self, ResultsError> {
        allowance.condition()?;
        if let Json::String(text) = value {
            allowance.text(text)?;
            if let Some(name) = unwanted_name(field, text) {
                let wanted = Test::read(field, &Json::String(format!("={}", name.trim())))?;
                return Ok(Self::Not(Box::new(Self::Test(wanted))));
            }
        }
        match value {
            Json::Array(values) if values.is_empty() => Err(invalid(field, "an empty list matches nothing")),
            Json::Array(values) => Self::read_several(field, values, allowance).map(Self::Any),
            Json::Object(members) => Self::read_object(field, members, allowance),
            single => Test::read(field, single).map(Self::Test),
        }
    }

    fn read_object(
        field: &FieldRef,
        members: &Map<String, Json>,
        allowance: &mut Allowance,
    ) -> Result<Self, ResultsError> {
        let mut conditions = Vec::new();
        for (name, value) in members {
            conditions.push(match (name.as_str(), value) {
                ("any" | "all", Json::Array(values)) if values.is_empty() => {
                    return Err(invalid(field, "an empty list matches nothing"));
                }
                ("any", Json::Array(values)) => Self::Any(Self::read_several(field, values, allowance)?),
                ("all", Json::Array(values)) => Self::All(Self::read_several(field, values, allowance)?),
                ("not", value) => {
                    Self::Not(Box::new(allowance.nested(|allowance| Self::read(field, value, allowance))?))
                }
                _ => {
                    let reason = "an object as condition has `any` or `all` with a list, or `not` with a condition";
                    return Err(invalid(field, reason));
                }
            });
        }
        match conditions.len() {
            0 => Err(invalid(field, "an empty object is no condition")),
            1 => Ok(conditions.remove(0)),
            _ => Ok(Self::All(conditions)),
        }
    }

    fn read_several(field: &FieldRef, values: &[Json], allowance: &mut Allowance) -> Result<Vec<Self>, ResultsError> {
        let read = |value| {
            // A list in a list says nothing that the outer one does not, so it is a mistake.
            if matches!(value, &Json::Array(_)) {
                return Err(invalid(field, "a list is no value to compare with"));
            }
            allowance.nested(|allowance| Self::read(field, value, allowance))
        };
        values.iter().map(read).collect()
    }

    fn to_json(&self) -> Json {
        let list = |conditions: &[Self]| conditions.iter().map(Self::to_json).collect::<Json>();
        match self {
            Self::Test(test) => test.to_json(),
            // A list in a list is not read, so the inner one is written out.
            Self::Any(conditions) => conditions.iter().map(Self::to_nested_json).collect(),
            Self::All(conditions) => {
                serde_json::json!({"all": conditions.iter().map(Self::to_nested_json).collect::<Json>()})
            }
            Self::Not(condition) => serde_json::json!({"not": match &**condition {
                Self::Any(conditions) => list(conditions),
                other => other.to_json(),
            }}),
        }
    }

    fn to_nested_json(&self) -> Json {
        match self {
            Self::Any(_) => serde_json::json!({"any": self.to_json()}),
            other => other.to_json(),
        }
    }

    fn check(&self, field: &FieldRef) -> Result<(), ResultsError> {
        match self {
            Self::Test(test) => test.check(field),
            Self::All(conditions) | Self::Any(conditions) => {
                conditions.iter().try_for_each(|condition| condition.check(field))
            }
            Self::Not(condition) => condition.check(field),
        }
    }

    fn evaluate(&self, holds: &impl Fn(&Test) -> bool) -> bool {
        match self {
            Self::Test(test) => holds(test),
            Self::All(conditions) => conditions.iter().all(|condition| condition.evaluate(holds)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.evaluate(holds)),
            Self::Not(condition) => !condition.evaluate(holds),
        }
    }
}

/// Whether all hold: one that does not decides, whatever is not known of the others.
fn every(verdicts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = true;
    for verdict in verdicts {
        match verdict {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = false,
        }
    }
    known.then_some(true)
}

/// Whether one holds.
fn some(verdicts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    every(verdicts.map(|verdict| verdict.map(|holds| !holds))).map(|none| !none)
}

fn combination(name: &'static str, reason: impl Into<String>) -> ResultsError {
    ResultsError::InvalidFilter { field: name.to_owned(), reason: reason.into(), valid: VALID_COMBINATION }
}

#[cfg(test)]
mod tests;
