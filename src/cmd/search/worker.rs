//! Workers: each takes a waiting trial or proposes one, under the journal's lock, runs it, and goes on. The baseline and its
//! noise come first.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use search::calibration::Calibration;
use search::git::Repository;
use search::journal::{Op, State, Trial, TrialState};
use search::samplers::{History, propose};
use search::study::Budget;
use search::{Config, SearchError, Verdict};
use serde_json::{Value as Json, json};

use super::race::{self, Arm, Candidate};
use super::trial::{self, Failure, Run};
use super::{Desk, kept, show, verdict};
use crate::exit::{Exit, FAILURE, crash_at};
use crate::out::Out;
use crate::stop::Stop;

/// What a worker may do next.
enum Task {
    /// Measure the baseline.
    Baseline(Candidate),
    /// Run this trial.
    Trial(Candidate),
    /// Another worker measures the baseline.
    Wait,
    /// Nothing is left: why.
    Done(&'static str),
}

/// Runs `trials` trials with `workers` at a time.
pub fn run(folder: &Path, trials: Option<usize>, workers: usize, polite: bool, out: Out) -> anyhow::Result<u8> {
    let stop = Stop::listen()?;
    let left = AtomicUsize::new(trials.unwrap_or(usize::MAX));
    let desk = Desk::open(folder)?;
    if desk.study.branch.is_some() {
        Repository::of(Path::new("."))?.require_clean(folder)?;
    }
    kept::publish(&desk, out)?;
    let ended: Vec<anyhow::Result<()>> = std::thread::scope(|scope| {
        let one = || {
            scope.spawn(|| {
                let mut desk = Desk::work(folder)?;
                desk.polite = polite;
                work(&desk, &left, &stop, out)
            })
        };
        let all: Vec<_> = (0..workers).map(|_| one()).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, anyhow::Result<()>>| {
            handle.join().unwrap_or_else(|_| Err(Exit::new(crate::exit::INTERNAL, "a worker failed").into()))
        };
        all.into_iter().map(join).collect()
    });
    ended.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    let state = desk.journal.state()?;
    if let Err(stopped) = stop.check() {
        out.say("stopped; the same command goes on");
        return Ok(crate::exit::code_of(&stopped));
    }
    if let Some(verdict) = verdict(&desk, &state) {
        out.line(&verdict)?;
    }
    out.json(&show::json(&desk, &state))?;
    Ok(0)
}

fn work(desk: &Desk, left: &AtomicUsize, stop: &Stop, out: Out) -> anyhow::Result<()> {
    while stop.check().is_ok() {
        reap(desk)?;
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err() {
            return Ok(());
        }
        // what memory is foreseen from takes time, which is not for the journal's lock: once before it, then from what is known
        next(desk, &desk.journal.state()?)?;
        let task = desk.journal.transact::<Task, SearchError>(|state| next(desk, state))?.0;
        let (candidate, result) = match task {
            Task::Wait => {
                left.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(200));
                continue;
            }
            Task::Done(why) => {
                out.say(why);
                return Ok(());
            }
            Task::Baseline(candidate) => {
                let result = calibrate(desk, &candidate, stop, out);
                (candidate, result.map(|()| Verdict::Keep))
            }
            Task::Trial(candidate) => {
                let result = race::judge(desk, &candidate, stop);
                (candidate, result)
            }
        };
        if !settle(desk, &candidate, result, out)? {
            return Ok(());
        }
    }
    Ok(())
}

