//! `queue.json`: what a data directory remembers of its queue.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::TaskError;
use crate::{
    ids::{InstanceId, PoolName},
    time::Timestamp,
};

pub(super) const QUEUE_FILE: &str = "queue.json";

/// What a data directory remembers of its queue: so that another queue is noticed, and so that one that has lost its data
/// gets back what operators have ordered. Fields this version does not know survive in `extra`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueFile {
    /// The name of this directory in the queue's binding; `None` until it had a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The pools that are paused, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paused: BTreeMap<PoolName, String>,
    /// The scanners that operators have isolated, by pool, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub isolated: BTreeMap<PoolName, BTreeMap<InstanceId, String>>,
    /// The last order about each pool, and who gave it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub orders: BTreeMap<PoolName, PoolOrder>,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An operator's order about a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PoolOrder {
    /// When it was given.
    pub at: Timestamp,
    /// Who gave it, as `user@host`.
    pub by: String,
    /// Whether the pool was paused; else it was let take tasks again.
    pub paused: bool,
}

impl PoolOrder {
    /// An order of somebody, at this moment.
    pub(crate) fn new(paused: bool, by: impl Into<String>, at: Timestamp) -> Self {
        Self { at, by: by.into(), paused }
    }
}

impl QueueFile {
    /// What a file says; an empty one when there is none.
    pub(super) fn parse(content: Option<Vec<u8>>, path: impl FnOnce() -> PathBuf) -> Result<Self, TaskError> {
        let Some(content) = content else { return Ok(Self::default()) };
        serde_json::from_slice(&content)
            .map_err(|error| TaskError::Damaged { path: path(), message: error.to_string() })
    }
}
