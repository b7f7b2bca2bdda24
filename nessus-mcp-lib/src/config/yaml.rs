//! The only place that knows the YAML crate.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor},
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

/// One scalar or a list of them.
#[derive(Debug)]
pub(crate) struct OneOrMore(pub(crate) Vec<Scalar>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        enum Shape {
            One(String),
            More(Vec<Scalar>),
        }

        struct Shapes;

        impl<'de> Visitor<'de> for Shapes {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Shape, E> {
                Ok(Shape::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut scalars = Vec::new();
                while let Some(scalar) = list.next_element()? {
                    scalars.push(scalar);
                }
                Ok(Shape::More(scalars))
            }
        }

        impl<'de> Deserialize<'de> for Shape {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Shapes)
            }
        }

        let spanned = serde_saphyr::Spanned::<Shape>::deserialize(deserializer)?;
        let (line, column) = (spanned.referenced.line(), spanned.referenced.column());
        Ok(Self(match spanned.value {
            Shape::One(text) => vec![Scalar { text, line, column }],
            Shape::More(scalars) => scalars,
        }))
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
