//! Records as JSON, written straight into a buffer.

use std::io::{self, Write};

use super::{
    fields::{ALL, FieldId, FieldRef, Origin, clashes},
    profile::Projection,
    record::{Record, Value},
    xml::Occurrence,
};

/// Appends the `vulnerability` line of a record, with its line end.
pub(super) fn write_record(line: &mut Vec<u8>, record: &Record<'_>, projection: &Projection) -> io::Result<()> {
    line.extend_from_slice(br#"{"type":"vulnerability""#);
    match projection {
        Projection::Full => {
            for id in ALL.iter().copied().filter(|id| record.shows(*id)) {
                write_field(line, record, id)?;
            }
            write_others(line, record)?;
        }
        Projection::Fields { fields, .. } => {
            for field in fields {
                match field {
                    FieldRef::Declared(id) => write_field(line, record, *id)?,
                    FieldRef::Other(name) => {
                        key(line, name)?;
                        write_values(line, record.others(name).map(Value::Text), record)?;
                    }
                }
            }
        }
    }
    line.extend_from_slice(b"}\n");
    Ok(())
}

/// A key and the value of a declared field: a list, or one value, or null; all values of a field that should have had one.
fn write_field(line: &mut Vec<u8>, record: &Record<'_>, id: FieldId) -> io::Result<()> {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(id.name().as_bytes());
    line.extend_from_slice(b"\":");
    if id.is_list() {
        line.push(b'[');
        let mut result = Ok(());
        let mut first = true;
        record.any(id, |value| {
            if !std::mem::take(&mut first) {
                line.push(b',');
            }
            result = write_value(line, value, record);
            result.is_err()
        });
        line.push(b']');
        return result;
    }
    let repeats = id.field().origin == Origin::Element && record.item.values(id).nth(1).is_some();
    if repeats {
        let mut values = Vec::new();
        record.any(id, |value| {
            values.push(value);
            false
        });
        return write_values(line, values.into_iter(), record);
    }
    write_values(line, record.first(id).into_iter(), record)
}

/// The undeclared elements and attributes, by name; several of one name are a list.
fn write_others(line: &mut Vec<u8>, record: &Record<'_>) -> io::Result<()> {
    let item = record.item;
    let mut others: Vec<&Occurrence> = item.others().collect();
    others.sort_by(|left, right| item.name(left).cmp(item.name(right)));
    for same in others.chunk_by(|left, right| item.name(left) == item.name(right)) {
        let Some(first) = same.first() else { continue };
        let name = item.name(first);
        if clashes(name) {
            key(line, &format!("{name}_element"))?;
        } else {
            key(line, name)?;
        }
        let values = same.iter().map(|other| {
            if item.attributes(other).len() > 0 { Value::Element(other) } else { Value::Text(item.value(other)) }
        });
        write_values(line, values, record)?;
    }
    Ok(())
}

fn write_values<'r>(
    line: &mut Vec<u8>,
    mut values: impl Iterator<Item = Value<'r>>,
    record: &Record<'r>,
) -> io::Result<()> {
    let Some(first) = values.next() else {
        line.extend_from_slice(b"null");
        return Ok(());
    };
    let Some(second) = values.next() else { return write_value(line, first, record) };
    line.push(b'[');
    write_value(line, first, record)?;
    for value in std::iter::once(second).chain(values) {
        line.push(b',');
        write_value(line, value, record)?;
    }
    line.push(b']');
    Ok(())
}

fn key(line: &mut Vec<u8>, name: &str) -> io::Result<()> {
    line.push(b',');
    text(line, name)?;
    line.push(b':');
    Ok(())
}

fn write_value(line: &mut Vec<u8>, value: Value<'_>, record: &Record<'_>) -> io::Result<()> {
    match value {
        Value::Text(found) | Value::Misfit(found) | Value::Date(found, _) => text(line, found),
        Value::Integer(number) => write!(line, "{number}"),
        Value::Number(number) => serde_json::to_writer(line, &number).map_err(io::Error::from),
        Value::Severity(severity) => write!(line, "\"{severity}\""),
        Value::Boolean(value) => write!(line, "{value}"),
        Value::Element(occurrence) => {
            line.push(b'{');
            for attribute in record.attributes(occurrence) {
                text(line, attribute.name)?;
                line.push(b':');
                text(line, attribute.value)?;
                line.push(b',');
            }
            line.extend_from_slice(b"\"value\":");
            text(line, record.item.value(occurrence))?;
            line.push(b'}');
            Ok(())
        }
    }
}

fn text(line: &mut Vec<u8>, text: &str) -> io::Result<()> {
    serde_json::to_writer(line, text).map_err(io::Error::from)
}
