//! The engine through its public face, and its lines as JSON in which no key stands twice.

use std::{fmt, io::Cursor};

use nessus_mcp_lib::{
    JsonNlConverter,
    results::{Profile, Query, QueryBuilder, ResultsError, SortOrder},
};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The lines of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) lines: Vec<Value>,
    /// All characters, line ends included.
    pub(crate) characters: usize,
}

impl Answer {
    pub(crate) fn read(output: &[u8]) -> Self {
        let text = str::from_utf8(output).unwrap();
        let line =
            |line: &str| serde_json::from_str::<Strict>(line).unwrap_or_else(|error| panic!("{error}: {line}")).0;
        Self { lines: text.lines().map(line).collect(), characters: text.chars().count() }
    }

    /// The findings, compliance checks or groups, in order.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Map<String, Value>> {
        let is_record =
            |line: &&Value| !["schema", "scan_metadata", "pagination"].iter().any(|kind| line["type"] == *kind);
        self.lines.iter().filter(is_record).map(|line| line.as_object().unwrap())
    }

    /// The last line, where the answer is a page.
    pub(crate) fn pagination(&self) -> Option<&Value> {
        self.lines.last().filter(|line| line["type"] == "pagination")
    }
}

/// Every vulnerability of an export, in the order of the file.
pub(crate) fn everything() -> QueryBuilder {
    Query::builder().profile(Profile::Full).sort(SortOrder::File)
}

/// The answer to a query.
pub(crate) fn ask(export: &[u8], query: QueryBuilder) -> Result<Answer, ResultsError> {
    let mut output = Vec::new();
    JsonNlConverter::new(query.build()?).convert(Cursor::new(export), &mut output)?;
    Ok(Answer::read(&output))
}

/// JSON that is refused when an object has a key twice: programs that read it would see one of the values only.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without a key that stands twice")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = access.next_element()? {
            values.push(value);
        }
        Ok(Strict(Value::Array(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
        let mut values = Map::new();
        while let Some((key, Strict(value))) = access.next_entry::<String, Strict>()? {
            if values.insert(key.clone(), value).is_some() {
                return Err(A::Error::custom(format!("the key `{key}` stands twice")));
            }
        }
        Ok(Strict(Value::Object(values)))
    }
}
