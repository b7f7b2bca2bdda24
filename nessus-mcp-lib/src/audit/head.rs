//! The head of a chain: its last line that is on the disk for sure. A file that ends before it was cut.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    chain::{ChainKey, Hash, NO_KEY, Proof, prove},
    places::{Held, open_private},
};
use crate::durable;

const FILE: &str = "head.json";
const LOCK: &str = "head.lock";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) seq: u64,
    /// The day whose file has the line.
    pub(super) day: String,
    hash: String,
    pub(super) key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
}

/// What is found in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Missing,
    /// It cannot be read as a head.
    Damaged,
    Head(Head),
}

impl Head {
    /// The head at a line.
    pub(super) fn new(seq: u64, day: &str, hash: Hash, key: Option<&ChainKey>) -> Self {
        let id = key.map_or(NO_KEY, ChainKey::id).to_owned();
        let mut head = Self { seq, day: day.to_owned(), hash: hash.to_string(), key: id, mac: None };
        head.mac = key.map(|key| key.sign(&head.signed()).to_string());
        head
    }

    fn signed(&self) -> Vec<u8> {
        format!("head {} {} {} {}", self.seq, self.day, self.hash, self.key).into_bytes()
    }

    /// The hash of the line; `None` where it is no hash.
    pub(super) fn hash(&self) -> Option<Hash> {
        Hash::parse(&self.hash)
    }

    /// What its signature proves to somebody with these keys.
    pub(super) fn proof(&self, keys: &[ChainKey]) -> Proof {
        let mac = match &self.mac {
            None => None,
            Some(digits) => match Hash::parse(digits) {
                Some(mac) => Some(mac),
                None => return Proof::Forged,
            },
        };
        prove(keys, &self.key, &self.signed(), mac)
    }

    /// Reads the head of the chain in this directory.
    pub(super) fn read(directory: &Path) -> io::Result<Found> {
        match fs::read(directory.join(FILE)) {
            Ok(text) => {
                let head = serde_json::from_slice::<Self>(&text).ok().filter(|head| head.hash().is_some());
                Ok(head.map_or(Found::Damaged, Found::Head))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
            Err(error) => Err(error),
        }
    }

    /// Puts it into its place, unless another process has put a later one there.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let lock = open_private(&directory.join(LOCK), false)?;
        let _held = Held::acquire(&lock)?;
        if let Found::Head(there) = Self::read(directory)?
            && there.seq > self.seq
        {
            return Ok(());
        }
        let text = serde_json::to_vec(self)?;
        durable::replace(&directory.join(FILE), &text)
    }
}
