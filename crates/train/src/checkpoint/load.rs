//! Finding the newest checkpoint that is whole.

use std::path::PathBuf;

use super::error::{CheckpointError, Skipped};
use super::manifest::verify;
use super::store::CheckpointStore;

/// A verified checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its folder.
    pub path: PathBuf,
    /// Its step.
    pub step: u64,
    /// Newer ones that were passed over: to be told to the user.
    pub skipped: Vec<Skipped>,
}

impl CheckpointStore {
    /// The newest checkpoint that agrees with its manifest. It may be newer than `last`, when the process ended between the
    /// two.
    ///
    /// # Errors
    /// `Missing` when there is no checkpoint, `NoneWhole` when each is damaged.
    pub fn load_last(&self) -> Result<Loaded, CheckpointError> {
        let steps = self.steps()?;
        let mut skipped = Vec::new();
        if let Some(lost) = self.last().filter(|s| !steps.contains(s)) {
            skipped.push(Skipped { path: self.path_of(lost), reason: "`last` names it, and it is not there".into() });
        }
        for step in steps.into_iter().rev() {
            let path = self.path_of(step);
            match verify(&path) {
                Ok(()) => return Ok(Loaded { path, step, skipped }),
                Err(e) => skipped.push(Skipped { path, reason: e.to_string() }),
            }
        }
        if skipped.is_empty() {
            return Err(CheckpointError::Missing { path: self.dir().into(), expected: "at least one checkpoint" });
        }
        Err(CheckpointError::NoneWhole { path: self.dir().into(), skipped })
    }
}
