//! The index of an export: where its items stand, and what most filters and orders ask of them.
//!
//! Without it, a page costs a reading of the whole export. With it, a page costs two passes over 64 bytes an item, of which
//! a part is in memory at a time, and the reading of the items shown and their hosts; 16 bytes a host stay in memory. The
//! columns cannot decide everything: a text, a field with several values, a value that does not fit its type. Those are
//! read from the item itself, so both ways give the same answers.
//!
//! Takes an export once, to build the index, and then queries. Gives an [`ExportIndex`]; what the first pass would find for a
//! query ([`search()`]); and how much memory an answer takes ([`Extent`]).
//!
//! # Trust
//! An index is derived, so it is only believed while everything speaks for it: its version, the table of fields it was
//! made with, a checksum over all of it that finds every change of a single word, and the export's size, time of
//! change, and hash of both ends. Each item carries a hash too, which is looked at when the item is shown. Whatever
//! does not fit makes an [`IndexError`] or [`ResultsError::Changed`], and the index is made again.
//!
//! That is against accidents. Who can write into the directory can replace the export itself, so nothing is signed;
//! but an index made with bad intent cannot do more than that: places are looked up with bounds, and items are parsed
//! as hostile in any case.

mod about;
mod build;
mod error;
mod export_index;
mod file;
mod memory;
mod row;
mod search;

pub use self::{build::IndexSummary, error::IndexError, export_index::ExportIndex};
pub(crate) use self::{memory::Extent, search::search};

#[cfg(test)]
mod tests;
