//! [`FormatError`]: what can be wrong with a file, and the exit code that says so.

use std::io;
use std::path::{Path, PathBuf};

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A file or folder that should be there is not.
    #[error("{}: not found; expected {expected}", .path.display())]
    Missing {
        /// The path that was looked for.
        path: PathBuf,
        /// What should have been there.
        expected: String,
    },
    /// The content is not what the format or the model allows.
    #[error("{}: {at}: found {found}; expected {expected}", .path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Key, offset or tensor.
        at: String,
        /// What is there.
        found: String,
        /// What should be there, or what to do.
        expected: String,
    },
    /// The content is sound, and asks for something that this program does not do.
    #[error("{}: {at}: {found} is not supported; {supported}", .path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Key or tensor.
        at: String,
        /// What is there.
        found: String,
        /// What would be taken.
        supported: String,
    },
    /// The model cannot be said in the target format.
    #[error("cannot write the model: {at} = {found}: {why}")]
    Inexpressible {
        /// Field of the spec, tensor, or argument.
        at: String,
        /// Its value.
        found: String,
        /// Why not, and what to do.
        why: String,
    },
    /// A file or folder cannot be created.
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

impl FormatError {
    /// Exit code of a program that ends with this error: 65 bad data, 66 input missing, 73 cannot create, 74 I/O.
    pub fn exit_code(&self) -> u8 {
        match self {
            FormatError::Bad { .. } | FormatError::Unsupported { .. } | FormatError::Inexpressible { .. } => 65,
            FormatError::Missing { .. } => 66,
            FormatError::Create { .. } => 73,
            FormatError::Io { .. } => 74,
        }
    }

    pub(crate) fn bad(path: &Path, at: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) -> Self {
        FormatError::Bad { path: path.into(), at: at.into(), found: found.into(), expected: expected.into() }
    }

    /// The same error, at a nearer place.
    pub(crate) fn within(mut self, place: &str) -> FormatError {
        if let FormatError::Bad { at, .. } = &mut self {
            *at = format!("{at}, {place}");
        }
        self
    }

    pub(crate) fn unsupported(
        path: &Path,
        at: impl Into<String>,
        found: impl Into<String>,
        supported: impl Into<String>,
    ) -> Self {
        FormatError::Unsupported { path: path.into(), at: at.into(), found: found.into(), supported: supported.into() }
    }

    pub(crate) fn inexpressible(at: impl Into<String>, found: impl Into<String>, why: impl Into<String>) -> Self {
        FormatError::Inexpressible { at: at.into(), found: found.into(), why: why.into() }
    }

    /// An error of reading: a file that is not there is missing, all else is I/O.
    pub(crate) fn read(path: &Path, expected: &str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => FormatError::Missing { path: path.into(), expected: expected.into() },
            io::ErrorKind::UnexpectedEof => FormatError::bad(path, "end of file", "fewer bytes than before", expected),
            _ => FormatError::Io { path: path.into(), doing: "reading", source },
        }
    }

    /// An error of creating a file: a full disk is I/O, all else is the place.
    pub(crate) fn create(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FormatError::write(path, source),
            _ => FormatError::Create { path: path.into(), source },
        }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        FormatError::Io { path: path.into(), doing: "writing", source }
    }
}

/// Text from a file as an error message may show it: quoted, without control characters, short.
pub(crate) fn shown(text: &str) -> String {
    format!("`{}`", clip(text, 80))
}

/// A parser's message, which may quote the file.
pub(crate) fn clean(text: &str) -> String {
    clip(text, 240)
}

fn clip(text: &str, limit: usize) -> String {
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let mut out: String = text.chars().take(limit).map(plain).collect();
    if text.chars().nth(limit).is_some() {
        out.push_str("...");
    }
    out
}
