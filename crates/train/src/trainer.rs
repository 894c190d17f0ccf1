//! The training loop, and what it needs of the world: a clock, a place for events, checkpoints and samples.
//!
//! A step: batches -> gradient of the loss sum -> norm -> guard -> clip -> optimizer. The order of arithmetic is fixed, so
//! the weights after step n depend on data, seed and settings alone; evaluations, saves and samples never touch them.

mod housekeeping;
mod parts;

pub use parts::{End, Evaluation, Host, Interrupt, Outcome, Parts, Progress, Restore, Snapshot, Timings};

use std::time::Duration;

use data::Loader;
use engine::{Batch, CpuEngine, LossSum};
use kernels::Cpu;

use crate::TrainError;
use crate::budget::Budget;
use crate::events::{self, Event};
use crate::every::Trigger;
use crate::gradient::{Gradient, clip_factor, global_norm};
use crate::guard::Verdict;
use crate::optimizer::Optimizer;
use crate::schedule::Schedule;

/// A model in training.
pub struct Trainer<'a> {
    cpu: &'a Cpu,
    engine: CpuEngine<'a>,
    loader: Loader,
    optimizer: Optimizer,
    schedule: Schedule,
    budget: Budget,
    clip: f64,
    accumulate: usize,
    early_stop: Option<usize>,
    batch: data::Batch,
    val_batch: data::Batch,
    params: Vec<f32>,
    grad: Vec<f32>,
    progress: Progress,
    val_bytes: Option<u64>,
    last_eval: Option<Evaluation>,
    /// Step and folder of the last checkpoint of this session.
    saved: Option<(u64, String)>,
    last_loss: Option<f64>,
    evaluate: Trigger,
    save: Trigger,
    sample: Trigger,
    timings: Timings,
    session_start: Duration,
}

/// What one pass over a step's batches found.
struct Estimated {
    loss: LossSum,
    norm: f64,
    cursor: u64,
    began: Duration,
}

impl Trainer<'_> {
    /// Trains until the budget is used or the host wants to stop.
    ///
    /// # Errors
    /// What the host or the engine reports; [`TrainError::Diverged`] when rolling back did not help.
    pub fn run<H: Host>(&mut self, host: &mut H) -> Result<Outcome, H::Error> {
        self.begin(host)?;
        let end = loop {
            let Some(point) = self.budget.next(self.session(host)) else { break End::Budget };
            let step = self.estimate(host)?;
            match self.progress.guard.judge(self.step() + 1, step.cursor, step.loss.mean(), step.norm) {
                Verdict::Proceed => {}
                Verdict::RollBack(incident) => {
                    self.roll_back(host, incident)?;
                    continue;
                }
                Verdict::GiveUp(incident) => return Err(TrainError::Diverged(incident).into()),
            }
            let lr = self.schedule.lr(&point);
            self.update(host, &step, lr);
            self.record(host, &step, lr)?;
            if let Some(end) = self.after_step(host)? {
                break end;
            }
        };
        self.finish(host, end)
    }

    /// Loss and gradient of the next step's batches; the gradient is that of the loss *sum*, in `self.grad`.
    fn estimate<H: Host>(&mut self, host: &mut H) -> Result<Estimated, H::Error> {
        let (began, cursor) = (host.now(), self.loader.cursor());
        let mut loss = LossSum::default();
        for part in 0..self.accumulate {
            let at = host.now();
            self.loader.fill(&mut self.batch);
            self.timings.data += host.now() - at;
            let batch = view(&self.batch);
            loss += self.engine.loss_and_grad(&self.params, &batch, &mut self.grad, part > 0).map_err(TrainError::from)?;
        }
        let norm = global_norm(self.cpu, &self.grad) / loss.tokens.max(1) as f64;
        self.timings.gradient += host.now() - began;
        Ok(Estimated { loss, norm, cursor, began })
    }

    /// One optimizer step with the clipped mean gradient.
    fn update<H: Host>(&mut self, host: &mut H, step: &Estimated, lr: f32) {
        let at = host.now();
        let scale = clip_factor(step.norm, self.clip) / step.loss.tokens.max(1) as f64;
        let gradient = Gradient::Dense { values: &self.grad, scale: scale as f32 };
        self.optimizer.step(self.cpu, &mut self.params, &gradient, lr);
        self.timings.optimizer += host.now() - at;
    }

    /// Accounts for the step and tells the world.
    fn record<H: Host>(&mut self, host: &mut H, step: &Estimated, lr: f32) -> Result<(), H::Error> {
        let (took, session) = (host.now() - step.began, self.session(host));
        self.budget.record(step.loss.tokens as u64, took, session);
        self.timings.steps += took;
        self.timings.counted += 1;
        self.last_loss = Some(step.loss.mean());
        let (spent, rss_bytes) = (self.budget.spent(), host.rss_bytes());
        host.emit(&Event::Step(events::Step {
            step: spent.steps,
            seconds: spent.seconds,
            tokens: spent.tokens,
            loss: step.loss.mean(),
            lr,
            grad_norm: step.norm,
            tokens_per_second: step.loss.tokens as f64 / took.as_secs_f64(),
            rss_bytes,
        }))
    }

    /// Optimizer steps made since the run began.
    pub fn step(&self) -> u64 {
        self.budget.spent().steps
    }

    /// The weights.
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// The budget and what is spent of it.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Inputs and targets of the last batch, in training ids.
    pub fn last_batch(&self) -> (&[u32], &[u32]) {
        (&self.batch.inputs, &self.batch.targets)
    }

    /// Some text of the validation split, or of the training split without one: `[seq]` training ids, always the same.
    pub fn probe(&mut self) -> Vec<u32> {
        let mut batch = self.loader.batch(1);
        if self.loader.fill_val(0, 1, &mut batch) == 0 {
            batch.rows = 1;
            self.loader.fill_at(0, &mut batch);
        }
        batch.inputs
    }

    fn session<H: Host>(&self, host: &mut H) -> Duration {
        host.now().saturating_sub(self.session_start)
    }
}

/// A loader's batch as the engine reads it.
fn view(batch: &data::Batch) -> Batch<'_> {
    Batch { rows: batch.rows, seq: batch.seq, inputs: &batch.inputs, targets: &batch.targets, starts: batch.starts.as_deref() }
}

#[cfg(test)]
mod tests;