/// What a trial left to do; false when this worker ends.
fn settle(desk: &Desk, candidate: &Candidate, result: Result<Verdict, Failure>, out: Out) -> anyhow::Result<bool> {
    let fail = |why: &str, died: bool| {
        let mut ops = vec![Op::TrialAttr { trial: candidate.id, key: "why".into(), value: json!(why) }];
        ops.push(Op::TrialAttr { trial: candidate.id, key: "verdict".into(), value: json!("Crash") });
        if died {
            ops.push(Op::TrialAttr { trial: candidate.id, key: "died".into(), value: json!(why) });
        }
        ops.push(Op::SetState { trial: candidate.id, state: TrialState::Fail, value: None });
        desk.journal.write(ops)
    };
    let verdict = match result {
        Ok(verdict) => verdict,
        Err(Failure::Stopped) => {
            give_up(desk, candidate.id, "its worker was stopped")?;
            return Ok(false);
        }
        Err(Failure::Crash(why)) => {
            fail(&why, false)?;
            return Err(Exit::new(FAILURE, format!("the baseline did not come to a value: {why}")).into());
        }
        Err(Failure::Error(error)) => {
            fail(&format!("{error:#}"), true)?;
            return Err(error);
        }
    };
    let changes = desk.study.space.changes(&desk.study.baseline, &candidate.config);
    let what = if candidate.config == desk.study.baseline { "the baseline".into() } else { changes };
    out.say(format!("trial {}: {} ({what})", candidate.number, verdict.name()));
    if verdict == Verdict::Keep {
        crash_at("kept");
    }
    kept::publish(desk, out)?;
    Ok(true)
}

/// Trials of dead workers fail, and wait for another worker as new trials.
fn reap(desk: &Desk) -> anyhow::Result<()> {
    let state = desk.journal.state()?;
    let lost = |t: &&Trial| t.state == TrialState::Running && desk.is_dead(&t.worker);
    for trial in state.trials.iter().filter(lost) {
        give_up(desk, trial.id, "its worker died")?;
    }
    Ok(())
}

/// Fails a running trial of a worker that is gone, once, and enqueues its configuration again.
fn give_up(desk: &Desk, id: usize, why: &str) -> Result<(), SearchError> {
    let decide = |state: &State| {
        let Some(trial) = state.trial(id).filter(|t| t.state == TrialState::Running) else { return Ok((Vec::new(), ())) };
        let note = |key: &str, value: Json| Op::TrialAttr { trial: id, key: key.into(), value };
        let mut ops = vec![note("verdict", json!("Crash")), note("why", json!(why)), note("died", json!(why))];
        ops.push(Op::SetState { trial: id, state: TrialState::Fail, value: None });
        let baseline = state.attrs.get("baseline").and_then(Json::as_u64) == Some(trial.number as u64);
        if let (false, Some(config), Some(study)) = (baseline, trial.config(&desk.study.space), state.study) {
            let attrs = json!({ "retry_of": trial.number, "source": trial.attrs.get("source") });
            ops.push(Op::Enqueue { study, fixed: desk.study.space.json(&config), attrs });
        }
        Ok((ops, ()))
    };
    desk.journal.transact::<(), SearchError>(decide).map(|_| ())
}

/// Decided under the lock: the baseline, a waiting trial, or a new one.
fn next(desk: &Desk, state: &State) -> Result<(Vec<Op>, Task), SearchError> {
    let (study, id) = (state.study.unwrap_or_default(), state.next_trial());
    let space = &desk.study.space;
    if !state.attrs.contains_key("calibration") {
        let number = state.attrs.get("baseline").and_then(Json::as_u64).map(|n| n as usize);
        if let Some(trial) = number.and_then(|n| state.trials.get(n)).filter(|t| t.state == TrialState::Running) {
            let _ = trial;
            return Ok((Vec::new(), Task::Wait));
        }
        let (number, config) = (state.trials.len(), desk.study.baseline.clone());
        let mut ops = vec![Op::CreateTrial { study }];
        ops.extend(Op::params(id, space, &config));
        ops.push(Op::TrialAttr { trial: id, key: "source".into(), value: json!("baseline") });
        ops.push(Op::StudyAttr { study, key: "baseline".into(), value: json!(number) });
        return Ok((ops, Task::Baseline(Candidate { id, number, config })));
    }
    if state.attrs.contains_key("final_opened") {
        return Ok((Vec::new(), Task::Done("the locked test was opened: the study is over")));
    }
    if let Some((ops, candidate)) = waiting(desk, state) {
        return Ok((ops, candidate.map_or(Task::Wait, Task::Trial)));
    }
    if desk.counted(state) >= desk.study.trials {
        return Ok((Vec::new(), Task::Done("the study has run all its trials")));
    }
    let Some(config) = proposal(desk, state) else {
        return Ok((Vec::new(), Task::Done("every configuration of the space was tried")));
    };
    let mut ops = vec![Op::CreateTrial { study }];
    ops.extend(Op::params(id, space, &config));
    ops.push(Op::TrialAttr { trial: id, key: "source".into(), value: json!(desk.study.sampler.name()) });
    Ok((ops, Task::Trial(Candidate { id, number: state.trials.len(), config })))
}

