//! How bad an item is, as one small number for both kinds: the place of its severity or result, the worst first.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{compliance::ComplianceResult, finding::Record, kind::RecordKind, severity::Severity};

/// How many ratings an item of a kind may have: `Critical` to `Info` and unknown, or `FAILED` to `PASSED`.
pub(crate) const RATINGS: usize = 6;

/// The names in JSON, the worst first.
const OF_FINDINGS: [&str; RATINGS] = ["Critical", "High", "Medium", "Low", "Info", "unknown"];
const OF_CHECKS: [&str; RATINGS] = ["FAILED", "ERROR", "WARNING", "OTHER", "PASSED", ""];

/// The rating of a finding of this severity.
pub(crate) const fn rating_of_severity(severity: Option<Severity>) -> usize {
    match severity {
        Some(severity) => Severity::Critical as usize - severity as usize,
        None => RATINGS - 1,
    }
}

/// The rating of a check whose result is this word, in any case.
pub(crate) fn rating_of_word(word: &str) -> Option<usize> {
    match ComplianceResult::of(word) {
        ComplianceResult::Other => None,
        result => Some(result as usize),
    }
}

/// The name of a rating.
pub(crate) fn rating_name(kind: RecordKind, rating: usize) -> &'static str {
    let names = match kind {
        RecordKind::Vulnerability => &OF_FINDINGS,
        RecordKind::Compliance => &OF_CHECKS,
    };
    names.get(rating).copied().unwrap_or_default()
}

impl Record<'_> {
    /// The rating: that of the severity, of a compliance check that of its result.
    pub(crate) fn rating(&self) -> usize {
        match self.kind() {
            RecordKind::Vulnerability => rating_of_severity(self.severity()),
            RecordKind::Compliance => self.compliance_result() as usize,
        }
    }
}

/// Items by rating, as a JSON object of those that are not 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RatingCounts<N> {
    pub kind: RecordKind,
    pub counts: [N; RATINGS],
}

impl<N: Copy + Default + PartialEq + Serialize> Serialize for RatingCounts<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (rating, count) in self.counts.iter().enumerate().filter(|(_, count)| **count != N::default()) {
            map.serialize_entry(rating_name(self.kind, rating), count)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratings_are_the_worst_first() {
        for severity in Severity::ALL {
            assert_eq!(rating_name(RecordKind::Vulnerability, rating_of_severity(Some(severity))), severity.name());
        }
        assert_eq!(rating_name(RecordKind::Vulnerability, rating_of_severity(None)), "unknown");
        for word in ["FAILED", "ERROR", "WARNING", "PASSED"] {
            assert_eq!(rating_name(RecordKind::Compliance, rating_of_word(word).unwrap()), word);
        }
        let counts = RatingCounts { kind: RecordKind::Vulnerability, counts: [0, 2, 0, 0, 1, 0] };
        assert_eq!(serde_json::to_string(&counts).unwrap(), r#"{"High":2,"Info":1}"#);
    }
}
