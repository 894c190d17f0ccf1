//! Which checkpoints stay.

use std::collections::BTreeSet;

use super::error::CheckpointError;
use super::manifest::verify;
use super::store::CheckpointStore;

impl CheckpointStore {
    /// Removes all but the newest `keep` checkpoints, and says which. The best one, the last one, and the newest whole one
    /// before the last always stay, so that one damaged folder never costs a run.
    ///
    /// # Errors
    /// `Io`.
    pub fn prune(&mut self, keep: usize) -> Result<Vec<u64>, CheckpointError> {
        let steps = self.steps()?;
        let mut stay: BTreeSet<u64> = steps.iter().rev().take(keep).copied().collect();
        stay.extend(self.best());
        let last = self.last().filter(|s| steps.contains(s)).or_else(|| steps.last().copied());
        stay.extend(last);
        stay.extend(steps.last());
        if steps.iter().all(|s| stay.contains(s)) {
            return Ok(Vec::new());
        }
        stay.extend(steps.iter().rev().filter(|s| Some(**s) < last).find(|s| self.is_whole(**s)));
        let gone: Vec<u64> = steps.into_iter().filter(|s| !stay.contains(s)).collect();
        gone.iter().try_for_each(|step| self.remove_step(*step))?;
        Ok(gone)
    }

    fn is_whole(&self, step: u64) -> bool {
        self.good.contains(&step) || verify(&self.path_of(step)).is_ok()
    }
}
