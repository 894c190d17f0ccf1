//! Checkpoints on disk that survive a kill, a full disk and a flipped bit.
//!
//! `checkpoints/step-00001000/` is complete whenever it exists: it is written under a temporary name, listed with hashes in
//! `MANIFEST.sha256`, synced, and renamed. `last` and `best` are relative links beside it; `last` moves last of all. A reader
//! trusts no link and no folder without its manifest, and falls back to the newest checkpoint that is whole.

mod disk;
mod error;
mod load;
mod manifest;
mod prune;
mod store;
#[cfg(test)]
mod tests;

pub use disk::free_bytes;
pub use error::{CheckpointError, Skipped};
pub use load::Loaded;
pub use manifest::{MANIFEST, verify};
pub use store::CheckpointStore;
