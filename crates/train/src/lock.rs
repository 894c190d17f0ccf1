//! One writer a run folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::checkpoint::CheckpointError;

/// Held while this process may write to a run folder. The system releases it however the process ends; the file stays, for
/// removing it would race with the next holder.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    file: File,
}

impl RunLock {
    /// Takes `run_dir/.lock`, or says which process has it. The folder must exist.
    ///
    /// # Errors
    /// `Locked`, `Create` and `Io`.
    pub fn acquire(run_dir: &Path) -> Result<RunLock, CheckpointError> {
        let path = run_dir.join(".lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|e| CheckpointError::create(&path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CheckpointError::Locked { pid: holder(&mut file), path }),
            Err(TryLockError::Error(e)) => return Err(CheckpointError::io(&path, "locking", e)),
        }
        let id = format!("{}\n", std::process::id());
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(id.as_bytes()));
        written.map_err(|e| CheckpointError::io(&path, "writing", e))?;
        Ok(RunLock { path, file })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // a stale number would name a stranger; the lock itself goes with the handle
        let _ = self.file.set_len(0);
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_second_writer_is_told_who_holds_the_run_and_the_next_may_follow() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunLock::acquire(dir.path()).unwrap();
        let refused = RunLock::acquire(dir.path()).unwrap_err();
        assert_eq!(refused.exit_code(), 73);
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        drop(RunLock::acquire(dir.path()).unwrap());
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_locked() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(RunLock::acquire(&dir.path().join("none")).unwrap_err().exit_code(), 73);
    }
}
