//! Who asks, and how that caller names the options of a question.

/// Whose words errors use for the options of a question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Caller {
    /// Who calls [`QueryBuilder`](super::QueryBuilder): its methods.
    #[default]
    Library,
    /// Who makes a [`ResultsRequest`](crate::service::ResultsRequest): its members.
    Request,
    /// Who calls `nessus-admin convert`: its flags.
    CommandLine,
}

/// An option of a question that errors name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opt {
    Kind,
    Profile,
    Fields,
    ExtraFields,
    Filters,
    Sort,
    Page,
    Cursor,
    MaxChars,
    CountOnly,
    GroupBy,
}

impl Caller {
    /// The option in the caller's words.
    pub(crate) const fn name(self, option: Opt) -> &'static str {
        let [library, request, flag] = match option {
            Opt::Kind => ["kind", "kind", "--kind"],
            Opt::Profile => ["profile", "schema_profile", "--profile"],
            Opt::Fields => ["fields", "custom_fields", "--fields"],
            Opt::ExtraFields => ["extra_fields", "extra_fields", "--extra-fields"],
            Opt::Filters => ["filters", "filters", "--filters"],
            Opt::Sort => ["sort", "sort", "--sort"],
            Opt::Page => ["page", "page", "--page"],
            Opt::Cursor => ["cursor", "cursor", "--cursor"],
            Opt::MaxChars => ["max_chars", "max_chars", "--max-chars"],
            Opt::CountOnly => ["count_only", "count_only", "--count-only"],
            Opt::GroupBy => ["group_by", "group_by", "--group-by"],
        };
        match self {
            Self::Library => library,
            Self::Request => request,
            Self::CommandLine => flag,
        }
    }
}
