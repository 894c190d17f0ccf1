//! A trial from its first run to its verdict.

use search::journal::{Op, State, Trial, TrialState};
use search::race::{Next, Stage};
use search::samplers::{Rungs, SamplerKind, promoted};
use search::{Config, Race, SearchError, Verdict, stats};
use serde_json::{Value as Json, json};

use super::Desk;
use super::trial::{self, Failure, Run};
use crate::stop::Stop;

/// The trial that a worker has.
pub struct Candidate {
    /// Id in the journal.
    pub id: usize,
    /// Number in the study.
    pub number: usize,
    /// Configuration.
    pub config: Config,
}

/// Whose run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The trial's own.
    Candidate,
    /// The incumbent's, run again for this trial.
    Incumbent(usize),
}

/// Runs the trial until its verdict, and writes it.
///
/// # Errors
/// [`Failure::Stopped`] and what goes wrong here; a crash of the trial is a verdict.
pub fn judge(desk: &Desk, candidate: &Candidate, stop: &Stop) -> Result<Verdict, Failure> {
    match climb(desk, candidate, stop) {
        Ok(None) => {}
        Ok(Some(value)) => {
            finish(
                desk,
                candidate,
                Verdict::Revert,
                TrialState::Pruned,
                Some(value),
                json!("not among the best third of its rung"),
            )?;
            return Ok(Verdict::Revert);
        }
        Err(Failure::Crash(why)) => return crash(desk, candidate, &why),
        Err(other) => return Err(other),
    }
    loop {
        let state = desk.journal.state()?;
        let Some((number, config)) = desk.incumbent(&state) else {
            return Err(Failure::Error(anyhow::anyhow!("the study has no incumbent")));
        };
        let mut race = Race::new(&desk.study.rules);
        let verdict = match run_race(desk, candidate, (number, &config), &mut race, stop) {
            Ok(verdict) => verdict,
            Err(Failure::Crash(why)) => return crash(desk, candidate, &why),
            Err(other) => return Err(other),
        };
        if conclude(desk, candidate, number, &race, verdict)? {
            return Ok(verdict);
        }
    }
}

fn run_race(
    desk: &Desk,
    candidate: &Candidate,
    incumbent: (usize, &Config),
    race: &mut Race,
    stop: &Stop,
) -> Result<Verdict, Failure> {
    loop {
        match race.next() {
            Next::Done(verdict) => return Ok(verdict),
            Next::Attempt => race.confirm(attempt(desk, candidate)?),
            Next::Pair(stage, i) => {
                let seed = match (stage, race.attempt()) {
                    (Stage::Confirmation, Some(attempt)) => desk.study.fresh_seed(attempt, i),
                    _ => desk.study.screening_seed(i),
                };
                let (other, own) = pair(desk, candidate, incumbent, (seed, i), stop)?;
                race.record(other, own);
            }
        }
    }
}

/// Incumbent and candidate with one seed; pair by pair in turns, A, B, B, A, so that a machine that slows down does it to both.
fn pair(
    desk: &Desk,
    candidate: &Candidate,
    incumbent: (usize, &Config),
    (seed, i): (u64, usize),
    stop: &Stop,
) -> Result<(f64, f64), Failure> {
    let own = || value(desk, candidate, Arm::Candidate, &candidate.config, seed, stop);
    let other = || match value(desk, candidate, Arm::Incumbent(incumbent.0), incumbent.1, seed, stop) {
        Err(Failure::Crash(_)) => Ok(f64::NAN),
        other => other,
    };
    if i.is_multiple_of(2) {
        let own = own()?;
        return Ok((other()?, own));
    }
    Ok((other()?, own()?))
}

/// The number of a confirmation over the whole study: taken under the lock, so that no two have the same seeds.
fn attempt(desk: &Desk, candidate: &Candidate) -> Result<usize, SearchError> {
    let number = |key: &str| key.strip_prefix("attempt:").and_then(|n| n.parse::<usize>().ok());
    let taken = |state: &State| state.trials.iter().flat_map(|t| t.attrs.keys()).filter_map(|k| number(k)).max().unwrap_or(0);
    let decide = |state: &State| {
        let n = taken(state) + 1;
        Ok((vec![Op::TrialAttr { trial: candidate.id, key: format!("attempt:{n}"), value: json!(true) }], n))
    };
    desk.journal.transact::<usize, SearchError>(decide).map(|(n, _)| n)
}

/// The value of a run: from the journal where an equal one has been, else of a new one.
pub fn value(desk: &Desk, candidate: &Candidate, arm: Arm, config: &Config, seed: u64, stop: &Stop) -> Result<f64, Failure> {
    let state = desk.journal.state()?;
    let (name, of) = match arm {
        Arm::Candidate => ("candidate", candidate.number),
        Arm::Incumbent(n) => ("incumbent", n),
    };
    // what the clock ends is compared with what ran beside it, not with another hour's
    let (key, beside) = (format!("run:{name}:{seed}"), arm != Arm::Candidate && !desk.is_repeatable());
    let known = if beside { known_beside(&state, candidate, &key, of) } else { known(&state, of, seed) };
    if let Some(known) = known {
        return Ok(known);
    }
    let folder = desk.folder.join("trials").join(format!("{:04}", candidate.number)).join(format!("{name}-{seed}"));
    let record = trial::run(desk, &state, &Run { config, seed, share: 1.0, folder, keep: false }, stop)?;
    let value = record.get("value").and_then(Json::as_f64).unwrap_or(f64::NAN);
    let mut record = record;
    record["of"] = json!(of);
    desk.journal.write(vec![Op::TrialAttr { trial: candidate.id, key, value: record }])?;
    Ok(value)
}

