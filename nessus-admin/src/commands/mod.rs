//! What can be done, one module a command.

pub(crate) mod convert;
pub(crate) mod dead_letters;
mod queue;
pub(crate) mod stats;
