//! Every fault does on the wire what the catalogue says.

mod control;
mod wire;