/// The value of a run of trial `of` that was made for this very candidate.
fn known_beside(state: &State, candidate: &Candidate, key: &str, of: usize) -> Option<f64> {
    let record = state.trials.get(candidate.number)?.attrs.get(key)?;
    record.get("value")?.as_f64().filter(|_| record.get("of").and_then(Json::as_u64) == Some(of as u64))
}

/// The value of trial `number` with `seed`, wherever it was measured; equal runs give equal values.
fn known(state: &State, number: usize, seed: u64) -> Option<f64> {
    let read = |t: &Trial, key: &str| t.attrs.get(key)?.get("value")?.as_f64();
    let own = format!("run:candidate:{seed}");
    let trial = state.trials.get(number)?;
    let before = trial.attrs.get("retry_of").and_then(Json::as_u64).and_then(|n| state.trials.get(n as usize));
    let other = format!("run:incumbent:{seed}");
    let of = |t: &&Trial| t.attrs.get(&other).and_then(|r| r.get("of")).and_then(Json::as_u64) == Some(number as u64);
    let again = || state.trials.iter().find(of).and_then(|t| read(t, &other));
    read(trial, &own).or_else(|| before.and_then(|t| read(t, &own))).or_else(again)
}

/// Values of the screening, and of the seeds in all.
fn screened(desk: &Desk, state: &State, number: usize) -> Vec<f64> {
    (0..desk.study.rules.seeds).filter_map(|i| known(state, number, desk.study.screening_seed(i))).collect()
}

/// Writes the verdict; false when the incumbent has changed meanwhile in a way that matters.
fn conclude(desk: &Desk, candidate: &Candidate, incumbent: usize, race: &Race, verdict: Verdict) -> Result<bool, Failure> {
    let decide = |state: &State| {
        let now = desk.incumbent(state).map(|(n, _)| n);
        if now != Some(incumbent) && matches!(verdict, Verdict::Keep | Verdict::Inconclusive) {
            return Ok((Vec::new(), false));
        }
        let value = screened(desk, state, candidate.number);
        let gains = if race.confirmed().len() > 1 { race.confirmed() } else { race.screened() };
        let (mean, low, high) = stats::interval(gains, 0.95);
        let gain = json!({
            "mean": mean, "low": finite(low), "high": finite(high), "pairs": gains.len(), "against": incumbent,
            "attempt": race.attempt(),
        });
        let mut ops = vec![Op::TrialAttr { trial: candidate.id, key: "gain".into(), value: gain }];
        ops.push(Op::TrialAttr { trial: candidate.id, key: "verdict".into(), value: json!(verdict.name()) });
        let value = Some(stats::mean(&value)).filter(|v| v.is_finite());
        ops.push(Op::SetState { trial: candidate.id, state: TrialState::Complete, value });
        if verdict == Verdict::Keep {
            let study = state.study.unwrap_or_default();
            ops.push(Op::StudyAttr { study, key: "incumbent".into(), value: json!(candidate.number) });
        }
        Ok((ops, true))
    };
    Ok(desk.journal.transact::<bool, SearchError>(decide)?.0)
}

fn finite(v: f64) -> Option<f64> {
    Some(v).filter(|v| v.is_finite())
}

fn crash(desk: &Desk, candidate: &Candidate, why: &str) -> Result<Verdict, Failure> {
    finish(desk, candidate, Verdict::Crash, TrialState::Fail, None, json!(why))?;
    Ok(Verdict::Crash)
}

/// Ends a trial without a race.
pub fn finish(
    desk: &Desk,
    candidate: &Candidate,
    verdict: Verdict,
    state: TrialState,
    value: Option<f64>,
    why: Json,
) -> Result<(), SearchError> {
    desk.journal.write(vec![
        Op::TrialAttr { trial: candidate.id, key: "verdict".into(), value: json!(verdict.name()) },
        Op::TrialAttr { trial: candidate.id, key: "why".into(), value: why },
        Op::SetState { trial: candidate.id, state, value },
    ])?;
    Ok(())
}

/// Successive halving: complete runs at parts of the budget. A value: the trial goes no further.
fn climb(desk: &Desk, candidate: &Candidate, stop: &Stop) -> Result<Option<f64>, Failure> {
    if desk.study.sampler != SamplerKind::Halving {
        return Ok(None);
    }
    let rungs = Rungs::default();
    for rung in 0..rungs.below {
        let state = desk.journal.state()?;
        let folder = desk.folder.join("trials").join(format!("{:04}", candidate.number)).join(format!("rung-{rung}"));
        let seed = desk.study.screening_seed(0);
        let run = Run { config: &candidate.config, seed, share: rungs.share(rung), folder, keep: false };
        let value = trial::run(desk, &state, &run, stop)?.get("value").and_then(Json::as_f64).unwrap_or(f64::NAN);
        let ops = vec![
            Op::Intermediate { trial: candidate.id, step: u64::from(rung), value },
            Op::TrialSystemAttr { trial: candidate.id, key: format!("completed_rung_{rung}"), value: json!(value) },
        ];
        let state = desk.journal.write(ops)?;
        let others: Vec<_> = state.trials.iter().filter(|t| t.id != candidate.id).map(|t| t.intermediate.clone()).collect();
        if !promoted(rungs, rung, value, &others) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}
