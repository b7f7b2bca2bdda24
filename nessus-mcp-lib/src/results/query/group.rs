//! What findings are counted by, and in which order the groups are shown.

use std::{cmp::Reverse, fmt, str::FromStr};

use crate::{
    error::{excerpt, nearest},
    results::{
        error::ResultsError,
        record::{FieldId, RATINGS, Record, RecordKind, Severity, Value, rating_of_severity, rating_of_word},
    },
};

/// What findings, or compliance checks, are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupBy {
    /// The machine, however often and under whichever names it stands in the export.
    Host,
    /// The plugin's number.
    Plugin,
    /// The severity; of vulnerabilities only.
    Severity,
    /// The port's number, whatever the protocol.
    Port,
    /// The plugin's family.
    Family,
    /// The text of the solution; of compliance checks, that of the check.
    Solution,
    /// The result; of compliance checks only.
    Result,
    /// The name of the check; of compliance checks only.
    Check,
}

impl GroupBy {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Host, Self::Plugin, Self::Severity, Self::Port, Self::Family, Self::Solution, Self::Result, Self::Check];

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Plugin => "plugin",
            Self::Severity => "severity",
            Self::Port => "port",
            Self::Family => "family",
            Self::Solution => "solution",
            Self::Result => "result",
            Self::Check => "check",
        }
    }

    /// Of which kind the items are that can be counted by it; `None` for both.
    pub(crate) const fn kind(self) -> Option<RecordKind> {
        match self {
            Self::Severity => Some(RecordKind::Vulnerability),
            Self::Result | Self::Check => Some(RecordKind::Compliance),
            _ => None,
        }
    }

    /// What a group's line says of it: the field that all findings of the group agree in, and what that is in words.
    pub(crate) const fn fields(self, kind: RecordKind) -> &'static [FieldId] {
        match (self, kind) {
            (Self::Host, _) => &[FieldId::Host, FieldId::HostIp, FieldId::HostFqdn, FieldId::NetbiosName],
            (Self::Plugin, _) => &[FieldId::PluginId, FieldId::PluginName],
            (Self::Severity, _) => &[FieldId::Severity],
            (Self::Port, _) => &[FieldId::Port, FieldId::SvcName],
            (Self::Family, _) => &[FieldId::PluginFamily],
            (Self::Solution, RecordKind::Vulnerability) => &[FieldId::Solution],
            (Self::Solution, RecordKind::Compliance) => &[FieldId::ComplianceSolution],
            (Self::Result, _) => &[FieldId::ComplianceResult],
            (Self::Check, _) => &[FieldId::ComplianceCheckName],
        }
    }

    /// The text that the findings of a group have in common, where it is a text.
    pub(crate) fn text_of<'r>(self, record: &Record<'r>) -> Option<&'r str> {
        match record.first(*self.fields(record.kind()).first()?) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether the groups are the ratings themselves.
    pub(crate) const fn is_rating(self) -> bool {
        matches!(self, Self::Severity | Self::Result)
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GroupBy {
    type Err = ResultsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|by| by.name().eq_ignore_ascii_case(text.trim()));
        found.ok_or_else(|| ResultsError::UnknownGroup {
            name: excerpt(text).to_string(),
            nearest: nearest(text, Self::ALL.map(Self::name)),
        })
    }
}

/// The order of groups: those with the most come first. Equals are in the order of [`GroupSort::WORST`], then in that of the
/// file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSort(Measure);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// The count of the worst rating, then that of the next, and so on.
    Worst,
    Findings,
    Hosts,
    Plugins,
    /// Of one rating.
    Rating(RecordKind, usize),
    /// Of a severity and all that are worse.
    AtLeast(Severity),
}

/// What of a group decides its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Findings by rating, the worst first.
    pub ratings: [u32; RATINGS],
    pub hosts: u32,
    pub plugins: u32,
}

impl Size {
    pub(crate) fn findings(&self) -> u64 {
        self.ratings.iter().copied().map(u64::from).sum()
    }
}

impl GroupSort {
    /// By how many are of the worst severity or result; among equals, of the next, and so on.
    pub const WORST: Self = Self(Measure::Worst);
    /// What puts one group before another, smallest first.
    pub(crate) fn key(self, size: &Size) -> Reverse<(u64, [u32; RATINGS])> {
        let first = match self.0 {
            Measure::Worst => 0,
            Measure::Findings => size.findings(),
            Measure::Hosts => size.hosts.into(),
            Measure::Plugins => size.plugins.into(),
            Measure::Rating(_, rating) => size.ratings.get(rating).copied().unwrap_or_default().into(),
            Measure::AtLeast(severity) => {
                let worse = size.ratings.iter().take(rating_of_severity(Some(severity)) + 1);
                worse.copied().map(u64::from).sum()
            }
        };
        Reverse((first, size.ratings))
    }

