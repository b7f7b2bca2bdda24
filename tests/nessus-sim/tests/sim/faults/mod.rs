//! Every fault does on the wire what the catalogue says.

mod answers;
mod control;
mod states;
mod wire;
