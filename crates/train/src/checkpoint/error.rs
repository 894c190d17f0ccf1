//! [`CheckpointError`].

use std::io;
use std::path::{Path, PathBuf};

/// A checkpoint that was passed over, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Nothing is there.
    #[error("{}: not found; expected {expected}", .path.display())]
    Missing {
        /// The path.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// A checkpoint is not what its manifest says.
    #[error("{}: {found}; expected {expected}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// There are checkpoints, and not one is whole.
    #[error("{}: no checkpoint is whole: {}", .path.display(), list(.skipped))]
    NoneWhole {
        /// The folder of the checkpoints.
        path: PathBuf,
        /// All of them, newest first.
        skipped: Vec<Skipped>,
    },
    /// Another process writes to this run.
    #[error("{}: held by {}; wait for it or stop it", .path.display(), holder(.pid))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process, when the file says it.
        pid: Option<u32>,
    },
    /// A file or folder cannot be created or put in its place.
    #[error("{}: cannot create: {source}", .path.display())]
    Create {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading or writing failed on the way (also: the disk is full).
    #[error("{}: {doing}: {source}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

fn list(skipped: &[Skipped]) -> String {
    let lines: Vec<_> = skipped.iter().map(|s| format!("{} ({})", s.path.display(), s.reason)).collect();
    lines.join("; ")
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

impl CheckpointError {
    /// Exit code of a program that ends with this error: 65 corrupt, 66 missing, 73 cannot create or locked, 74 I/O.
    pub fn exit_code(&self) -> u8 {
        match self {
            CheckpointError::Corrupt { .. } | CheckpointError::NoneWhole { .. } => 65,
            CheckpointError::Missing { .. } => 66,
            CheckpointError::Locked { .. } | CheckpointError::Create { .. } => 73,
            CheckpointError::Io { .. } => 74,
        }
    }

    pub(crate) fn corrupt(path: &Path, found: impl Into<String>, expected: impl Into<String>) -> Self {
        CheckpointError::Corrupt { path: path.into(), found: found.into(), expected: expected.into() }
    }

    pub(crate) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        CheckpointError::Io { path: path.into(), doing, source }
    }

    /// A failed creation: of a full disk it is I/O, else the place.
    pub(crate) fn create(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CheckpointError::io(path, "writing", source),
            _ => CheckpointError::Create { path: path.into(), source },
        }
    }
}
