//! The order of findings, by keys that are small enough to be held for every item of a huge export.

use std::{collections::HashMap, fmt, net::IpAddr, str::FromStr};

use crate::results::{
    error::ResultsError,
    record::{FieldId, FieldRef, Item, NAME_BYTES, Record, RecordKind, Severity, Value, rating_of_severity},
};

/// How much of a text decides its place.
const TEXT_BYTES: usize = 64;

/// The order of findings. Every order is total, so pages never overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SortOrder {
    /// By severity, then CVSS score, both descending; then host, port and plugin id. Compliance checks by result: FAILED,
    /// ERROR, WARNING, other words, PASSED; then host, port and plugin id.
    #[default]
    WorstFirst,
    /// As in the file.
    File,
    /// By one field; findings that are equal in it are in the order of [`SortOrder::WorstFirst`].
    By(SortField),
}

/// A field to sort by, and the direction.
///
/// Numbers, dates and severities sort by value, hosts that are addresses numerically and before names, other text
/// without regard to case by its first 64 bytes, a list by its first value that says something. Findings without a value come last in
/// either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortField {
    field: FieldRef,
    descending: bool,
}

impl SortOrder {
    /// The field, when there is one.
    pub(crate) fn field(&self) -> Option<&FieldRef> {
        match self {
            Self::By(by) => Some(&by.field),
            Self::WorstFirst | Self::File => None,
        }
    }
}

impl FromStr for SortOrder {
    type Err = ResultsError;

    /// Reads `worst_first`, `file`, `field`, `field:asc`, `-field` or `field:desc`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || ResultsError::InvalidSort(crate::error::excerpt(text).to_string());
        let wanted = text.trim();
        match wanted {
            "worst_first" => return Ok(Self::WorstFirst),
            "file" => return Ok(Self::File),
            _ => {}
        }
        let (name, descending) = if let Some(name) = wanted.strip_prefix('-') {
            (name, true)
        } else if let Some(name) = wanted.strip_suffix(":desc") {
            (name, true)
        } else {
            (wanted.strip_suffix(":asc").unwrap_or(wanted), false)
        };
        if name.is_empty() || name.len() > NAME_BYTES || name.contains(char::is_whitespace) || name.starts_with('-') {
            return Err(invalid());
        }
        Ok(Self::By(SortField { field: FieldRef::named(name), descending }))
    }
}

impl fmt::Display for SortOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorstFirst => f.write_str("worst_first"),
            Self::File => f.write_str("file"),
            Self::By(by) if by.descending => write!(f, "-{}", by.field.name()),
            Self::By(by) => {
                let name = by.field.name();
                // An export may have elements that are called like an order; alone, the name would be read as that.
                let is_order =
                    matches!(name, "worst_first" | "file") || name.ends_with(":asc") || name.ends_with(":desc");
                write!(f, "{name}{}", if is_order { ":asc" } else { "" })
            }
        }
    }
}

/// Where a matching item stands in the file, and what decides its place in the order: 40 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    primary: u64,
    /// The rest, which is the same in every order.
    pub place: Place,
}

/// Where an item stands in the file and in the default order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Severity and score, worst lowest.
    pub worst: u32,
    /// The port.
    pub port: u32,
    /// The plugin.
    pub plugin: u32,
    /// The number of the item's host.
    pub host: u32,
    /// Where the item's bytes begin.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u32,
    /// A hash of them, or 0 when it is not known.
    pub check: u32,
}

/// Scores have one decimal; six are kept. 8 x 2^29 fills the number.
const SCORE_RANGE: u32 = 1 << 29;

/// The place of findings without a value.
const ABSENT: u64 = u64::MAX;

impl Key {
    /// Of an item that has its place in a list already.
    pub(crate) const fn at(place: Place) -> Self {
        Self { primary: 0, place }
    }
}

impl Place {
    /// Of a record whose host is the `host`th; `check` is the hash of its bytes, or 0.
    pub(crate) fn of(record: &Record<'_>, host: u32, check: u32) -> Self {
        let small = |id| match record.first(id) {
            Some(Value::Integer(number)) => u32::try_from(number).unwrap_or(u32::MAX),
            _ => u32::MAX,
        };
        Self {
            worst: worst(record),
            port: small(FieldId::Port),
            plugin: small(FieldId::PluginId),
            host,
            offset: record.item.offset,
            length: u32::try_from(record.item.length).unwrap_or(u32::MAX),
            check,
        }
    }
}

/// Makes the keys and sorts them.
#[derive(Debug)]
pub(crate) struct Sorter<'q> {
    by: Option<&'q SortField>,
    /// The texts of the keys, numbered as they come.
    texts: HashMap<Box<str>, u64>,
}

