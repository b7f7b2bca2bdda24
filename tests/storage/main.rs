//! Object stores: what the programs keep in them, and what becomes of that when they fail.

mod simulated;
