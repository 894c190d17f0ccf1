//! The training loop, and what it needs of the world: a clock, a place for events, checkpoints and samples.
//!
//! A step: batches -> gradient of the loss sum -> norm -> guard -> clip -> optimizer. The order of arithmetic is fixed, so
//! the weights after step n depend on data, seed and settings alone; evaluations, saves and samples never touch them. A
//! step that the host wants to leave midway is dropped between two blocks of a pass: until the optimizer runs, nothing but
//! the loader has moved, and the loader goes back.

mod evaluation;
mod housekeeping;
mod parts;
mod probing;

pub use evaluation::Evaluation;
pub use parts::{End, GradientSource, Host, Interrupt, Outcome, Parts, Progress, Restore, Snapshot, Timings};

use std::time::Duration;

use data::Loader;
use engine::{Batch, Engine, LossSum, Objective, Ready};
use kernels::Cpu;

use crate::TrainError;
use crate::budget::Budget;
use crate::estimator::Estimator;
use crate::events::{self, Event};
use crate::every::Trigger;
use crate::forward_forward::ForwardForward;
use crate::gradient::{Gradient, clip_factor, global_norm};
use crate::guard::Verdict;
use crate::loss::{Estimate, LossStats};
use crate::optimizer::Optimizer;
use crate::schedule::Schedule;

/// A model in training.
pub struct Trainer<'a> {
    cpu: &'a Cpu,
    engine: Box<dyn Engine + 'a>,
    loader: Loader,
    optimizer: Optimizer,
    schedule: Schedule,
    budget: Budget,
    clip: f64,
    accumulate: usize,
    early_stop: Option<usize>,
    /// What losses beside the weights are.
    objective: Objective,
    batch: data::Batch,
    val_batch: data::Batch,
    params: Vec<f32>,
    source: Source<'a>,
    /// One forward pass of a step's batch, as it was timed now and then.
    forward: Vec<Duration>,
    progress: Progress,
    val_bytes: Option<u64>,
    last_eval: Option<Evaluation>,
    /// Step and folder of the last checkpoint of this session.
    saved: Option<(u64, String)>,
    last_loss: Option<Estimate>,
    evaluate: Trigger,
    save: Trigger,
    sample: Trigger,
    timings: Timings,
    /// Time that the engine took to get ready for this step.
    refreshed: Duration,
    session_start: Duration,
    /// When the use of time and machine was last written down.
    looked: Duration,
}

/// Where gradients come from.
enum Source<'a> {
    /// A backward pass, into this buffer.
    Backward(Vec<f32>),
    /// Losses beside the weights.
    Losses(Box<dyn Estimator + 'a>),
    /// Local losses of forward passes, into the buffer.
    Forward(ForwardForward, Vec<f32>),
}

impl Source<'_> {
    /// The gradient; empty where it is a recipe.
    fn buffer(&self) -> &[f32] {
        match self {
            Source::Backward(grad) | Source::Forward(_, grad) => grad,
            Source::Losses(_) => &[],
        }
    }
}

