//! Findings in other formats: for spreadsheets, for code scanning tools, for people.
//!
//! Takes an export and a query, and a [`Format`]. Gives a file in that format. All formats take the same queries and the same
//! two passes as lines of JSON, so they show the same findings in the same order. None holds the findings in memory.

mod cells;
mod converter;
mod csv;
mod fingerprints;
mod html;
mod sarif;

pub use self::{
    converter::{Converter, Format},
    html::{REPORT_STYLE, host_chart, severity_chart, severity_class},
};

#[cfg(test)]
mod tests;
