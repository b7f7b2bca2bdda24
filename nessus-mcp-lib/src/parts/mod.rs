//! Files that lie elsewhere in parts: each part is fetched when somebody reads in it, or right before it in sequence, verified by its SHA-256,
//! and kept on a disk of this machine.
//!
//! The directory may be lost at any time, and several processes may share it; whatever it gives is compared with its hash. So what is read is
//! right or an error, and a disk that fails costs only time.

mod cache;
mod disk;
mod part;
mod part_file;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    cache::{PartCache, PartFigures},
    part_file::{PART_BYTES, PartFile},
};
