//! Findings in other formats: for spreadsheets, for code scanning tools, for people.
//!
//! All formats take the same queries and are written by the same two readings as lines of JSON, so what one shows, in
//! which order, is what the others show. None holds the findings in memory.

mod cells;
mod converter;
mod csv;
mod html;
mod sarif;

pub use self::converter::{Converter, Format};

#[cfg(test)]
mod tests;
