//! The end of a study: baseline against winner on fresh seeds, on a text that no trial has seen, opened once; then the winner
//! with each of its changes left out.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use search::journal::{Op, State, TrialState};
use search::{Config, SearchError, stats};
use serde_json::{Value as Json, json};

use super::trial::{self, Failure, Run};
use super::{Desk, kept, verdict};
use crate::exit::{Exit, FAILURE, usage};
use crate::out::Out;
use crate::stop::Stop;

/// Stories of the locked test, from another seed of the corpus than training and validation.
const TEST_STORIES: usize = 300;
/// That seed.
const TEST_SEED: u64 = 20_011;

/// How long a lock is waited for whose holder was killed: a run that it had just started holds it until it is another program.
const HANDOVER: Duration = Duration::from_secs(2);

/// Compares, once.
pub fn run(folder: &Path, out: Out) -> anyhow::Result<()> {
    let desk = Desk::open(folder)?;
    kept::publish(&desk, out)?;
    let state = desk.journal.state()?;
    let Some(calibration) = desk.calibration(&state) else {
        return Err(usage("the study has not run yet: `search run` first"));
    };
    if let Some(found) = state.attrs.get("final") {
        out.line(verdict(&desk, &state).unwrap_or_default())?;
        return out.json(found);
    }
    if desk.incumbent(&state).is_none_or(|(_, config)| config == desk.study.baseline) {
        let said = verdict(&desk, &state).unwrap_or_default();
        out.line(&said)?;
        return out
            .json(&json!({ "verdict": said, "opened": false, "detectable": super::detectable(&desk, &state, &calibration) }));
    }
    let _alone = alone(&desk)?;
    // a text that is not there must not cost the study its one look
    let test = test_text(&desk)?;
    let (winner, config) = open(&desk)?;
    let stop = Stop::listen()?;
    let comparison = Comparison { desk: &desk, stop: &stop, test };
    let found = comparison.all(winner, &config)?;
    let study = state.study.unwrap_or_default();
    desk.journal.write(vec![Op::StudyAttr { study, key: "final".into(), value: found.clone() }])?;
    out.line(found["verdict"].as_str().unwrap_or_default())?;
    out.json(&found)
}

/// Notes that the test was opened, and for whom. No trial is begun after that, and none may be under way, so that what was killed
/// here goes on with the same runs over the same seeds: still one look.
fn open(desk: &Desk) -> anyhow::Result<(usize, Config)> {
    let decide = |state: &State| -> anyhow::Result<(Vec<Op>, (usize, Config))> {
        let found = desk.incumbent(state).ok_or_else(|| usage("the study has no incumbent: `search run` first"))?;
        if let Some(opened) = state.attrs.get("final_opened") {
            if opened["winner"] == json!(found.0) {
                return Ok((Vec::new(), found));
            }
            let message = format!(
                "the locked test was opened for another winner than trial {} ({opened}); a second look would not be a test",
                found.0
            );
            return Err(Exit::new(FAILURE, message).into());
        }
        if let Some(trial) = state.trials.iter().find(|t| t.state == TrialState::Running && !desk.is_dead(&t.worker)) {
            let message = format!("trial {} is running and could be kept yet: wait for it, or stop its worker", trial.number);
            return Err(Exit::new(FAILURE, message).into());
        }
        let value = json!({ "at": search::journal::now(), "winner": found.0 });
        Ok((vec![Op::StudyAttr { study: state.study.unwrap_or_default(), key: "final_opened".into(), value }], found))
    };
    Ok(desk.journal.transact(decide)?.0)
}

/// Held while the final runs are made, so that two processes do not make them twice.
fn alone(desk: &Desk) -> anyhow::Result<File> {
    let folder = desk.folder.join("final");
    std::fs::create_dir_all(&folder)?;
    let file = File::create(folder.join("lock"))?;
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if since.elapsed() < HANDOVER => std::thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::WouldBlock) => {
                return Err(Exit::new(FAILURE, "another `search final` of this study is running").into());
            }
            Err(TryLockError::Error(error)) => return Err(error).context("final/lock"),
        }
    }
}

/// The locked text; none where the data are the user's and no test was named.
fn test_text(desk: &Desk) -> anyhow::Result<Option<PathBuf>> {
    if let Some(path) = &desk.study.test_data {
        let path = PathBuf::from(path);
        path.metadata().with_context(|| format!("--test-data {}: the text of the final comparison", path.display()))?;
        return Ok(Some(path));
    }
    if desk.study.train.iter().any(|a| a.starts_with("--data=") && a != "--data=stories") {
        return Ok(None);
    }
    let path = desk.folder.join("test.txt");
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["data", "stories", "-q", "--stories", &TEST_STORIES.to_string(), "--seed", &TEST_SEED.to_string(), "--out"]);
    let output = command.arg(&path).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Exit::new(FAILURE, format!("the test stories could not be written: {said}")).into());
    }
    Ok(Some(path))
}

struct Comparison<'a> {
    desk: &'a Desk,
    stop: &'a Stop,
    test: Option<PathBuf>,
}

