//! The record of a run: `events.jsonl`, one JSON object a line, appended and flushed as things happen.
//!
//! A line is whole or it did not happen: readers skip what does not parse, and a resume drops a torn last line, whatever
//! came after the resumed step, and the `finished` of a run that is about to go on. So steps are numbered once.

mod log;

pub use log::{EventLog, Record, read};

use serde::{Deserialize, Serialize};

/// Something that happened, with the optimizer step after which it did (numbered from 1; 0 is the start).
///
/// Floats that are not finite are written as `null` and read as NaN. `seconds` count from the beginning of the run,
/// `tokens` from its first batch, both over all sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// A run began.
    Started(Started),
    /// A run goes on from a checkpoint.
    Resumed(Started),
    /// An optimizer step was made.
    Step(Step),
    /// The validation set was measured.
    Eval(Eval),
    /// A checkpoint was written.
    Saved(Saved),
    /// Text was generated.
    Sample(Sample),
    /// A step was not finite: back to an earlier state, and past the batch.
    Rollback(Rollback),
    /// What the session has used so far: every few seconds.
    Usage(Usage),
    /// Something to know.
    Warning(Warning),
    /// The run waits for the machine; its clock stands still.
    Paused(Paused),
    /// It goes on after a wait.
    Continued(Continued),
    /// The run ended.
    Finished(Finished),
}

/// Beginning of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Steps made before.
    pub step: u64,
    /// Seconds used before.
    pub seconds: f64,
    /// Tokens seen before.
    pub tokens: u64,
    /// Name of the model.
    pub model: String,
    /// Trained weights.
    pub params: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Threads of this session.
    pub threads: usize,
    /// Where it computes.
    pub device: String,
    /// How it estimates gradients.
    pub method: String,
}

/// An optimizer step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its number.
    pub step: u64,
    /// When it ended.
    pub seconds: f64,
    /// Tokens seen, this step included.
    pub tokens: u64,
    /// Mean loss over the step's tokens before the update, nats; with another objective, the share of what was missed.
    #[serde(with = "crate::number")]
    pub loss: f64,
    /// Learning rate.
    #[serde(with = "crate::number")]
    pub lr: f32,
    /// Norm of the gradient of the mean loss before clipping.
    #[serde(with = "crate::number")]
    pub grad_norm: f64,
    /// Tokens of this step by its wall time.
    #[serde(with = "crate::number")]
    pub tokens_per_second: f64,
    /// Resident memory at its end.
    pub rss_bytes: u64,
    /// Standard error of `loss`, windows as clusters.
    #[serde(default, with = "crate::number")]
    pub loss_se: f64,
    /// Slope of the loss along the directions of the step, where gradients are estimated from losses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected_gradient: Option<f64>,
    /// Mean over adapted matrices of what each makes small by itself, where gradients come from such losses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_loss: Option<f64>,
    /// Learning rate, factor of the clip and coefficients: the step for [`crate::trajectory`], not part of the line.
    #[serde(skip)]
    pub decided: Vec<f32>,
}

/// An evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Eval {
    /// Step after which it was made.
    pub step: u64,
    /// When it ended.
    pub seconds: f64,
    /// Training tokens seen.
    pub tokens: u64,
    /// Mean loss over the validation windows, nats a token.
    #[serde(with = "crate::number")]
    pub val_loss: f64,
    /// Its standard error, windows as clusters.
    #[serde(with = "crate::number")]
    pub val_loss_se: f64,
    /// Bits a byte of text; absent when the bytes are unknown.
    pub val_bpb: Option<f64>,
    /// Its standard error.
    pub val_bpb_se: Option<f64>,
    /// `exp(val_loss)`.
    #[serde(with = "crate::number")]
    pub val_perplexity: f64,
    /// Its standard error.
    #[serde(with = "crate::number")]
    pub val_perplexity_se: f64,
    /// Tokens that were measured.
    pub val_tokens: u64,
    /// Share of predicted tokens that are the most likely one, where the objective asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_accuracy: Option<f64>,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_accuracy_se: Option<f64>,
    /// Share of answers of which every token is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_exact_match: Option<f64>,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_exact_match_se: Option<f64>,
}

/// A checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Step that it holds.
    pub step: u64,
    /// When it was complete.
    pub seconds: f64,
    /// Its folder, relative to the run's.
    pub path: String,
    /// Whether it is the best so far.
    pub best: bool,
}

