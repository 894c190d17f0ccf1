//! What can go wrong in this crate outside the checkpoint store.

use std::path::{Path, PathBuf};

/// Why a part of the training machinery refused.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file could not be written or read.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A word that names no known value.
    #[error("{what} `{found}`: expected {expected}")]
    Parse {
        /// What was being read.
        what: &'static str,
        /// The text.
        found: String,
        /// What it should look like.
        expected: &'static str,
    },
    /// The engine refused a batch.
    #[error(transparent)]
    Engine(#[from] engine::EngineError),
    /// The loss or the gradient stayed NaN or infinite, however often the run went back.
    #[error("diverged at step {step}: the {what:?} is not finite, and going back did not help; lower the learning rate",
        step = .0.step, what = .0.what)]
    Diverged(crate::guard::Incident),
}

impl TrainError {
    /// Wraps an I/O error with its file and the verb that failed.
    pub(crate) fn io(path: &Path, action: &'static str, source: std::io::Error) -> TrainError {
        TrainError::Io { path: path.to_path_buf(), action, source }
    }

    /// Exit code of the program that ends for this reason.
    pub fn exit_code(&self) -> u8 {
        match self {
            TrainError::Io { action: "create", .. } => 73,
            TrainError::Io { .. } => 74,
            TrainError::Parse { .. } => 2,
            TrainError::Engine(_) => 70,
            TrainError::Diverged(_) => 75,
        }
    }
}
