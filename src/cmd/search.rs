//! `autoane search`: studies as folders. `crates/search` decides; here are the processes, the files and the words.

mod finale;
mod foresee;
mod kept;
mod new;
mod page;
mod propose;
mod race;
mod recipe;
mod show;
mod trial;
mod worker;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use search::calibration::Calibration;
use search::journal::{State, Trial};
use search::study::{Budget, Equal};
use search::{Config, Journal, Study};
use serde_json::Value as Json;

use crate::cli::SearchVerb;
use crate::exit::{Exit, MISSING};
use crate::out::Out;

pub use page::run as report;

/// The journal in a study's folder.
pub const JOURNAL: &str = "journal.log";

/// Does what was asked; gives the exit code.
pub fn run(verb: &SearchVerb, out: Out) -> anyhow::Result<u8> {
    match verb {
        SearchVerb::New(args) => new::run(args, out)?,
        SearchVerb::Run(args) => return worker::run(&args.study, args.trials, args.workers, args.polite, out),
        SearchVerb::Worker(args) => return worker::run(&args.study, args.trials, 1, false, out),
        SearchVerb::Propose(args) => propose::run(args, out)?,
        SearchVerb::Status(args) => show::status(&args.study, out)?,
        SearchVerb::Show(args) => show::run(&args.study, out)?,
        SearchVerb::Final(args) => finale::run(&args.study, out)?,
        SearchVerb::Report(args) => page::run(&args.study, None, out)?,
    }
    Ok(0)
}

/// An open study.
pub struct Desk {
    /// Its folder.
    pub folder: PathBuf,
    /// What was declared.
    pub study: Study,
    /// What has happened.
    pub journal: Journal,
    /// Whether trials give way to others.
    pub polite: bool,
    /// Held as long as this worker lives: who can lock it knows that the worker is dead.
    _alive: Option<(PathBuf, File)>,
    foresight: foresee::Foresight,
}

impl Desk {
    /// Opens the study in `folder` to look at it, or to write single operations.
    pub fn open(folder: &Path) -> anyhow::Result<Desk> {
        if !folder.join("study.json").exists() {
            let message = format!("{}: no study is there; `search new` declares one", folder.display());
            return Err(Exit::new(MISSING, message).into());
        }
        let study = Study::load(folder)?;
        let journal = Journal::open(&folder.join(JOURNAL), &study.name, &worker_name())?;
        if journal.state()?.study.is_none() {
            let (path, name) = (journal.path().to_owned(), study.name);
            return Err(search::SearchError::NoStudy { path, name }.into());
        }
        let base = folder.join("base.json");
        let json = study.shape.and_then(|_| serde_json::from_str(&std::fs::read_to_string(&base).ok()?).ok());
        let model = json.as_ref().map(|_: &Json| format!("--model-config={}", base.display()));
        let foresight = foresee::Foresight::new(&study, model, json);
        Ok(Desk { folder: folder.to_owned(), study, journal, polite: false, _alive: None, foresight })
    }

    /// Opens it as a worker, whose death the others notice.
    pub fn work(folder: &Path) -> anyhow::Result<Desk> {
        let mut desk = Desk::open(folder)?;
        let workers = folder.join("workers");
        std::fs::create_dir_all(&workers)?;
        let path = workers.join(desk.journal.worker());
        let file = File::create(&path)?;
        file.lock()?;
        desk._alive = Some((path, file));
        Ok(desk)
    }

    /// Whether the worker called `name` was one of ours and is dead.
    pub fn is_dead(&self, name: &str) -> bool {
        let plain = Path::new(name).file_name().is_some_and(|f| f == name);
        let file = plain.then(|| File::open(self.folder.join("workers").join(name)).ok()).flatten();
        file.is_some_and(|f| f.try_lock().is_ok())
    }

    /// Number and configuration of the incumbent.
    pub fn incumbent(&self, state: &State) -> Option<(usize, Config)> {
        let number = state.attrs.get("incumbent")?.as_u64()? as usize;
        Some((number, state.trials.get(number)?.config(&self.study.space)?))
    }

    /// What was calibrated.
    pub fn calibration(&self, state: &State) -> Option<Calibration> {
        serde_json::from_value(state.attrs.get("calibration")?.clone()).ok()
    }

    /// Flags of `train` for the budget of a run of `config` that gets `share` of it.
    pub fn budget(&self, state: &State, config: &Config, share: f64) -> anyhow::Result<Vec<String>> {
        let seconds = |t: f64| vec![format!("--max-time={}ms", (t * share * 1000.0).max(1.0) as u64)];
        let tokens = match self.study.budget {
            Budget::Tokens(n) => n,
            Budget::Calibrated(t) => match state.attrs.get("tokens").and_then(Json::as_u64) {
                Some(n) => n,
                None => return Ok(seconds(t)),
            },
            Budget::Clock(t) => return Ok(seconds(t)),
            Budget::Given => return Ok(Vec::new()),
        };
        let n = (tokens as f64 * share * self.tokens_for_one(config)?) as u64;
        Ok(vec![format!("--tokens={}", n.max(1))])
    }

