//! Records as JSON, written straight into a buffer.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use crate::results::{
    query::{Profile, Projection},
    record::{FieldId, FieldRef, FieldSet, Kind, Occurrence, Origin, Record, RecordKind, Value, key_of_other},
    texts::{escape, untrusted},
};

/// A record cannot be made shorter than this many characters.
pub(crate) const SHORTEST: u64 = 1000;
/// The shortest that a text is cut to, in characters.
const SHORTEST_TEXT: usize = 48;

/// Appends the line of a record, with its line end.
pub(crate) fn write_record(line: &mut Vec<u8>, record: &Record<'_>, projection: &Projection) -> io::Result<()> {
    Renderer { line, limit: Limit::NONE, original: None, cut: Vec::new() }.record(record, projection)
}

/// As [`write_record`], in at most `room` characters, which must be [`SHORTEST`] or more.
///
/// Texts and lists are cut, and `truncated_fields` says what there was: `{"plugin_output": {"characters": 586723}}`.
/// Of an item with so many fields that this is not enough, the fields of the profile `minimal` are left, and
/// `truncated_record` says so.
pub(crate) fn write_shortened(
    line: &mut Vec<u8>,
    record: &Record<'_>,
    projection: &Projection,
    room: u64,
) -> io::Result<()> {
    let begin = line.len();
    let mut text = usize::try_from(room).unwrap_or(usize::MAX);
    while text > SHORTEST_TEXT {
        text /= 2;
        let limit = Limit { text, entries: (text / 16).max(1), whole: true };
        Renderer { line, limit, original: None, cut: Vec::new() }.record(record, projection)?;
        if characters(&line[begin..]) <= room {
            return Ok(());
        }
        line.truncate(begin);
    }
    let limit = Limit { text: SHORTEST_TEXT, entries: 1, whole: false };
    Renderer { line, limit, original: None, cut: Vec::new() }
        .record(record, &Projection::of(Profile::Minimal, record.kind()))
}

/// How many characters a line has; it is UTF-8.
pub(crate) fn characters(line: &[u8]) -> u64 {
    // Branch-free, so that it is done many bytes at a time.
    line.chunks(128)
        .map(|chunk| u64::from(chunk.iter().fold(0_u8, |count, byte| count + u8::from(byte & 0xC0 != 0x80))))
        .sum()
}

/// What is shown of long values.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// Characters of a text.
    text: usize,
    /// Entries of a list.
    entries: usize,
    /// Whether all fields are there.
    whole: bool,
}

impl Limit {
    const NONE: Self = Self { text: usize::MAX, entries: usize::MAX, whole: true };
}

/// What a cut value had.
#[derive(Debug, Clone, Copy)]
enum Original {
    Characters(usize),
    Entries(usize),
}

/// Appends the line of a group of findings, without its end: what its first finding says of what all have in common. `key` is
/// shown whatever it is, of the other fields what there is; long texts are cut.
pub(crate) fn write_group(
    line: &mut Vec<u8>,
    record: &Record<'_>,
    key: FieldId,
    fields: impl Iterator<Item = FieldId>,
) -> io::Result<()> {
    /// Characters of a text that all findings of a group have.
    const TEXT: usize = 300;
    let limit = Limit { text: TEXT, entries: 1, whole: true };
    let mut renderer = Renderer { line, limit, original: None, cut: Vec::new() };
    renderer.line.extend_from_slice(br#"{"type":"group""#);
    for id in fields.filter(|id| *id == key || record.first(*id).is_some()) {
        renderer.field(record, id)?;
    }
    renderer.cuts()
}

/// The text of a field that has only one.
#[inline]
fn only_text<'r>(record: &Record<'r>, id: FieldId) -> Option<&'r str> {
    match id.field().origin {
        Origin::Host => record.host.get(id),
        // A compliance check has no ratings.
        _ if FieldSet::RATINGS.contains(id) && record.kind() == RecordKind::Compliance => None,
        Origin::Element | Origin::Attribute => {
            let mut values = record.item.values(id);
            values.next().filter(|_| values.next().is_none())
        }
        _ => None,
    }
}