    /// Whether groups of items of a kind can be in this order.
    pub(crate) fn fits(self, by: GroupBy, kind: RecordKind) -> bool {
        match self.0 {
            Measure::Worst | Measure::Findings => true,
            // Each group has one.
            Measure::Hosts => by != GroupBy::Host,
            Measure::Plugins => by != GroupBy::Plugin,
            Measure::Rating(of, _) => of == kind,
            Measure::AtLeast(_) => kind == RecordKind::Vulnerability,
        }
    }
}

impl Default for GroupSort {
    fn default() -> Self {
        Self::WORST
    }
}

impl fmt::Display for GroupSort {
    /// With the `-` that stands for the most first in other orders too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Measure::Worst => f.write_str("worst"),
            Measure::Findings => f.write_str("-findings"),
            Measure::Hosts => f.write_str("-hosts"),
            Measure::Plugins => f.write_str("-plugins"),
            Measure::Rating(kind, rating) => write!(f, "-{}", crate::results::record::rating_name(kind, rating)),
            Measure::AtLeast(severity) => write!(f, "->={severity}"),
        }
    }
}

impl FromStr for GroupSort {
    type Err = ResultsError;

    /// Reads `worst`, `findings`, `hosts`, `plugins`, `High`, `>=High` or `FAILED`, in any case, with or without `-` before
    /// it or `:desc` behind it: the most always come first.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = text.trim();
        let word = word.strip_prefix('-').or_else(|| word.strip_suffix(":desc")).unwrap_or(word).trim();
        let measure = match &*word.to_ascii_lowercase() {
            "worst" | "worst_first" => Some(Measure::Worst),
            "findings" => Some(Measure::Findings),
            "hosts" => Some(Measure::Hosts),
            "plugins" => Some(Measure::Plugins),
            _ => None,
        };
        let at_least = || Severity::from_name(word.strip_prefix(">=")?.trim()).map(Measure::AtLeast);
        let severity = || {
            let rating = rating_of_severity(Some(Severity::from_name(word)?));
            Some(Measure::Rating(RecordKind::Vulnerability, rating))
        };
        let result = || rating_of_word(word).map(|rating| Measure::Rating(RecordKind::Compliance, rating));
        let found = measure.or_else(at_least).or_else(severity).or_else(result);
        found.map(Self).ok_or_else(|| ResultsError::InvalidGroupSort(excerpt(text).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Classified;

    #[test]
    fn orders_are_read_and_written() {
        for (text, shown) in [
            ("worst", "worst"),
            ("worst_first", "worst"),
            ("findings", "-findings"),
            ("-Findings", "-findings"),
            ("hosts:desc", "-hosts"),
            (" high ", "-High"),
            (">= high", "->=High"),
            ("failed", "-FAILED"),
        ] {
            let order = text.parse::<GroupSort>().unwrap();
            assert_eq!(order.to_string(), shown);
            assert_eq!(shown.parse::<GroupSort>().unwrap(), order, "{text} is read as it is written");
        }
        for text in ["", "-", "host", "findings:asc", ">High", ">=FAILED", "name"] {
            let error = text.parse::<GroupSort>().unwrap_err();
            assert_eq!(error.code(), "invalid_sort", "{text}");
            assert!(error.hint().unwrap().contains(">=High"), "{error}");
        }
    }

    #[test]
    fn an_order_needs_something_that_differs() {
        let fits = |order: &str, by, kind| order.parse::<GroupSort>().unwrap().fits(by, kind);
        let (finding, check) = (RecordKind::Vulnerability, RecordKind::Compliance);
        assert!(fits("hosts", GroupBy::Plugin, finding) && !fits("hosts", GroupBy::Host, finding));
        assert!(fits("plugins", GroupBy::Host, finding) && !fits("plugins", GroupBy::Plugin, finding));
        assert!(fits(">=High", GroupBy::Host, finding) && !fits(">=High", GroupBy::Host, check));
        assert!(fits("FAILED", GroupBy::Host, check) && !fits("FAILED", GroupBy::Host, finding));
    }

    #[test]
    fn the_most_come_first() {
        let size = |ratings| Size { ratings, hosts: 1, plugins: 1 };
        let (few_bad, many_small) = (size([1, 0, 0, 0, 0, 0]), size([0, 3, 0, 9, 0, 0]));
        let is_first = |order: &str| {
            let order = order.parse::<GroupSort>().unwrap();
            order.key(&few_bad) < order.key(&many_small)
        };
        assert!(is_first("worst") && is_first("Critical") && is_first("hosts"));
        assert!(!is_first("findings") && !is_first("High") && !is_first(">=High") && !is_first("low"));
    }

    #[test]
    fn an_unknown_group_gives_the_nearest() {
        let error = "hots".parse::<GroupBy>().unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), ("unknown_group", "nothing is grouped by `hots`"));
        assert!(error.hint().unwrap().starts_with("did you mean `host`"), "{:?}", error.hint());
        for by in GroupBy::ALL {
            assert_eq!(by.name().parse::<GroupBy>().unwrap(), by);
        }
    }
}
