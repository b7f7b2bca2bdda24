//! Views that fit a number of characters: their lists are as long as there is room.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The characters of a view when nothing else is asked for: about 10,000 tokens.
pub const DEFAULT_CHARS: usize = 40_000;
/// The fewest characters that the API lets a caller ask for: the counts of a view alone need about half of them.
pub const MIN_CHARS: usize = 4_000;

/// Builds the view with the longest lists, of at most `most` entries, that fits `budget` characters as JSON.
///
/// A view must not become shorter when its lists become longer. When not even one without entries fits, that one is
/// returned: counts are never cut.
pub(crate) fn fit<T: Serialize>(most: usize, budget: usize, mut build: impl FnMut(usize) -> T) -> T {
    let mut best = build(0);
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let view = build(middle);
        if chars(&view) <= budget {
            best = view;
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    best
}

fn chars(view: &impl Serialize) -> usize {
    serde_json::to_string(view).map_or(usize::MAX, |text| text.chars().count())
}

/// The first entries of a list, with how many there are in all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Section<T> {
    /// How many there are.
    pub total: u64,
    /// How many are not shown.
    #[serde(default, skip_serializing_if = "crate::results::judge::is_zero")]
    pub left_out: u64,
    /// Those shown.
    pub shown: Vec<T>,
}

impl<T> Section<T> {
    /// The first `most` of the entries.
    pub(crate) fn of(entries: impl ExactSizeIterator<Item = T>, most: usize) -> Self {
        Self::of_first(entries.len() as u64, entries, most)
    }

    /// The first `most` of so many entries, of which not all may be there.
    pub(crate) fn of_first(total: u64, entries: impl Iterator<Item = T>, most: usize) -> Self {
        let shown: Vec<T> = entries.take(most).collect();
        Self { total, left_out: total.saturating_sub(shown.len() as u64), shown }
    }

    /// Writes it under a title, a line for each entry; nothing where there are none.
    pub(crate) fn write(&self, f: &mut fmt::Formatter<'_>, title: &str, line: impl Fn(&T) -> String) -> fmt::Result {
        if self.total == 0 {
            return Ok(());
        }
        writeln!(f, "\n{title}")?;
        for entry in &self.shown {
            writeln!(f, "  {}", line(entry))?;
        }
        if self.left_out > 0 {
            writeln!(f, "  ... and {} more", self.left_out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_view_that_fits_is_built() {
        // An entry has 9 characters with its comma.
        let build = |most: usize| vec!["1234567"; most.min(10_000)];
        for (budget, expected) in [(0, 0), (MIN_CHARS, 399), (9_001, 900), (1_000_000, 1000)] {
            let found = fit(1000, budget, build).len();
            assert!(found.abs_diff(expected) <= 1, "{budget}: {found}");
        }
        let cut = fit(1000, 9_000, build);
        assert!(chars(&cut) <= 9_000);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let section = Section::of([1, 2, 3].into_iter(), 2);
        assert_eq!((section.total, section.left_out, section.shown.len()), (3, 1, 2));
    }
}
