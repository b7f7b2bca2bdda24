//! What is asked of an export: which findings, in which order, how many, and what of each.
//!
//! Takes the words of a caller: filters, profile or fields, sort order, page or cursor, budget. Gives a [`Query`] that is
//! checked as far as it can be without the export. Its parts look at one [`Record`](super::record::Record) at a time:
//! whether it matches ([`FilterSet`]), where it stands in the order ([`Sorter`]), what of it is shown ([`Projection`]).

mod builder;
mod caller;
mod cursor;
mod field_list;
mod filter;
mod group;
mod page;
mod profile;
mod sort;

pub(crate) use self::{
    builder::Ask,
    caller::Opt,
    cursor::{Cursor, Identity},
    filter::Filter,
    group::Size,
    profile::Projection,
    sort::{Key, NameKey, Place, Sorter, ranks, rating_of_worst, worst},
};
pub use self::{
    builder::{Query, QueryBuilder},
    caller::Caller,
    field_list::{DeclaredField, declared_fields},
    filter::FilterSet,
    group::{GroupBy, GroupSort},
    page::Page,
    profile::Profile,
    sort::{SortField, SortOrder},
};
