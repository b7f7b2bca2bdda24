//! A question about an export.

use std::{ops::Range, str::FromStr};

use super::{
    caller::{Caller, Opt},
    cursor::Cursor,
    filter::FilterSet,
    group::{GroupBy, GroupSort},
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
    pub(crate) caller: Caller,
    pub(crate) ask: Ask,
    pub(crate) kind: RecordKind,
    pub(crate) projection: Projection,
    pub(crate) filters: FilterSet,
    pub(crate) sort: SortOrder,
    pub(crate) page: Page,
    pub(crate) cursor: Option<Cursor>,
    /// The most characters, when there is a limit.
    pub(crate) max_chars: Option<u64>,
    /// Whether the second line says all there is to say, where that was said.
    whole_metadata: Option<bool>,
    /// How many of the fields are not extra fields.
    own_fields: usize,
}

/// What is wanted of the findings that match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Themselves.
    #[default]
    Findings,
    /// How many they are.
    Counts,
    /// How many they are by something that they share.
    Groups(GroupBy, GroupSort),
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

    /// The findings, or groups of them, that are shown, counted from 0 in their order.
    pub(crate) fn window(&self, total: u64) -> Range<u64> {
        if self.ask == Ask::Counts {
            return 0..0;
        }
        let Some(cursor) = &self.cursor else { return self.page.window(total) };
        let begin = cursor.position.min(total);
        begin..begin.saturating_add(self.page.size()).min(total)
    }

    /// The most bytes of what is shown as lines of JSON, when there is a limit of characters.
    pub(crate) fn max_bytes(&self) -> Option<usize> {
        self.max_chars.and_then(|most| usize::try_from(most).ok()?.checked_mul(4))
    }

    /// What decides the order, and what is ordered.
    pub(crate) fn order(&self) -> String {
        match self.ask {
            Ask::Groups(by, sort) => format!("{by} {sort}"),
            Ask::Findings | Ask::Counts => self.sort.to_string(),
        }
    }

    /// Whether the second line says all there is to say, which it does on a first page.
    pub(crate) fn is_metadata_whole(&self) -> bool {
        let is_first = self.ask == Ask::Findings && self.cursor.is_none() && self.page.number() <= 1;
        self.whole_metadata.unwrap_or(is_first)
    }

    /// What the caller calls an option.
    pub(crate) fn name_of(&self, option: Opt) -> &'static str {
        self.caller.name(option)
    }

    /// An error when it asks for more than findings, which only lines of JSON can say.
    pub(crate) fn only_findings(&self, format: &'static str) -> Result<(), ResultsError> {
        let option = match self.ask {
            Ask::Findings => return Ok(()),
            Ask::Counts => Opt::CountOnly,
            Ask::Groups(..) => Opt::GroupBy,
        };
        Err(ResultsError::ConflictingOptions { one: self.name_of(option), other: format })
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
        let (own, extra) = fields.split_at(self.own_fields.min(fields.len()));
        let of = |option| {
            let place = self.name_of(option);
            move |field| (place, field)
        };
        let filters = self.filters.fields().into_iter().map(of(Opt::Filters));
        let fields = own.iter().map(of(Opt::Fields)).chain(extra.iter().map(of(Opt::ExtraFields)));
        let sort = self.sort.field().into_iter().map(of(Opt::Sort));
        filters.chain(fields).chain(sort)
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            caller: Caller::default(),
            ask: Ask::default(),
            kind: RecordKind::default(),
            projection: Projection::of(Profile::default(), RecordKind::default()),
            filters: FilterSet::default(),
            sort: SortOrder::default(),
            page: Page::default(),
            cursor: None,
            max_chars: None,
            whole_metadata: None,
            own_fields: usize::MAX,
        }
    }
}

/// Builds a [`Query`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct QueryBuilder {
    caller: Caller,
    kind: RecordKind,
    profile: Option<Profile>,
    fields: Option<Vec<String>>,
    extra_fields: Vec<String>,
    filters: FilterSet,
    sort: Option<SortOrder>,
    page: Option<Page>,
    cursor: Option<String>,
    max_chars: Option<u64>,
    whole_metadata: Option<bool>,
    is_count: bool,
    group_by: Option<(GroupBy, GroupSort)>,
}

impl QueryBuilder {
    /// Says who asks, so that errors name the options as that caller does.
    pub fn caller(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    /// Asks how many findings match, and for none of them. Excludes everything but kind, filters, metadata and budget.
    pub fn count_only(mut self) -> Self {
        self.is_count = true;
        self
    }

    /// Asks for groups of findings in place of findings: how many there are by host, for example. Pages and cursors are then
    /// those of groups. Excludes a profile, fields, [`QueryBuilder::sort`] and [`QueryBuilder::count_only`].
    pub fn group_by(mut self, by: GroupBy, sort: GroupSort) -> Self {
        self.group_by = Some((by, sort));
        self
    }

    /// Whether the line `scan_metadata` says all there is, or only which scan it is, whether the export is broken, and how
    /// many warnings the whole line has. The default is all of it on a first page of findings, and little on others and with
    /// groups. Of a count, the line is there only if it is asked for or has a warning.
    pub fn whole_metadata(mut self, is_whole: bool) -> Self {
        self.whole_metadata = Some(is_whole);
        self
    }

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
        self.sort = Some(sort);
        self
    }

