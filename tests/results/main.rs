//! Proof for the results engine: what it says is held against slow, plain readings of the same thing.
//!
//! `reference` reads an export as a tree and knows nothing of the engine but what its documentation promises.
//! Everything here goes through the library's public API.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail it by panicking")]

mod arbitrary;
mod blocks;
mod compare;
mod corpus;
mod engine;
mod filters;
mod generated_exports;
mod groups;
mod indexed;
mod order;
mod pages;
mod parser;
mod reference;
mod spelling;