/// Whether JSON has a whole number in the same digits, and no other.
fn is_whole_number(text: &[u8]) -> bool {
    match text {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 18 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether JSON has a decimal number in the same digits, and no other: scores have one behind the point.
fn is_decimal_number(text: &[u8]) -> bool {
    matches!(text, [whole @ .., b'.', b'0'..=b'9'] if whole.len() < 6 && is_whole_number(whole))
}

struct Renderer<'l> {
    line: &'l mut Vec<u8>,
    limit: Limit,
    /// What the field had that is being written, when it was cut.
    original: Option<Original>,
    /// The fields that were cut.
    cut: Vec<(String, Original)>,
}

impl Renderer<'_> {
    fn record(mut self, record: &Record<'_>, projection: &Projection) -> io::Result<()> {
        self.line.extend_from_slice(match record.kind() {
            RecordKind::Vulnerability => br#"{"type":"vulnerability""#,
            RecordKind::Compliance => br#"{"type":"compliance""#,
        });
        match projection {
            Projection::Full { asked } => {
                for id in record.shown_beside(FieldSet::default()).union(*asked).iter() {
                    self.field(record, id)?;
                }
                self.others(record)?;
            }
            Projection::Fields { fields, .. } => {
                for field in fields {
                    match field {
                        FieldRef::Declared(id) => self.field(record, *id)?,
                        FieldRef::Other(name) => {
                            self.key(name);
                            self.values(record.others(name).map(Value::Text), record, true)?;
                            self.end(name);
                        }
                    }
                }
            }
        }
        self.cuts()?;
        if !self.limit.whole {
            self.line.extend_from_slice(br#","truncated_record":true"#);
        }
        self.line.extend_from_slice(b"}\n");
        Ok(())
    }

    /// What was cut.
    fn cuts(&mut self) -> io::Result<()> {
        if !self.cut.is_empty() {
            self.line.extend_from_slice(br#","truncated_fields":{"#);
            for (at, (name, original)) in self.cut.iter().enumerate() {
                if at > 0 {
                    self.line.push(b',');
                }
                escape::text(self.line, name);
                match original {
                    Original::Characters(count) => write!(self.line, r#":{{"characters":{count}}}"#)?,
                    Original::Entries(count) => write!(self.line, r#":{{"entries":{count}}}"#)?,
                }
            }
            self.line.push(b'}');
        }
        Ok(())
    }

    /// A key and the value of a declared field: a list, or one value, or null; all values of a field that should have
    /// had one.
    fn field(&mut self, record: &Record<'_>, id: FieldId) -> io::Result<()> {
        let is_untrusted = id.is_untrusted(|| record.kind());
        let field = id.field();
        self.line.extend_from_slice(field.key.as_bytes());
        // Most fields by far, so they go the short way.
        if let Some(only) = only_text(record, id)
            && self.as_written(field.kind, only, is_untrusted)
        {
            self.end(id.name());
            return Ok(());
        }
        if id.is_list() {
            self.line.push(b'[');
            let mut result = Ok(());
            let mut count = 0;
            record.any(id, |value| {
                count += 1;
                if count <= self.limit.entries {
                    if count > 1 {
                        self.line.push(b',');
                    }
                    result = self.value(value, record, is_untrusted);
                }
                result.is_err()
            });
            self.line.push(b']');
            if count > self.limit.entries {
                self.original = Some(Original::Entries(count));
            }
            result?;
        } else if field.origin == Origin::Element && record.item.values(id).nth(1).is_some() {
            let mut values = Vec::new();
            record.any(id, |value| {
                values.push(value);
                false
            });
            self.values(values.into_iter(), record, is_untrusted)?;
        } else {
            self.values(record.first(id).into_iter(), record, is_untrusted)?;
        }
        self.end(id.name());
        Ok(())
    }

    /// Writes a value without looking for its type, where it is a text, or a number as JSON has it; whether it is.
    fn as_written(&mut self, kind: Kind, text: &str, is_untrusted: bool) -> bool {
        match kind {
            // What is no date is shown as it is, too.
            Kind::Text | Kind::Host | Kind::Name | Kind::Date => self.text(text, is_untrusted),
            Kind::Integer if is_whole_number(text.as_bytes()) => self.line.extend_from_slice(text.as_bytes()),
            Kind::Number if is_decimal_number(text.as_bytes()) => self.line.extend_from_slice(text.as_bytes()),
            Kind::Boolean if matches!(text, "true" | "false") => self.line.extend_from_slice(text.as_bytes()),
            _ => return false,
        }
        true
    }

    /// The undeclared elements and attributes, by name; several of one name are a list.
    fn others(&mut self, record: &Record<'_>) -> io::Result<()> {
        let item = record.item;
        let mut others: Vec<&Occurrence> = item.others().collect();
        others.sort_by(|left, right| item.name(left).cmp(item.name(right)));
        for same in others.chunk_by(|left, right| item.name(left) == item.name(right)) {
            let Some(first) = same.first() else { continue };
            let name = item.name(first);
            let name = key_of_other(name);
            self.key(&name);
            let values = same.iter().filter_map(|other| match item.value(other) {
                _ if item.attributes(other).len() > 0 => Some(Value::Element(other)),
                "" => None,
                text => Some(Value::Text(text)),
            });
            self.values(values, record, true)?;
            self.end(&name);
        }
        Ok(())
    }

    fn values<'r>(
        &mut self,
        mut values: impl Iterator<Item = Value<'r>>,
        record: &Record<'r>,
        is_untrusted: bool,
    ) -> io::Result<()> {
        let Some(first) = values.next() else {
            self.line.extend_from_slice(b"null");
            return Ok(());
        };
        let Some(second) = values.next() else { return self.value(first, record, is_untrusted) };
        self.line.push(b'[');
        self.value(first, record, is_untrusted)?;
        let mut count = 1;
        for value in std::iter::once(second).chain(values) {
            count += 1;
            if count <= self.limit.entries {
                self.line.push(b',');
                self.value(value, record, is_untrusted)?;
            }
        }
        self.line.push(b']');
        if count > self.limit.entries {
            self.original = Some(Original::Entries(count));
        }
        Ok(())
    }

    fn key(&mut self, name: &str) {
        self.line.push(b',');
        escape::text(self.line, name);
        self.line.push(b':');
    }

    /// Notes that the field just written was cut, if it was.
    fn end(&mut self, name: &str) {
        if let Some(original) = self.original.take() {
            self.cut.push((name.to_owned(), original));
        }
    }

    fn value(&mut self, value: Value<'_>, record: &Record<'_>, is_untrusted: bool) -> io::Result<()> {
        match value {
            Value::Text(found) | Value::TypeMismatch(found) | Value::Date(found, _) => self.text(found, is_untrusted),
            Value::Integer(number) => serde_json::to_writer(&mut *self.line, &number).map_err(io::Error::from)?,
            Value::Number(number) => serde_json::to_writer(&mut *self.line, &number).map_err(io::Error::from)?,
            Value::Severity(severity) => {
                self.line.push(b'"');
                self.line.extend_from_slice(severity.name().as_bytes());
                self.line.push(b'"');
            }
            Value::Key(key) => write!(self.line, "\"{key}\"")?,
            Value::Boolean(value) => self.line.extend_from_slice(if value { b"true" } else { b"false" }),
            Value::Element(occurrence) => {
                self.line.push(b'{');
                for attribute in record.attributes(occurrence) {
                    // The text has the key `value`; an attribute of that name must not stand in its place.
                    let is_taken = attribute.name.trim_end_matches("_attribute") == "value";
                    let name = if is_taken { &*format!("{}_attribute", attribute.name) } else { attribute.name };
                    escape::text(self.line, name);
                    self.line.push(b':');
                    self.text_or_null(attribute.value, is_untrusted);
                    self.line.push(b',');
                }
                self.line.extend_from_slice(b"\"value\":");
                self.text_or_null(record.item.value(occurrence), is_untrusted);
                self.line.push(b'}');
            }
        }
        Ok(())
    }

    fn text_or_null(&mut self, found: &str, is_untrusted: bool) {
        if found.is_empty() {
            self.line.extend_from_slice(b"null");
        } else {
            self.text(found, is_untrusted);
        }
    }

    fn text(&mut self, found: &str, is_untrusted: bool) {
        if is_untrusted && found.len() <= self.limit.text && escape::plain_text(self.line, found) {
            return;
        }
        let cleaned = if is_untrusted { untrusted::clean(found) } else { Cow::Borrowed(found) };
        let mut shown = &*cleaned;
        // There are never more characters than bytes.
        if shown.len() > self.limit.text
            && let Some((end, _)) = shown.char_indices().nth(self.limit.text)
        {
            let count = shown.chars().count();
            if let None | Some(Original::Characters(..)) = self.original {
                let before = if let Some(Original::Characters(before)) = self.original { before } else { 0 };
                self.original = Some(Original::Characters(count.max(before)));
            }
            shown = &shown[..end];
        }
        escape::text(self.line, shown);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_their_type_is(text in "-?[0-9]{0,20}(\\.[0-9]{0,2})?") {
            if is_whole_number(text.as_bytes()) {
                prop_assert_eq!(&serde_json::to_string(&text.parse::<i64>().unwrap()).unwrap(), &text);
            }
            if is_decimal_number(text.as_bytes()) {
                prop_assert_eq!(&serde_json::to_string(&text.parse::<f64>().unwrap()).unwrap(), &text);
            }
        }
    }

    #[test]
    fn the_usual_numbers_are_known() {
        assert!(["0", "443", "123456789012345678"].iter().all(|text| is_whole_number(text.as_bytes())));
        assert!(["0.0", "9.8", "10.0"].iter().all(|text| is_decimal_number(text.as_bytes())));
        assert!(!["", "00", "1.", ".5", "1.50"].iter().any(|text| is_decimal_number(text.as_bytes())));
    }
}
