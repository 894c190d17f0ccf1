//! The operations that we write, as lines.

use serde_json::{Value as Json, json};

use super::{TrialState, now};
use crate::{Config, Space};

/// One line of a journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A study that minimises.
    CreateStudy {
        /// Its name.
        name: String,
    },
    /// A value of the study for people and programs.
    StudyAttr {
        /// Id of the study.
        study: usize,
        /// Name.
        key: String,
        /// Value.
        value: Json,
    },
    /// A value of the study for Optuna: `study:metric_names`.
    StudySystemAttr {
        /// Id of the study.
        study: usize,
        /// Name.
        key: String,
        /// Value.
        value: Json,
    },
    /// A trial that this worker runs from now on; its parameters follow.
    CreateTrial {
        /// Id of the study.
        study: usize,
    },
    /// A trial that waits for a worker, with the values it is to have.
    Enqueue {
        /// Id of the study.
        study: usize,
        /// `{name: value}`.
        fixed: Json,
        /// More about it.
        attrs: Json,
    },
    /// A parameter of a running trial.
    Param {
        /// Id of the trial.
        trial: usize,
        /// Name.
        name: String,
        /// Value, or index of a choice.
        value: f64,
        /// Optuna's distribution.
        distribution: String,
    },
    /// The state of a trial.
    SetState {
        /// Id of the trial.
        trial: usize,
        /// The new one.
        state: TrialState,
        /// What it came to.
        value: Option<f64>,
    },
    /// A value on the way: a rung.
    Intermediate {
        /// Id of the trial.
        trial: usize,
        /// Rung.
        step: u64,
        /// Value.
        value: f64,
    },
    /// Something about a trial.
    TrialAttr {
        /// Id of the trial.
        trial: usize,
        /// Name.
        key: String,
        /// Value.
        value: Json,
    },
    /// Something about a trial for Optuna: `completed_rung_N`.
    TrialSystemAttr {
        /// Id of the trial.
        trial: usize,
        /// Name.
        key: String,
        /// Value.
        value: Json,
    },
}

impl Op {
    /// The parameters of trial `trial`.
    pub fn params(trial: usize, space: &Space, config: &Config) -> Vec<Op> {
        let each = space.params.iter().zip(config);
        let op =
            |(p, &value): (&crate::Param, &f64)| Op::Param { trial, name: p.name.clone(), value, distribution: p.distribution() };
        each.map(op).collect()
    }

    /// The line, with its end.
    pub(super) fn line(&self, worker: &str) -> String {
        let mut fields = match self {
            Op::CreateStudy { name } => json!({ "op_code": 0, "study_name": name, "directions": [1] }),
            Op::StudyAttr { study, key, value } => json!({ "op_code": 2, "study_id": study, "user_attr": { key: value } }),
            Op::StudySystemAttr { study, key, value } => {
                json!({ "op_code": 3, "study_id": study, "system_attr": { key: value } })
            }
            Op::CreateTrial { study } => json!({ "op_code": 4, "study_id": study, "datetime_start": now() }),
            Op::Enqueue { study, fixed, attrs } => json!({
                "op_code": 4, "study_id": study, "datetime_start": null, "state": TrialState::Waiting as u8, "value": null,
                "values": null, "distributions": {}, "params": {}, "user_attrs": attrs,
                "system_attrs": { "fixed_params": fixed }, "intermediate_values": {},
            }),
            Op::Param { trial, name, value, distribution } => json!({
                "op_code": 5, "trial_id": trial, "param_name": name, "param_value_internal": value, "distribution": distribution,
            }),
            Op::SetState { trial, state, value } => {
                let values = value.map(|v| vec![v]);
                let mut line = json!({ "op_code": 6, "trial_id": trial, "state": *state as u8, "values": values });
                let key = if state.is_finished() { "datetime_complete" } else { "datetime_start" };
                line[key] = json!(now());
                line
            }
            Op::Intermediate { trial, step, value } => {
                json!({ "op_code": 7, "trial_id": trial, "step": step, "intermediate_value": value })
            }
            Op::TrialAttr { trial, key, value } => json!({ "op_code": 8, "trial_id": trial, "user_attr": { key: value } }),
            Op::TrialSystemAttr { trial, key, value } => {
                json!({ "op_code": 9, "trial_id": trial, "system_attr": { key: value } })
            }
        };
        fields["worker_id"] = json!(worker);
        format!("{fields}\n")
    }
}
