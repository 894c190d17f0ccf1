//! What the lines of a journal amount to, by Optuna's rules: ids are counts of creations, the first worker that sets a
//! waiting trial running has it, and what concerns an unknown or finished trial is passed over.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::number;
use crate::{Config, Space};

/// Optuna's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialState {
    /// A worker has it.
    Running = 0,
    /// It has a value.
    Complete = 1,
    /// It was given up early.
    Pruned = 2,
    /// It crashed, or its worker died.
    Fail = 3,
    /// It waits for a worker.
    Waiting = 4,
}

impl TrialState {
    fn of(code: u64) -> Option<TrialState> {
        use TrialState::*;
        [Running, Complete, Pruned, Fail, Waiting].into_iter().find(|s| *s as u64 == code)
    }

    /// Whether nothing can change it.
    pub fn is_finished(self) -> bool {
        !matches!(self, TrialState::Running | TrialState::Waiting)
    }

    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        ["running", "complete", "pruned", "fail", "waiting"][self as usize]
    }
}

/// A trial of our study.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Id over all studies of the journal.
    pub id: usize,
    /// Number in its study.
    pub number: usize,
    /// State.
    pub state: TrialState,
    /// Values, or indices of choices, by name.
    pub params: BTreeMap<String, f64>,
    /// What it came to.
    pub value: Option<f64>,
    /// What was noted about it.
    pub attrs: Map<String, Json>,
    /// What Optuna noted: `fixed_params`.
    pub system: Map<String, Json>,
    /// Values on the way.
    pub intermediate: BTreeMap<u64, f64>,
    /// Worker that has or had it.
    pub worker: String,
    /// When it began.
    pub started: String,
    /// When it ended.
    pub completed: String,
}

impl Trial {
    /// Its configuration; none when it lacks a parameter, as long as it waits, or has a value that the range does not hold.
    pub fn config(&self, space: &Space) -> Option<Config> {
        space.params.iter().map(|p| self.params.get(&p.name).copied().filter(|v| p.holds(*v))).collect()
    }

    /// The configuration that it is to have, from `fixed_params`; none when they are not all there or out of range.
    pub fn fixed(&self, space: &Space) -> Option<Config> {
        let fixed = self.system.get("fixed_params")?.as_object()?;
        let read = |p: &crate::Param| {
            let value = fixed.get(&p.name)?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            p.read(&text).ok()
        };
        space.params.iter().map(read).collect()
    }

    /// A text that was noted about it.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.attrs.get(key)?.as_str()
    }
}

/// A journal, replayed for one study.
#[derive(Clone, Debug)]
pub struct State {
    name: String,
    studies: usize,
    trial_owner: Vec<Option<usize>>,
    living: BTreeMap<usize, String>,
    /// Id of our study.
    pub study: Option<usize>,
    /// What was noted about the study.
    pub attrs: Map<String, Json>,
    /// Trials by number.
    pub trials: Vec<Trial>,
}

impl State {
    pub(super) fn of(name: &str) -> State {
        State {
            name: name.to_owned(),
            studies: 0,
            trial_owner: Vec::new(),
            living: BTreeMap::new(),
            study: None,
            attrs: Map::new(),
            trials: Vec::new(),
        }
    }

    /// Id that the next trial of the journal will have.
    pub fn next_trial(&self) -> usize {
        self.trial_owner.len()
    }

    /// The trial with this id.
    pub fn trial(&self, id: usize) -> Option<&Trial> {
        self.trials.iter().find(|t| t.id == id)
    }

    pub(super) fn apply(&mut self, line: &Json) {
        let int = |key: &str| line.get(key).and_then(Json::as_u64);
        let Some(code) = int("op_code") else { return };
        let study = int("study_id").map(|id| id as usize);
        match code {
            0 => self.create_study(line),
            1 => self.delete_study(study),
            2 if study.is_some() && study == self.study => merge(&mut self.attrs, line.get("user_attr")),
            4 => self.create_trial(study, line),
            5..=9 => {
                if let Some(id) = int("trial_id") {
                    self.update(id as usize, code, line);
                }
            }
            _ => {}
        }
    }

    fn create_study(&mut self, line: &Json) {
        let Some(name) = line.get("study_name").and_then(Json::as_str) else { return };
        if self.living.values().any(|n| n == name) {
            return;
        }
        if name == self.name {
            self.study = Some(self.studies);
        }
        self.living.insert(self.studies, name.to_owned());
        self.studies += 1;
    }

    fn delete_study(&mut self, study: Option<usize>) {
        let Some(id) = study else { return };
        if self.living.remove(&id).is_some() && self.study == Some(id) {
            self.study = None;
            self.attrs.clear();
            self.trials.clear();
        }
    }

    fn create_trial(&mut self, study: Option<usize>, line: &Json) {
        let Some(study) = study.filter(|id| self.living.contains_key(id)) else { return };
        let id = self.trial_owner.len();
        self.trial_owner.push(Some(study));
        if self.study != Some(study) {
            return;
        }
        let object = |key: &str| line.get(key).and_then(Json::as_object).cloned().unwrap_or_default();
        let text = |key: &str| line.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let state = line.get("state").and_then(Json::as_u64).and_then(TrialState::of).unwrap_or(TrialState::Running);
        let params = object("params").iter().filter_map(|(k, v)| Some((k.clone(), number(v)?))).collect();
        let values = object("intermediate_values");
        self.trials.push(Trial {
            id,
            number: self.trials.len(),
            state,
            params,
            value: line.get("value").and_then(number).or_else(|| first(line.get("values"))),
            attrs: object("user_attrs"),
            system: object("system_attrs"),
            intermediate: values.iter().filter_map(|(k, v)| Some((k.parse().ok()?, number(v)?))).collect(),
            worker: text("worker_id"),
            started: text("datetime_start"),
            completed: text("datetime_complete"),
        });
    }

    fn update(&mut self, id: usize, code: u64, line: &Json) {
        let Some(trial) = self.trials.iter_mut().find(|t| t.id == id && !t.state.is_finished()) else { return };
        let text = |key: &str| line.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        match code {
            5 => {
                if let Some(value) = line.get("param_value_internal").and_then(number) {
                    trial.params.insert(text("param_name"), value);
                }
            }
            6 => {
                let Some(state) = line.get("state").and_then(Json::as_u64).and_then(TrialState::of) else { return };
                if state == TrialState::Running {
                    if trial.state == TrialState::Running {
                        return;
                    }
                    (trial.worker, trial.started) = (text("worker_id"), text("datetime_start"));
                }
                trial.state = state;
                if state.is_finished() {
                    (trial.value, trial.completed) = (first(line.get("values")), text("datetime_complete"));
                }
            }
            7 => {
                let step = line.get("step").and_then(Json::as_u64);
                if let Some((step, value)) = step.zip(line.get("intermediate_value").and_then(number)) {
                    trial.intermediate.insert(step, value);
                }
            }
            8 => merge(&mut trial.attrs, line.get("user_attr")),
            _ => merge(&mut trial.system, line.get("system_attr")),
        }
    }
}

fn first(values: Option<&Json>) -> Option<f64> {
    values?.as_array()?.first().and_then(number)
}

fn merge(into: &mut Map<String, Json>, from: Option<&Json>) {
    if let Some(object) = from.and_then(Json::as_object) {
        into.extend(object.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
}
