//! Buckets and their objects.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use md5::{Digest as _, Md5};

/// What is stored under a key.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) content: Bytes,
    /// With its quotes.
    pub(super) etag: String,
    /// What its writer says of it: `x-amz-meta-...`.
    pub(super) metadata: Vec<(String, String)>,
    pub(super) modified: Timestamp,
}

/// What is and was under a key.
#[derive(Debug, Default)]
struct Slot {
    now: Option<Object>,
    before: Option<Object>,
    deletions: u64,
}

/// A bucket.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    slots: BTreeMap<String, Slot>,
    last_changed: String,
}

impl Bucket {
    pub(super) fn get(&self, key: &str) -> Option<&Object> {
        self.slots.get(key)?.now.as_ref()
    }

    /// What was there before the last change.
    pub(super) fn before(&self, key: &str) -> Option<&Object> {
        self.slots.get(key)?.before.as_ref()
    }

    /// How often the key was deleted.
    pub(super) fn deletions(&self, key: &str) -> u64 {
        self.slots.get(key).map_or(0, |slot| slot.deletions)
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = (&str, &Object)> {
        self.slots.iter().filter_map(|(key, slot)| Some((key.as_str(), slot.now.as_ref()?)))
    }

    /// The objects as they were before the last change of the bucket.
    pub(super) fn objects_before(&self) -> impl Iterator<Item = (&str, &Object)> {
        self.slots.iter().filter_map(|(key, slot)| {
            let shown = if *key == self.last_changed { &slot.before } else { &slot.now };
            Some((key.as_str(), shown.as_ref()?))
        })
    }

    /// Returns the ETag.
    pub(super) fn put(
        &mut self,
        key: &str,
        content: Bytes,
        metadata: Vec<(String, String)>,
        modified: Timestamp,
    ) -> String {
        let etag = etag(&content);
        let slot = self.slots.entry(key.to_owned()).or_default();
        slot.before = slot.now.replace(Object { content, etag: etag.clone(), metadata, modified });
        key.clone_into(&mut self.last_changed);
        etag
    }

    /// Lets all objects have been written so many seconds earlier.
    pub(super) fn age(&mut self, seconds: i64) {
        for object in self.slots.values_mut().filter_map(|slot| slot.now.as_mut()) {
            let earlier = object.modified.checked_sub(SignedDuration::from_secs(seconds));
            object.modified = earlier.unwrap_or(Timestamp::MIN);
        }
    }

    pub(super) fn delete(&mut self, key: &str) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return false };
        let Some(object) = slot.now.take() else { return false };
        slot.before = Some(object);
        slot.deletions += 1;
        key.clone_into(&mut self.last_changed);
        true
    }
}

/// MD5, as of every object that the real S3 took in one piece.
fn etag(content: &[u8]) -> String {
    format!("\"{}\"", hex(&Md5::digest(content)))
}

/// In lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