/// Generated text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Step after which it was made.
    pub step: u64,
    /// When.
    pub seconds: f64,
    /// What was given.
    pub prompt: String,
    /// What came, without the prompt.
    pub text: String,
}

/// A step that was not finite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rollback {
    /// Step that the run went back to.
    pub step: u64,
    /// When.
    pub seconds: f64,
    /// Step that failed.
    pub failed_step: u64,
    /// Position of the loader before the batch that is skipped.
    pub skipped_cursor: u64,
    /// Rollbacks without getting past a failing step.
    pub consecutive: u32,
    /// What was not finite.
    pub reason: String,
}

/// What a session has used since it began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Step after which it was looked at.
    pub step: u64,
    /// When.
    pub seconds: f64,
    /// Steps of this session.
    pub steps: u64,
    /// Seconds of whole steps: the next four and their bookkeeping.
    pub step_seconds: f64,
    /// Seconds of forward and backward passes, data read.
    pub gradient_seconds: f64,
    /// Seconds of reading data, part of the passes.
    pub data_seconds: f64,
    /// Seconds of bringing a device up to date with the weights.
    pub refresh_seconds: f64,
    /// Seconds of the optimizer.
    pub optimizer_seconds: f64,
    /// Seconds of evaluations.
    pub evaluation_seconds: f64,
    /// Seconds of checkpoints.
    pub saving_seconds: f64,
    /// Seconds of samples.
    pub sampling_seconds: f64,
    /// What the machine says.
    #[serde(flatten)]
    pub machine: Machine,
    /// What a device did beside the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceUse>,
}

/// What the machine says; what it does not say is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor time of this process since the last look, in percent of one processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// Hottest sensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub celsius: Option<f64>,
    /// The system's word for how hot it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thermal: Option<String>,
    /// Mean power since the last look, of everything that the machine meters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watts: Option<f64>,
}

/// Counters of a device since its engine was opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceUse {
    /// Programs compiled.
    pub compiles: u64,
    /// Requests evaluated.
    pub dispatches: u64,
    /// Seconds of compiling and loading.
    pub compile_seconds: f64,
    /// Seconds of writing for it.
    pub stage_seconds: f64,
    /// Seconds of evaluating.
    pub evaluate_seconds: f64,
    /// Seconds of reading back.
    pub read_seconds: f64,
    /// Floating-point operations made by it.
    pub flops: f64,
}

/// Something to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// Step after which it came up.
    pub step: u64,
    /// When.
    pub seconds: f64,
    /// The sentence.
    pub message: String,
}

/// Beginning of a wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Paused {
    /// Step after which it began.
    pub step: u64,
    /// When.
    pub seconds: f64,
    /// What it waits for the end of.
    pub reason: String,
}

/// End of a wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Continued {
    /// Step after which it waited.
    pub step: u64,
    /// When, on the clock of the run.
    pub seconds: f64,
    /// How long it waited, which is no part of `seconds`.
    pub paused_seconds: f64,
}

/// End of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Steps made.
    pub step: u64,
    /// Seconds used.
    pub seconds: f64,
    /// Tokens seen.
    pub tokens: u64,
    /// `done`, `interrupted`, `diverged`, ...
    pub status: String,
    /// Last validation loss.
    pub val_loss: Option<f64>,
    /// Its standard error.
    pub val_loss_se: Option<f64>,
    /// In bits a byte.
    pub val_bpb: Option<f64>,
    /// Loss of the last step, or a mean over the last ones.
    pub train_loss: Option<f64>,
    /// Last checkpoint, relative to the run's folder.
    pub checkpoint: Option<String>,
}

impl Event {
    /// The step after which it happened.
    pub fn step(&self) -> u64 {
        match self {
            Event::Started(e) | Event::Resumed(e) => e.step,
            Event::Step(e) => e.step,
            Event::Eval(e) => e.step,
            Event::Saved(e) => e.step,
            Event::Sample(e) => e.step,
            Event::Rollback(e) => e.step,
            Event::Usage(e) => e.step,
            Event::Warning(e) => e.step,
            Event::Paused(e) => e.step,
            Event::Continued(e) => e.step,
            Event::Finished(e) => e.step,
        }
    }
}

#[cfg(test)]
mod tests;
