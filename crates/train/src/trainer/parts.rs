//! What a trainer is made of, and the world it talks to.

use std::time::Duration;

use data::Loader;
use engine::{DeviceReport, Engine, Objective};
use kernels::Cpu;
use serde::{Deserialize, Serialize};

use super::{Evaluation, Source, Trainer};
use crate::TrainError;
use crate::budget::{Budget, Limits, Spent};
use crate::estimator::Estimator;
use crate::events::{Event, Machine};
use crate::every::{Every, Trigger};
use crate::forward_forward::ForwardForward;
use crate::guard::Guard;
use crate::loss::Estimate;
use crate::optimizer::Optimizer;
use crate::schedule::Schedule;

/// What the loop needs of the world.
pub trait Host {
    /// What a call can fail with.
    type Error: From<TrainError>;
    /// Monotonic time since some fixed moment.
    fn now(&mut self) -> Duration;
    /// Resident memory.
    fn rss_bytes(&mut self) -> u64;
    /// Heat, power and processor time, where the machine tells.
    fn machine(&mut self) -> Machine {
        Machine::default()
    }
    /// What the user asked for since the last call.
    fn interrupt(&mut self) -> Option<Interrupt>;
    /// Whether the user wants to stop: a long evaluation ends early, a long step is dropped. Asked often.
    fn stopping(&mut self) -> bool;
    /// Called before each step: whoever shares the machine with others may sleep, while the clock of [`Host::now`] stands still.
    fn rest(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
    /// Writes down what happened.
    fn emit(&mut self, event: &Event) -> Result<(), Self::Error>;
    /// Writes a checkpoint; returns its folder, relative to the run's.
    fn save(&mut self, snapshot: &Snapshot<'_>, best: bool) -> Result<String, Self::Error>;
    /// Brings back the last saved state, or the state at the start of the run.
    fn recover(&mut self, into: Restore<'_>) -> Result<(), Self::Error>;
    /// Generates text with the weights as they are; none where there is no tokenizer.
    fn sample(&mut self, params: &[f32], step: u64) -> Result<Option<(String, String)>, Self::Error>;
}

/// A request from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Save a checkpoint and go on.
    Save,
    /// Save a checkpoint and leave, with this exit code.
    Stop(u8),
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The budget is used.
    Budget,
    /// No improvement for long enough.
    EarlyStop,
    /// The host wanted to, with this exit code.
    Interrupted(u8),
    /// The device gives nothing more to this process: a new one goes on from the checkpoint.
    Restart,
}

impl End {
    /// The word for it in records.
    pub fn status(self) -> &'static str {
        match self {
            End::Budget => "done",
            End::EarlyStop => "early-stop",
            End::Interrupted(_) => "interrupted",
            End::Restart => "restarting",
        }
    }
}

/// Everything of a run's state that is not an array.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Budget used.
    pub spent: Spent,
    /// Position of the loader.
    pub cursor: u64,
    /// Updates that the optimizer has made.
    pub optimizer_t: u64,
    /// Rollbacks.
    pub guard: Guard,
    /// The best evaluation that has a checkpoint.
    pub best: Option<Evaluation>,
    /// The last evaluation.
    pub last: Option<Evaluation>,
    /// The loss that an evaluation must beat by its standard error to count as an improvement.
    pub reference: Option<Estimate>,
    /// Evaluations since the last improvement beyond the standard error.
    pub stale: usize,
    /// Whether the device was left for the CPU, because a value did not fit its numbers.
    #[serde(default)]
    pub left_device: bool,
    /// Parts of the device that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_excluded: Vec<String>,
}

/// A state to be saved.
pub struct Snapshot<'a> {
    /// Weights.
    pub params: &'a [f32],
    /// Optimizer with its arrays.
    pub optimizer: &'a Optimizer,
    /// Arrays of the estimator, where there are any.
    pub estimator: Vec<(&'static str, &'a [f32])>,
    /// The rest.
    pub progress: &'a Progress,
}

/// A state to be filled from a checkpoint.
pub struct Restore<'a> {
    /// Weights.
    pub params: &'a mut [f32],
    /// Optimizer with its arrays.
    pub optimizer: &'a mut Optimizer,
    /// The estimator with its arrays, where there is one.
    pub estimator: Option<&'a mut dyn Estimator>,
    /// The rest.
    pub progress: &'a mut Progress,
}

/// Where the time of this session went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Reading batches (part of `gradient`).
    pub data: Duration,
    /// Batches, forward and backward passes, gradient norm.
    pub gradient: Duration,
    /// Bringing a device up to date with the weights: compiling, staging.
    pub refresh: Duration,
    /// Optimizer.
    pub optimizer: Duration,
    /// Whole optimizer steps: the three above and their bookkeeping.
    pub steps: Duration,
    /// Number of steps.
    pub counted: u64,
    /// Tokens that carried a loss in them.
    pub tokens: u64,
    /// Evaluations.
    pub evaluation: Duration,
    /// Checkpoints.
    pub saving: Duration,
    /// Samples.
    pub sampling: Duration,
    /// From the first evaluation to the end.
    pub total: Duration,
}

