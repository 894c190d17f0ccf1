//! What a study shows beside its journal: the incumbent's file, a commit for each kept trial, the table. All of it follows from the
//! journal and is made again from there, so that what a worker that was killed after a verdict left undone, the next one does.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use search::git::Repository;
use search::journal::{Op, State, Trial};
use serde_json::{Value as Json, json};

use super::{Desk, show};
use crate::exit::crash_at;
use crate::out::Out;

/// Brings file, commits and table up to what the journal says. One at a time: the row of a kept trial names its commit, and a
/// row that stands in the table never changes.
pub fn publish(desk: &Desk, out: Out) -> anyhow::Result<()> {
    let path = desk.folder.join("published.lock");
    let turn = File::create(&path).with_context(|| path.display().to_string())?;
    turn.lock().with_context(|| path.display().to_string())?;
    let state = committed(desk, out)?;
    if let Some((text, _)) = kept(&state).last().and_then(|t| file(desk, t)) {
        replace(desk, "incumbent.toml", &text)?;
    }
    if state.trials.iter().any(|t| t.state.is_finished()) {
        replace(desk, "results.tsv", &show::table(desk, &state))?;
    }
    Ok(())
}

/// Kept trials in the order in which they were kept: each was against the incumbent before it, and the first is the baseline.
pub fn kept(state: &State) -> Vec<&Trial> {
    let number = |value: Option<&Json>| value.and_then(Json::as_u64).map(|n| n as usize);
    let (mut all, mut last) = (Vec::new(), number(state.attrs.get("incumbent")));
    while let Some(trial) = last.and_then(|n| state.trials.get(n)).filter(|_| all.len() < state.trials.len()) {
        all.push(trial);
        last = number(trial.attrs.get("gain").and_then(|gain| gain.get("against")));
    }
    all.reverse();
    all
}

/// Commits what was kept and has none. Gives the state in which nothing is missing.
fn committed(desk: &Desk, out: Out) -> anyhow::Result<State> {
    let mut state = desk.journal.state()?;
    let Some(branch) = &desk.study.branch else { return Ok(state) };
    loop {
        let missing = |t: &&Trial| !state.attrs.contains_key(&note(t.number));
        let Some(trial) = kept(&state).into_iter().find(missing) else { return Ok(state) };
        let Some((text, message)) = file(desk, trial) else { return Ok(state) };
        let name = format!("{}/incumbent.toml", desk.study.name);
        let hash = Repository::of(Path::new("."))?.commit(branch, &name, &text, &message)?;
        crash_at("committed");
        out.say(format!("committed {hash} to {branch}"));
        let (study, key) = (state.study.unwrap_or_default(), note(trial.number));
        state = desk.journal.write(vec![Op::StudyAttr { study, key, value: json!(hash) }])?;
    }
}

/// Where the journal has the commit of a trial.
pub fn note(number: usize) -> String {
    format!("commit:{number}")
}

/// `incumbent.toml` with this trial as the incumbent, and the message of its commit.
fn file(desk: &Desk, trial: &Trial) -> Option<(String, String)> {
    let config = trial.config(&desk.study.space)?;
    let gain = trial.attrs.get("gain").cloned().unwrap_or_default();
    let (value, objective) = (trial.value.unwrap_or(f64::NAN), desk.study.objective.name());
    let message = format!("{}: keep trial {}, {objective} {value:.5}\n\n{gain}\n", desk.study.name, trial.number);
    Some((show::incumbent_file(desk, trial.number, &config), message))
}

/// Writes `name` of the study's folder whole or not at all, where it is another than before.
fn replace(desk: &Desk, name: &str, text: &str) -> anyhow::Result<()> {
    let path = desk.folder.join(name);
    if std::fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let new = desk.folder.join(format!("{name}.{}", desk.journal.worker()));
    std::fs::write(&new, text).with_context(|| new.display().to_string())?;
    std::fs::rename(&new, &path).with_context(|| path.display().to_string())
}
