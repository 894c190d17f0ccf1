//! What a study has found, for people and programs.

use std::path::Path;

use search::calibration::Calibration;
use search::journal::{State, Trial, TrialState};
use search::study::{Budget, Equal};
use search::{Config, Study, Verdict, shape};
use serde_json::{Value as Json, json};

use super::{Desk, kept, verdict};
use crate::out::Out;

/// `search show`.
pub fn run(folder: &Path, out: Out) -> anyhow::Result<()> {
    let desk = Desk::open(folder)?;
    let state = desk.journal.state()?;
    let row = |t: &Trial| {
        let changes = t.config(&desk.study.space).map(|c| desk.study.space.changes(&desk.study.baseline, &c));
        vec![
            t.number.to_string(),
            format!(" {}", t.state.name()),
            t.value.map_or_else(|| "-".into(), |v| format!("{v:.5}")),
            // whose worker went, a trial was judged by nobody; it waits for another
            format!(" {}", t.text("verdict").filter(|_| t.text("died").is_none()).unwrap_or("-")),
            format!(" {}", gain(t)),
            format!(" {}", changes.unwrap_or_default()),
        ]
    };
    let rows: Vec<Vec<String>> = state.trials.iter().map(row).collect();
    out.table(&["trial", " state", desk.study.objective.name(), " verdict", " gain over the incumbent", " changes"], &rows)?;
    if let Some(c) = desk.calibration(&state) {
        out.line(calibration_text(&c, desk.study.objective.name()))?;
    }
    if let Some(verdict) = verdict(&desk, &state) {
        out.line(verdict)?;
    }
    out.json(&json(&desk, &state))
}

fn gain(trial: &Trial) -> String {
    let of = |key: &str| trial.attrs.get("gain").and_then(|g| g.get(key)).and_then(Json::as_f64);
    match (of("mean"), of("low"), of("high")) {
        (Some(m), Some(l), Some(h)) => format!("{m:+.5} ({l:+.5} to {h:+.5})"),
        (Some(m), ..) => format!("{m:+.5}"),
        _ => trial.text("why").unwrap_or("-").to_owned(),
    }
}

/// What calibration found, in a few lines.
pub fn calibration_text(c: &Calibration, objective: &str) -> String {
    format!(
        "noise: {objective} over {} seeds has a standard deviation of {:.5}; a paired difference ({}) has {:.5}, correlation {:.3}\n\
         smallest effect that is detected with power {}: {:.5}; greedy search would report a gain of {:.5} from noise alone{}",
        c.baseline.len(),
        c.sigma,
        c.tweak,
        c.sigma_paired,
        c.correlation,
        c.power,
        c.detectable,
        c.greedy_gain,
        if c.identical { "" } else { "\nequal runs differ: the budget is a time, and the machine's noise is in every value" },
    )
}

/// What a run spends, in words.
pub fn budget_text(study: &Study) -> String {
    let tokens = match study.budget {
        Budget::Tokens(n) => format!("{n} tokens"),
        Budget::Calibrated(t) => format!("the tokens that the baseline trains on in {t} s"),
        Budget::Clock(t) => return format!("{t} s by the clock"),
        Budget::Given => return "as its arguments say".into(),
    };
    match study.equal {
        Equal::Tokens => tokens,
        Equal::Flops => format!("the arithmetic of the baseline over {tokens}"),
    }
}

/// The object of `search show --json`.
pub fn json(desk: &Desk, state: &State) -> Json {
    let space = &desk.study.space;
    let trial = |t: &Trial| {
        let config = t.config(space).or_else(|| t.fixed(space));
        json!({
            "number": t.number,
            "state": t.state.name(),
            "value": t.value.filter(|v| v.is_finite()),
            "params": config.map(|c| space.json(&c)),
            "seeds": seeds(t),
            "verdict": t.text("verdict"),
            "gain": t.attrs.get("gain"),
            "why": t.attrs.get("why"),
            "source": t.attrs.get("source"),
            "hypothesis": t.attrs.get("hypothesis"),
            "rungs": t.intermediate,
        })
    };
    let best = desk.incumbent(state).map(|(number, config)| {
        json!({ "number": number, "value": state.trials.get(number).and_then(|t| t.value), "params": space.json(&config) })
    });
    json!({
        "study": desk.study.name,
        "journal": desk.folder.join(super::JOURNAL),
        "objective": desk.study.objective.name(),
        "trials": state.trials.iter().map(trial).collect::<Vec<_>>(),
        "best": best,
        "calibration": state.attrs.get("calibration"),
        "final": state.attrs.get("final"),
        "verdict": verdict(desk, state),
    })
}

/// The runs of a trial: seed, value, and the incumbent's value beside it where it was run again.
fn seeds(trial: &Trial) -> Vec<Json> {
    let own = trial.attrs.iter().filter_map(|(key, record)| {
        let seed: u64 = key.strip_prefix("run:candidate:")?.parse().ok()?;
        let other = trial.attrs.get(&format!("run:incumbent:{seed}")).and_then(|r| r.get("value"));
        let of = |key: &str| record.get(key);
        Some(json!({
            "seed": seed, "value": of("value"), "incumbent": other, "steps": of("steps"), "tokens": of("tokens"),
            "seconds": of("seconds"),
        }))
    });
    own.collect()
}

