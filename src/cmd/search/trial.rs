//! One run of a trial: a subprocess of this binary with a time limit, and what its record says.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use search::Config;
use search::journal::State;
use serde_json::{Value as Json, json};

use super::{Desk, foresee};
use crate::config::SETTINGS;
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

/// Processor seconds of a run when nothing was measured.
const FIRST_LIMIT: f64 = 3600.0;

/// Runs, and gives `{"value", "steps", "tokens", "params", "ms_per_step", "seconds", "wall_seconds"}`.
pub fn run(desk: &Desk, state: &State, run: &Run<'_>, stop: &Stop) -> Result<Json, Failure> {
    fs::create_dir_all(&run.folder)?;
    let mut command = Command::new(std::env::current_exe()?);
    without_settings(&mut command);
    command.arg("train").args(&desk.study.train).args(flags(desk, run)?).args(desk.budget(state, run.config, run.share)?);
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
    let measured = ["wall_seconds", "cpu_seconds", "peak_rss_bytes"];
    for key in
        ["val_loss", "steps", "tokens", "params", "ms_per_step", "seconds", "tokens_per_second"].into_iter().chain(measured)
    {
        kept[key] = take(key);
    }
    let efficiency = fs::read(run.folder.join("run/efficiency.json")).ok();
    let efficiency: Option<Json> = efficiency.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    kept["predicted_bytes"] = efficiency.and_then(|e| e.get("predicted_bytes").cloned()).unwrap_or_default();
    Ok(kept)
}

/// Keeps the settings of whoever runs a worker out of the runs: they are those that were declared.
pub fn without_settings(command: &mut Command) {
    for setting in SETTINGS {
        command.env_remove(setting.variable());
    }
}

/// Flags of the configuration; the model's shape becomes a file.
fn flags(desk: &Desk, run: &Run<'_>) -> Result<Vec<String>, Failure> {
    let mut flags = foresee::flags(&desk.study, run.config);
    if let Some(base) = desk.study.shape {
        let config: Json = serde_json::from_str(&fs::read_to_string(desk.folder.join("base.json"))?)?;
        let config = foresee::sized(&config, base.with(&desk.study.space, run.config));
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

/// What a run may spend. Processor time does not pass while a busy machine lets the run wait, so a run is no crash for the
/// company that it had; the clock only ends what makes no use of its time.
struct Limit {
    cpu: f64,
    wall: f64,
}

impl Limit {
    /// Of the study, or ten times what the baseline took and at least a minute.
    fn of(desk: &Desk, state: &State) -> Limit {
        let measured = |key: &str| state.attrs.get(key).and_then(Json::as_f64);
        let measured = measured("cpu_seconds").map(|s| (10.0 * s).max(60.0));
        let cpu = desk.study.time_limit.or(measured).unwrap_or(FIRST_LIMIT).min(1e8);
        Limit { cpu, wall: (10.0 * cpu).max(600.0) }
    }

    /// What was exceeded.
    fn exceeded(&self, cpu: Option<f64>, clock: Duration) -> Option<String> {
        let limit = self.cpu;
        if cpu.is_some_and(|s| s > limit) {
            return Some(format!("stopped after its time limit of {limit:.1} s of processor time"));
        }
        let wall = self.wall;
        (clock.as_secs_f64() > wall).then(|| format!("stopped after {wall:.0} s by the clock"))
    }
}

/// How often a run's processor time is looked at.
const LOOK: u32 = 5;

fn wait(desk: &Desk, state: &State, mut command: Command, run: &Run<'_>, stop: &Stop) -> Result<Json, Failure> {
    let said = run.folder.join("stderr.txt");
    let answer = run.folder.join("record.json");
    command.stdin(Stdio::null()).stdout(File::create(&answer)?).stderr(File::create(&said)?);
    let (start, limit, mut cpu) = (Instant::now(), Limit::of(desk, state), None);
    let (mut waits, mut looked) = (Waits::of(&run.folder.join("run/events.jsonl")), start);
    let mut child = command.spawn()?;
    let status = 'ended: loop {
        for _ in 0..LOOK {
            if let Some(status) = child.try_wait()? {
                break 'ended status;
            }
            if stop.check().is_err() {
                end(&mut child);
                return Err(Failure::Stopped);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        cpu = meter::cpu_seconds_of(child.id()).or(cpu);
        if looked.elapsed() > LOOK_EVERY {
            looked = Instant::now();
            waits.look(looked);
        }
        if let Some(why) = limit.exceeded(cpu, start.elapsed().saturating_sub(waits.waited)) {
            end(&mut child);
            return Err(Failure::Crash(why));
        }
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
    record["cpu_seconds"] = json!(cpu);
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
