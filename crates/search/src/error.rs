//! What can go wrong in a study.

use std::path::PathBuf;

/// An error of a study.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// A parameter of a space that cannot be read.
    #[error("--param {text}: {why}; expected NAME=LOW..HIGH, NAME=LOW..HIGH:log, NAME=LOW..HIGH:STEP or NAME=a|b|c")]
    Param {
        /// What was typed.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A configuration that the space does not hold.
    #[error("{0}")]
    Value(String),
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of a journal that is none.
    #[error("{path}: line {line}: expected a JSON object of Optuna's journal, found {found}; restore the file from a copy")]
    Line {
        /// Which journal.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What stands there.
        found: String,
    },
    /// A journal without the study.
    #[error("{path}: no study named `{name}` in this journal; `search new` makes one")]
    NoStudy {
        /// Which journal.
        path: PathBuf,
        /// What was looked for.
        name: String,
    },
    /// A description of a study that is none.
    #[error("{path}: line {line}, column {column}: {why}")]
    Study {
        /// Which file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
        /// What was expected.
        why: String,
    },
    /// Git refused, or the tree is not clean.
    #[error("git: {0}")]
    Git(String),
}

impl SearchError {
    /// An I/O error of `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> SearchError {
        let path = path.into();
        move |source| SearchError::Io { path, source }
    }

    /// Exit code of a program that ends with it.
    pub fn exit_code(&self) -> u8 {
        match self {
            SearchError::Param { .. } | SearchError::Value(_) => 2,
            SearchError::Line { .. } | SearchError::Study { .. } | SearchError::NoStudy { .. } => 65,
            SearchError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => 66,
            SearchError::Io { .. } => 74,
            SearchError::Git(_) => 1,
        }
    }
}
