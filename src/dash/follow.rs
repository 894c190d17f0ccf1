//! Follows `events.jsonl` of a run that may be written at the same time: reads only what is new, never writes, takes no lock.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use train::events::Event;

/// Most bytes that one look reads: a long log fills the screen in several looks instead of stopping it.
const AT_ONCE: u64 = 8 << 20;
/// Longest line that can be an event.
const LONGEST: usize = 4 << 20;

/// Position in a log.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    file: Option<(File, u64)>,
    offset: u64,
    partial: Vec<u8>,
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Found {
    /// The log was replaced, as by a resume: what was read before does not count.
    pub anew: bool,
    /// What is new.
    pub events: Vec<Event>,
    /// Whether there is more to read at once.
    pub more: bool,
}

impl Follow {
    /// Follows the log of the run folder `run` from its beginning.
    pub fn new(run: &Path) -> Follow {
        Follow { path: run.join("events.jsonl"), file: None, offset: 0, partial: Vec::new() }
    }

    /// Reads what has been appended; nothing where the log cannot be read.
    pub fn look(&mut self) -> Found {
        let mut found = Found { anew: self.reopen_if_replaced(), ..Found::default() };
        let Some((file, _)) = &mut self.file else { return found };
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(self.offset)).and_then(|_| file.take(AT_ONCE).read_to_end(&mut bytes));
        let Ok(read) = read else { return found };
        self.offset += read as u64;
        found.more = read as u64 == AT_ONCE;
        self.partial.extend_from_slice(&bytes);
        let whole = self.partial.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.partial.drain(..whole).collect();
        found.events = lines.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        if self.partial.len() > LONGEST {
            self.partial.clear();
        }
        found
    }

    /// Opens the log where that is due; true when events that were read are of a file that is no more.
    fn reopen_if_replaced(&mut self) -> bool {
        let Ok(now) = std::fs::metadata(&self.path) else { return false };
        if self.file.as_ref().is_some_and(|(_, id)| *id == identity(&now)) && now.len() >= self.offset {
            return false;
        }
        let had = self.file.is_some();
        self.file = File::open(&self.path).ok().and_then(|f| Some((identity(&f.metadata().ok()?), f))).map(|(id, f)| (f, id));
        (self.offset, self.partial) = (0, Vec::new());
        had
    }
}

#[cfg(unix)]
fn identity(meta: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    fn line(step: u64) -> String {
        format!("{}\n", serde_json::to_string(&Event::Step(train::events::Step { step, ..Default::default() })).unwrap())
    }

    #[test]
    fn a_line_that_is_being_written_is_read_once_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut follow = Follow::new(dir.path());
        assert!(follow.look().events.is_empty(), "a log that is not there yet is no error");
        let mut file = File::create(dir.path().join("events.jsonl")).unwrap();
        let text = line(1) + "damaged\n" + &line(2);
        let (first, rest) = text.split_at(text.len() - 9);
        file.write_all(first.as_bytes()).unwrap();
        assert_eq!(follow.look().events.len(), 1);
        file.write_all(rest.as_bytes()).unwrap();
        let found = follow.look();
        assert_eq!(found.events.iter().map(Event::step).collect::<Vec<_>>(), [2]);
        assert!(!found.anew && follow.look().events.is_empty());
    }

    #[test]
    fn a_log_that_a_resume_replaced_is_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        std::fs::write(&path, line(1) + &line(2) + &line(3)).unwrap();
        let mut follow = Follow::new(dir.path());
        assert_eq!(follow.look().events.len(), 3);
        std::fs::write(dir.path().join("new"), line(1)).unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        let found = follow.look();
        assert!(found.anew);
        assert_eq!(found.events.len(), 1);
    }
}
