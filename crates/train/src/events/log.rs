//! The file: append, resume, read.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Event;
use crate::TrainError;

/// Longest line that is read: events are small, and a damaged file must not fill the memory.
const LONGEST: usize = 1 << 22;

/// Appends events to a file.
pub struct EventLog {
    path: PathBuf,
    file: File,
    line: Vec<u8>,
}

impl EventLog {
    /// Starts an empty log; what was at `path` is gone.
    pub fn create(path: &Path) -> Result<EventLog, TrainError> {
        let file = File::create(path).map_err(|e| TrainError::io(path, "create", e))?;
        Ok(EventLog { path: path.into(), file, line: Vec::new() })
    }

    /// Goes on with the log of a run that is resumed at `step`: keeps, byte for byte, the whole lines up to that step, without
    /// any `finished`. The shortened file replaces the old one at once; a missing file is started anew.
    pub fn resume(path: &Path, step: u64) -> Result<EventLog, TrainError> {
        let old = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return EventLog::create(path),
            Err(e) => return Err(TrainError::io(path, "read", e)),
        };
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let file = keep_until(BufReader::new(old), path, &temporary, step)?;
        std::fs::rename(&temporary, path).map_err(|e| TrainError::io(path, "replace", e))?;
        sync_folder(path)?;
        Ok(EventLog { path: path.into(), file, line: Vec::new() })
    }

    /// Appends an event as one line, in one write.
    pub fn append(&mut self, event: &Event) -> Result<(), TrainError> {
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, event).map_err(std::io::Error::from);
        self.line.push(b'\n');
        written.and_then(|()| self.file.write_all(&self.line)).map_err(|e| TrainError::io(&self.path, "append to", e))
    }

    /// Waits until everything appended is on the disk: before a checkpoint that relies on it becomes the last.
    pub fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(|e| TrainError::io(&self.path, "sync", e))
    }
}

/// Copies the lines to keep; the file is left open at its end.
fn keep_until(mut old: impl BufRead, path: &Path, temporary: &Path, step: u64) -> Result<File, TrainError> {
    let writing = |e| TrainError::io(temporary, "write", e);
    let file = File::create(temporary).map_err(|e| TrainError::io(temporary, "create", e))?;
    let mut out = BufWriter::new(file);
    let mut line = Vec::new();
    while next_line(&mut old, &mut line).map_err(|e| TrainError::io(path, "read", e))? {
        if keeps(&line, step) {
            out.write_all(&line).map_err(writing)?;
        }
    }
    let file = out.into_inner().map_err(|e| writing(e.into_error()))?;
    file.sync_all().map_err(writing)?;
    Ok(file)
}

/// Whether a line stays when a run resumes at `step`: whole, an event, not after the step, not an end.
fn keeps(line: &[u8], step: u64) -> bool {
    if line.last() != Some(&b'\n') {
        return false;
    }
    let Ok(value) = serde_json::from_slice::<Value>(line) else { return false };
    let Some(kind) = value.get("type").and_then(Value::as_str) else { return false };
    kind != "finished" && value.get("step").and_then(Value::as_u64).unwrap_or(0) <= step
}

/// Reads the next line with its newline into `line`; false at the end. A line beyond [`LONGEST`] comes in pieces, none of
/// which is an event.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let mut part = std::io::Read::take(input, LONGEST as u64);
    Ok(part.read_until(b'\n', line)? > 0)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> Result<(), TrainError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| TrainError::io(folder, "sync", e))
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<(), TrainError> {
    Ok(())
}

/// What a log says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Lines that are not events: torn, damaged, or of a later version.
    pub skipped: usize,
}

/// Reads a log, also one that is still being written.
pub fn read(path: &Path) -> Result<Record, TrainError> {
    let file = File::open(path).map_err(|e| TrainError::io(path, "read", e))?;
    let mut input = BufReader::new(file);
    let mut record = Record::default();
    let mut line = Vec::new();
    while next_line(&mut input, &mut line).map_err(|e| TrainError::io(path, "read", e))? {
        match serde_json::from_slice(&line) {
            Ok(event) => record.events.push(event),
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(_) => record.skipped += 1,
        }
    }
    Ok(record)
}
