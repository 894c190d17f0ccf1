//! `--report-to`: the events of a run in a tracker, through the tracker's own Python package in a process of its own.
//!
//! Events go into a queue of fixed length, a thread writes them into the pipe of that process. One that is missing, fails,
//! hangs or is slow costs a warning and events that it does not get: the run never waits for it, but for a few seconds at its end.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use train::events::Event;

/// The program that is run, in Python.
const SCRIPT: &str = include_str!("tracker.py");
/// File of a run with its name at the tracker, the same over all sessions.
pub const ID: &str = "tracker.id";
/// Events that wait for a tracker at most.
const QUEUE: usize = 4096;
/// How long a tracker may take to finish at the end of a run.
const GRACE: Duration = Duration::from_secs(10);
/// Its last words that are kept.
const LAST_LINES: usize = 8;
/// The longest of them, in bytes.
const LINE: u64 = 4096;

/// A tracker that is fed.
pub struct Tracker {
    name: &'static str,
    child: Child,
    lines: Option<SyncSender<String>>,
    said: Arc<Mutex<VecDeque<String>>>,
    warned: bool,
    dropped: u64,
}

impl Tracker {
    /// Starts the process for the tracker called `name`, and tells it what the run is.
    ///
    /// # Errors
    /// In words: it cannot be started.
    pub fn start(name: &'static str, run: &Json) -> Result<Tracker, String> {
        let python = std::env::var_os("AUTOANE_PYTHON").filter(|p| !p.is_empty()).unwrap_or_else(|| "python3".into());
        let mut command = Command::new(&python);
        command.args(["-c", SCRIPT, name]);
        Tracker::with(name, command, run).map_err(|e| format!("{}: {e}", python.to_string_lossy()))
    }

    fn with(name: &'static str, mut command: Command, run: &Json) -> std::io::Result<Tracker> {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let (lines, queue) = sync_channel(QUEUE);
        let said = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(stdin) = child.stdin.take() {
            thread::Builder::new().name("tracker".into()).spawn(move || write(&queue, stdin))?;
        }
        if let Some(stderr) = child.stderr.take() {
            let to = said.clone();
            thread::Builder::new().name("tracker".into()).spawn(move || listen(BufReader::new(stderr), &to))?;
        }
        // an empty queue has room
        let _ = lines.try_send(format!("{run}\n"));
        Ok(Tracker { name, child, lines: Some(lines), said, warned: false, dropped: 0 })
    }

    /// Hands on an event without waiting; a warning when this fails for the first time.
    pub fn send(&mut self, event: &Event) -> Option<String> {
        let line = format!("{}\n", serde_json::to_string(event).ok()?);
        match self.lines.as_ref()?.try_send(line) {
            Ok(()) => None,
            Err(TrySendError::Full(_)) => {
                self.dropped += 1;
                let first = !std::mem::replace(&mut self.warned, true);
                first.then(|| format!("{} does not keep up: it misses some of what happens; events.jsonl has it all", self.name))
            }
            Err(TrySendError::Disconnected(_)) => {
                self.lines = None;
                // it has closed its input: a moment later its last words are there
                thread::sleep(Duration::from_millis(20));
                let first = !std::mem::replace(&mut self.warned, true);
                first.then(|| format!("{} ended{}; the run goes on without it", self.name, self.last_words()))
            }
        }
    }

    fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let line = said.iter().rev().find(|line| !line.trim().is_empty());
        line.map_or_else(String::new, |line| format!(" ({})", line.trim()))
    }

    /// Ends its input and waits a little for its end; a warning where it did not end well.
    pub fn finish(mut self) -> Option<String> {
        self.end().filter(|_| !self.warned)
    }

    fn end(&mut self) -> Option<String> {
        self.lines = None;
        let began = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(None) if began.elapsed() < GRACE => thread::sleep(Duration::from_millis(10)),
                Ok(Some(status)) if status.success() => return None,
                Ok(Some(status)) => return Some(format!("{} ended with {status}{}", self.name, self.last_words())),
                _ => break,
            }
        }
        // it has nothing that events.jsonl has not
        let _ = self.child.kill();
        let _ = self.child.wait();
        Some(format!("{} did not finish within {} s of the run's end and was stopped", self.name, GRACE.as_secs()))
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        // nobody is left to be warned
        let _ = self.end();
    }
}

/// A name for the run in `folder` that began at `seconds`: letters, digits and dashes.
pub fn new_id(folder: &std::path::Path, seconds: f64) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(48).collect();
    format!("{plain}-{seconds:.0}")
}

/// What a tracker is told first.
pub fn introduce(folder: &std::path::Path, id: &str, settings: &[(&str, Json)]) -> Json {
    let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
    let settings: serde_json::Map<String, Json> =
        settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({ "project": "autoane", "name": name, "id": id, "folder": folder, "settings": settings })
}

/// Writes what comes into the pipe, until either ends.
fn write(queue: &Receiver<String>, mut stdin: ChildStdin) {
    while let Ok(line) = queue.recv() {
        if stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            break;
        }
    }
}

/// Keeps the last lines of what is said, however much it is.
fn listen(mut stderr: impl BufRead, to: &Mutex<VecDeque<String>>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match std::io::Read::take(&mut stderr, LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let mut said = to.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == LAST_LINES {
            said.pop_front();
        }
        said.push_back(String::from_utf8_lossy(&line).into_owned());
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tracker(script: &str) -> Tracker {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Tracker::with("wandb", command, &json!({ "name": "run" })).unwrap()
    }

    fn step(step: u64) -> Event {
        Event::Step(train::events::Step { step, ..Default::default() })
    }

    #[test]
    fn what_happens_arrives_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("got");
        let mut tracker = tracker(&format!("cat > {}", to.display()));
        (1..=3).for_each(|n| assert_eq!(tracker.send(&step(n)), None));
        assert_eq!(tracker.finish(), None);
        let text = std::fs::read_to_string(to).unwrap();
        let steps: Vec<Json> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(steps[0]["name"], "run");
        assert_eq!(steps[1..].iter().map(|s| s["step"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn one_that_hangs_is_warned_of_once_and_never_waited_for() {
        let (mut tracker, began) = (tracker("exec sleep 1000"), Instant::now());
        let warnings: Vec<String> = (0..20_000).filter_map(|n| tracker.send(&step(n))).collect();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(warnings.len() == 1 && warnings[0].contains("does not keep up"), "{warnings:?}");
        assert!(tracker.dropped > 10_000);
        assert_eq!(tracker.finish(), None, "one warning is enough");
        assert!(began.elapsed() < GRACE + Duration::from_secs(10));
    }

    #[test]
    fn one_that_fails_is_warned_of_once_with_its_last_words() {
        let mut tracker = tracker("echo 'ModuleNotFoundError: No module named wandb' >&2; exit 1");
        let mut warnings = Vec::new();
        for n in 0..2000 {
            warnings.extend(tracker.send(&step(n)));
            thread::sleep(Duration::from_millis(1));
        }
        assert!(warnings.len() == 1 && warnings[0].contains("No module named wandb"), "{warnings:?}");
        assert_eq!(tracker.finish(), None);
    }

    #[test]
    fn one_that_floods_fills_no_memory_and_ends_with_the_run() {
        let mut tracker = tracker("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa >&2; echo b; done");
        tracker.send(&step(1));
        thread::sleep(Duration::from_millis(200));
        let said: usize = tracker.said.lock().unwrap().iter().map(String::len).sum();
        assert!(said <= LAST_LINES * LINE as usize);
        assert!(tracker.finish().unwrap().contains("was stopped"));
    }
}