/// The first waiting trial; without a candidate it could not be run, and has ended.
fn waiting(desk: &Desk, state: &State) -> Option<(Vec<Op>, Option<Candidate>)> {
    let trial = state.trials.iter().find(|t| t.state == TrialState::Waiting)?;
    let space = &desk.study.space;
    let mut ops = vec![Op::SetState { trial: trial.id, state: TrialState::Running, value: None }];
    let note = |key: &str, value: Json| Op::TrialAttr { trial: trial.id, key: key.into(), value };
    let mut refuse = |why: String| {
        ops.push(note("verdict", json!("Crash")));
        ops.push(note("why", json!(why)));
        ops.push(Op::SetState { trial: trial.id, state: TrialState::Fail, value: None });
        Some((ops.clone(), None))
    };
    let Some(config) = trial.fixed(space).map(|c| desk.study.settle(c)) else {
        return refuse("it lacks a parameter of the study, or has a value out of range".into());
    };
    if let Some(same) = same(desk, state, &config, trial.number) {
        return refuse(format!("the same configuration as trial {same}"));
    }
    if let Some(why) = desk.refusal(state, &config) {
        return refuse(why);
    }
    ops.extend(Op::params(trial.id, space, &config));
    Some((ops, Some(Candidate { id: trial.id, number: trial.number, config })))
}

/// The trial with this configuration, other than `but`, that is running or came to an end of its own.
pub fn same(desk: &Desk, state: &State, config: &Config, but: usize) -> Option<usize> {
    let key = desk.study.space.key(config);
    let of = |t: &Trial| match t.state {
        TrialState::Waiting => t.fixed(&desk.study.space),
        _ => t.config(&desk.study.space),
    };
    let equal = |t: &&Trial| {
        t.number != but && t.text("died").is_none() && of(t).is_some_and(|c| desk.study.space.key(&desk.study.settle(c)) == key)
    };
    state.trials.iter().filter(|t| t.state != TrialState::Waiting || t.number < but).find(equal).map(|t| t.number)
}

fn proposal(desk: &Desk, state: &State) -> Option<Config> {
    let study = &desk.study;
    let known = state.trials.iter().filter(|t| t.text("died").is_none() && t.state != TrialState::Waiting);
    let trials: Vec<(Config, Option<f64>)> = known.filter_map(|t| Some((t.config(&study.space)?, t.value))).collect();
    let incumbent = desk.incumbent(state).map_or_else(|| study.baseline.clone(), |(_, c)| c);
    let admits = |config: &Config| desk.refusal(state, config).is_none();
    let settle = |config: Config| study.settle(config);
    let history = History { space: &study.space, trials: &trials, incumbent: &incumbent, settle: &settle, admits: &admits };
    propose(study.sampler, &history, study.seed)
}

