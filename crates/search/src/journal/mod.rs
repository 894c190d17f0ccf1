//! The journal of a study: a file in the format of Optuna's `JournalFileBackend` (5.0), one JSON object a line, appended
//! under Optuna's lock and synced. What the lines mean is what replaying them gives; a line is never changed.

mod lines;
mod lock;
mod operations;
mod replay;
#[cfg(test)]
mod tests;
mod time;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value as Json;

use crate::SearchError;
pub use lock::{Lock, LockKind};
pub use operations::Op;
pub use replay::{State, Trial, TrialState};
pub use time::now;

/// Time after which a lock that nobody gives back is taken, as in Optuna.
pub const GRACE: Duration = Duration::from_secs(30);

/// A journal, as one worker sees it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    study: String,
    worker: String,
    kind: LockKind,
    grace: Duration,
    replayed: Mutex<Replayed>,
}

#[derive(Debug)]
struct Replayed {
    state: State,
    offset: u64,
    line: usize,
}

impl Journal {
    /// Opens or makes the journal at `path` for the study called `study`; `worker` is unique among all workers.
    ///
    /// # Errors
    /// [`SearchError::Io`], when it cannot be made.
    pub fn open(path: &Path, study: &str, worker: &str) -> Result<Journal, SearchError> {
        let path = std::path::absolute(path).map_err(SearchError::io(path))?;
        OpenOptions::new().create(true).append(true).open(&path).map_err(SearchError::io(&path))?;
        let replayed = Mutex::new(Replayed { state: State::of(study), offset: 0, line: 0 });
        let (study, worker) = (study.to_owned(), worker.to_owned());
        Ok(Journal { path, study, worker, kind: LockKind::Symlink, grace: GRACE, replayed })
    }

    /// The same with another lock or another grace.
    pub fn with_lock(mut self, kind: LockKind, grace: Duration) -> Journal {
        (self.kind, self.grace) = (kind, grace);
        self
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Name of the study.
    pub fn study(&self) -> &str {
        &self.study
    }

    /// Name of the worker.
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// What the journal says now.
    ///
    /// # Errors
    /// [`SearchError::Line`] for a line that is none; I/O.
    pub fn state(&self) -> Result<State, SearchError> {
        let mut replayed = self.replayed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.catch_up(&mut replayed)?;
        Ok(replayed.state.clone())
    }

    /// Decides on what the journal says, and appends what was decided: no other worker comes between. `decide` gets the
    /// state and gives operations and an answer. Gives the answer and the state after it.
    ///
    /// # Errors
    /// As [`Journal::state`], and what `decide` says.
    pub fn transact<T, E: From<SearchError>>(
        &self,
        decide: impl FnOnce(&State) -> Result<(Vec<Op>, T), E>,
    ) -> Result<(T, State), E> {
        let _lock = Lock::acquire(&self.path, self.kind, self.grace)?;
        let mut replayed = self.replayed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.catch_up(&mut replayed)?;
        let (ops, answer) = decide(&replayed.state)?;
        if !ops.is_empty() {
            let text: String = ops.iter().map(|op| op.line(&self.worker)).collect();
            self.append(&text)?;
            self.catch_up(&mut replayed)?;
        }
        Ok((answer, replayed.state.clone()))
    }

    /// Appends operations.
    ///
    /// # Errors
    /// As [`Journal::transact`].
    pub fn write(&self, ops: Vec<Op>) -> Result<State, SearchError> {
        self.transact(|_| Ok::<_, SearchError>((ops, ()))).map(|(_, state)| state)
    }

    /// Appends `text`, under the lock. A last line without an end is what a killed writer left: no reader has ever seen it
    /// as a line, and the next would make it a bad one, so it goes.
    fn append(&self, text: &str) -> Result<(), SearchError> {
        let io = |e| SearchError::io(&self.path)(e);
        let mut file = OpenOptions::new().read(true).append(true).open(&self.path).map_err(io)?;
        let whole = whole_length(&mut file).map_err(io)?;
        if whole < file.metadata().map_err(io)?.len() {
            file.set_len(whole).map_err(io)?;
        }
        file.write_all(text.as_bytes()).map_err(io)?;
        file.sync_data().map_err(io)
    }

    fn catch_up(&self, replayed: &mut Replayed) -> Result<(), SearchError> {
        let io = |e| SearchError::io(&self.path)(e);
        let mut file = File::open(&self.path).map_err(io)?;
        file.seek(SeekFrom::Start(replayed.offset)).map_err(io)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            if line.last() != Some(&b'\n') {
                break;
            }
            let value = lines::read(line).ok_or_else(|| self.bad(replayed.line + 1, line))?;
            replayed.state.apply(&value);
            replayed.offset += line.len() as u64;
            replayed.line += 1;
        }
        Ok(())
    }

    fn bad(&self, line: usize, text: &[u8]) -> SearchError {
        let found: String = String::from_utf8_lossy(text).trim_end().chars().take(60).collect();
        SearchError::Line { path: self.path.clone(), line, found: format!("{found:?}") }
    }
}

/// Bytes of `file` up to its last end of line.
fn whole_length(file: &mut File) -> std::io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = [0u8; 4096];
    while end > 0 {
        let n = block.len().min(end as usize);
        file.seek(SeekFrom::Start(end - n as u64))?;
        file.read_exact(&mut block[..n])?;
        if let Some(i) = block[..n].iter().rposition(|&b| b == b'\n') {
            return Ok(end - n as u64 + i as u64 + 1);
        }
        end -= n as u64;
    }
    Ok(0)
}

/// A number as Optuna may have written it: `NaN` and `Infinity` come as words.
pub(crate) fn number(value: &Json) -> Option<f64> {
    match value {
        Json::String(word) => match word.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        other => other.as_f64(),
    }
}
