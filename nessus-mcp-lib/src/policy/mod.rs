//! What may be scanned. Only this module decides it: the service asks it at a submit, and the worker again right before the
//! scan begins.
//!
//! Unspecified, multicast, broadcast and link-local addresses are always refused, and so are more hosts than one scan may have.

mod error;
mod reserved;
mod scope;

pub use self::{error::ScopeError, scope::Scope};
