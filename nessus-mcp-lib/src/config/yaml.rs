//! The only place that knows the YAML crate.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};

use super::ConfigError;
use crate::error::{excerpt, nearest};

/// A scalar as text, with the place it stands at.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<String>::deserialize(deserializer)?;
        let (line, column) = (spanned.referenced.line(), spanned.referenced.column());
        Ok(Self { text: spanned.value, line, column })
    }
}

/// A mapping that keeps the order of the file, and the lines of its keys.
#[derive(Debug)]
pub(super) struct Ordered<T>(pub(super) Vec<(Scalar, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names to what they stand for")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

/// Whether a text has nothing but comments.
pub(crate) fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// Parses `text`, which was read from `path`.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    // Without the snippet: a line of the file may hold a password.
    serde_saphyr::from_str(text).map_err(|error| ConfigError::Syntax {
        path: PathBuf::from(path),
        line: error.location().map_or(0, |location| location.line()),
        message: match error.without_snippet() {
            serde_saphyr::Error::SerdeUnknownField { field, expected, location } => {
                unknown_key(field, expected, location.column())
            }
            other => one_line(&other.to_string()),
        },
    })
}

fn unknown_key(key: &str, known: &[&str], column: u64) -> String {
    let known = nearest(key, known.iter().copied());
    let (key, first) = (excerpt(key), known.first().copied().unwrap_or_default());
    format!("unknown key `{key}`, did you mean `{first}`? (column {column}; the keys are: {})", known.join(", "))
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