impl<'q> Sorter<'q> {
    /// For this order; file order needs no sorter, but gets the default order's keys.
    pub(crate) fn new(order: &'q SortOrder) -> Self {
        let by = match order {
            SortOrder::By(by) => Some(by),
            SortOrder::WorstFirst | SortOrder::File => None,
        };
        Self { by, texts: HashMap::new() }
    }

    /// The key of a record whose host is the `host`th; `check` is the hash of its bytes, or 0.
    pub(crate) fn key(&mut self, record: &Record<'_>, host: u32, check: u32) -> Key {
        let place = Place::of(record, host, check);
        let first = self.by.and_then(|by| record.first_of(&by.field));
        self.key_at(first, record.item, place)
    }

    /// The key of an item with this first value of the field that is sorted by.
    pub(crate) fn key_at(&mut self, first: Option<Value<'_>>, item: &Item, place: Place) -> Key {
        Key { primary: self.primary(first, item), place }
    }

    fn primary(&mut self, first: Option<Value<'_>>, item: &Item) -> u64 {
        let Some(by) = self.by else { return 0 };
        let rank = match first {
            Some(Value::Number(number)) => ordered(number),
            #[expect(clippy::cast_precision_loss, reason = "ports and identifiers are far below 2^53")]
            Some(Value::Integer(number)) => ordered(number as f64),
            Some(Value::Severity(severity)) => severity as u64,
            Some(Value::Boolean(value)) => u64::from(value),
            // Without the last bit, no key is like one that is absent.
            Some(Value::Key(key)) => key.rank() >> 1,
            Some(Value::Date(_, day)) => u64::from(day),
            // Texts are numbered as they come, and the numbers replaced by ranks when all are known.
            Some(Value::Text(text)) => return self.number(text),
            Some(Value::Element(occurrence)) => return self.number(item.value(occurrence)),
            Some(Value::TypeMismatch(_)) | None => return ABSENT,
        };
        if by.descending { ABSENT - 1 - rank } else { rank }
    }

    fn number(&mut self, text: &str) -> u64 {
        let mut end = text.len().min(TEXT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let folded = text[..end].to_lowercase();
        let next = self.texts.len() as u64;
        *self.texts.entry(folded.into_boxed_str()).or_insert(next)
    }

    /// Puts the keys in order; `rank` gives the place of a host among the hosts. When only the first `most` are wanted, the
    /// others are dropped, and the rest need not be in order.
    pub(crate) fn sort(&mut self, keys: &mut Vec<Key>, rank: impl Fn(u32) -> u32, most: Option<usize>) {
        let texts = text_ranks(&self.texts);
        let primary = |key: &Key| {
            if texts.is_empty() || key.primary == ABSENT {
                return key.primary;
            }
            let rank = usize::try_from(key.primary).ok().and_then(|number| texts.get(number).copied());
            let rank = u64::from(rank.unwrap_or_default());
            if self.by.is_some_and(|by| by.descending) { ABSENT - 1 - rank } else { rank }
        };
        let order = |left: &Key, right: &Key| {
            let place = |key: &Key| {
                let place = &key.place;
                (rank(place.host), place.port, place.plugin, place.offset)
            };
            let worst = (primary(left), left.place.worst).cmp(&(primary(right), right.place.worst));
            // Most are decided by then.
            worst.then_with(|| place(left).cmp(&place(right)))
        };
        let Some(most) = most else { return keys.sort_unstable_by(order) };
        if most < keys.len() {
            keys.select_nth_unstable_by(most, order);
            keys.truncate(most);
            self.forget_texts(keys);
        }
    }

    /// Keeps only the texts of these keys, and numbers them again.
    fn forget_texts(&mut self, keys: &mut [Key]) {
        if self.texts.is_empty() {
            return;
        }
        let mut numbers: HashMap<u64, u64> = HashMap::new();
        for key in keys.iter_mut().filter(|key| key.primary != ABSENT) {
            let next = numbers.len() as u64;
            key.primary = *numbers.entry(key.primary).or_insert(next);
        }
        let texts = std::mem::take(&mut self.texts).into_iter();
        self.texts = texts.filter_map(|(text, number)| Some((text, *numbers.get(&number)?))).collect();
    }
}

/// The place of each name among all; those that sort alike have the same.
pub(crate) fn ranks(names: &[NameKey]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|left, right| names[*left].cmp(&names[*right]));
    let mut ranks = vec![0_u32; names.len()];
    let mut rank = 0;
    for pair in order.windows(2) {
        rank += u32::from(names[pair[0]] != names[pair[1]]);
        ranks[pair[1]] = rank;
    }
    ranks
}

