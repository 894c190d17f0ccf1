//! Hypotheses of people and agents: enqueued as trials, judged like any other.

use std::path::Path;

use search::Study;
use search::journal::{Op, State};
use serde_json::json;

use super::{Desk, show, worker};
use crate::cli::SearchProposeArgs;
use crate::config::nearest;
use crate::exit::{Exit, FAILURE, usage};
use crate::out::Out;

/// Enqueues the incumbent with the changes that were typed.
pub fn run(args: &SearchProposeArgs, out: Out) -> anyhow::Result<()> {
    let desk = Desk::open(&args.study)?;
    let space = &desk.study.space;
    let decide = |state: &State| -> anyhow::Result<(Vec<Op>, usize)> {
        if state.attrs.contains_key("final_opened") {
            return Err(Exit::new(FAILURE, "the locked test was opened: the study is over").into());
        }
        let mut config = desk.incumbent(state).map_or_else(|| desk.study.baseline.clone(), |(_, c)| c);
        for text in &args.set {
            let (name, value) = text.split_once('=').ok_or_else(|| usage(format!("--set {text}: expected NAME=VALUE")))?;
            let name = name.trim_start_matches("--").replace('_', "-");
            let Some(i) = space.position(&name) else {
                let hint = nearest(&name, space.params.iter().map(|p| p.name.as_str()));
                let hint = hint.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
                return Err(usage(format!("--set {name}: not a parameter of the study{hint}")));
            };
            config[i] = space.params[i].read(value)?;
        }
        let config = desk.study.settle(config);
        if config == desk.study.baseline && !state.attrs.contains_key("baseline") {
            return Err(usage("that is the baseline, which `search run` measures first"));
        }
        let number = state.trials.len();
        if let Some(same) = worker::same(&desk, state, &config, number) {
            return Ok((Vec::new(), same));
        }
        if let Some(why) = desk.refusal(state, &config) {
            return Err(usage(format!("{}: {why}", space.key(&config))));
        }
        if desk.counted(state) >= desk.study.trials {
            let said = format!("the study has all its {} trials: `search final` is next", desk.study.trials);
            return Err(Exit::new(FAILURE, said).into());
        }
        let attrs = json!({ "source": "proposed", "hypothesis": args.why });
        Ok((vec![Op::Enqueue { study: state.study.unwrap_or_default(), fixed: space.json(&config), attrs }], number))
    };
    // what memory is foreseen from takes time, which is not for the journal's lock
    decide(&desk.journal.state()?)?;
    let (number, state) = desk.journal.transact(decide)?;
    let trial = state.trials.get(number);
    let params = trial.and_then(|t| t.config(space).or_else(|| t.fixed(space))).map(|c| space.json(&c));
    let verdict = trial.and_then(|t| t.text("verdict"));
    let known = trial.is_some_and(|t| t.worker != desk.journal.worker());
    if known {
        let judged = verdict.unwrap_or("not judged yet");
        out.warn(format!("the same configuration is trial {number} ({judged}): it is not run again"));
    } else {
        let next = format!("{} search run {} --trials 1", crate::out::program(), args.study.display());
        out.say(format!("trial {number} waits; next: {next}"));
    }
    let state = trial.map(|t| t.state.name());
    out.json(&json!({ "number": number, "state": state, "params": params, "verdict": verdict, "known": known }))
}

/// `program.md`: the rules of the study for a coding agent.
pub fn program(study: &Study, folder: &Path) -> String {
    let row = |p: &search::Param| format!("- `{}`: {}\n", p.name, p.describe());
    let space: String = study.space.params.iter().map(row).collect();
    let r = &study.rules;
    format!(
        include_str!("program.md"),
        name = study.name,
        objective = study.objective.name(),
        space = space,
        baseline = study.space.key(&study.baseline),
        train = study.train.join(" "),
        budget = show::budget_text(study),
        folder = folder.display(),
        first = 2 * search::calibration::runs(r) + 1,
        sampler = study.sampler.name(),
        least = r.seeds,
        most = r.seeds + 2 * r.max_pairs,
        alpha = r.alpha,
        trials = study.trials,
        effect = r.min_effect,
    )
}
