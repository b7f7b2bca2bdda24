//! A question about an export.

use std::{ops::Range, str::FromStr};

use super::{
    cursor::Cursor,
    filter::FilterSet,
    page::Page,
    profile::{Profile, Projection},
    sort::SortOrder,
};
use crate::results::{
    error::ResultsError,
    record::{FieldRef, Record, RecordKind},
};

/// Which findings, in which order, how many of them, and what of each.
///
/// ```
/// use nessus_mcp_lib::results::{FilterSet, Page, Profile, Query, SortOrder};
///
/// let query = Query::builder()
///     .profile(Profile::Triage)
///     .filters(r#"{"severity": ">=High", "host": "10.0.0.0/24"}"#.parse::<FilterSet>()?)
///     .sort("-epss_score".parse::<SortOrder>()?)
///     .page(Page::new(1, Some(20))?)
///     .build()?;
/// assert_eq!(query.page().size(), 20);
/// # Ok::<(), nessus_mcp_lib::results::ResultsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Query {
    pub(crate) kind: RecordKind,
    pub(crate) projection: Projection,
    pub(crate) filters: FilterSet,
    pub(crate) sort: SortOrder,
    pub(crate) page: Page,
    pub(crate) cursor: Option<Cursor>,
    /// The most characters, when there is a limit.
    pub(crate) max_chars: Option<u64>,
}

impl Query {
    /// The most characters of a page when nothing is asked for.
    pub const DEFAULT_MAX_CHARS: u64 = 40_000;

    /// Begins with vulnerabilities, the profile `brief`, no filters, worst first, everything.
    pub fn builder() -> QueryBuilder {
        QueryBuilder::default()
    }

    /// The page asked for.
    pub fn page(&self) -> Page {
        self.page
    }

    /// Whether an item is asked for.
    pub(crate) fn matches(&self, record: &Record<'_>) -> bool {
        record.kind() == self.kind && self.filters.matches(record)
    }

    /// The findings that are shown, counted from 0 in their order.
    pub(crate) fn window(&self, total: u64) -> Range<u64> {
        let Some(cursor) = &self.cursor else { return self.page.window(total) };
        let begin = cursor.position.min(total);
        begin..begin.saturating_add(self.page.size()).min(total)
    }

    /// The most bytes of what is shown as lines of JSON, when there is a limit of characters.
    pub(crate) fn max_bytes(&self) -> Option<usize> {
        self.max_chars.and_then(|most| usize::try_from(most).ok()?.checked_mul(4))
    }

    /// How many findings can decide what is shown as lines of JSON, from the first in their order.
    pub(crate) fn keys_wanted(&self) -> u64 {
        /// Every line of a finding has at least so many characters.
        const SHORTEST: u64 = r#"{"type":"compliance"}"#.len() as u64;
        let window = self.window(u64::MAX);
        let fitting = self.max_chars.map_or(u64::MAX, |most| most / SHORTEST + 1);
        window.end.min(window.start.saturating_add(fitting))
    }

    /// The names that only the export can vouch for, with the option they stand in.
    pub(crate) fn undeclared(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.named().filter_map(|(place, field)| Some((place, field.undeclared()?)))
    }

    /// The fields that are asked for, with the option they stand in.
    fn named(&self) -> impl Iterator<Item = (&'static str, &FieldRef)> {
        let fields = match &self.projection {
            Projection::Full { .. } => &[][..],
            Projection::Fields { fields, .. } => fields,
        };
        let filters = self.filters.fields().into_iter().map(|field| ("filters", field));
        let fields = fields.iter().map(|field| ("fields", field));
        let sort = self.sort.field().into_iter().map(|field| ("sort", field));
        filters.chain(fields).chain(sort)
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            kind: RecordKind::default(),
            projection: Projection::of(Profile::default(), RecordKind::default()),
            filters: FilterSet::default(),
            sort: SortOrder::default(),
            page: Page::default(),
            cursor: None,
            max_chars: None,
        }
    }
}

