//! Texts on their way to a reader: cleaned, cut, escaped.
//!
//! Takes any text, in particular one that a scanned machine may have written. Gives it without what a terminal or a
//! language model would obey and a person would not see ([`untrusted`]), as one short line of a view ([`clean`]), or as
//! a JSON string ([`escape`]). [`words`] looks at eight bytes at a time. Nothing here knows what a finding is.

mod clean;
pub(crate) mod escape;
pub(crate) mod untrusted;
pub(crate) mod words;

pub(crate) use self::clean::{NAME_CHARS, clean};
