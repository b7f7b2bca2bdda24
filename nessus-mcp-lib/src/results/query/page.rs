//! Pages of a result.

use std::ops::Range;

use crate::results::error::ResultsError;

/// One page, or everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Counted from 1; 0 is everything.
    number: u64,
    size: u64,
    /// What was asked for, when the size had to be brought within its bounds.
    requested_size: Option<i64>,
}

impl Page {
    /// The fewest records of a page.
    pub const MIN_SIZE: u64 = 10;
    /// The most records of a page.
    pub const MAX_SIZE: u64 = 100;
    /// The records of a page when nothing is asked for.
    pub const DEFAULT_SIZE: u64 = 40;

    /// Everything, as one page.
    pub const ALL: Self = Self { number: 0, size: Self::DEFAULT_SIZE, requested_size: None };

    /// The page of this number, counted from 1; 0 is everything.
    ///
    /// A size outside [`Page::MIN_SIZE`] to [`Page::MAX_SIZE`] is brought within, and the pagination line says so.
    ///
    /// # Errors
    /// [`ResultsError::InvalidPage`] when the number is below 0.
    pub fn new(number: i64, size: Option<i64>) -> Result<Self, ResultsError> {
        let number =
            u64::try_from(number).map_err(|_| ResultsError::InvalidPage(format!("the number {number} is below 0")))?;
        let Some(asked) = size else {
            return Ok(Self { number, ..Self::ALL });
        };
        let size = u64::try_from(asked).unwrap_or(0).clamp(Self::MIN_SIZE, Self::MAX_SIZE);
        let requested_size = (i64::try_from(size) != Ok(asked)).then_some(asked);
        Ok(Self { number, size, requested_size })
    }

    /// The first page of this size.
    pub(crate) const fn first(self) -> Self {
        Self { number: 1, ..self }
    }

    /// Whether this is everything rather than one page.
    pub const fn is_all(self) -> bool {
        self.number == 0
    }

    /// The number, counted from 1; 0 for everything.
    pub const fn number(self) -> u64 {
        self.number
    }

    /// The most records it has.
    pub const fn size(self) -> u64 {
        self.size
    }

    /// The size that was asked for, when it was outside the bounds.
    pub const fn requested_size(self) -> Option<i64> {
        self.requested_size
    }

    /// How many pages `total` records fill; everything is one page.
    pub const fn count(self, total: u64) -> u64 {
        if self.is_all() { 1 } else { total.div_ceil(self.size) }
    }

    /// The records on this page, counted from 0; empty past the end.
    pub(crate) fn window(self, total: u64) -> Range<u64> {
        if self.is_all() {
            return 0..total;
        }
        let begin = (self.number - 1).saturating_mul(self.size).min(total);
        begin..begin.saturating_add(self.size).min(total)
    }
}

impl Default for Page {
    /// [`Page::ALL`].
    fn default() -> Self {
        Self::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_everything_once() {
        for total in [0, 1, 9, 10, 11, 95, 100] {
            let page = |number| Page::new(number, Some(10)).unwrap();
            let count = page(1).count(total);
            let windows = (1..=count).flat_map(|number| page(i64::try_from(number).unwrap()).window(total));
            assert!(windows.eq(0..total), "{total}");
            assert!(page(i64::MAX).window(total).is_empty());
        }
    }

    #[test]
    fn sizes_are_brought_within_bounds_and_numbers_are_not() {
        for (asked, size, said) in
            [(10, 10, None), (100, 100, None), (5, 10, Some(5)), (-1, 10, Some(-1)), (999, 100, Some(999))]
        {
            let page = Page::new(1, Some(asked)).unwrap();
            assert_eq!((page.size(), page.requested_size()), (size, said));
        }
        assert!(matches!(Page::new(-1, None), Err(ResultsError::InvalidPage(_))));
        assert!(Page::new(0, None).unwrap().is_all());
    }
}