/// Builds a [`Query`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct QueryBuilder {
    kind: RecordKind,
    profile: Option<Profile>,
    fields: Option<Vec<String>>,
    extra_fields: Vec<String>,
    filters: FilterSet,
    sort: SortOrder,
    page: Page,
    cursor: Option<String>,
    max_chars: Option<u64>,
}

impl QueryBuilder {
    /// Asks for items of this kind; the others are left out, and the answer says how many there are.
    pub fn kind(mut self, kind: RecordKind) -> Self {
        self.kind = kind;
        self
    }

    /// Shows the fields of a profile. Excludes [`QueryBuilder::fields`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Shows these fields, at most 256, each with a name of at most 200 bytes. Excludes [`QueryBuilder::profile`].
    ///
    /// A name is a field's, or that of an element or attribute of this export that is not declared; whether it
    /// occurs is found out when the export is read.
    pub fn fields<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.fields = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Shows these fields, as many as [`QueryBuilder::fields`], after those of the profile; in `full`, which shows what there
    /// is, only `finding_key` makes a difference.
    pub fn extra_fields<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.extra_fields = names.into_iter().map(Into::into).collect();
        self
    }

    /// Keeps only findings that all these filters match.
    pub fn filters(mut self, filters: FilterSet) -> Self {
        self.filters = filters;
        self
    }

    /// Sets the order.
    pub fn sort(mut self, sort: SortOrder) -> Self {
        self.sort = sort;
        self
    }

    /// Sets the page.
    pub fn page(mut self, page: Page) -> Self {
        self.page = page;
        self
    }

    /// Goes on where another page has ended: its `next_cursor`. Excludes a page number but 1.
    ///
    /// The kind, the filters and the order must be those of that page; profile, page size and budget need not.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// Ends the page before the answer, with all its lines, has more characters than this; 0 is no limit. At least one
    /// finding is shown, with its long texts cut if they do not fit; where there is no room for that, reading is refused
    /// with [`ResultsError::BudgetTooSmall`], which says how many characters suffice.
    ///
    /// The default is [`Query::DEFAULT_MAX_CHARS`] for a page, and no limit for everything.
    pub fn max_chars(mut self, characters: u64) -> Self {
        self.max_chars = Some(characters);
        self
    }

    /// Finishes the query.
    ///
    /// # Errors
    /// When both a profile and fields were given, an empty or too long list of fields, a field of the other kind in filters,
    /// fields or order, both a cursor and a page, or a cursor that is none of a query with these filters in this order.
    pub fn build(self) -> Result<Query, ResultsError> {
        let projection = match (self.profile, &self.fields) {
            (Some(_), Some(_)) => return Err(ResultsError::ProfileAndFields),
            (None, Some(fields)) => Projection::custom(fields)?,
            (profile, None) => Projection::of(profile.unwrap_or_default(), self.kind),
        };
        let projection = projection.with_extra(&self.extra_fields)?;
        let mut page = self.page;
        let cursor = match &self.cursor {
            Some(_) if page.number() > 1 => {
                return Err(ResultsError::InvalidPage("a cursor and a page number exclude each other".to_owned()));
            }
            Some(text) => {
                page = page.first();
                Some(Cursor::read(text, self.kind, &self.filters, &self.sort)?)
            }
            None => None,
        };
        let max_chars = match self.max_chars {
            Some(0) => None,
            None if page.is_all() => None,
            asked => Some(asked.unwrap_or(Query::DEFAULT_MAX_CHARS)),
        };
        let Self { kind, filters, sort, .. } = self;
        let query = Query { kind, projection, filters, sort, page, cursor, max_chars };
        let of_other = |(_, field): &(_, &FieldRef)| field.kind().is_some_and(|of| of != kind);
        if let Some((place, field)) = query.named().find(of_other) {
            return Err(ResultsError::FieldOfOtherKind {
                field: crate::error::excerpt(field.name()).to_string(),
                place,
                kind: kind.other(),
            });
        }
        Ok(query)
    }
}

impl FromStr for RecordKind {
    type Err = ResultsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| ResultsError::UnknownKind {
            name: crate::error::excerpt(text).to_string(),
            known: Self::ALL.map(Self::name).into(),
        })
    }
}
