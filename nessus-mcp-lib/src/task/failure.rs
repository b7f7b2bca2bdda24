//! What a place of tasks as a whole refuses, with the next step: it says nothing about the one file that is named.

use std::{error::Error, fmt, io};

/// A refusal of the whole place, inside an [`io::Error`].
#[derive(Debug)]
pub(super) struct PlaceFailure {
    message: String,
    hint: Option<&'static str>,
}

impl PlaceFailure {
    /// A refusal as an error of input and output.
    pub(super) fn error(kind: io::ErrorKind, message: impl Into<String>, hint: Option<&'static str>) -> io::Error {
        io::Error::new(kind, Self { message: message.into(), hint })
    }

    /// The refusal in an error, if it is one.
    pub(super) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// What to do about it.
    pub(super) const fn hint(&self) -> Option<&'static str> {
        self.hint
    }
}

/// What to do about a refusal, where something is known of it.
#[cfg(feature = "objects")]
pub(super) fn hint(error: &io::Error) -> Option<&'static str> {
    PlaceFailure::of(error)?.hint()
}

impl fmt::Display for PlaceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for PlaceFailure {}
