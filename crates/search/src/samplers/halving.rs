//! Successive halving without waiting (ASHA, Li et al., 2018), with one difference: a rung is a complete run with its own
//! annealed schedule at a smaller budget, since a loss in the middle of a schedule says little about its end.

use std::collections::BTreeMap;

/// Rungs of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rungs {
    /// Rungs below the whole budget.
    pub below: u32,
    /// Ratio of budgets; one in so many goes on.
    pub eta: u64,
}

impl Default for Rungs {
    fn default() -> Self {
        Rungs { below: 2, eta: 3 }
    }
}

impl Rungs {
    /// Part of the whole budget that rung `rung` spends.
    pub fn share(&self, rung: u32) -> f64 {
        1.0 / (self.eta as f64).powi((self.below - rung.min(self.below)) as i32)
    }
}

/// Whether a trial with `value` at rung `rung` goes on, seen `others`, the rungs of all other trials: it is among the best
/// one in `eta` so far (the first at a rung always is).
pub fn promoted(rungs: Rungs, rung: u32, value: f64, others: &[BTreeMap<u64, f64>]) -> bool {
    let known: Vec<f64> = others.iter().filter_map(|r| r.get(&u64::from(rung)).copied()).filter(|v| v.is_finite()).collect();
    let better = known.iter().filter(|v| **v < value).count();
    value.is_finite() && better < (known.len() + 1).div_ceil(rungs.eta as usize)
}
