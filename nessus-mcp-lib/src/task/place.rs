//! Where a file of results is, to be opened by who reads it.

use std::{fmt, fs::File, io, path::PathBuf, sync::Arc};

use super::error::TaskError;
use crate::{parts::PartFile, source::Source};

/// Where a file of results is.
#[derive(Debug, Clone)]
pub(crate) enum ResultPlace {
    /// On a disk of this machine, if it is there.
    File(PathBuf),
    /// In parts elsewhere, with what it is called.
    Parts(Arc<PartFile>, PathBuf),
    /// Nowhere.
    Missing(PathBuf),
}

impl ResultPlace {
    /// Opens it. Of parts nothing is fetched before it is read.
    pub(crate) fn open(&self) -> Result<Source, TaskError> {
        let opened = match self {
            Self::File(path) => File::open(path).map(Source::from),
            Self::Parts(parts, _) => Ok(Source::from(Arc::clone(parts) as Arc<dyn crate::source::ReadAt>)),
            Self::Missing(_) => Err(io::ErrorKind::NotFound.into()),
        };
        opened.map_err(TaskError::storage("cannot read", self.path()))
    }

    /// Opens it if it can be opened.
    pub(crate) fn open_if_there(&self) -> Option<Source> {
        self.open().ok()
    }

    fn path(&self) -> &PathBuf {
        match self {
            Self::File(path) | Self::Parts(_, path) | Self::Missing(path) => path,
        }
    }
}

impl fmt::Display for ResultPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}
