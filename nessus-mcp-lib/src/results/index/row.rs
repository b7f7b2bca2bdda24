//! What is kept of an item: its place, and the fields that most filters and orders look at.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use crate::results::{
    query::{GroupBy, Place, worst},
    record::{FieldId, Record, Severity, Value},
};

/// Bytes of a row.
pub(super) const ROW_BYTES: usize = 64;

/// No value, and values that are not one plain value, of a whole number.
const ABSENT: u32 = u32::MAX;
const OTHER: u32 = u32::MAX - 1;
/// What a score is multiplied by to be a whole number: they have at most five decimals.
const SCORE_UNIT: f64 = 1e5;
/// The same of a severity, and of a truth value.
const ABSENT_SEVERITY: u8 = 5;
const OTHER_SEVERITY: u8 = 6;
const OTHER_TRUTH: u8 = 2;

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    pub offset: u64,
    pub length: u32,
    /// An index of the hosts.
    pub host: u32,
    pub port: u32,
    pub plugin: u32,
    pub worst: u32,
    /// The day as the number YYYYMMDD.
    pub known_exploited: u32,
    /// A hash of the item's bytes, or 0.
    pub check: u32,
    /// An index of the shapes.
    pub shape: u32,
    pub severity: u8,
    pub exploit_available: u8,
    pub cvss_score: u32,
    pub epss_score: u32,
    pub vpr_score: u32,
    /// Numbers that stand for the family and the solution.
    pub family: u32,
    pub solution: u32,
}

/// Numbers that stand for texts of one export, as long as there are not too many. Texts are remembered as hashes with a
/// secret key, so that nobody can write texts that are taken for the same.
#[derive(Debug, Default)]
pub(super) struct Texts {
    hasher: RandomState,
    numbers: HashMap<u64, u32>,
}

impl Texts {
    /// The most that are remembered. Those that come later have no number, wherever they stand.
    const MOST: usize = if cfg!(test) { 8 } else { 1 << 17 };

    /// The number of the text that a group of findings has in common.
    fn number(&mut self, record: &Record<'_>, by: GroupBy) -> u32 {
        let Some(text) = by.text_of(record) else { return ABSENT };
        let hash = self.hasher.hash_one(text);
        let next = self.numbers.len();
        match self.numbers.get(&hash) {
            Some(number) => *number,
            None if next < Self::MOST => {
                let next = u32::try_from(next).unwrap_or(OTHER);
                self.numbers.insert(hash, next);
                next
            }
            None => OTHER,
        }
    }
}

/// A score as a whole number; one that would not come out as it was is not known.
fn score_to_whole(score: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what does not fit comes out as another"
    )]
    let whole = (score * SCORE_UNIT).round() as u32;
    if whole < OTHER && score_of_whole(whole).to_bits() == score.to_bits() { whole } else { OTHER }
}

fn score_of_whole(whole: u32) -> f64 {
    f64::from(whole) / SCORE_UNIT
}

impl Columns {
    pub(super) fn of(record: &Record<'_>, host: u32, shape: u32, check: u32, texts: &mut Texts) -> Self {
        let whole = |id| match single(record, id) {
            Single::None => ABSENT,
            Single::One(Value::Integer(number)) => u32::try_from(number).map_or(OTHER, |number| number.min(OTHER)),
            Single::One(Value::Date(_, day)) => day,
            _ => OTHER,
        };
        let number = |id| match single(record, id) {
            Single::None => ABSENT,
            Single::One(Value::Number(number)) => score_to_whole(number),
            _ => OTHER,
        };
        Self {
            offset: record.item.offset,
            length: u32::try_from(record.item.length).unwrap_or(u32::MAX),
            host,
            port: whole(FieldId::Port),
            plugin: whole(FieldId::PluginId),
            worst: worst(record),
            known_exploited: whole(FieldId::CisaKnownExploited),
            check,
            shape,
            severity: match single(record, FieldId::Severity) {
                Single::None => ABSENT_SEVERITY,
                Single::One(Value::Severity(severity)) => severity as u8,
                _ => OTHER_SEVERITY,
            },
            exploit_available: match single(record, FieldId::ExploitAvailable) {
                Single::One(Value::Boolean(value)) => u8::from(value),
                _ => OTHER_TRUTH,
            },
            cvss_score: number(FieldId::CvssScore),
            epss_score: number(FieldId::EpssScore),
            vpr_score: number(FieldId::VprScore),
            family: texts.number(record, GroupBy::Family),
            solution: texts.number(record, GroupBy::Solution),
        }
    }

    /// What the row knows of the text that findings are grouped by: a number that stands for it.
    pub(super) fn text(&self, by: GroupBy) -> Known {
        let number = match by {
            GroupBy::Family => self.family,
            GroupBy::Solution => self.solution,
            _ => OTHER,
        };
        match number {
            OTHER => Known::Unknown,
            ABSENT => Known::Nothing,
            number => Known::One(Value::Integer(number.into())),
        }
    }