/// `search status`.
pub fn status(folder: &Path, out: Out) -> anyhow::Result<()> {
    let desk = Desk::open(folder)?;
    let state = desk.journal.state()?;
    let count = |s: TrialState| state.trials.iter().filter(|t| t.state == s).count();
    let kept = state.trials.iter().filter(|t| t.text("verdict") == Some("Keep") && t.text("source") != Some("baseline")).count();
    let best = desk.incumbent(&state);
    let left = desk.study.trials.saturating_sub(desk.counted(&state));
    let incumbent = best.map(
        |(n, c)| json!({ "number": n, "value": state.trials.get(n).and_then(|t| t.value), "params": desk.study.space.json(&c) }),
    );
    let verdict = verdict(&desk, &state);
    out.line(format!(
        "{}: {} trials, {} running, {} waiting, {kept} kept, {left} left",
        desk.study.name,
        state.trials.len(),
        count(TrialState::Running),
        count(TrialState::Waiting),
    ))?;
    out.line(verdict.clone().unwrap_or_else(|| "the noise is not measured yet".into()))?;
    let space: serde_json::Map<String, Json> =
        desk.study.space.params.iter().map(|p| (p.name.clone(), json!(p.describe()))).collect();
    let next = next(&desk, &state, left);
    out.line(format!("next: {next}"))?;
    out.json(&json!({
        "study": desk.study.name,
        "objective": desk.study.objective.name(),
        "space": space,
        "next": next,
        "trials": state.trials.len(),
        "running": count(TrialState::Running),
        "waiting": count(TrialState::Waiting),
        "complete": count(TrialState::Complete),
        "failed": count(TrialState::Fail),
        "pruned": count(TrialState::Pruned),
        "kept": kept,
        "left": left,
        "incumbent": incumbent,
        "calibration": state.attrs.get("calibration"),
        "final_opened": state.attrs.contains_key("final_opened"),
        "verdict": verdict,
    }))
}

/// The command that comes next.
fn next(desk: &Desk, state: &State, left: usize) -> String {
    let (program, folder) = (crate::out::program(), desk.folder.display());
    let waits = state.trials.iter().any(|t| t.state == TrialState::Waiting);
    if state.attrs.contains_key("final") {
        return format!("{program} search report {folder}");
    }
    if left == 0 || state.attrs.contains_key("final_opened") {
        return format!("{program} search final {folder}");
    }
    if waits || !state.attrs.contains_key("calibration") {
        return format!("{program} search run {folder} --trials 1");
    }
    format!("{program} search propose {folder} --set NAME=VALUE, or {program} search run {folder}")
}

/// The flags of the incumbent as a file for `train --config`; what shapes the model stands in comments.
pub fn incumbent_file(desk: &Desk, number: usize, config: &Config) -> String {
    let line = |(p, &v): (&search::Param, &f64)| {
        let value = p.json(v);
        let shaped = if shape::NAMES.contains(&p.name.as_str()) { "# of the model: " } else { "" };
        format!("{shaped}{} = {value}\n", p.name)
    };
    let lines: String = desk.study.space.params.iter().zip(config).map(line).collect();
    format!("# incumbent of study {}: trial {number}\n{lines}", desk.study.name)
}

/// `results.tsv` in the columns of the original, made from the journal: every finished trial has its row.
pub fn table(desk: &Desk, state: &State) -> String {
    let mut text = String::from("commit\tval_loss\tsteps\tparams_M\tms_step\tstatus\tdescription\tall_losses\n");
    for trial in state.trials.iter().filter(|t| t.state.is_finished()) {
        let runs: Vec<&Json> = trial.attrs.iter().filter(|(k, _)| k.starts_with("run:candidate:")).map(|(_, v)| v).collect();
        let of = |key: &str| runs.iter().find_map(|r| r.get(key).and_then(Json::as_f64));
        let losses: Vec<f64> = runs.iter().filter_map(|r| r.get("val_loss").and_then(Json::as_f64)).collect();
        let number = |v: Option<f64>, digits: usize| v.map_or_else(|| "null".into(), |v| format!("{v:.digits$}"));
        let commit = state.attrs.get(&kept::note(trial.number)).and_then(Json::as_str).unwrap_or("-");
        let status = trial.text("verdict").and_then(Verdict::of).map_or("discard", Verdict::original);
        let config = trial.config(&desk.study.space);
        let changes = config.map(|c| desk.study.space.changes(&desk.study.baseline, &c)).unwrap_or_default();
        let description = if changes.is_empty() { "baseline".to_owned() } else { changes };
        let mean = (!losses.is_empty()).then(|| search::stats::mean(&losses));
        let all = if losses.len() > 1 { format!("\t{}", json!(losses)) } else { String::new() };
        text.push_str(&format!(
            "{commit}\t{}\t{}\t{}\t{}\t{status}\t{description}{all}\n",
            number(mean, 3),
            number(of("steps"), 0),
            number(of("params").map(|p| p / 1e6), 3),
            number(of("ms_per_step"), 1),
        ));
    }
    text
}
