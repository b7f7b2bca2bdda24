//! Limits, at ten times or more of the largest seen in public exports.

/// Bytes of one tag, comment, CDATA section or text between two tags.
pub(crate) const EVENT_BYTES: u64 = 16 << 20;
/// Bytes of one start tag.
pub(crate) const TAG_BYTES: usize = 1 << 20;
/// Bytes of one item, markup included.
pub(crate) const ITEM_BYTES: u64 = 32 << 20;
/// Attributes of one element.
pub(crate) const ATTRIBUTES: usize = 64;
/// Child elements of one item.
pub(crate) const CHILDREN: usize = 20_000;
/// Elements inside each other.
pub(crate) const DEPTH: usize = 64;
/// Tags of one host.
pub(crate) const HOST_TAGS: usize = 20_000;
/// Bytes of a host property that is kept.
pub(crate) const HOST_VALUE_BYTES: u64 = 64 << 10;
/// Bytes of a text that is skipped without being held; a policy's plugin set is the largest, at 2 MB.
pub(crate) const SKIPPED_BYTES: u64 = 64 << 20;
