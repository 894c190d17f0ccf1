//! [`CheckpointStore`]: the folder of a run's checkpoints.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::sync_dir;
use super::error::CheckpointError;
use super::manifest;

/// Prefix of what is not finished; anything so called is removed when a writer opens the folder.
const TEMPORARY: &str = ".tmp-";
/// Prefix of a checkpoint that is being replaced by another of the same step.
const REPLACED: &str = ".old-";

/// A folder of checkpoints. Only one process may write to it ([`crate::lock::RunLock`]).
#[derive(Debug)]
pub struct CheckpointStore {
    pub(super) dir: PathBuf,
    /// Steps that this process wrote and synced.
    pub(super) good: BTreeSet<u64>,
    /// Called at named points of a save, for tests that end the process there: `file-written`, `manifest`, `before-rename`,
    /// `after-rename`, `before-last`.
    pub hook: Option<fn(&'static str)>,
}

impl CheckpointStore {
    /// Opens the folder for writing: makes it, and clears away what an interrupted process left.
    ///
    /// # Errors
    /// `Create` and `Io`.
    pub fn open(dir: &Path) -> Result<CheckpointStore, CheckpointError> {
        fs::create_dir_all(dir).map_err(|e| CheckpointError::create(dir, e))?;
        let store = CheckpointStore::view(dir);
        store.sweep()?;
        Ok(store)
    }

    /// The folder for reading; nothing is touched.
    pub fn view(dir: &Path) -> CheckpointStore {
        CheckpointStore { dir: dir.into(), good: BTreeSet::new(), hook: None }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the checkpoint of `step` is, or would be.
    pub fn path_of(&self, step: u64) -> PathBuf {
        self.dir.join(name_of(step))
    }

    /// Steps that have a folder, ascending. Whether they are whole only [`super::verify`] knows.
    ///
    /// # Errors
    /// `Io`.
    pub fn steps(&self) -> Result<Vec<u64>, CheckpointError> {
        let names = self.names()?;
        let mut steps: Vec<u64> = names.iter().filter_map(|n| step_of(n)).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// The step that the link `last` names, whether or not it is there.
    pub fn last(&self) -> Option<u64> {
        self.pointer("last")
    }

    /// The step that the link `best` names, whether or not it is there.
    pub fn best(&self) -> Option<u64> {
        self.pointer("best")
    }

    /// Writes the checkpoint of `step`: `write` fills the folder that it is given. When this returns, the checkpoint is on
    /// the disk and `last` names it; when it fails, all earlier checkpoints and links are as they were.
    ///
    /// # Errors
    /// Those of `write`, and `Create` (73) or `Io` (74).
    pub fn save<E: From<CheckpointError>>(
        &mut self,
        step: u64,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let temporary = self.dir.join(format!("{TEMPORARY}{step}-{}", std::process::id()));
        remove(&temporary)?;
        fs::create_dir(&temporary).map_err(|e| CheckpointError::create(&temporary, e))?;
        let filled = write(&temporary).and_then(|()| {
            self.at("file-written");
            Ok(manifest::seal(&temporary)?)
        });
        let placed = filled.and_then(|()| {
            self.at("manifest");
            Ok(self.place(step, &temporary)?)
        });
        if placed.is_err() {
            // the error that is returned matters more than what is left behind
            let _ = fs::remove_dir_all(&temporary);
        }
        placed?;
        self.good.insert(step);
        self.at("before-last");
        self.point("last", step)?;
        Ok(self.path_of(step))
    }

    /// Makes `best` name the checkpoint of `step`.
    ///
    /// # Errors
    /// `Missing` when there is none, `Create`, `Io`.
    pub fn set_best(&self, step: u64) -> Result<(), CheckpointError> {
        let path = self.path_of(step);
        if !path.is_dir() {
            return Err(CheckpointError::Missing { path, expected: "the checkpoint to mark as best" });
        }
        self.point("best", step)
    }

    /// Renames `temporary` to the folder of `step`. One that is already there stays under another name until the new one
    /// is in place.
    fn place(&self, step: u64, temporary: &Path) -> Result<(), CheckpointError> {
        let (target, replaced) = (self.path_of(step), self.dir.join(format!("{REPLACED}{}", name_of(step))));
        if target.exists() {
            remove(&replaced)?;
            fs::rename(&target, &replaced).map_err(|e| CheckpointError::create(&replaced, e))?;
        }
        self.at("before-rename");
        if let Err(e) = fs::rename(temporary, &target) {
            // put the old one back; if that fails too, the next `open` does it
            let _ = fs::rename(&replaced, &target);
            return Err(CheckpointError::create(&target, e));
        }
        sync_dir(&self.dir)?;
        self.at("after-rename");
        remove(&replaced)
    }

    /// Clears away temporary folders; puts back a checkpoint whose replacement never came.
    fn sweep(&self) -> Result<(), CheckpointError> {
        for name in self.names()? {
            let path = self.dir.join(&name);
            if name.starts_with(TEMPORARY) {
                remove(&path)?;
            } else if let Some(step) = name.strip_prefix(REPLACED).and_then(step_of) {
                let target = self.path_of(step);
                if target.exists() {
                    remove(&path)?;
                } else {
                    fs::rename(&path, &target).map_err(|e| CheckpointError::create(&target, e))?;
                }
            }
        }
        Ok(())
    }

    /// Removes the checkpoint of `step`; a kill on the way leaves no half of it under its name.
    pub(super) fn remove_step(&mut self, step: u64) -> Result<(), CheckpointError> {
        let (path, doomed) = (self.path_of(step), self.dir.join(format!("{TEMPORARY}pruned-{step}")));
        remove(&doomed)?;
        fs::rename(&path, &doomed).map_err(|e| CheckpointError::io(&path, "removing", e))?;
        self.good.remove(&step);
        remove(&doomed)
    }

    fn pointer(&self, name: &str) -> Option<u64> {
        let target = fs::read_link(self.dir.join(name)).ok()?;
        step_of(target.to_str()?)
    }

    /// Replaces the link `name` by one to the folder of `step`.
    fn point(&self, name: &str, step: u64) -> Result<(), CheckpointError> {
        let (link, temporary) = (self.dir.join(name), self.dir.join(format!("{TEMPORARY}{name}-{}", std::process::id())));
        remove(&temporary)?;
        std::os::unix::fs::symlink(name_of(step), &temporary).map_err(|e| CheckpointError::create(&temporary, e))?;
        fs::rename(&temporary, &link).map_err(|e| CheckpointError::create(&link, e))?;
        sync_dir(&self.dir)
    }

    fn names(&self) -> Result<Vec<String>, CheckpointError> {
        let failed = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => {
                CheckpointError::Missing { path: self.dir.clone(), expected: "the folder of a run's checkpoints" }
            }
            _ => CheckpointError::io(&self.dir, "reading", e),
        };
        let entries: Vec<_> = fs::read_dir(&self.dir).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
        Ok(entries.iter().filter_map(|e| e.file_name().into_string().ok()).collect())
    }

    fn at(&self, point: &'static str) {
        if let Some(hook) = self.hook {
            hook(point);
        }
    }
}

fn name_of(step: u64) -> String {
    format!("step-{step:08}")
}

/// The step of a folder name, if it is the one that [`name_of`] gives.
fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (name_of(step) == name).then_some(step)
}

/// Removes a file, link or folder, if it is there.
fn remove(path: &Path) -> Result<(), CheckpointError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => Err(e),
    };
    removed.map_err(|e| CheckpointError::io(path, "removing", e))
}