    /// Sets the page.
    pub fn page(mut self, page: Page) -> Self {
        self.page = Some(page);
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
    /// When options exclude each other, such as a profile and fields or a cursor and a page; for an empty or too long list of
    /// fields, a field of the other kind in filters, fields or order, an order that such groups cannot have, or a cursor that
    /// is none of a query with these filters in this order.
    pub fn build(self) -> Result<Query, ResultsError> {
        self.check_options()?;
        let name = |option| self.caller.name(option);
        let (kind, caller) = (self.kind, self.caller);
        let (ask, projection) = match (self.group_by, self.profile, &self.fields) {
            (Some((by, sort)), ..) => (Ask::Groups(by, sort), Projection::of_group(by, kind)),
            (None, None, Some(fields)) => (Ask::Findings, Projection::custom(fields, name(Opt::Fields))?),
            (None, profile, _) => (Ask::Findings, Projection::of(profile.unwrap_or_default(), kind)),
        };
        let ask = if self.is_count { Ask::Counts } else { ask };
        let own_fields = projection.len();
        let projection = projection.with_extra(&self.extra_fields, name(Opt::ExtraFields))?;
        let page = self.page.unwrap_or_default();
        let max_chars = match self.max_chars {
            Some(0) => None,
            None if page.is_all() && !self.is_count => None,
            asked => Some(asked.unwrap_or(Query::DEFAULT_MAX_CHARS)),
        };
        let Self { filters, whole_metadata, .. } = self;
        let sort = self.sort.unwrap_or_default();
        let mut query = Query {
            caller,
            ask,
            kind,
            projection,
            filters,
            sort,
            page,
            cursor: None,
            max_chars,
            whole_metadata,
            own_fields,
        };
        query.check_kind()?;
        if let Some(text) = &self.cursor {
            query.page = page.first();
            query.cursor = Some(Cursor::read(text, kind, &query.filters, &query.order())?);
        }
        Ok(query)
    }

    /// The error of two options of which each makes the other meaningless.
    fn check_options(&self) -> Result<(), ResultsError> {
        let is_numbered = self.page.is_some_and(|page| page.number() > 1);
        let given = [
            (Opt::Profile, self.profile.is_some()),
            (Opt::Fields, self.fields.is_some()),
            (Opt::ExtraFields, !self.extra_fields.is_empty()),
            (Opt::Sort, self.sort.is_some()),
            (Opt::GroupBy, self.group_by.is_some()),
            (Opt::Page, self.page.is_some()),
            (Opt::Cursor, self.cursor.is_some()),
        ];
        let first_of = |options: &[(Opt, bool)]| options.iter().find(|(_, given)| *given).map(|(option, _)| *option);
        let conflict = if self.is_count {
            first_of(&given).map(|other| (Opt::CountOnly, other))
        } else if self.group_by.is_some() {
            first_of(&given[..4]).map(|other| (Opt::GroupBy, other))
        } else if self.profile.is_some() && self.fields.is_some() {
            Some((Opt::Profile, Opt::Fields))
        } else {
            None
        };
        let conflict = conflict.or((is_numbered && self.cursor.is_some()).then_some((Opt::Cursor, Opt::Page)));
        let Some((one, other)) = conflict else { return Ok(()) };
        Err(ResultsError::ConflictingOptions { one: self.caller.name(one), other: self.caller.name(other) })
    }
}

impl Query {
    /// The error of something that only items of the other kind have.
    fn check_kind(&self) -> Result<(), ResultsError> {
        let kind = self.kind;
        let of_other = |of: Option<RecordKind>| of.is_some_and(|of| of != kind);
        let field = self.named().find(|(_, field)| of_other(field.kind())).map(|(place, field)| (place, field.name()));
        let group = match self.ask {
            Ask::Groups(by, sort) if !of_other(by.kind()) && !sort.fits(by, kind) => {
                return Err(ResultsError::InvalidGroupSort(sort.to_string()));
            }
            Ask::Groups(by, _) if of_other(by.kind()) => Some((self.name_of(Opt::GroupBy), by.name())),
            _ => None,
        };
        let Some((place, field)) = group.or(field) else { return Ok(()) };
        Err(ResultsError::FieldOfOtherKind {
            field: crate::error::excerpt(field).to_string(),
            place,
            kind: kind.other(),
            option: self.name_of(Opt::Kind),
        })
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
