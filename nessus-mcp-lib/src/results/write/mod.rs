//! What was found, as JSON.
//!
//! Takes the findings that a conversion hands over. Gives them as lines of JSON within a budget ([`JsonNlConverter`];
//! [`render`] writes one finding), and gives [`summary`](super::summary) and [`diff`](super::diff) views that fit a number
//! of characters ([`fit`], [`Section`]).

mod budget;
mod group;
mod json_nl;
mod lines;
pub(crate) mod render;

pub(crate) use self::budget::fit;
#[cfg(feature = "schema")]
pub use self::json_nl::line_schemas;
pub use self::{
    budget::{DEFAULT_CHARS, MIN_CHARS, Section},
    json_nl::JsonNlConverter,
};
