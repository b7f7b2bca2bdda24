//! Why an index is not used.

use crate::results::error::ResultsError;

/// Why an index is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It cannot be read.
    #[error("the index cannot be read: {0}")]
    Read(#[source] std::io::Error),
    /// It is cut short, was changed, or is no index.
    #[error("the index is damaged")]
    Damaged,
    /// Another version of this library has made it.
    #[error("the index is of another version")]
    Version,
    /// The export is not the one it was made of.
    #[error("the index is of another export")]
    Stale,
    /// The export can have none: making it again is of no use.
    #[error("the export can have no index")]
    Impossible,
    /// The export cannot be read.
    #[error(transparent)]
    Export(#[from] ResultsError),
}
