//! Hypotheses of people and agents: enqueued as trials, judged like any other.

use std::path::Path;

use search::Study;
use search::journal::{Op, State};
use serde_json::json;

use super::{Desk, worker};
use crate::cli::SearchProposeArgs;
use crate::config::nearest;
use crate::exit::usage;
use crate::out::Out;

/// Enqueues the incumbent with the changes that were typed.
pub fn run(args: &SearchProposeArgs, out: Out) -> anyhow::Result<()> {
    let desk = Desk::open(&args.study)?;
    let space = &desk.study.space;
    let decide = |state: &State| -> anyhow::Result<(Vec<Op>, usize)> {
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
        let number = state.trials.len();
        if let Some(same) = worker::same(&desk, state, &config, number) {
            return Ok((Vec::new(), same));
        }
        let attrs = json!({ "source": "proposed", "hypothesis": args.why });
        Ok((vec![Op::Enqueue { study: state.study.unwrap_or_default(), fixed: space.json(&config), attrs }], number))
    };
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
    let folder = folder.display();
    let objective = study.objective.name();
    let row = |p: &search::Param| format!("- `{}`: {}\n", p.name, p.describe());
    let space: String = study.space.params.iter().map(row).collect();
    let (r, baseline) = (&study.rules, study.space.key(&study.baseline));
    format!(
        "# Study {}\n\nYou search for settings of `autoane train` with a lower `{objective}`. You propose; the program measures and decides.\n\n\
         ## Parameters\n\n{space}\nBaseline: `{baseline}`. Every run: `autoane train {}`.\n\n\
         ## Loop\n\n\
         1. `autoane search status {folder} --json`: incumbent, what runs, what is left, the smallest detectable effect.\n\
         2. `autoane search show {folder} --json`: every trial with its runs and verdict. Read what was reverted, too.\n\
         3. `autoane search propose {folder} --set NAME=VALUE --why \"one sentence\"`: one hypothesis, one or two changes.\n\
         4. `autoane search run {folder} --trials 1`: measures the oldest waiting hypothesis. Then go to 1.\n\
         5. When `left` is 0, or nothing worth a change is left to try: `autoane search final {folder}`, and stop.\n\n\
         ## Rules\n\n\
         - A trial is Keep only when it beats the incumbent by a paired test on seeds that were never used before. The whole\n  \
           search has a chance of at most {} to keep anything that is no better; {} trials in all. No way leads around it.\n\
         - Gains below {} are not worth a change. \"No detectable improvement\" is a result.\n\
         - A configuration is never run twice; a proposal that was tried is answered with its trial and verdict (`known`).\n\
         - Do not edit `journal.log`, `study.json` or anything else in `{folder}`; do not run `train` on the test text.\n\
         - Report the confirmed gain with its interval, never the best single run.\n",
        study.name,
        study.train.join(" "),
        r.alpha,
        study.trials,
        r.min_effect,
    )
}