    /// Tokens that `config` trains on for each one of the baseline.
    fn tokens_for_one(&self, config: &Config) -> anyhow::Result<f64> {
        if self.study.equal == Equal::Tokens || *config == self.study.baseline {
            return Ok(1.0);
        }
        let flops = |config: &Config| self.foresight.of(&self.study, config).map(|need| need.flops_per_token);
        Ok(flops(&self.study.baseline)? / flops(config)?)
    }

    /// Why `config` may not be run: it is foreseen to take more memory than the study allows.
    pub fn refusal(&self, state: &State, config: &Config) -> Option<String> {
        let limit = self.study.max_memory?;
        let need = match self.foresight.of(&self.study, config) {
            Ok(need) => need,
            Err(error) => return Some(format!("its memory cannot be foreseen: {error:#}")),
        };
        let bytes = need.bytes + self.program_bytes(state);
        let said = |n: u64| crate::out::bytes(n);
        (bytes > limit).then(|| format!("it is foreseen to take {}, and the study allows {}", said(bytes), said(limit)))
    }

    /// What the program holds beside what a configuration decides: of the baseline's run, foreseen by it, less its own.
    fn program_bytes(&self, state: &State) -> u64 {
        let baseline = state.attrs.get("baseline").and_then(Json::as_u64).and_then(|n| state.trials.get(n as usize));
        let mut runs = baseline.iter().flat_map(|t| &t.attrs).filter(|(key, _)| key.starts_with("run:candidate:"));
        let foreseen = runs.find_map(|(_, record)| record.get("predicted_bytes")?.as_u64());
        let own = foreseen.and_then(|all| Some((all, self.foresight.of(&self.study, &self.study.baseline).ok()?.bytes)));
        own.map_or(0, |(all, own)| all.saturating_sub(own))
    }

    /// Whether equal runs are to be equal.
    pub fn is_repeatable(&self) -> bool {
        let limited = self.study.train.iter().any(|a| a.starts_with("--max-time"));
        !(matches!(self.study.budget, Budget::Clock(_)) || self.study.budget == Budget::Given && limited)
    }

    /// Trials that count: not those whose worker died.
    pub fn counted(&self, state: &State) -> usize {
        state.trials.iter().filter(|t| t.text("died").is_none()).count()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some((path, _)) = &self._alive {
            // a trial that still names this worker needs the file to be given up by others
            let busy = self.journal.state().is_ok_and(|s| s.trials.iter().any(|t| mine_running(t, self.journal.worker())));
            if !busy {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

fn mine_running(trial: &Trial, worker: &str) -> bool {
    trial.state == search::journal::TrialState::Running && trial.worker == worker
}

/// A name that no other worker has.
fn worker_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    format!("autoane-{}-{n}-{time:x}", std::process::id())
}

/// Three digits of a small number.
fn significant(x: f64) -> String {
    let decimals = if x > 0.0 { (2.0 - x.log10().floor()).clamp(0.0, 12.0) as usize } else { 4 };
    format!("{x:.decimals$}")
}

/// The smallest effect that the study can detect: by its calibration, or by how paired runs of its trials have come to differ, where
/// that is more, for configurations far from each other vary more than a small change does.
pub fn detectable(desk: &Desk, state: &State, calibration: &Calibration) -> f64 {
    let deviation = |trial: &Trial| {
        let gain = trial.attrs.get("gain")?;
        let of = |key: &str| gain.get(key).and_then(Json::as_f64);
        let n = of("pairs").filter(|n| *n >= 2.0)?;
        Some(((of("high")? - of("low")?) / 2.0 * n.sqrt() / search::stats::t_upper(0.025, n - 1.0), n - 1.0))
    };
    let mut seen: Vec<(f64, f64)> = state.trials.iter().filter_map(deviation).filter(|d| d.0.is_finite()).collect();
    seen.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some(&(middle, _)) = seen.get(seen.len() / 2) else { return calibration.detectable };
    let degrees = seen.iter().map(|d| d.1).sum();
    let by_trials = search::calibration::detectable(middle, degrees, &desk.study.rules, search::calibration::POWER);
    calibration.detectable.max(by_trials)
}

/// The verdict of a whole study in a sentence; none before its noise is known.
pub fn verdict(desk: &Desk, state: &State) -> Option<String> {
    let calibration = desk.calibration(state)?;
    if let Some(said) = state.attrs.get("final").and_then(|f| f.get("verdict")).and_then(Json::as_str) {
        return Some(said.to_owned());
    }
    let baseline = state.attrs.get("baseline").and_then(Json::as_u64)? as usize;
    let (best, _) = desk.incumbent(state)?;
    let objective = desk.study.objective.name();
    if best == baseline {
        let detectable = significant(detectable(desk, state, &calibration));
        return Some(format!("no detectable improvement, smallest detectable effect {detectable} {objective}"));
    }
    let gain = state.trials.get(best).and_then(|t| t.attrs.get("gain")).cloned().unwrap_or_default();
    let of = |key: &str| gain.get(key).and_then(Json::as_f64).unwrap_or(f64::NAN);
    let (mean, low, high) = (of("mean"), of("low"), of("high"));
    Some(format!(
        "trial {best} kept: {mean:.4} {objective} below the incumbent before it on fresh seeds (95% interval {low:.4} to {high:.4}); \
         `search final` compares it with the baseline"
    ))
}
