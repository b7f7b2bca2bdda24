//! Errors of configuration files and settings.

use std::{io, path::PathBuf, sync::Arc};

use crate::{
    error::{Classified, ErrorKind},
    ids::PoolName,
};

/// A configuration that cannot be used. Values are not shown: they may be secret.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// There was no file; now there is an example, which somebody has to edit.
    #[error("there is no `{}`: an example was written there", path.display())]
    ExampleWritten {
        /// The file.
        path: PathBuf,
    },
    /// The file is no YAML of the expected shape.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 when it is not known.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// A key has a value that cannot be used.
    #[error("{}:{line}: `{key}` {message}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The key, as a path such as `nessus[0].url`.
        key: String,
        /// What is wrong with its value.
        message: String,
    },
    /// A setting has a value that cannot be used.
    #[error("`{name}` {message}")]
    Setting {
        /// The setting, such as `settings.lease`; from the command line its flag or variable.
        name: String,
        /// What is wrong with its value.
        message: String,
    },
    /// Tasks in an object store, and a queue that only one machine reaches.
    #[error("tasks in an object store need a queue that other machines reach, and the embedded queue is a file of one")]
    EmbeddedQueue,
    /// A setting names a pool that is not configured.
    #[error("`{name}` names the pool `{pool}`, which is not configured")]
    UnknownPool {
        /// The setting.
        name: &'static str,
        /// The pool.
        pool: PoolName,
        /// The pools there are.
        available: Vec<String>,
    },
}

impl Classified for ConfigError {
    fn code(&self) -> &'static str {
        "bad_configuration"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Configuration
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("say where your `scanners.yaml` is".to_owned())
            }
            Self::ExampleWritten { .. } => {
                Some("write your scanners into it and start again, or name another file of scanners".to_owned())
            }
            Self::EmbeddedQueue => {
                Some("name a Redis with the URL of the queue, or keep the tasks in the data directory".to_owned())
            }
            Self::UnknownPool { available, .. } => Some(format!("the pools are: {}", available.join(", "))),
            _ => None,
        }
    }
}
