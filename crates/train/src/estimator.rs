//! Gradients from losses alone: estimators that look at the loss beside the weights.
//!
//! A step: [`Estimator::begin`] settles the directions from the run's seed and the step's number, losses are measured at the
//! points of each [`Estimator::probe`] over the whole batch of the step, and [`Estimator::conclude`] turns them into the
//! coefficients of [`Estimator::terms`], a [`crate::Gradient`] like any other. Weights are not written to in between, so a
//! step with coefficients of 0 leaves them as they are, bit for bit.

mod agzo;
mod conmezo;
mod dszo;
mod fzoo;
mod hizoo;
mod lowrank;
mod lozo;
mod mezo;
mod onesided;
mod pgap;
mod sparse;
mod zomuon;

pub use agzo::Agzo;
pub use conmezo::ConMezo;
pub use dszo::Dszo;
pub use fzoo::Fzoo;
pub use hizoo::Hizoo;
pub use lozo::Lozo;
pub use mezo::{Central, Directions, Line, Mezo};
pub use pgap::Pgap;
pub use sparse::SparseMezo;
pub use zomuon::ZoMuon;

use engine::{Probe, Projection};
use kernels::Cpu;
use kernels::noise::Philox;

use crate::gradient::Term;

/// Mean losses of a step's batch.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// At the weights; NaN where it was not asked for.
    pub base: f64,
    /// At both points of each probe.
    pub pairs: &'a [[f64; 2]],
    /// After each block of the model, probe after probe, where that was asked for; those after the last are `pairs`.
    pub depths: &'a [[f64; 2]],
}

/// A zeroth-order estimator.
pub trait Estimator {
    /// Takes note of the share of the budget that is used before a step, between 0 and 1.
    fn set_progress(&mut self, _share: f64) {}

    /// Settles the directions of `step`, numbered from 1, at `params`: a function of the run's seed, the step and the state.
    fn begin(&mut self, cpu: &Cpu, step: u64, params: &[f32]);

    /// Probes of the step: each is two forward passes.
    fn probes(&self) -> usize;

    /// Probe `i` of the step.
    fn probe(&self, i: usize) -> Probe<'_>;

    /// Whether the loss at the weights is wanted too.
    fn wants_base(&self) -> bool {
        false
    }

    /// Whether the pass at the weights, over the first batch of the step, is to show what its matrices multiply, before any
    /// probe is made.
    fn wants_inputs(&self) -> bool {
        false
    }

    /// Blocks after each of which the loss is wanted too; 0: after the last alone.
    fn depths(&self) -> usize {
        0
    }

    /// What a projection of block `l` multiplies in that pass: `[tokens, in]`.
    fn see(&mut self, _cpu: &Cpu, _l: usize, _which: Projection, _inputs: &[f32]) {}

    /// Takes the losses of the step.
    fn conclude(&mut self, measured: &Measured<'_>, params: &[f32]);

    /// The estimate: directions with their coefficients.
    fn terms(&self) -> Vec<Term<'_>>;

    /// What the losses of the step came to: the numbers from which [`Estimator::recall`] makes it again.
    fn decided(&self) -> Vec<f32> {
        self.terms().into_iter().map(|t| t.coefficient).collect()
    }

    /// Takes what was decided in a step that was begun, instead of measuring; false where these are not numbers of its kind.
    fn recall(&mut self, decided: &[f32]) -> bool;

    /// After the weights have moved: what is learnt from the step.
    fn finish(&mut self, _cpu: &Cpu) {}

    /// Every array of the state with its name, always in the same order; none where directions are functions of the step.
    fn state(&self) -> Vec<(&'static str, &[f32])> {
        Vec::new()
    }

    /// Takes over a state: as many arrays, each as long as [`Estimator::state`] shows.
    fn load(&mut self, _state: &[Vec<f32>]) {}

    /// Forgets every step.
    fn reset(&mut self) {}

    /// The projected gradient: the mean slope along the directions of the step.
    fn projected(&self) -> f64 {
        let terms = self.terms();
        terms.iter().map(|t| f64::from(t.coefficient)).sum()
    }

    /// Euclidean norm of the estimate of `n` weights. By default that of independent directions of unit variance, which for
    /// signs is exact and for normals is met within a part in `sqrt(n)`.
    fn norm(&self, n: usize) -> f64 {
        let squares: f64 = self.terms().iter().map(|t| f64::from(t.coefficient).powi(2)).sum();
        (squares * n as f64).sqrt()
    }
}

/// The seed of direction `k` of `step` in the run of seed `seed`.
pub fn direction_seed(seed: u64, step: u64, k: usize) -> u64 {
    const PURPOSE: u64 = 0x4449_5245_4354_494f;
    let [low, high, ..] = Philox::new(seed, PURPOSE.wrapping_add(k as u64)).block(step);
    u64::from(high) << 32 | u64::from(low)
}

/// Mean of all losses of a step.
pub(crate) fn mean_loss(measured: &Measured<'_>) -> f64 {
    let (sum, points) = (measured.pairs.iter().flatten().sum::<f64>(), 2 * measured.pairs.len());
    if points > 0 { sum / points as f64 } else { measured.base }
}

#[cfg(test)]
mod tests;
