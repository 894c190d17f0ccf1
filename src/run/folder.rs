//! The run folder: made once, locked by its writer, opened again to resume.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use data::VocabMap;
use serde_json::json;
use train::checkpoint::{CheckpointStore, Loaded};
use train::lock::RunLock;

use crate::config::{RESOLVED_FILE, Resolved};
use crate::exit::{self, Exit};
use crate::wire::Wired;

/// Everything that a run may put into its folder: what `--overwrite` may remove.
const OURS: [&str; 15] = [
    RESOLVED_FILE,
    "config.resolved.toml.tmp",
    "environment.json",
    "data.manifest.json",
    "vocab.json",
    "events.jsonl",
    "trajectory.bin",
    "efficiency.json",
    "tensorboard",
    "samples",
    "report.html",
    "checkpoints",
    "diverged",
    "README.md",
    ".lock",
];

/// A run folder that this process may write to.
pub struct RunFolder {
    /// Its path.
    pub path: PathBuf,
    /// Its checkpoints.
    pub store: CheckpointStore,
    _lock: RunLock,
}

impl RunFolder {
    /// Makes the folder of a new run. A folder with something in it is refused; with `overwrite` it is emptied, unless
    /// there is something in it that no run wrote.
    ///
    /// # Errors
    /// 73 when the folder is in use or cannot be written.
    pub fn create(path: &Path, overwrite: bool) -> anyhow::Result<RunFolder> {
        fs::create_dir_all(path).map_err(|e| Exit::new(exit::CANNOT_WRITE, format!("{}: cannot create: {e}", path.display())))?;
        let names = RunFolder::check(path, overwrite)?;
        let lock = RunLock::acquire(path)?;
        for name in names.iter().filter(|n| *n != ".lock") {
            let entry = path.join(name);
            let removed = if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
            removed.with_context(|| format!("{}: cannot remove", entry.display()))?;
        }
        let store = CheckpointStore::open(&path.join("checkpoints"))?;
        Ok(RunFolder { path: path.to_owned(), store, _lock: lock })
    }

    /// Whether a new run may have the folder, before anything is done for it; gives what is in it.
    ///
    /// # Errors
    /// 73 when there is something that may not be replaced.
    pub fn check(path: &Path, overwrite: bool) -> anyhow::Result<Vec<String>> {
        if !path.exists() {
            return Ok(Vec::new());
        }
        if !path.is_dir() {
            let what = format!("{}: is a file; a run needs a folder: name another with --out", path.display());
            return Err(Exit::new(exit::CANNOT_WRITE, what).into());
        }
        let names = entries(path)?;
        let foreign = names.iter().find(|n| !OURS.contains(&n.as_str()));
        let used = names.iter().any(|n| n != ".lock");
        if used && (!overwrite || foreign.is_some()) {
            let what = foreign.map_or_else(String::new, |n| format!(" (and `{n}` is of no run)"));
            let next =
                format!("go on with --resume {0}, replace it with --overwrite, or name another with --out", path.display());
            return Err(Exit::new(exit::CANNOT_WRITE, format!("{} is not empty{what}; {next}", path.display())).into());
        }
        Ok(names)
    }

    /// Opens the folder of a run that is continued.
    ///
    /// # Errors
    /// 73 when another process writes to it.
    pub fn resume(path: &Path) -> anyhow::Result<RunFolder> {
        let lock = RunLock::acquire(path)?;
        let store = CheckpointStore::open(&path.join("checkpoints"))?;
        Ok(RunFolder { path: path.to_owned(), store, _lock: lock })
    }

    /// The newest whole checkpoint; none when nothing was saved yet.
    ///
    /// # Errors
    /// 65 when there are checkpoints and each is damaged.
    pub fn last(&self) -> anyhow::Result<Option<Loaded>> {
        if self.store.steps()?.is_empty() {
            Ok(None)
        } else {
            Ok(Some(self.store.load_last().map_err(|e| crate::place::none_whole(&self.path, e))?))
        }
    }

    /// Makes `best` name what the state in `checkpoint` calls the best: a kill may have come between the two.
    ///
    /// # Errors
    /// Those of the state and of the link.
    pub fn mend_best(&self, checkpoint: &Path) -> anyhow::Result<()> {
        let best = super::read_state(checkpoint)?.progress.best.map(|b| b.step);
        if let Some(step) = best.filter(|s| self.store.best() != Some(*s) && self.store.path_of(*s).is_dir()) {
            self.store.set_best(step)?;
        }
        Ok(())
    }

