//! Results of probes, kept in the user's cache: for each Mac and build of its system, which kernels passed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ane::probe::ProbeReport;
use serde::{Deserialize, Serialize};

use crate::exit::{self, Exit};

/// Name of the file in the cache.
const FILE: &str = "ane-probes.json";

/// One probe of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this program.
    pub version: String,
    /// When, in seconds since 1970.
    pub unix_seconds: u64,
    /// What was found.
    pub report: ProbeReport,
}

/// All of them.
pub struct Probes {
    path: PathBuf,
    records: BTreeMap<String, Record>,
}

impl Probes {
    /// Those in the cache folder `cache`; none, and why, when the file there is not one of ours.
    pub fn open(cache: &Path) -> (Probes, Option<String>) {
        let path = cache.join(FILE);
        let Ok(text) = fs::read(&path) else { return (Probes { path, records: BTreeMap::new() }, None) };
        match serde_json::from_slice(&text) {
            Ok(records) => (Probes { path, records }, None),
            Err(error) => {
                let why = format!("{}: {error}: what was probed before is not known", path.display());
                (Probes { path, records: BTreeMap::new() }, Some(why))
            }
        }
    }

    /// The last probe of `machine`.
    pub fn get(&self, machine: &str) -> Option<&Record> {
        self.records.get(machine)
    }

    /// Keeps `report`, in place of an earlier one of `machine`.
    ///
    /// # Errors
    /// 73 when the file cannot be written.
    pub fn put(&mut self, machine: &str, report: ProbeReport) -> anyhow::Result<()> {
        let unix_seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let record = Record { version: env!("CARGO_PKG_VERSION").to_owned(), unix_seconds, report };
        self.records.insert(machine.to_owned(), record);
        let written = || -> std::io::Result<()> {
            if let Some(folder) = self.path.parent() {
                fs::create_dir_all(folder)?;
            }
            let fresh = self.path.with_extension(format!("new-{}", std::process::id()));
            fs::write(&fresh, serde_json::to_vec_pretty(&self.records)?)?;
            fs::rename(&fresh, &self.path)
        };
        written().map_err(|e| Exit::new(exit::CANNOT_WRITE, format!("{}: {e}", self.path.display())).into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ane::probe::{KernelProbe, Verdict};

    use super::*;

    fn report(verdict: Verdict) -> ProbeReport {
        let kernels = vec![KernelProbe { name: "static/ffn_bwd".to_owned(), verdict }];
        ProbeReport { device: "d".to_owned(), reference: "r".to_owned(), tolerance: 0.02, kernels }
    }

    #[test]
    fn what_was_found_is_found_again_machine_by_machine() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let verdicts = [
            Verdict::Passed { error: 0.001, seconds: 2e-4 },
            Verdict::Differs { what: "y[0, 1] should be 1, and is 0".to_owned() },
            Verdict::Failed { why: "ffn_bwd: evaluate failed".to_owned() },
            Verdict::Unknown { why: "no".to_owned() },
        ];
        for (i, verdict) in verdicts.iter().enumerate() {
            Probes::open(&cache).0.put(&format!("Mac16,{i} 25A354"), report(verdict.clone())).unwrap();
        }
        let (probes, complaint) = Probes::open(&cache);
        assert_eq!(complaint, None);
        for (i, verdict) in verdicts.iter().enumerate() {
            assert_eq!(probes.get(&format!("Mac16,{i} 25A354")).unwrap().report, report(verdict.clone()));
        }
        assert_eq!(probes.get("Mac16,1 25B1"), None);
    }

    #[test]
    fn a_broken_file_is_said_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{\"Mac\": 3}").unwrap();
        let (mut probes, complaint) = Probes::open(dir.path());
        assert!(complaint.unwrap().contains(FILE));
        probes.put("m", report(Verdict::Unknown { why: String::new() })).unwrap();
        assert_eq!(Probes::open(dir.path()).1, None);
    }
}
