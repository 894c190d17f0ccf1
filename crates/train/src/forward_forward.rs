//! Forward-Forward training of an adapter (Hinton, arXiv 2212.13345): every adapted matrix learns by itself to answer real text with
//! large outputs and corrupted text with small ones; see [`engine::Goodness`] for the formula.
//!
//! Corrupted text is the batch with each input token replaced, with probability `share`, by another id of the vocabulary, all of
//! them as likely: a function of the run's seed and the step. Targets are not looked at. So what is made small is not the loss of
//! the model, and nothing says that it falls: that telling text from noise block by block makes the next token likelier is a hope.
//! A step is two forward passes and the memory of inference, and the adapter's gradient. Units are measured when a session
//! begins, on the first batch of the run and the base alone, so that no state is kept.

use engine::{Batch, Engine, EngineError, Goodness};
use kernels::noise::Philox;

use crate::estimator::direction_seed;

/// See the module.
pub struct ForwardForward {
    seed: u64,
    share: f32,
    vocab: usize,
    /// Of each adapted matrix, once they were measured.
    units: Vec<f32>,
    corrupted: Vec<u32>,
}

impl ForwardForward {
    /// The method of a run of seed `seed`, which corrupts `share` of the tokens, over ids below `vocab`.
    pub fn new(seed: u64, share: f32, vocab: usize) -> ForwardForward {
        ForwardForward { seed, share, vocab, units: Vec::new(), corrupted: Vec::new() }
    }

    /// Whether the units are still to be measured.
    pub(crate) fn is_new(&self) -> bool {
        self.units.is_empty()
    }

    /// Measures the units on the first batch of the run.
    pub(crate) fn measure(&mut self, engine: &mut dyn Engine, first: &Batch<'_>) -> Result<(), EngineError> {
        self.units = engine.goodness_units(first)?;
        Ok(())
    }

    /// Part `part` of step `step`; see [`engine::Walk::forward_forward`].
    pub(crate) fn learn(
        &mut self,
        engine: &mut dyn Engine,
        params: &[f32],
        batch: &Batch<'_>,
        (step, part): (u64, usize),
        grad: &mut [f32],
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Goodness>, EngineError> {
        corrupt(&mut self.corrupted, batch.inputs, direction_seed(self.seed, step, part), self.share, self.vocab);
        engine.forward_forward(params, (batch, &self.corrupted), &self.units, (grad, part > 0), stop)
    }
}

/// `inputs` with a share of them replaced by other ids below `vocab`.
fn corrupt(to: &mut Vec<u32>, inputs: &[u32], seed: u64, share: f32, vocab: usize) {
    const WHICH: u64 = u64::from_be_bytes(*b"ff-which");
    const WHAT: u64 = u64::from_be_bytes(*b"ff-what\0");
    let (which, what) = (Philox::new(seed, WHICH), Philox::new(seed, WHAT));
    to.clear();
    to.extend((0..).zip(inputs).map(|(i, &id)| {
        if which.uniform(i) >= share || vocab < 2 {
            return id;
        }
        let other = what.index(i, vocab - 1) as u32;
        if other >= id { other + 1 } else { other }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_tokens_becomes_other_ids_as_likely_as_each_other() {
        let inputs: Vec<u32> = (0..40_000).map(|i| i % 7).collect();
        let mut corrupted = Vec::new();
        for share in [0.01, 0.3, 0.95] {
            corrupt(&mut corrupted, &inputs, 5, share, 7);
            let changed = inputs.iter().zip(&corrupted).filter(|(a, b)| a != b).count() as f32 / 40_000.0;
            assert!((changed - share).abs() < 0.01, "{changed} of {share}");
            assert!(corrupted.iter().all(|id| *id < 7));
        }
        let of_three = inputs.iter().zip(&corrupted).filter(|(a, b)| **a == 3 && a != b);
        let mut counts = [0usize; 7];
        of_three.for_each(|(_, b)| counts[*b as usize] += 1);
        assert!(counts[3] == 0 && counts.iter().enumerate().all(|(i, n)| i == 3 || (700..1100).contains(n)), "{counts:?}");
    }

    #[test]
    fn what_is_corrupted_is_that_of_seed_step_and_part() {
        let inputs = vec![4; 100];
        let of = |seed, step, part| {
            let mut corrupted = Vec::new();
            corrupt(&mut corrupted, &inputs, direction_seed(seed, step, part), 0.5, 50);
            corrupted
        };
        assert_eq!(of(1, 2, 0), of(1, 2, 0));
        assert!(of(1, 2, 0) != of(2, 2, 0) && of(1, 2, 0) != of(1, 3, 0) && of(1, 2, 0) != of(1, 2, 1));
    }
}
