//! What a process of a run hands to the one that takes its place: where time went so far, so that the report at the end is
//! that of them all.

use std::fs;
use std::path::Path;

use anyhow::Context;
use engine::DeviceReport;
use serde::{Deserialize, Serialize};
use train::trainer::{Outcome, Timings};

/// Name of the file in the run folder.
const FILE: &str = "relay.json";

/// Work of the processes before this one.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Relay {
    timings: Timings,
    device: Option<DeviceReport>,
}

impl Relay {
    /// Adds what earlier processes left in `run_dir` to `outcome`; the file is gone then.
    pub fn join(run_dir: &Path, outcome: &mut Outcome) {
        let path = run_dir.join(FILE);
        let Ok(text) = fs::read(&path) else { return };
        // it is a report, no state: what cannot be read is left out
        let _ = fs::remove_file(&path);
        let Ok(earlier) = serde_json::from_slice::<Relay>(&text) else { return };
        outcome.timings += earlier.timings;
        outcome.device = match (outcome.device.take(), earlier.device) {
            (Some(now), Some(before)) => Some(now.after(&before)),
            (now, before) => now.or(before),
        };
    }

    /// Leaves `outcome` in `run_dir` for the next process.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn leave(run_dir: &Path, outcome: &Outcome) -> anyhow::Result<()> {
        let path = run_dir.join(FILE);
        let relay = Relay { timings: outcome.timings, device: outcome.device.clone() };
        fs::write(&path, serde_json::to_vec(&relay)?).with_context(|| path.display().to_string())
    }
}