/// The baseline twice with one seed, over the seeds, and with one thing changed a little.
fn calibrate(desk: &Desk, candidate: &Candidate, stop: &Stop, out: Out) -> Result<(), Failure> {
    let study = &desk.study;
    let base = desk.folder.join("trials").join(format!("{:04}", candidate.number));
    let go = |config: &Config, seed: u64, name: String| {
        let state = desk.journal.state()?;
        let run = Run { config, seed, share: 1.0, folder: base.join(name), keep: false };
        trial::run(desk, &state, &run, stop)
    };
    let number = |record: &Json, key: &str| record.get(key).and_then(Json::as_f64);
    let state = desk.journal.state()?;
    let id = state.study.unwrap_or_default();
    let note = |key: &str, value: Json| desk.journal.write(vec![Op::StudyAttr { study: id, key: key.into(), value }]);
    let first = study.screening_seed(0);
    if let (Budget::Calibrated(_), false) = (study.budget, state.attrs.contains_key("tokens")) {
        note("tokens", go(&study.baseline, first, "speed".into())?["tokens"].clone())?;
    }
    let seeds: Vec<u64> = (0..search::calibration::runs(&study.rules)).map(|i| study.screening_seed(i)).collect();
    let baseline = seeds.iter().map(|&s| race::value(desk, candidate, Arm::Candidate, &study.baseline, s, stop));
    let baseline = baseline.collect::<Result<Vec<f64>, Failure>>()?;
    let again = go(&study.baseline, first, "again".into())?;
    note("wall_seconds", again["wall_seconds"].clone())?;
    note("cpu_seconds", again["cpu_seconds"].clone())?;
    let twice = [baseline[0], number(&again, "value").unwrap_or(f64::NAN)];
    if desk.is_repeatable() && twice[0].to_bits() != twice[1].to_bits() {
        let why = format!(
            "seed {first} gave {} and then {}: a run is to be repeatable before anything is searched; look for \
                           --max-time among its arguments, a file that changed, another program version",
            twice[0], twice[1]
        );
        return Err(Failure::Crash(why));
    }
    let tweak = tweak(desk);
    let tweaked = seeds.iter().map(|&s| Ok(number(&go(&tweak, s, format!("tweak-{s}"))?, "value").unwrap_or(f64::NAN)));
    let tweaked = tweaked.collect::<Result<Vec<f64>, Failure>>()?;
    let mut found = Calibration::of(twice, &baseline, &tweaked, &study.rules, study.trials);
    found.tweak = study.space.changes(&study.baseline, &tweak);
    found.tokens_per_second = number(&again, "tokens_per_second").unwrap_or(0.0);
    found.seconds = number(&again, "wall_seconds").unwrap_or(0.0);
    out.say(show::calibration_text(&found, study.objective.name()));
    desk.journal.write(vec![
        Op::TrialAttr { trial: candidate.id, key: "verdict".into(), value: json!("Keep") },
        Op::SetState {
            trial: candidate.id,
            state: TrialState::Complete,
            value: Some(search::stats::mean(&baseline[..study.rules.seeds.min(baseline.len())])),
        },
        Op::StudyAttr { study: id, key: "incumbent".into(), value: json!(candidate.number) },
        Op::StudyAttr { study: id, key: "calibration".into(), value: serde_json::to_value(&found)? },
    ])?;
    Ok(())
}

/// The baseline with one parameter a tenth of its range further: the learning rate if it is searched.
fn tweak(desk: &Desk) -> Config {
    let space = &desk.study.space;
    let mut order: Vec<usize> = (0..space.params.len()).collect();
    order.sort_by_key(|&i| space.params[i].name != "learning-rate");
    for i in order {
        let mut config = desk.study.baseline.clone();
        let u = space.params[i].unit(config[i]);
        for by in [0.1, 0.25, 0.5] {
            config[i] = space.params[i].at(if u < 0.5 { u + by } else { u - by });
            let settled = desk.study.settle(config.clone());
            if settled != desk.study.baseline {
                return settled;
            }
        }
    }
    desk.study.baseline.clone()
}