/// The place of each text among the texts, by its number.
fn text_ranks(texts: &HashMap<Box<str>, u64>) -> Vec<u32> {
    let mut numbered: Vec<(u64, &str)> = texts.iter().map(|(text, number)| (*number, &**text)).collect();
    numbered.sort_unstable();
    let names: Vec<NameKey> = numbered.into_iter().map(|(_, text)| NameKey::of(text)).collect();
    ranks(&names)
}

/// A host name or other text as it sorts: addresses by number before names without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NameKey {
    Address(IpAddr),
    Name(Box<str>),
}

impl NameKey {
    pub(crate) fn of(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_lowercase().into_boxed_str()), Self::Address)
    }
}

/// Severity and best score in one number, worst lowest. What is not a severity comes after `Info`. Of a compliance check,
/// the result.
pub(crate) fn worst(record: &Record<'_>) -> u32 {
    if record.kind() == RecordKind::Compliance {
        return record.compliance_result() as u32;
    }
    let severity = record.severity().map_or(0, |severity| severity as u32 + 1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range")]
    let score = record.best_score().map_or(0, |score| (score.clamp(0.0, 500.0) * 1e6) as u32 + 1);
    u32::MAX - (severity * SCORE_RANGE + score)
}

/// The rating of an item of a kind by its [`worst`].
pub(crate) const fn rating_of_worst(kind: RecordKind, worst: u32) -> usize {
    match kind {
        RecordKind::Compliance => worst as usize,
        // 0 for no severity, 1 for `Info` and so on.
        RecordKind::Vulnerability => match (u32::MAX - worst) / SCORE_RANGE {
            0 => rating_of_severity(None),
            severity => (Severity::Critical as usize + 1).saturating_sub(severity as usize),
        },
    }
}

/// A number as an integer of the same order.
fn ordered(number: f64) -> u64 {
    // Negative zero is zero.
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_are_ordered_as_their_numbers(left in any::<f64>(), right in any::<f64>()) {
            prop_assume!(left.is_finite() && right.is_finite());
            prop_assert_eq!(Some(ordered(left).cmp(&ordered(right))), left.partial_cmp(&right));
        }
    }

    #[test]
    fn orders_are_read_and_written() {
        for (text, shown) in [
            ("worst_first", "worst_first"),
            ("file", "file"),
            ("-epss_score", "-epss_score"),
            ("epss-score:desc", "-epss_score"),
            ("host:asc", "host"),
            ("unheard_of", "unheard_of"),
            ("file:asc", "file:asc"),
            ("-file", "-file"),
            ("worst_first:asc", "worst_first:asc"),
            ("x:desc:asc", "x:desc:asc"),
            ("x:desc:desc", "-x:desc"),
            ("x:asc:asc", "x:asc:asc"),
        ] {
            let order = text.parse::<SortOrder>().unwrap();
            assert_eq!(order.to_string(), shown);
            assert_eq!(shown.parse::<SortOrder>().unwrap(), order, "{text} is read as it is written");
        }
        for text in ["", "-", "--host", "host desc", ":desc"] {
            assert!(text.parse::<SortOrder>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_first_are_kept() {
        let order: SortOrder = "-plugin_name".parse().unwrap();
        let mut sorter = Sorter::new(&order);
        let place = |offset| Place { worst: 0, port: 0, plugin: 0, host: 0, offset, length: 0, check: 0 };
        let mut keys = Vec::new();
        for (offset, text) in (0..).zip(["b", "a", "e", "c", "e", "d"]) {
            keys.push(sorter.key_at(Some(Value::Text(text)), &Item::default(), place(offset)));
            if keys.len() > 3 {
                sorter.sort(&mut keys, |_| 0, Some(3));
            }
        }
        assert_eq!(sorter.texts.len(), 2, "the texts of the others are forgotten");
        sorter.sort(&mut keys, |_| 0, None);
        assert_eq!(keys.iter().map(|key| key.place.offset).collect::<Vec<_>>(), [2, 4, 5]);
    }

    #[test]
    fn names_that_sort_alike_have_one_rank() {
        assert_eq!(ranks(&["b", "::1", "B", "0:0:0:0:0:0:0:1", "a"].map(NameKey::of)), [2, 0, 2, 0, 1]);
    }

    #[test]
    fn addresses_sort_by_number_and_before_names() {
        let mut hosts = ["web", "10.0.0.10", "App", "10.0.0.9", "::1"].map(NameKey::of);
        hosts.sort();
        assert_eq!(hosts, ["10.0.0.9", "10.0.0.10", "::1", "App", "web"].map(NameKey::of));
    }
}