/// What one pass over a step's batches found.
struct Estimated {
    loss: LossSum,
    stats: LossStats,
    norm: f64,
    projected: Option<f64>,
    /// Mean of local losses.
    local: Option<f64>,
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
            host.rest()?;
            if self.refresh(host) == Ready::AfterRestart {
                break End::Restart;
            }
            if let Source::Losses(estimator) = &mut self.source {
                estimator.set_progress(point.progress);
            }
            let Some(step) = self.estimate(host)? else {
                if let Some(Interrupt::Stop(code)) = host.interrupt() {
                    break End::Interrupted(code);
                }
                continue;
            };
            match self.progress.guard.judge(self.step() + 1, step.cursor, step.loss.mean(), step.norm) {
                Verdict::Proceed => {}
                Verdict::RollBack(incident) => {
                    self.roll_back(host, incident)?;
                    continue;
                }
                Verdict::GiveUp(incident) => return self.give_up(host, incident),
            }
            let lr = self.schedule.lr(&point);
            self.update(host, &step, lr);
            self.record(host, &step, lr)?;
            self.note_usage(host)?;
            self.time_forward(host)?;
            if let Some(end) = self.after_step(host)? {
                break end;
            }
        };
        self.finish(host, end)
    }

    /// Gets the engine ready for the weights as they are; the time is the step's.
    fn refresh<H: Host>(&mut self, host: &mut H) -> Ready {
        let began = host.now();
        let ready = self.engine.refresh(&self.params);
        self.refreshed = host.now() - began;
        self.timings.refresh += self.refreshed;
        ready
    }

    /// Loss and gradient of the next step's batches; the gradient is that of the loss *sum*, in `self.grad`. None when the
    /// host wanted to stop: the step is then still to be made.
    fn estimate<H: Host>(&mut self, host: &mut H) -> Result<Option<Estimated>, H::Error> {
        if matches!(self.source, Source::Losses(_)) {
            return self.probe_step(host);
        }
        self.measure_units()?;
        let (began, cursor, step) = (host.now(), self.loader.cursor(), self.step() + 1);
        let (mut loss, mut stats, mut local) = (LossSum::default(), LossStats::new(), None);
        for part in 0..self.accumulate {
            let at = host.now();
            self.loader.fill(&mut self.batch);
            self.timings.data += host.now() - at;
            let (batch, stop) = (view(&self.batch), &mut || host.stopping());
            let (engine, params) = (&mut *self.engine, &self.params[..]);
            let found = match &mut self.source {
                Source::Backward(grad) => engine.loss_and_grad_unless(params, &batch, grad, part > 0, stop),
                Source::Forward(method, grad) => {
                    let found = method.learn(engine, params, &batch, (step, part), grad, stop);
                    found.map(|found| {
                        local = found.map(|found| local.unwrap_or(0.0) + found.local / self.accumulate as f64);
                        found.map(|found| found.loss)
                    })
                }
                Source::Losses(_) => Ok(None),
            };
            let Some(found) = found.map_err(TrainError::from)? else {
                self.loader.seek(cursor);
                return Ok(None);
            };
            loss += found;
            add_windows(&mut stats, self.engine.token_losses(), &batch);
        }
        let norm = global_norm(self.cpu, self.source.buffer()) / loss.tokens.max(1) as f64;
        self.timings.gradient += host.now() - began;
        Ok(Some(Estimated { loss, stats, norm, projected: None, local, cursor, began }))
    }

    /// One optimizer step with the clipped mean gradient.
    fn update<H: Host>(&mut self, host: &mut H, step: &Estimated, lr: f32) {
        let at = host.now();
        let clip = clip_factor(step.norm, self.clip);
        let terms;
        let gradient = match &self.source {
            Source::Backward(values) | Source::Forward(_, values) => {
                Gradient::Dense { values, scale: (clip / step.loss.tokens.max(1) as f64) as f32 }
            }
            Source::Losses(estimator) => {
                terms = estimator.terms();
                Gradient::Along { terms: &terms, scale: clip as f32 }
            }
        };
        self.optimizer.step(self.cpu, &mut self.params, &gradient, lr);
        if let Source::Losses(estimator) = &mut self.source {
            estimator.finish(self.cpu);
        }
        self.timings.optimizer += host.now() - at;
    }

    /// Accounts for the step and tells the world.
    fn record<H: Host>(&mut self, host: &mut H, step: &Estimated, lr: f32) -> Result<(), H::Error> {
        let (took, session) = (host.now() - step.began + self.refreshed, self.session(host));
        self.budget.record(step.loss.tokens as u64, took, session);
        self.timings.steps += took;
        self.timings.counted += 1;
        self.timings.tokens += step.loss.tokens as u64;
        self.last_loss = Some(Estimate { value: step.loss.mean(), se: step.stats.mean().se });
        self.pass_on_notes(host)?;
        let (spent, rss_bytes) = (self.budget.spent(), host.rss_bytes());
        host.emit(&Event::Step(events::Step {
            step: spent.steps,
            seconds: spent.seconds,
            tokens: spent.tokens,
            loss: step.loss.mean(),
            loss_se: step.stats.mean().se,
            lr,
            grad_norm: step.norm,
            projected_gradient: step.projected,
            local_loss: step.local,
            decided: self.decided(step, lr),
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

    /// Inputs and targets of the whole step that begins at `cursor`, in training ids.
    pub fn step_at(&self, cursor: u64) -> (Vec<u32>, Vec<u32>) {
        let mut batch = self.loader.batch(self.batch.rows * self.accumulate);
        let mut loader = self.loader.clone();
        loader.fill_at(cursor, &mut batch);
        (batch.inputs, batch.targets)
    }

    /// The optimizer with its state.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// About `tokens` tokens of text, window by window, in training ids: from the validation split, or the training split
    /// without one; always the same.
    pub fn probe(&mut self, tokens: usize) -> Vec<Vec<u32>> {
        let mut batch = self.loader.batch(1);
        let (windows, held_out) = (tokens.div_ceil(batch.seq.max(1)), self.loader.val_windows());
        let mut take = |i: usize| {
            if self.loader.fill_val(i * held_out / windows.max(1), 1, &mut batch) == 0 {
                batch.rows = 1;
                self.loader.fill_at(i as u64, &mut batch);
            }
            batch.inputs.clone()
        };
        (0..windows).map(&mut take).collect()
    }

    fn session<H: Host>(&self, host: &mut H) -> Duration {
        host.now().saturating_sub(self.session_start)
    }
}

/// Adds the losses of a batch, window by window.
fn add_windows(stats: &mut LossStats, losses: &[f32], batch: &Batch<'_>) {
    for (losses, targets) in losses.chunks(batch.seq).zip(batch.targets.chunks(batch.seq)) {
        let sum = losses.iter().map(|&l| f64::from(l)).sum();
        stats.add(sum, targets.iter().filter(|&&t| t != engine::IGNORE).count() as u64);
    }
}

/// A loader's batch as the engine reads it.
fn view(batch: &data::Batch) -> Batch<'_> {
    Batch { rows: batch.rows, seq: batch.seq, inputs: &batch.inputs, targets: &batch.targets, starts: batch.starts.as_deref() }
}

#[cfg(test)]
mod tests;
