//! What is asked of an export: which findings, in which order, how many, and what of each.
//!
//! Takes the words of a caller: filters, profile or fields, sort order, page or cursor, budget. Gives a [`Query`] that is
//! checked as far as it can be without the export. Its parts look at one [`Record`](super::record::Record) at a time:
//! whether it matches ([`FilterSet`]), where it stands in the order ([`Sorter`]), what of it is shown ([`Projection`]).

mod builder;
mod cursor;
mod field_list;
mod filter;
mod page;
mod profile;
mod sort;

pub use self::{
    builder::{Query, QueryBuilder},
    field_list::{DeclaredField, declared_fields},
    filter::FilterSet,
    page::Page,
    profile::Profile,
    sort::{SortField, SortOrder},
};
pub(crate) use self::{
    cursor::{Cursor, Identity},
    filter::Filter,
    profile::Projection,
    sort::{Key, NameKey, Place, Sorter, ranks, worst},
};
