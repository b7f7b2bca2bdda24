//! From an export and a query to a sink, in two passes.
//!
//! Takes an export and a [`Query`](super::query::Query). The first pass reads the whole export: it checks, counts, and
//! remembers where the wanted items stand ([`FirstPass`]). Only then is anything written: the second pass reads those items
//! again, in their order, and hands them to a [`Sink`], one for each format. Gives a [`ConversionSummary`].
//! [`index`](super::index) finds the same as the first pass without reading the whole export.

mod checksum;
mod conversion;
mod counting;
mod first_pass;
mod second_pass;
mod selection;
mod sink;
mod window;

pub use self::sink::ConversionSummary;
pub(crate) use self::{
    checksum::{BLOCK, Checksum, short},
    conversion::Conversion,
    counting::{Counting, Facts, Group},
    first_pass::{FirstPass, OTHER_NAMES, Warnings, full_fields, unknown_field},
    selection::{Picker, Selection, Wanted},
    sink::Sink,
    window::Window,
};
