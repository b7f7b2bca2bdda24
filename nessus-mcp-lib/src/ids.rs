//! Names as types, so that a pool cannot be passed where an instance is meant.
//!
//! All of them are checked when they are made: they go into file paths, Redis keys, scan names and metric labels.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    error::{Classified, ErrorKind, excerpt},
    time::Timestamp,
};

/// A text that cannot be the name it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {what}: {rule}")]
pub struct IdError {
    what: &'static str,
    value: String,
    rule: &'static str,
}

impl Classified for IdError {
    fn code(&self) -> &'static str {
        "invalid_id"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

/// Declares a checked string newtype with its text conversions.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks the text and takes it.
            ///
            /// # Errors
            #[doc = concat!("When the text is no ", $what, ": ", $rule, ".")]
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(IdError { what: $what, value: excerpt(&text).to_string(), rule: $rule })
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }
    };
}

/// Letters, digits, `_`, `-` and `.` inside, 1 to 64 of them, and no path of its own (`.` and `..`).
fn is_plain_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && text.bytes().any(|b| b != b'.')
}

text_id! {
    /// The name of a scanner pool: a top-level key of `scanners.yaml`.
    PoolName, "pool name", "1 to 64 letters, digits, `_`, `-` or `.`", is_plain_name
}

impl PoolName {
    /// The name under which the queue keeps what is to be delivered to webhooks; no pool of scanners has it.
    pub const DELIVERIES: &'static str = ".webhooks";

    /// The queue of what is to be delivered to webhooks.
    pub fn deliveries() -> Self {
        Self(Self::DELIVERIES.to_owned())
    }
}

text_id! {
    /// The `instance_id` of a scanner within its pool.
    InstanceId, "instance id", "1 to 64 letters, digits, `_`, `-` or `.`", is_plain_name
}

/// `pool:instance`: how logs, metrics and answers name a scanner.
pub(crate) fn scanner_name(pool: &PoolName, instance: &InstanceId) -> String {
    format!("{pool}:{instance}")
}

text_id! {
    /// The name of a task, `{type}_{label}_{YYYYMMDD}_{HHMMSS}_{8 hex}`; it is not a capability.
    TaskId, "task id", "expected a form like ne_ness_20251201_143022_a1b2c3d4", is_task_id
}

text_id! {
    /// A name that follows one request through server, queue, worker and logs.
    TraceId, "trace id", "1 to 128 letters, digits, `_`, `-` or `.`",
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

text_id! {
    /// A worker process; new with each start, so that a quick restart is not taken for its predecessor.
    WorkerId, "worker id", "1 to 64 letters, digits, `_`, `-` or `.`", is_plain_name
}

/// The shape of a task id: at least five parts, the last three being date, time and 8 lower-case hex digits.
fn is_task_id(text: &str) -> bool {
    let mut parts = text.rsplitn(4, '_');
    let mut next = |length: usize, accepts: fn(u8) -> bool| {
        parts.next().is_some_and(|part| part.len() == length && part.bytes().all(accepts))
    };
    let tail = next(8, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && next(6, |b| b.is_ascii_digit())
        && next(8, |b| b.is_ascii_digit());
    tail && text.len() <= 64
        && parts.next().is_some_and(|head| {
            head.contains('_')
                && head.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
                && !head.starts_with('.')
        })
}

impl TaskId {
    /// A new name for a task of this scanner type (`nessus`), labelled with the pinned instance or the pool.
    pub fn generate(scanner_type: &str, label: &str, now: Timestamp) -> Self {
        let letters = |text: &str, count: usize| -> String {
            text.chars().filter(char::is_ascii_alphanumeric).take(count).collect::<String>().to_ascii_lowercase()
        };
        let random = uuid::Uuid::new_v4().simple().to_string();
        Self(format!("{}_{}_{}_{}", letters(scanner_type, 2), letters(label, 4), now.compact(), &random[..8]))
    }
}

impl TraceId {
    /// A new random name.
    pub fn generate() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }
}

impl WorkerId {
    /// A new random name.
    pub fn generate() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }
}

/// A scan as the scanner names it: an integer on Nessus, a text on others.
///
/// It is written as a JSON number when it is one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScanId(String);

impl ScanId {
    /// Takes the scanner's name for the scan.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u64> for ScanId {
    fn from(id: u64) -> Self {
        Self(id.to_string())
    }
}

impl fmt::Display for ScanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ScanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.parse::<u64>() {
            Ok(number) if number.to_string() == self.0 => serializer.serialize_u64(number),
            _ => serializer.serialize_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ScanId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum NumberOrText {
            Number(u64),
            Text(String),
        }
        Ok(match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => Self::from(number),
            NumberOrText::Text(text) => Self(text),
        })
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ScanId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ScanId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "integer" }, { "type": "string" }] })
    }
}

/// A fencing token: of two claims of one task, the later has the larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(pub u64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_task_id_has_the_documented_form() {
        let id = TaskId::generate("nessus", "nessus-eu", Timestamp::from_millis(1_764_599_422_123));
        assert!(id.as_str().starts_with("ne_ness_20251201_143022_"), "{id}");
        assert_eq!(TaskId::new(id.as_str()).unwrap(), id);
    }

    #[test]
    fn paths_are_not_task_ids() {
        for text in [
            "",
            "..",
            "../x_y_20251201_143022_a1b2c3d4",
            "ne_ness_20251201_143022_A1B2C3D4",
            "ne_20251201_143022_a1b2c3d4",
            "ne_a/b_20251201_143022_a1b2c3d4",
        ] {
            assert!(TaskId::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_scan_id_is_a_json_number_when_it_is_one() {
        for (id, json) in [("57", "57"), ("057", "\"057\""), ("abc-1", "\"abc-1\"")] {
            assert_eq!(serde_json::to_string(&ScanId::new(id)).unwrap(), json);
            assert_eq!(serde_json::from_str::<ScanId>(json).unwrap(), ScanId::new(id));
        }
    }
}