    /// The vocabulary map of the run, if it has one.
    ///
    /// # Errors
    /// 65 when it is damaged.
    pub fn vocab(&self) -> anyhow::Result<Option<VocabMap>> {
        let path = self.path.join("vocab.json");
        if !path.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Some(VocabMap::from_json(&text, &path)?))
    }

    /// Writes what describes the run; the configuration comes last, so that a folder that has it is complete.
    ///
    /// # Errors
    /// 73 and 74.
    pub fn describe(&self, resolved: &Resolved, wired: &Wired, cpu: &kernels::Cpu) -> anyhow::Result<()> {
        self.write("environment.json", &format!("{:#}\n", environment(cpu)))?;
        let data = &wired.data;
        let manifest = json!({
            "data": resolved.config.data,
            "file": data.tokens().path(),
            "tokens": data.tokens().len(),
            "width": data.tokens().width().bytes(),
            "full_vocab": data.vocab().full_vocab,
            "trained_ids": data.vocab().len(),
            "tokens_sha256": tokens_sha256(wired)?,
            "mask_sha256": mask_sha256(wired)?,
            "tokenizer_sha256": data.tokenizer().map(|t| t.sha256()),
            "manifest": data.manifest(),
        });
        self.write("data.manifest.json", &format!("{manifest:#}\n"))?;
        self.write("vocab.json", &data.vocab().to_json())?;
        self.write_config(resolved)
    }

    /// Writes the configuration: at once, or not at all.
    fn write_config(&self, resolved: &Resolved) -> anyhow::Result<()> {
        let temporary = format!("{RESOLVED_FILE}.tmp");
        self.write(&temporary, &resolved.to_toml())?;
        let (from, to) = (self.path.join(&temporary), self.path.join(RESOLVED_FILE));
        fs::rename(&from, &to).with_context(|| format!("{}: cannot rename", from.display()))
    }

    /// Holds the data of a run that is continued against what it was.
    ///
    /// # Errors
    /// 65 when it has changed; 74.
    pub fn check_data(&self, wired: &Wired) -> anyhow::Result<()> {
        let path = self.path.join("data.manifest.json");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let before: serde_json::Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let now = json!({
            "tokens_sha256": tokens_sha256(wired)?,
            "mask_sha256": mask_sha256(wired)?,
            "tokenizer_sha256": wired.data.tokenizer().map(|t| t.sha256()),
        });
        for key in ["tokenizer_sha256", "tokens_sha256", "mask_sha256"] {
            if before[key] != now[key] {
                let file = wired.data.tokens().path().display();
                let why = format!("{file}: expected the data of the run ({key} {}), found {}", before[key], now[key]);
                let next = "bring the old data back, or start a new run from its checkpoint";
                return Err(Exit::new(exit::BAD_DATA, format!("{why}; {next}")).into());
            }
        }
        Ok(())
    }

    /// Writes down what a run that is continued was asked for beside `--resume`, so that the next resume knows it too.
    ///
    /// # Errors
    /// 73 and 74.
    pub fn continue_with(&self, resolved: &Resolved, cpu: &kernels::Cpu) -> anyhow::Result<()> {
        self.write("environment.json", &format!("{:#}\n", environment(cpu)))?;
        self.write_config(resolved)
    }

    /// Writes a small text file.
    ///
    /// # Errors
    /// 73 and 74.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let put = fs::File::create(&path).and_then(|mut f| {
            std::io::Write::write_all(&mut f, text.as_bytes())?;
            f.sync_all()
        });
        put.map_err(|e| Exit::new(exit::code_of_io(&e), format!("{}: cannot write: {e}", path.display())).into())
    }

    /// `path` relative to the run folder, for records that survive a move.
    pub fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.path).unwrap_or(path).to_string_lossy().into_owned()
    }
}

fn entries(path: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Hash of the tokens: that of the prepared folder, which is checked, or of the raw file.
fn tokens_sha256(wired: &Wired) -> anyhow::Result<String> {
    hash_as_in(wired.data.tokens().path(), wired.data.manifest().map(|m| m.tokens_sha256.as_str()))
}

/// Hash of the mask of a prepared folder that has one.
fn mask_sha256(wired: &Wired) -> anyhow::Result<Option<String>> {
    let Some(mask) = wired.data.manifest().and_then(|m| m.mask.as_ref()) else { return Ok(None) };
    hash_as_in(&wired.data.tokens().path().with_file_name("mask.bin"), Some(&mask.sha256)).map(Some)
}

/// Hash of a file, which is that of `manifest` if there is one.
fn hash_as_in(path: &Path, manifest: Option<&str>) -> anyhow::Result<String> {
    let found = data::sha256_file(path)?;
    match manifest {
        Some(wanted) if wanted != found => {
            let why = format!("{}: expected sha256 {wanted} as in manifest.json, found {found}", path.display());
            Err(Exit::new(exit::BAD_DATA, format!("{why}; prepare the data again")).into())
        }
        _ => Ok(found),
    }
}

fn environment(cpu: &kernels::Cpu) -> serde_json::Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("AUTOANE_BUILD_COMMIT"),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "cpu": meter::cpu_name(),
        "cpus": meter::logical_cpus(),
        "threads": cpu.pool().threads(),
        "isa": cpu.isa().name(),
        "memory_bytes": meter::total_memory(),
        "load_average": meter::load_average(),
    })
}
