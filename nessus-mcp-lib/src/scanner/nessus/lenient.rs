//! Reading JSON that is not quite what the API promises.
//!
//! Types vary between versions, and what is somebody else's may hold anything. Each field and each element of a list is read
//! by itself: what cannot be read is as good as absent, and takes nothing else with it. Whether something is missing that
//! is needed shows where it is used; for that, what is no list stays distinct from an empty one.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// A body as a text, whatever its bytes are: those that are no UTF-8 become U+FFFD.
pub(super) fn text_of(body: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body))
}

/// Whatever stands there; null where nobody can read it.
pub(super) fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// A whole number, also when it is written as text or with a fraction; anything else is `None`.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match value(deserializer)? {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

/// The whole part of a number that fits.
fn whole(number: f64) -> Option<u64> {
    // 2^53: larger ones are no exact integers any more.
    let exact = (0.0..=9_007_199_254_740_992.0).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    exact.then_some(number as u64)
}

/// A text, also when it is written as a number; anything else is `None`.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match value(deserializer)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A truth value, also when it is written as 0, 1 or text; anything else is `None`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match value(deserializer)? {
        Value::Bool(flag) => Some(flag),
        Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        Value::String(text) => match text.trim() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    })
}

/// An object; anything else is `None`.
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(object_in(&Box::<RawValue>::deserialize(deserializer)?))
}

fn object_in<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    // A list would be taken for the fields in their order.
    if raw.get().starts_with('{') { serde_json::from_str(raw.get()).ok() } else { None }
}

/// A list of objects, empty when it is `null`. `None` for what is no list, and for one of which nothing can be read.
pub(super) fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let mut read = Vec::new();
    let seen = Each::new(|element| read.push(element)).deserialize(deserializer)?;
    Ok(seen.is_some_and(Elements::is_an_answer).then_some(read))
}

/// How many elements a list has, and how many of them were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Elements {
    pub(super) all: u64,
    pub(super) read: u64,
    /// It is `null` in the place of a list.
    pub(super) is_null: bool,
}

impl Elements {
    /// Whether it is empty, or something of it could be read.
    pub(super) const fn is_an_answer(self) -> bool {
        self.all == 0 || self.read > 0
    }
}

/// Hands each object of a list on as it is read, so that a list of any length takes no memory. Its value is `None` for what
/// is no list; `null` is an empty one.
pub(super) struct Each<T, F> {
    take: F,
    element: PhantomData<T>,
}

impl<T, F: FnMut(T)> Each<T, F> {
    pub(super) fn new(take: F) -> Self {
        Self { take, element: PhantomData }
    }
}

impl<'de, T: DeserializeOwned, F: FnMut(T)> DeserializeSeed<'de> for Each<T, F> {
    type Value = Option<Elements>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: DeserializeOwned, F: FnMut(T)> Visitor<'de> for Each<T, F> {
    type Value = Option<Elements>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Elements::default();
        while let Some(raw) = list.next_element::<Box<RawValue>>()? {
            elements.all += 1;
            if let Some(element) = object_in(&raw) {
                elements.read += 1;
                (self.take)(element);
            }
        }
        Ok(Some(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Some(Elements { is_null: true, ..Elements::default() }))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}
