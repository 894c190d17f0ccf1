//! Sparse-MeZO (Liu et al., "Sparse MeZO: Less Parameters for Better Performance in Zeroth-Order LLM Fine-Tuning", arXiv
//! 2402.15751): MeZO along directions that leave large weights alone.
//!
//! ```text
//! m_i = 1 where |w_i| <= h, else 0        direction m * z
//! ```
//!
//! `h` is a quantile of the magnitudes of each tensor, taken before the first step. The mask is not stored but made again from
//! the weights and `h` wherever the direction is made. The mean of the estimate is the gradient of the weights in the mask.

use std::sync::Arc;

use engine::Direction;
use kernels::direction::Noise;
use model::Layout;

use super::mezo::{Central, Directions};
use super::{Line, direction_seed};

/// Noise where weights are small, else 0.
pub struct Masked {
    noise: Noise,
    /// End of each tensor.
    ends: Arc<[usize]>,
    /// Largest magnitude in the mask, of each tensor; NaN before they are settled.
    thresholds: Vec<f32>,
}

impl Direction for Masked {
    fn fill(&self, start: usize, weights: &[f32], z: &mut [f32]) {
        self.noise.fill(start, z);
        let (mut tensor, mut at) = (self.ends.partition_point(|end| *end <= start), 0);
        while at < z.len() && tensor < self.ends.len() {
            let to = (self.ends[tensor] - start).min(z.len());
            let threshold = self.thresholds[tensor];
            for (z, w) in z[at..to].iter_mut().zip(&weights[at..to]) {
                *z = if w.abs() <= threshold { *z } else { 0.0 };
            }
            (tensor, at) = (tensor + 1, to);
        }
    }
}

/// Directions over the small weights alone.
pub struct Small {
    /// Share of the weights that is left alone.
    sparsity: f64,
}

/// See the module.
pub type SparseMezo = Central<Small>;

impl SparseMezo {
    /// The estimator of `line` that leaves a share `sparsity` of each tensor of `layout` alone.
    pub fn new(line: Line, sparsity: f64, layout: &Layout) -> SparseMezo {
        let noise = Noise { seed: 0, distribution: line.distribution, isa: line.isa };
        let ends: Arc<[usize]> = layout.tensors().iter().map(|t| t.range.end).collect();
        let masked = || Masked { noise, ends: ends.clone(), thresholds: vec![f32::NAN; ends.len()] };
        Central::along(line, Small { sparsity }, masked)
    }
}

impl Small {
    /// Settles what counts as small.
    fn measure(&self, directions: &mut [Masked], params: &[f32]) {
        let ends = directions.first().map_or_else(|| Arc::from([]), |d| d.ends.clone());
        let mut start = 0;
        for (i, &end) in ends.iter().enumerate() {
            let kept = ((end - start) as f64 * (1.0 - self.sparsity)).round() as usize;
            let threshold = smallest(&params[start..end], kept);
            directions.iter_mut().for_each(|d| d.thresholds[i] = threshold);
            start = end;
        }
    }
}

/// The `k`-th smallest magnitude of `values`; -1 for none of them. Two counting passes over the bits, so that no copy is made.
fn smallest(values: &[f32], k: usize) -> f32 {
    if k == 0 {
        return -1.0;
    }
    let bits = |v: &f32| v.abs().to_bits();
    let mut counts = vec![0usize; 1 << 16];
    values.iter().for_each(|v| counts[(bits(v) >> 16) as usize] += 1);
    let (high, before) = reach(&counts, k);
    counts.fill(0);
    let inside = values.iter().filter(|v| (bits(v) >> 16) as usize == high);
    inside.for_each(|v| counts[(bits(v) & 0xffff) as usize] += 1);
    let (low, _) = reach(&counts, k - before);
    f32::from_bits((high << 16 | low) as u32)
}

/// The first place where the sum of `counts` reaches `k`, and the sum before it.
fn reach(counts: &[usize], k: usize) -> (usize, usize) {
    let mut before = 0;
    for (i, count) in counts.iter().enumerate() {
        if before + count >= k {
            return (i, before);
        }
        before += count;
    }
    (counts.len() - 1, before)
}

impl Directions for Small {
    type Direction = Masked;

    fn settle(&mut self, directions: &mut [Masked], line: &Line, step: u64, params: &[f32]) {
        if directions.iter().any(|d| d.thresholds.iter().any(|t| t.is_nan())) {
            self.measure(directions, params);
        }
        for (k, direction) in directions.iter_mut().enumerate() {
            direction.noise.seed = direction_seed(line.seed, step, k);
        }
    }

    fn density(&self) -> f64 {
        1.0 - self.sparsity
    }

    fn state<'d>(&self, directions: &'d [Masked]) -> Vec<(&'static str, &'d [f32])> {
        directions.first().map(|d| ("thresholds", d.thresholds.as_slice())).into_iter().collect()
    }

    fn load(&mut self, directions: &mut [Masked], state: &[Vec<f32>]) {
        for (direction, thresholds) in directions.iter_mut().zip(state.iter().cycle()) {
            direction.thresholds.copy_from_slice(thresholds);
        }
    }

    fn reset(&mut self, directions: &mut [Masked]) {
        directions.iter_mut().for_each(|d| d.thresholds.fill(f32::NAN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_magnitudes_are_exact() {
        let values = [0.5, -0.25, 3.0, -1.0, 0.0, 0.500_000_1];
        let wanted = [-1.0, 0.0, 0.25, 0.5, 0.500_000_1, 1.0, 3.0];
        for (k, want) in wanted.into_iter().enumerate() {
            assert_eq!(smallest(&values, k), want, "{k}");
        }
    }
}