impl Comparison<'_> {
    fn all(&self, winner: usize, config: &Config) -> anyhow::Result<Json> {
        let study = &self.desk.study;
        // pair by pair in turns, so that a machine that slows down does it to both
        let pair = |i: usize| -> anyhow::Result<(f64, f64)> {
            let (one, other) = (|| self.one("baseline", &study.baseline, i), || self.one("winner", config, i));
            if i.is_multiple_of(2) {
                let baseline = one()?;
                return Ok((baseline, other()?));
            }
            let winner = other()?;
            Ok((one()?, winner))
        };
        let (baseline, best): (Vec<f64>, Vec<f64>) =
            (0..study.final_pairs).map(pair).collect::<anyhow::Result<Vec<_>>>()?.into_iter().unzip();
        let gains: Vec<f64> = baseline.iter().zip(&best).map(|(a, b)| a - b).collect();
        let (mean, low, high) = stats::interval(&gains, 0.95);
        let mut changes = Vec::new();
        for (i, param) in study.space.params.iter().enumerate().filter(|(i, _)| config[*i] != study.baseline[*i]) {
            let mut without = config.clone();
            without[i] = study.baseline[i];
            let without = study.settle(without);
            let values = self.arm(&format!("without-{}", param.name), &without)?;
            let effect: Vec<f64> = values.iter().zip(&best).map(|(a, b)| a - b).collect();
            let (mean, low, high) = stats::interval(&effect, 0.95);
            changes.push(json!({
                "param": param.name, "from": param.json(study.baseline[i]), "to": param.json(config[i]),
                "effect": mean, "low": low, "high": high, "supported": low > 0.0,
            }));
        }
        let objective = study.objective.name();
        let on = if self.test.is_some() { "the locked test" } else { "the validation text (no test was named)" };
        let said = if low > 0.0 {
            format!(
                "improved: trial {winner} is {mean:.4} {objective} below the baseline on {on}, 95% interval {low:.4} to {high:.4}, \
                 {} fresh pairs",
                gains.len()
            )
        } else {
            format!(
                "no detectable improvement: {mean:.4} {objective} on {on}, 95% interval {low:.4} to {high:.4}, {} fresh pairs",
                gains.len()
            )
        };
        Ok(json!({
            "verdict": said, "opened": true, "test": self.test, "winner": winner, "pairs": gains.len(), "baseline": baseline,
            "values": best, "gain": mean, "low": low, "high": high, "level": 0.95, "changes": changes,
        }))
    }

    /// Values of `config` over the final seeds.
    fn arm(&self, name: &str, config: &Config) -> anyhow::Result<Vec<f64>> {
        (0..self.desk.study.final_pairs).map(|i| self.one(name, config, i)).collect()
    }

    /// The value of `config` with the `i`-th of them: noted, or measured and noted.
    fn one(&self, name: &str, config: &Config, i: usize) -> anyhow::Result<f64> {
        let key = format!("final_value {name} {i}");
        let state = self.desk.journal.state()?;
        if let Some(value) = state.attrs.get(&key).and_then(Json::as_f64) {
            return Ok(value);
        }
        let value = self.value(&state, name, config, i)?;
        let study = state.study.unwrap_or_default();
        self.desk.journal.write(vec![Op::StudyAttr { study, key, value: json!(value) }])?;
        Ok(value)
    }

    /// Trains with the `i`-th final seed, and evaluates on the locked text where there is one.
    fn value(&self, state: &State, name: &str, config: &Config, i: usize) -> anyhow::Result<f64> {
        let seed = self.desk.study.final_seed(i);
        // a run of a process that was killed may still be going on in its folder
        let folders = (1..).map(|attempt| self.desk.folder.join("final").join(format!("{name}-{i}-{attempt}")));
        let folder = folders.into_iter().find(|f| !f.exists()).unwrap_or_default();
        let run = Run { config, seed, share: 1.0, folder: folder.clone(), keep: self.test.is_some() };
        let record = trial::run(self.desk, state, &run, self.stop).map_err(|failure| match failure {
            Failure::Error(error) => error,
            Failure::Stopped => Exit::new(130, "stopped in the final comparison; `search final` goes on with it").into(),
            Failure::Crash(why) => Exit::new(FAILURE, format!("final run {name}, seed {seed}: {why}")).into(),
        })?;
        let value = match &self.test {
            Some(test) => self.evaluate(&folder.join("run"), test)?,
            None => record.get("value").and_then(Json::as_f64).unwrap_or(f64::NAN),
        };
        let _ = std::fs::remove_dir_all(folder.join("run/checkpoints"));
        Ok(value)
    }

    fn evaluate(&self, run: &Path, test: &Path) -> anyhow::Result<f64> {
        let mut command = Command::new(std::env::current_exe()?);
        trial::without_settings(&mut command);
        command.arg("eval").arg(run.join("checkpoints/last")).arg("--data").arg(test);
        command.args(["--val-fraction", "1", "--json", "-q"]);
        command.args(self.desk.study.train.iter().filter(|a| a.starts_with("--threads=")));
        let output = command.output()?;
        let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            return Err(Exit::new(FAILURE, format!("{}: cannot be evaluated: {}", run.display(), said())).into());
        }
        let record: Json = serde_json::from_slice(&output.stdout)?;
        let key = if self.desk.study.objective.name() == "val_bpb" { "bpb" } else { "loss" };
        let value = record.get(key).and_then(Json::as_f64);
        value.ok_or_else(|| SearchError::Value(format!("{}: no {key} on the test text", run.display())).into())
    }
}
