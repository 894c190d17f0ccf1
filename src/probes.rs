//! What was found out about kernels, kept in the user's cache: for each Mac and build of its system, the last probe of all of
//! them, and each program that training tried. What another version of this program found is not believed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ane::probe::{KernelProbe, ProbeReport, Verdict};
use ane_macos::Info;
use serde::{Deserialize, Serialize};

use crate::exit::{self, Exit};

/// Of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Name of the file in the cache.
const FILE: &str = "ane-probes.json";

/// What is known of one machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this program.
    pub version: String,
    /// When it was last changed, in seconds since 1970.
    pub unix_seconds: u64,
    /// The last probe of all kernels.
    #[serde(default)]
    pub report: Option<ProbeReport>,
    /// Programs that training tried, by the digest of their text.
    #[serde(default)]
    pub programs: BTreeMap<String, KernelProbe>,
}

impl Record {
    /// The verdict on the kernel `name` of the set that probes call `label`: a failure of the probe of all kernels, or how
    /// this very program went.
    pub fn verdict(&self, label: &str, name: &str, digest: &str) -> Option<Verdict> {
        let probed = self.report.iter().flat_map(|r| &r.kernels).find(|k| k.name == format!("{label}/{name}"));
        let failed = probed.filter(|k| matches!(k.verdict, Verdict::Differs { .. } | Verdict::Failed { .. }));
        failed.or_else(|| self.programs.get(digest)).map(|k| k.verdict.clone())
    }
}

/// What probes of the simulator are kept under.
pub const SIMULATOR: &str = "simulator";

/// A Mac and the build of its system: a probe holds for both.
pub fn machine(info: &Info) -> String {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    format!("{} {}", known(&info.model), known(&info.build))
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

    /// What this version knows of `machine`.
    pub fn get(&self, machine: &str) -> Option<&Record> {
        self.records.get(machine).filter(|r| r.version == VERSION)
    }

    /// Keeps `report`, in place of all that was known of `machine`.
    ///
    /// # Errors
    /// 73 when the file cannot be written.
    pub fn put(&mut self, machine: &str, report: ProbeReport) -> anyhow::Result<()> {
        self.records.insert(machine.to_owned(), Record { report: Some(report), ..Record::default() });
        self.write(machine)
    }

    /// Keeps how the program of this digest went on `machine`.
    ///
    /// # Errors
    /// 73 when the file cannot be written.
    pub fn keep(&mut self, machine: &str, digest: &str, probe: KernelProbe) -> anyhow::Result<()> {
        let record = self.records.entry(machine.to_owned()).or_default();
        if record.version != VERSION {
            *record = Record::default();
        }
        record.programs.insert(digest.to_owned(), probe);
        self.write(machine)
    }

    fn write(&mut self, machine: &str) -> anyhow::Result<()> {
        if let Some(record) = self.records.get_mut(machine) {
            record.version = VERSION.to_owned();
            record.unix_seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        }
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
            assert_eq!(probes.get(&format!("Mac16,{i} 25A354")).unwrap().report, Some(report(verdict.clone())));
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

    #[test]
    fn a_program_that_was_tried_is_known_until_all_is_probed_anew() {
        let dir = tempfile::tempdir().unwrap();
        let passed = Verdict::Passed { error: 0.001, seconds: 2e-4 };
        let tried = KernelProbe { name: "static/ffn_bwd".to_owned(), verdict: passed.clone() };
        let known = |name| Probes::open(dir.path()).0.get("m").and_then(|r| r.verdict("static", name, "abc"));
        Probes::open(dir.path()).0.keep("m", "abc", tried).unwrap();
        assert_eq!(known("ffn_bwd"), Some(passed));
        let failed = Verdict::Failed { why: "no".to_owned() };
        Probes::open(dir.path()).0.put("m", report(failed.clone())).unwrap();
        assert_eq!((known("ffn_bwd"), known("fwd_ffn")), (Some(failed), None));
        let old = fs::read_to_string(dir.path().join(FILE)).unwrap().replace(VERSION, "0.0.0");
        fs::write(dir.path().join(FILE), old).unwrap();
        assert_eq!(known("ffn_bwd"), None, "what another version found is not believed");
    }
}
