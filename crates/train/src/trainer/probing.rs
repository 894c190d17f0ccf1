//! Steps from losses alone.

use std::time::Duration;

use engine::LossSum;

use super::{Estimated, Host, Source, Trainer, add_windows, view};
use crate::TrainError;
use crate::estimator::{Measured, mean_loss};
use crate::gradient::{Gradient, clip_factor};
use crate::loss::LossStats;

/// Forward passes that are timed: those of the first steps, then one in so many steps, up to a number.
const TIMED_FIRST: u64 = 3;
const TIMED_EVERY: u64 = 20;
const TIMED_MOST: usize = 101;

impl Trainer<'_> {
    /// The losses of the next step's batches at every point that the estimator wants, and what follows from them. None when
    /// the host wanted to stop: the step is then still to be made.
    pub(super) fn probe_step<H: Host>(&mut self, host: &mut H) -> Result<Option<Estimated>, H::Error> {
        let (began, cursor, step) = (host.now(), self.loader.cursor(), self.step() + 1);
        let Source::Losses(estimator) = &mut self.source else { return Ok(None) };
        estimator.begin(self.cpu, step, &self.params);
        let depths = estimator.depths();
        let (mut base, mut sums) = (LossSum::default(), vec![[LossSum::default(); 2]; estimator.probes() * depths.max(1)]);
        let mut found = sums.clone();
        let (mut stats, mut tokens) = (LossStats::new(), 0);
        for part in 0..self.accumulate {
            let at = host.now();
            self.loader.fill(&mut self.batch);
            self.timings.data += host.now() - at;
            let batch = view(&self.batch);
            tokens += batch.predicted();
            if estimator.wants_inputs() && part == 0 {
                let mut see = |l, which, inputs: &[f32]| estimator.see(self.cpu, l, which, inputs);
                base += self.engine.score_seen(&self.params, &batch, &mut see).map_err(TrainError::from)?;
            } else if estimator.wants_base() {
                base += self.engine.score(&self.params, &batch).map_err(TrainError::from)?;
            }
            let probes: Vec<_> = (0..estimator.probes()).map(|i| estimator.probe(i)).collect();
            let stop = &mut || host.stopping();
            let ran = if depths > 0 {
                self.engine.losses_by_depth(self.cpu, &self.params, &batch, &probes, &mut found, stop)
            } else {
                self.engine.losses_along_all(self.cpu, &self.params, &batch, &probes, &mut found, stop)
            };
            if !ran.map_err(TrainError::from)? {
                self.loader.seek(cursor);
                return Ok(None);
            }
            sums.as_flattened_mut().iter_mut().zip(found.as_flattened()).for_each(|(sum, found)| *sum += *found);
            add_windows(&mut stats, self.engine.token_losses(), &batch);
        }
        let all: Vec<[f64; 2]> = sums.iter().map(|pair| pair.map(LossSum::mean)).collect();
        let pairs: Vec<[f64; 2]> = all.iter().copied().skip(depths.max(1) - 1).step_by(depths.max(1)).collect();
        let measured = Measured { base: base.mean(), pairs: &pairs, depths: if depths > 0 { &all } else { &[] } };
        estimator.conclude(&measured, &self.params);
        let loss = LossSum { sum: mean_loss(&measured) * tokens as f64, tokens };
        let (norm, projected) = (estimator.norm(self.params.len()), Some(estimator.projected()));
        self.timings.gradient += host.now() - began;
        Ok(Some(Estimated { loss, stats, norm, projected, local: None, cursor, began }))
    }

    /// Before the first step of a session by local losses: the units that they are measured in, on the first batch of the run.
    pub(super) fn measure_units(&mut self) -> Result<(), TrainError> {
        if let Source::Forward(method, _) = &mut self.source
            && method.is_new()
        {
            let mut first = self.loader.batch(self.batch.rows);
            self.loader.fill_at(0, &mut first);
            method.measure(&mut *self.engine, &view(&first))?;
        }
        Ok(())
    }

    /// What was decided in a step, for its trajectory; nothing where gradients come from a backward pass. Where directions are
    /// those of a batch, the batch is a part of it.
    pub(super) fn decided(&self, step: &Estimated, lr: f32) -> Vec<f32> {
        let Source::Losses(estimator) = &self.source else { return Vec::new() };
        let mut decided = vec![lr, clip_factor(step.norm, self.clip) as f32];
        if estimator.wants_inputs() {
            decided.extend(in_two(step.cursor));
        }
        decided.extend(estimator.decided());
        decided
    }

    /// Makes the steps of a trajectory once more, from the weights before the first. False where the estimator decides by
    /// other numbers.
    ///
    /// # Errors
    /// When the weights cannot be shown a batch of the trajectory.
    pub fn replay(&mut self, trajectory: &[Vec<f32>]) -> Result<bool, TrainError> {
        let Source::Losses(estimator) = &mut self.source else { return Ok(trajectory.is_empty()) };
        for (step, decided) in (1..).zip(trajectory) {
            let [lr, scale, decided @ ..] = &decided[..] else { return Ok(false) };
            let mut decided = decided;
            estimator.begin(self.cpu, step, &self.params);
            if estimator.wants_inputs() {
                let [high, low, rest @ ..] = decided else { return Ok(false) };
                self.loader.fill_at(of_two([*high, *low]), &mut self.batch);
                let mut see = |l, which, inputs: &[f32]| estimator.see(self.cpu, l, which, inputs);
                self.engine.score_seen(&self.params, &view(&self.batch), &mut see)?;
                decided = rest;
            }
            if !estimator.recall(decided) {
                return Ok(false);
            }
            let terms = estimator.terms();
            let gradient = Gradient::Along { terms: &terms, scale: *scale };
            self.optimizer.step(self.cpu, &mut self.params, &gradient, *lr);
            estimator.finish(self.cpu);
            self.progress.spent.steps = step;
        }
        Ok(true)
    }

    /// Now and then, after a step: how long a plain forward pass of its batch takes. Not part of any step.
    pub(super) fn time_forward<H: Host>(&mut self, host: &mut H) -> Result<(), H::Error> {
        let (step, known) = (self.step(), self.forward.len());
        let due = step <= TIMED_FIRST || step.is_multiple_of(TIMED_EVERY);
        if !matches!(self.source, Source::Losses(_)) || !due || known == TIMED_MOST {
            return Ok(());
        }
        let began = host.now();
        self.engine.evaluate(&self.params, &view(&self.batch)).map_err(TrainError::from)?;
        self.forward.push((host.now() - began) * self.accumulate as u32);
        Ok(())
    }

    /// Median of the forward passes that were timed.
    pub(super) fn median_forward(&self) -> Option<Duration> {
        let mut sorted = self.forward.clone();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied()
    }
}

/// Integers that f32 has all of.
const WHOLE: u64 = 1 << 24;

/// A place in the data as two numbers of a trajectory, which are exact below 2^48.
fn in_two(cursor: u64) -> [f32; 2] {
    [(cursor / WHOLE) as f32, (cursor % WHOLE) as f32]
}

/// The place that [`in_two`] wrote; another one for numbers that it never writes.
fn of_two([high, low]: [f32; 2]) -> u64 {
    (high as u64).min(WHOLE - 1) * WHOLE + (low as u64).min(WHOLE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_data_comes_back_from_two_numbers() {
        for cursor in [0, 1, WHOLE - 1, WHOLE, 123_456_789_012, (1 << 48) - 1] {
            assert_eq!(of_two(in_two(cursor)), cursor);
        }
        assert_eq!(of_two([f32::NAN, -1.0]), 0);
        assert_eq!(of_two([f32::INFINITY, f32::INFINITY]), (1 << 48) - 1);
    }
}
