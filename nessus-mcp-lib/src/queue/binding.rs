//! Which data directory a queue belongs to.

use serde::{Deserialize, Serialize};

/// The data directory a queue belongs to, and since when it has been whole.
///
/// A queue that has lost its data has lost its binding as well, so whoever finds none knows that there is something to
/// rebuild, and whoever finds another epoch than before knows that there was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Binding {
    /// The id of the data directory.
    pub directory: String,
    /// Another one each time the queue is bound.
    pub epoch: String,
}

impl Binding {
    /// A new binding to a data directory.
    pub fn new(directory: impl Into<String>) -> Self {
        Self { directory: directory.into(), epoch: uuid::Uuid::new_v4().simple().to_string() }
    }
}
