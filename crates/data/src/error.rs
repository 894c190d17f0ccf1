//! What can go wrong with data, and the exit code of each.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// `std::result::Result` with [`DataError`].
pub type Result<T> = std::result::Result<T, DataError>;

/// Where in a file a defect was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A line, counted from 1.
    Line(u64),
    /// A byte offset, counted from 0 (in the unpacked text of a `.gz`).
    Byte(u64),
    /// A token, counted from 0, and the byte offset where it starts.
    Token {
        /// Index of the token.
        index: u64,
        /// Byte offset of the token.
        byte: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File => Ok(()),
            Place::Line(line) => write!(f, ", line {line}"),
            Place::Byte(byte) => write!(f, ", byte offset {byte}"),
            Place::Token { index, byte } => write!(f, ", token {index} (byte offset {byte})"),
        }
    }
}

/// Errors of this crate. [`DataError::exit_code`] gives the process exit code that belongs to each.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// An input does not exist (66).
    #[error("{}: not found: {hint}", path.display())]
    Missing {
        /// The path that was asked for.
        path: PathBuf,
        /// What to do next.
        hint: String,
    },
    /// An input exists and is not what it should be (65).
    #[error("{}{place}: expected {expected}, found {found}", path.display())]
    Bad {
        /// The offending file.
        path: PathBuf,
        /// Where in the file.
        place: Place,
        /// What a good file has there.
        expected: String,
        /// What is there, and what to do next.
        found: String,
    },
    /// Reading or writing failed, the disk being full included (74).
    #[error("{}: {action}: {source}{}", path.display(), full_hint(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// An output cannot be created (73).
    #[error("{}: cannot write: {reason}", path.display())]
    CannotWrite {
        /// The output.
        path: PathBuf,
        /// Why, and what to do next.
        reason: String,
    },
    /// The request makes no sense (2).
    #[error("{0}")]
    Usage(String),
}

fn full_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => " (free some space, then start again)",
        _ => "",
    }
}

/// Characters of a file that a message shows.
const QUOTED: usize = 600;

fn plain(text: &str) -> String {
    let escape = |c: char| if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.to_string() };
    let cut = if text.chars().nth(QUOTED).is_some() { "..." } else { "" };
    text.chars().take(QUOTED).map(escape).chain([cut.to_string()]).collect()
}

impl DataError {
    /// The exit code of the command line that belongs to this error: 2, 65, 66, 73 or 74.
    pub fn exit_code(&self) -> u8 {
        match self {
            DataError::Usage(_) => 2,
            DataError::Bad { .. } => 65,
            DataError::Missing { .. } => 66,
            DataError::CannotWrite { .. } => 73,
            DataError::Io { .. } => 74,
        }
    }

    /// A defect of `path`. Both may quote a file: they are cut, and control characters are escaped.
    pub fn bad(path: &Path, place: Place, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let (expected, found) = (plain(&expected.into()), plain(&found.into()));
        DataError::Bad { path: path.to_path_buf(), place, expected, found }
    }

    /// The error of an input that could not be opened or read.
    pub fn reading(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => DataError::Missing { path: path.to_path_buf(), hint: "check the path".to_string() },
            _ => DataError::Io { path: path.to_path_buf(), action: "cannot read", source },
        }
    }

    /// The error of an output that could not be created, written or renamed.
    pub fn writing(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind as K;
        match source.kind() {
            K::NotFound | K::PermissionDenied | K::ReadOnlyFilesystem | K::NotADirectory | K::AlreadyExists | K::IsADirectory => {
                DataError::CannotWrite { path: path.to_path_buf(), reason: source.to_string() }
            }
            _ => DataError::Io { path: path.to_path_buf(), action: "cannot write", source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_quotes_little_of_a_hostile_file() {
        let error = DataError::bad(
            Path::new("m.json"),
            Place::File,
            "a width",
            "unknown variant `\u{1b}[2J".to_string() + &"x".repeat(1 << 20),
        );
        let message = error.to_string();
        let sum = DataError::bad(Path::new("m.json"), Place::File, "sha256 a\0b", "c");
        assert!(!sum.to_string().contains('\0'), "{sum}");
        assert!(message.len() < 1000 && message.ends_with("...") && !message.contains('\u{1b}'), "{message:.200}");
    }
}
