//! One-sided differences along many directions: their points go two to a probe. An odd number of them leaves the last point
//! of the last probe to the weights themselves.

use engine::{Direction, Probe};

use super::Measured;

/// Probes for `n` directions.
pub(super) fn probes(n: usize) -> usize {
    n.div_ceil(2)
}

/// Whether the loss at the weights must be measured apart.
pub(super) fn wants_base(n: usize) -> bool {
    n.is_multiple_of(2)
}

/// Probe `i` along `directions`, `eps` far.
pub(super) fn probe<D: Direction>(directions: &[D], i: usize, eps: f32) -> Probe<'_> {
    let second = directions.get(2 * i + 1);
    let far = if second.is_some() { eps } else { 0.0 };
    Probe { direction: &directions[2 * i], second: second.map(|d| d as &dyn Direction), scales: [eps, far] }
}

/// Losses along `n` directions, and that at the weights.
pub(super) fn losses(measured: &Measured<'_>, n: usize) -> (Vec<f64>, f64) {
    let losses = measured.pairs.iter().flatten().copied().take(n).collect();
    let base = if wants_base(n) { measured.base } else { measured.pairs.last().map_or(f64::NAN, |p| p[1]) };
    (losses, base)
}