    /// What the row knows of a field.
    pub(super) fn value(&self, id: FieldId) -> Known {
        let whole = |value, make: fn(u32) -> Value<'static>| match value {
            ABSENT => Known::Nothing,
            OTHER => Known::Unknown,
            number => Known::One(make(number)),
        };
        let number = |whole| match whole {
            ABSENT => Known::Nothing,
            OTHER => Known::Unknown,
            whole => Known::One(Value::Number(score_of_whole(whole))),
        };
        match id {
            FieldId::Port => whole(self.port, |port| Value::Integer(port.into())),
            FieldId::PluginId => whole(self.plugin, |plugin| Value::Integer(plugin.into())),
            FieldId::CisaKnownExploited => whole(self.known_exploited, |day| Value::Date("", day)),
            FieldId::CvssScore => number(self.cvss_score),
            FieldId::EpssScore => number(self.epss_score),
            FieldId::VprScore => number(self.vpr_score),
            FieldId::Severity => match self.severity {
                ABSENT_SEVERITY => Known::Nothing,
                severity => Severity::from_number(severity.into())
                    .map_or(Known::Unknown, |severity| Known::One(Value::Severity(severity))),
            },
            FieldId::ExploitAvailable => match self.exploit_available {
                truth @ (0 | 1) => Known::One(Value::Boolean(truth == 1)),
                _ => Known::Unknown,
            },
            _ => Known::Unknown,
        }
    }

    /// The place of the item in every order; `None` when the row does not know.
    pub(super) fn place(&self) -> Option<Place> {
        (self.port != OTHER && self.plugin != OTHER).then_some(self.whereabouts())
    }

    /// The place of the item in the file, and of most items also in every order.
    pub(super) const fn whereabouts(&self) -> Place {
        Place {
            worst: self.worst,
            port: self.port,
            plugin: self.plugin,
            host: self.host,
            offset: self.offset,
            length: self.length,
            check: self.check,
        }
    }

    pub(super) fn encode(&self) -> [u8; ROW_BYTES] {
        let shape = self.shape | u32::from(self.severity) << 24 | u32::from(self.exploit_available) << 28;
        let words = [
            self.offset,
            pair(self.length, self.host),
            pair(self.port, self.plugin),
            pair(self.worst, self.known_exploited),
            pair(self.check, shape),
            pair(self.cvss_score, self.epss_score),
            pair(self.vpr_score, self.family),
            u64::from(self.solution),
        ];
        let mut bytes = [0; ROW_BYTES];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Self {
        let word = |at: usize| {
            let bytes = bytes.get(at * 8..at * 8 + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        let [
            (length, host),
            (port, plugin),
            (worst, known_exploited),
            (check, shape),
            (cvss_score, epss_score),
            (vpr_score, family),
            (solution, _),
        ] = [1, 2, 3, 4, 5, 6, 7].map(|at| halves(word(at)));
        Self {
            offset: word(0),
            length,
            host,
            port,
            plugin,
            worst,
            known_exploited,
            check,
            shape: shape & 0xFF_FFFF,
            severity: u8::try_from(shape >> 24 & 15).unwrap_or_default(),
            exploit_available: u8::try_from(shape >> 28).unwrap_or_default(),
            cvss_score,
            epss_score,
            vpr_score,
            family,
            solution,
        }
    }
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn halves(word: u64) -> (u32, u32) {
    let low = u32::try_from(word & 0xFFFF_FFFF).unwrap_or_default();
    (low, u32::try_from(word >> 32).unwrap_or_default())
}

/// What can be said of a field's values without reading the item.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known {
    /// It has none.
    Nothing,
    /// It has this one.
    One(Value<'static>),
    /// Nothing can be said.
    Unknown,
}

impl Known {
    /// Asks something about the values, when they are known.
    pub(super) fn map<T>(self, ask: impl FnOnce(Option<Value<'static>>) -> T) -> Option<T> {
        match self {
            Self::Nothing => Some(ask(None)),
            Self::One(value) => Some(ask(Some(value))),
            Self::Unknown => None,
        }
    }
}

enum Single<'r> {
    None,
    One(Value<'r>),
    Several,
}

fn single<'r>(record: &Record<'r>, id: FieldId) -> Single<'r> {
    let mut found = Single::None;
    record.any(id, |value| {
        found = if matches!(found, Single::None) { Single::One(value) } else { Single::Several };
        matches!(found, Single::Several)
    });
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_is_read_as_it_was_written(offset in any::<u64>(), halves in any::<[u32; 12]>(), shape in 0..1_u32 << 24, small in (0..7_u8, 0..3_u8)) {
            let row = Columns {
                offset, length: halves[0], host: halves[1], port: halves[2], plugin: halves[3],
                worst: halves[4], known_exploited: halves[5], check: halves[6], shape, severity: small.0,
                exploit_available: small.1, cvss_score: halves[7], epss_score: halves[8], vpr_score: halves[9], family: halves[10],
                solution: halves[11],
            };
            prop_assert_eq!(Columns::decode(&row.encode()), row);
        }

        /// Whatever a score is, the row gives it exactly or does not know it.
        #[test]
        fn a_score_comes_out_as_it_was(any in any::<f64>(), whole in 0..100_000_000_u32) {
            for score in [any, f64::from(whole) / 1e5, f64::from(whole) / 1e7] {
                let kept = score_to_whole(score);
                prop_assert!(kept == OTHER || score_of_whole(kept).to_bits() == score.to_bits());
            }
            let written: f64 = format!("{}.{:05}", whole / 100_000, whole % 100_000).parse().unwrap();
            prop_assert_eq!(score_of_whole(score_to_whole(written)).to_bits(), written.to_bits());
        }
    }
}