impl std::ops::AddAssign for Timings {
    fn add_assign(&mut self, other: Timings) {
        self.data += other.data;
        self.gradient += other.gradient;
        self.refresh += other.refresh;
        self.optimizer += other.optimizer;
        self.steps += other.steps;
        self.counted += other.counted;
        self.tokens += other.tokens;
        self.evaluation += other.evaluation;
        self.saving += other.saving;
        self.sampling += other.sampling;
        self.total += other.total;
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Why.
    pub end: End,
    /// Budget used over all sessions.
    pub spent: Spent,
    /// Loss of the last step.
    pub train_loss: Option<Estimate>,
    /// The last evaluation.
    pub evaluation: Option<Evaluation>,
    /// The best evaluation that has a checkpoint.
    pub best: Option<Evaluation>,
    /// Last checkpoint, relative to the run folder.
    pub checkpoint: Option<String>,
    /// Where the time of this session went.
    pub timings: Timings,
    /// Median of one forward pass of a step's batch; where gradients are estimated from losses.
    pub forward: Option<Duration>,
    /// What a device did beside the CPU.
    pub device: Option<DeviceReport>,
}

/// Where the gradients of a run come from.
pub enum GradientSource<'a> {
    /// A backward pass.
    Backward,
    /// Losses beside the weights.
    Losses(Box<dyn Estimator + 'a>),
    /// Losses of every adapted matrix, forward.
    Forward(ForwardForward),
}

/// What a trainer is put together from.
pub struct Parts<'a> {
    /// Threads and instruction set.
    pub cpu: &'a Cpu,
    /// The model, opened for the shape of a batch.
    pub engine: Box<dyn Engine + 'a>,
    /// Batches.
    pub loader: Loader,
    /// Where gradients come from.
    pub source: GradientSource<'a>,
    /// What its losses are.
    pub objective: Objective,
    /// Update rule.
    pub optimizer: Optimizer,
    /// Learning rate.
    pub schedule: Schedule,
    /// Limits of the run.
    pub limits: Limits,
    /// Initial weights.
    pub params: Vec<f32>,
    /// Windows of a batch.
    pub batch_size: usize,
    /// Batches of a step.
    pub accumulate: usize,
    /// Largest gradient norm; 0 for none.
    pub clip_norm: f64,
    /// Evaluations without improvement after which to stop.
    pub early_stop: Option<usize>,
    /// When to evaluate.
    pub eval_every: Every,
    /// When to save.
    pub save_every: Every,
    /// When to sample.
    pub sample_every: Every,
}

impl<'a> Trainer<'a> {
    /// A trainer before its first step. Allocates the gradient, where there is a backward pass.
    pub fn new(mut parts: Parts<'a>) -> Trainer<'a> {
        parts.engine.set_objective(parts.objective);
        let batch = parts.loader.batch(parts.batch_size);
        let tokens = (parts.accumulate * batch.rows * batch.seq) as u64;
        Trainer {
            cpu: parts.cpu,
            source: match parts.source {
                GradientSource::Losses(estimator) => Source::Losses(estimator),
                GradientSource::Backward => Source::Backward(vec![0.0; parts.params.len()]),
                GradientSource::Forward(method) => Source::Forward(method, vec![0.0; parts.params.len()]),
            },
            forward: Vec::new(),
            val_batch: batch.clone(),
            batch,
            val_bytes: parts.loader.val_bytes(),
            engine: parts.engine,
            loader: parts.loader,
            optimizer: parts.optimizer,
            schedule: parts.schedule,
            budget: Budget::new(parts.limits, Spent::default(), tokens),
            clip: parts.clip_norm,
            accumulate: parts.accumulate,
            early_stop: parts.early_stop,
            objective: parts.objective,
            params: parts.params,
            progress: Progress::default(),
            last_eval: None,
            saved: None,
            last_loss: None,
            evaluate: Trigger::new(parts.eval_every, Duration::ZERO),
            save: Trigger::new(parts.save_every, Duration::ZERO),
            sample: Trigger::new(parts.sample_every, Duration::ZERO),
            timings: Timings::default(),
            refreshed: Duration::ZERO,
            session_start: Duration::ZERO,
            looked: Duration::ZERO,
        }
    }

    /// Fills the state from the checkpoint at `path`, relative to the run folder: the next step is the one after it.
    ///
    /// # Errors
    /// What `fill` reports; the trainer is then not to be used.
    pub fn restore<E>(&mut self, path: String, fill: impl FnOnce(Restore<'_>) -> Result<(), E>) -> Result<(), E> {
        fill(self.restorable())?;
        self.adopt_progress();
        self.saved = Some((self.step(), path));
        Ok(())
    }

    /// Everything that a checkpoint holds.
    pub fn snapshot(&self) -> Snapshot<'_> {
        let estimator = match &self.source {
            Source::Losses(estimator) => estimator.state(),
            Source::Backward(_) | Source::Forward(..) => Vec::new(),
        };
        Snapshot { params: &self.params, optimizer: &self.optimizer, estimator, progress: &self.progress }
    }

    /// Everything that a checkpoint fills.
    pub(super) fn restorable(&mut self) -> Restore<'_> {
        let estimator: Option<&mut dyn Estimator> = match &mut self.source {
            Source::Losses(estimator) => Some(&mut **estimator),
            Source::Backward(_) | Source::Forward(..) => None,
        };
        let (params, optimizer, progress) = (&mut self.params[..], &mut self.optimizer, &mut self.progress);
        Restore { params, optimizer, estimator, progress }
    }

    pub(super) fn adopt_progress(&mut self) {
        let tokens = (self.accumulate * self.batch.rows * self.batch.seq) as u64;
        self.budget = Budget::new(*self.budget.limits(), self.progress.spent, tokens);
        self.loader.seek(self.progress.cursor);
        self.last_eval = self.progress.last;
        self.engine.exclude(&self.progress.device_excluded);
        if self.progress.left_device {
            self.engine.leave_device("left before this checkpoint");
        }
    }
}
