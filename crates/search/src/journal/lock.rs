//! The lock of Optuna's journal: a symbolic link (or, by its other lock, a new file) called `FILE.lock`. It is given back by
//! renaming and removing it, so that of two who find it stale only one removes it. One that stays the same for the grace,
//! while the journal does not change either, belongs to a dead process.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::SearchError;

/// Which of Optuna's two locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// `JournalFileSymlinkLock`, its default.
    Symlink,
    /// `JournalFileOpenLock`.
    Open,
}

/// The lock while it is held; given back when dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
}

impl Lock {
    /// Waits for the lock of the journal at `journal`.
    ///
    /// # Errors
    /// What the file system says, other than that it is taken.
    pub fn acquire(journal: &Path, kind: LockKind, grace: Duration) -> Result<Lock, SearchError> {
        let path = beside(journal, ".lock");
        let mut wait = Duration::from_millis(1);
        let mut seen = (fingerprint(&path, journal), Instant::now());
        loop {
            match take(journal, &path, kind) {
                Ok(()) => return Ok(Lock { path }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(SearchError::io(&path)(e)),
            }
            let now = fingerprint(&path, journal);
            if now != seen.0 {
                seen = (now, Instant::now());
            } else if seen.1.elapsed() > grace {
                give_back(&path);
                (wait, seen.1) = (Duration::from_millis(1), Instant::now());
                continue;
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_millis(100));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        give_back(&self.path);
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(unix)]
fn take(journal: &Path, lock: &Path, kind: LockKind) -> std::io::Result<()> {
    match kind {
        LockKind::Symlink => std::os::unix::fs::symlink(journal, lock),
        LockKind::Open => fs::OpenOptions::new().write(true).create_new(true).open(lock).map(drop),
    }
}

#[cfg(not(unix))]
fn take(_journal: &Path, lock: &Path, _kind: LockKind) -> std::io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).open(lock).map(drop)
}

type Fingerprint = (Option<SystemTime>, Option<(u64, Option<SystemTime>)>);

/// What changes when the lock changes hands or its holder writes.
fn fingerprint(lock: &Path, journal: &Path) -> Fingerprint {
    let held = fs::symlink_metadata(lock).and_then(|m| m.modified()).ok();
    let written = fs::metadata(journal).ok().map(|m| (m.len(), m.modified().ok()));
    (held, written)
}

fn give_back(lock: &Path) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let away = beside(lock, &format!("{}-{n}.rename", std::process::id()));
    if fs::rename(lock, &away).is_ok() {
        // if it stays, it is in nobody's way
        let _ = fs::remove_file(&away);
    }
}
