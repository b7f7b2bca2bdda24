//! Bytes to items: the only place that knows quick-xml.
//!
//! Takes the bytes of a .nessus export, in any encoding it may have. Gives them back as UTF-8 (`encoding.rs`), and as
//! steps through hosts and items ([`ExportReader`], [`walk`]), or as single items out of their bytes ([`ItemReader`]).
//!
//! An export is read once from front to back, one item at a time, into buffers that are used again, so memory does
//! not grow with the file. quick-xml finds the markup; text between two tags is copied by [`source::Source`] itself,
//! because quick-xml 0.42 makes a separate event of every `&amp;`. Items in their usual form, which is nearly all,
//! are read by [`quick`] without it.
//!
//! The input is hostile: it comes from a scanner over the network, and a scanner repeats what its targets answer.
//! Every event, text, item and count has a limit (see [`limits`]), a DOCTYPE is refused, and quick-xml's lenience
//! (two roots, text around the root, an end in mid-document) is made up for in [`export::ExportReader`].
//!
//! Some irregularities are repaired instead of refused, because the rest of a result is worth having; they are counted in
//! [`RepairCounts`].

mod capped;
pub(crate) mod encoding;
mod export;
mod item_reader;
mod limits;
mod plugin_set;
mod policy_scope;
mod quick;
mod repairs;
mod source;
mod text;
mod walk;

pub(crate) use self::{
    export::{ExportReader, Header, Step},
    item_reader::ItemReader,
    plugin_set::PluginSetPrint,
    policy_scope::{LeftOut, PolicyScope},
    repairs::RepairCounts,
    walk::{Visit, buffered, reader, repeats, steps, walk, walk_united, walk_united_with_scope},
};
