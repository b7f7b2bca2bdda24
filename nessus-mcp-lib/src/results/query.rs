//! A question about an export.

use super::{
    error::ResultsError,
    fields::FieldRef,
    filter::FilterSet,
    page::Page,
    profile::{Profile, Projection},
    sort::SortOrder,
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
    pub(crate) projection: Projection,
    pub(crate) filters: FilterSet,
    pub(crate) sort: SortOrder,
    pub(crate) page: Page,
}

impl Query {
    /// Begins with the profile `brief`, no filters, worst first, everything.
    pub fn builder() -> QueryBuilder {
        QueryBuilder::default()
    }

    /// The page asked for.
    pub fn page(&self) -> Page {
        self.page
    }

    /// The names that only the export can vouch for, with the option they stand in.
    pub(crate) fn undeclared(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = match &self.projection {
            Projection::Full => &[][..],
            Projection::Fields { fields, .. } => fields,
        };
        let filters = self.filters.fields().filter_map(FieldRef::undeclared).map(|name| ("filters", name));
        let fields = fields.iter().filter_map(FieldRef::undeclared).map(|name| ("fields", name));
        let sort = self.sort.field().into_iter().filter_map(FieldRef::undeclared).map(|name| ("sort", name));
        filters.chain(fields).chain(sort)
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            projection: Projection::of(Profile::default()),
            filters: FilterSet::default(),
            sort: SortOrder::default(),
            page: Page::default(),
        }
    }
}

/// Builds a [`Query`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct QueryBuilder {
    profile: Option<Profile>,
    fields: Option<Vec<String>>,
    filters: FilterSet,
    sort: SortOrder,
    page: Page,
}

impl QueryBuilder {
    /// Shows the fields of a profile. Excludes [`QueryBuilder::fields`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Shows these fields. Excludes [`QueryBuilder::profile`].
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

    /// Finishes the query.
    ///
    /// # Errors
    /// When both a profile and fields were given, or an empty list of fields.
    pub fn build(self) -> Result<Query, ResultsError> {
        let projection = match (self.profile, &self.fields) {
            (Some(_), Some(_)) => return Err(ResultsError::ProfileAndFields),
            (None, Some(fields)) => Projection::custom(fields)?,
            (profile, None) => Projection::of(profile.unwrap_or_default()),
        };
        Ok(Query { projection, filters: self.filters, sort: self.sort, page: self.page })
    }
}
