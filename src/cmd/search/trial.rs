//! One run of a trial: a subprocess of this binary with a time limit, and what its record says.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use search::Config;
use search::journal::State;
use search::shape;
use serde_json::{Value as Json, json};

use super::Desk;
use crate::stop::Stop;

/// How a run went wrong.
#[derive(Debug)]
pub enum Failure {
    /// The run itself: its configuration's fault.
    Crash(String),
    /// Somebody stopped this worker.
    Stopped,
    /// Something here.
    Error(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Error(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Error(error.into())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        Failure::Error(error.into())
    }
}

impl From<search::SearchError> for Failure {
    fn from(error: search::SearchError) -> Failure {
        Failure::Error(error.into())
    }
}

/// One run.
pub struct Run<'a> {
    /// Configuration.
    pub config: &'a Config,
    /// Seed.
    pub seed: u64,
    /// Part of the budget.
    pub share: f64,
    /// Folder.
    pub folder: PathBuf,
    /// Whether its checkpoints are kept.
    pub keep: bool,
}

/// Longest time of a run when nothing was measured.
const FIRST_LIMIT: f64 = 3600.0;

/// Runs, and gives `{"value", "steps", "tokens", "params", "ms_per_step", "seconds", "wall_seconds"}`.
pub fn run(desk: &Desk, state: &State, run: &Run<'_>, stop: &Stop) -> Result<Json, Failure> {
    fs::create_dir_all(&run.folder)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("train").args(&desk.study.train).args(flags(desk, run)?).args(desk.budget(state, run.share));
    command.args(["--eval-every=never", "--save-every=never", "--sample-every=never", "--keep=0", "--overwrite", "--json", "-q"]);
    if desk.polite {
        command.arg("--polite");
    }
    command.arg(format!("--seed={}", run.seed)).arg("--out").arg(run.folder.join("run"));
    let record = wait(desk, state, command, run, stop)?;
    if !run.keep {
        // the record and the events stay; weights of every trial would fill the disk
        let _ = fs::remove_dir_all(run.folder.join("run/checkpoints"));
    }
    let number = |key: &str| record.get(key).and_then(Json::as_f64);
    let objective = desk.study.objective.name();
    let Some(value) = number(objective).filter(|v| v.is_finite()) else {
        return Err(Failure::Crash(format!("the run ended without {objective}")));
    };
    let take = |key: &str| record.get(key).cloned().unwrap_or_default();
    let mut kept = json!({ "value": value, "seed": run.seed });
    for key in ["val_loss", "steps", "tokens", "params", "ms_per_step", "seconds", "tokens_per_second", "wall_seconds"] {
        kept[key] = take(key);
    }
    Ok(kept)
}

fn flags(desk: &Desk, run: &Run<'_>) -> Result<Vec<String>, Failure> {
    let space = &desk.study.space;
    let mut flags = Vec::new();
    for (param, &value) in space.params.iter().zip(run.config) {
        if !shape::NAMES.contains(&param.name.as_str()) {
            flags.push(format!("--{}={}", param.name, param.text(value)));
        }
    }
    if let Some(base) = desk.study.shape {
        let shape = base.with(space, run.config);
        let mut config: Json = serde_json::from_str(&fs::read_to_string(desk.folder.join("base.json"))?)?;
        let sizes = [
            ("hidden_size", shape.dim),
            ("num_hidden_layers", shape.depth),
            ("num_attention_heads", shape.heads),
            ("num_key_value_heads", shape.kv_heads),
            ("head_dim", shape.head_dim),
            ("intermediate_size", shape.hidden),
        ];
        for (key, value) in sizes {
            config[key] = json!(value);
        }
        let path = run.folder.join("model.json");
        fs::write(&path, format!("{config:#}\n"))?;
        flags.push(format!("--model-config={}", path.display()));
    }
    Ok(flags)
}

/// Time between two looks at whether a run waits for the machine.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a run has waited for the machine, which is no part of its time: the last of its events says that it does.
struct Waits {
    events: PathBuf,
    since: Option<Instant>,
    waited: Duration,
}

impl Waits {
    fn of(events: &Path) -> Waits {
        Waits { events: events.to_owned(), since: None, waited: Duration::ZERO }
    }

    fn look(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.waited += now - since;
        }
        let tail = || {
            let mut file = File::open(&self.events).ok()?;
            let size = file.metadata().ok()?.len();
            file.seek(SeekFrom::Start(size.saturating_sub(4096))).ok()?;
            let mut tail = Vec::new();
            file.take(8192).read_to_end(&mut tail).ok()?;
            Some(String::from_utf8_lossy(&tail).into_owned())
        };
        let paused = tail().is_some_and(|t| t.lines().last().is_some_and(|line| line.starts_with("{\"type\":\"paused\"")));
        self.since = paused.then_some(now);
    }
}

/// Seconds that a run may take.
fn limit(desk: &Desk, state: &State) -> f64 {
    let measured = || state.attrs.get("wall_seconds").and_then(Json::as_f64).map(|s| (10.0 * s).max(60.0));
    desk.study.time_limit.or_else(measured).unwrap_or(FIRST_LIMIT)
}

fn wait(desk: &Desk, state: &State, mut command: Command, run: &Run<'_>, stop: &Stop) -> Result<Json, Failure> {
    let said = run.folder.join("stderr.txt");
    let answer = run.folder.join("record.json");
    command.stdin(Stdio::null()).stdout(File::create(&answer)?).stderr(File::create(&said)?);
    let (start, limit) = (Instant::now(), Duration::from_secs_f64(limit(desk, state).min(1e9)));
    let (mut waits, mut looked) = (Waits::of(&run.folder.join("run/events.jsonl")), start);
    let mut child = command.spawn()?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if stop.check().is_err() {
            end(&mut child);
            return Err(Failure::Stopped);
        }
        if looked.elapsed() > LOOK_EVERY {
            looked = Instant::now();
            waits.look(looked);
        }
        if start.elapsed().saturating_sub(waits.waited) > limit {
            end(&mut child);
            return Err(Failure::Crash(format!("stopped after its time limit of {:.0} s", limit.as_secs_f64())));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if stop.check().is_err() {
        return Err(Failure::Stopped);
    }
    if !status.success() {
        return Err(Failure::Crash(format!("{status}: {}", last_words(&said))));
    }
    let mut text = String::new();
    File::open(&answer)?.take(1 << 20).read_to_string(&mut text)?;
    let mut record: Json = serde_json::from_str(&text).map_err(|e| Failure::Crash(format!("its record is no JSON: {e}")))?;
    if !record.is_object() {
        return Err(Failure::Crash("its record is no JSON object".into()));
    }
    record["wall_seconds"] = json!(start.elapsed().as_secs_f64());
    Ok(record)
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn last_words(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(1 << 16).read_to_string(&mut text);
    }
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines.iter().rev().take(1).copied().collect::<String>().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_wait_for_the_machine_is_no_part_of_a_runs_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let (mut waits, began) = (Waits::of(&path), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        waits.look(at(1));
        fs::write(&path, "{\"type\":\"step\",\"step\":3}\n{\"type\":\"paused\",\"step\":3}\n").unwrap();
        (2..=10).for_each(|s| waits.look(at(s)));
        assert_eq!(waits.waited, Duration::from_secs(8));
        fs::write(&path, "{\"type\":\"paused\",\"step\":3}\n{\"type\":\"continued\",\"step\":3}\n").unwrap();
        (11..=20).for_each(|s| waits.look(at(s)));
        assert_eq!(waits.waited, Duration::from_secs(9), "found out a second later");
    }
}
