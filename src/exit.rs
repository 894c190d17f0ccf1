//! How the program ends: which error gives which exit code, and what a panic turns into.

use std::fmt;
use std::io::ErrorKind;

/// A bug: a panic, or a state that cannot be.
pub const INTERNAL: u8 = 70;
/// Something went wrong while running.
pub const FAILURE: u8 = 1;
/// What was typed makes no sense.
pub const USAGE: u8 = 2;
/// A data or model file is bad.
pub const BAD_DATA: u8 = 65;
/// A file that was named is not there.
pub const MISSING: u8 = 66;
/// A device, a service or the network is not there.
pub const UNAVAILABLE: u8 = 69;
/// Output cannot be created.
pub const CANNOT_WRITE: u8 = 73;
/// Reading or writing failed midway, or the disk is full.
pub const IO: u8 = 74;
/// Training diverged.
pub const DIVERGED: u8 = 75;

/// An error that says which exit code the process ends with.
#[derive(Debug)]
pub struct Exit {
    /// Exit code of the process.
    pub code: u8,
    /// What happened, and what to do next.
    pub message: String,
}

impl Exit {
    /// An error with `code`; `message` says what was expected, what was found, and what to do next.
    pub fn new(code: u8, message: impl Into<String>) -> Exit {
        Exit { code, message: message.into() }
    }
}

/// What was typed makes no sense: exit code 2.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Exit::new(USAGE, message).into()
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exit {}

/// Ends the process if this is the point that `AUTOANE_CRASH_AT` names: how the kill tests reach between two writes.
pub fn crash_at(point: &str) {
    if std::env::var("AUTOANE_CRASH_AT").as_deref() == Ok(point) {
        std::process::abort();
    }
}

/// The error and its causes in one line; a cause that the message before it has already told is left out.
pub fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The exit code that `error` asks for; 1 when nothing in its chain does.
pub fn code_of(error: &anyhow::Error) -> u8 {
    if let Some(exit) = error.downcast_ref::<Exit>() {
        return exit.code;
    }
    error.chain().find_map(code_of_cause).unwrap_or(1)
}

fn code_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(exit) = cause.downcast_ref::<Exit>() {
        return Some(exit.code);
    }
    if let Some(error) = cause.downcast_ref::<data::DataError>() {
        return Some(error.exit_code());
    }
    if let Some(error) = cause.downcast_ref::<formats::FormatError>() {
        return Some(error.exit_code());
    }
    if let Some(error) = cause.downcast_ref::<train::checkpoint::CheckpointError>() {
        return Some(error.exit_code());
    }
    if let Some(error) = cause.downcast_ref::<train::TrainError>() {
        return Some(error.exit_code());
    }
    if let Some(error) = cause.downcast_ref::<search::SearchError>() {
        return Some(error.exit_code());
    }
    if cause.is::<model::SpecError>() {
        return Some(BAD_DATA);
    }
    if cause.is::<kernels::gemm::UnknownIsa>() {
        return Some(USAGE);
    }
    cause.downcast_ref::<std::io::Error>().map(code_of_io)
}

/// The exit code of an I/O error that no reader or writer gave a better meaning.
pub fn code_of_io(error: &std::io::Error) -> u8 {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => MISSING,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::AlreadyExists => CANNOT_WRITE,
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => BAD_DATA,
        _ => IO,
    }
}

/// Whether the error is only that the reader of our output went away.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |e: &std::io::Error| e.kind() == ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(broken))
}

/// Makes a panic a message that can be reported. `main` turns the unwinding into exit code 70.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let what = info.payload();
        let text = what.downcast_ref::<&str>().copied().or_else(|| what.downcast_ref::<String>().map(String::as_str));
        let place = info.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        crate::out::to_stderr(&format!(
            "internal error: {}{place}\nThis is a bug in autoane {}. Please report it with the command that was run.",
            text.unwrap_or("panic"),
            crate::cli::VERSION,
        ));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_code_survives_context() {
        let error = Err::<(), _>(Exit::new(BAD_DATA, "bad")).context("reading x");
        assert_eq!(error.as_ref().map_err(code_of), Err(BAD_DATA));
        let missing = std::fs::read("/nowhere/at/all").context("reading it");
        assert_eq!(missing.as_ref().map_err(code_of).map(|_| ()), Err(MISSING));
        assert_eq!(code_of(&anyhow::anyhow!("plain")), 1);
    }
}
