//! ZO-Muon (Lang et al., "Powering Up Zeroth-Order Training via Subspace Gradient Orthogonalization", arXiv 2602.17155): an
//! estimate in a random subspace, orthogonalised there.
//!
//! ```text
//! G = 1/N sum_i (L(w + eps P Psi_i) - L(w)) / eps Psi_i        step = P msign(G)
//! P [out, r] orthonormal columns, new each nu steps        Psi_i [r, in] normal, new each step
//! ```
//!
//! The mean of G is `P^T` times the gradient; msign, by five Newton-Schulz steps, leaves its singular vectors and makes its
//! singular values about 1, so that a step is as long as the learning rate says. N + 1 forward passes. Vectors, which have no
//! spectrum, stay (the authors' program moves them at a fixed rate of 1e-7). This is not `--method mezo --optimizer muon`, which
//! orthogonalises the momentum of estimates over whole matrices. Nothing is kept: P is a function of seed and step.

use engine::Probe;
use kernels::Cpu;
use kernels::direction::{Distribution, Noise};
use model::Layout;

use super::lowrank::{LowRank, Place, Places, orthonormalize};
use super::{Estimator, Line, Measured, direction_seed, onesided};
use crate::gradient::Term;
use crate::optimizer::NEWTON_SCHULZ;

/// Sets the seeds of P apart from those of the directions.
const SUBSPACE: u64 = 1 << 62;
const ITERATIONS: usize = 5;

/// See the module.
pub struct ZoMuon {
    line: Line,
    interval: u64,
    /// Which P is settled.
    epoch: Option<u64>,
    places: Places,
    /// `P Psi_i`.
    directions: Vec<LowRank>,
    coefficients: Vec<f32>,
    /// `P msign(G)`.
    pub(super) step: LowRank,
    norm: f64,
}

impl ZoMuon {
    /// The estimator of `line` in subspaces of rank `rank` for weights of `layout`, which stay for `interval` steps.
    pub fn new(line: Line, rank: usize, interval: u64, layout: &Layout) -> ZoMuon {
        let places = Places::of(layout, |t| rank.min(t.shape[0]));
        let noise = Noise { seed: 0, distribution: Distribution::Gaussian, isa: line.isa };
        let low_rank = || LowRank::new(&places, 1.0, noise, false);
        ZoMuon {
            line,
            interval: interval.max(1),
            epoch: None,
            directions: (0..line.directions).map(|_| low_rank()).collect(),
            coefficients: vec![0.0; line.directions],
            step: low_rank(),
            places,
            norm: 0.0,
        }
    }

    /// Settles P for every direction.
    fn settle_subspace(&mut self, epoch: u64) {
        let step = &mut self.step;
        step.noise.seed = direction_seed(self.line.seed, SUBSPACE | epoch, 0);
        step.noise.fill(0, &mut step.u);
        for place in self.places.matrices() {
            orthonormalize(&mut step.u[place.u()], place.rows, place.rank);
        }
        self.directions.iter_mut().for_each(|d| d.u.copy_from_slice(&step.u));
        self.epoch = Some(epoch);
    }

    /// The estimate in the subspace of a matrix, `[r, in]`.
    pub(super) fn estimate(&self, place: &Place) -> Vec<f32> {
        let mut sum = vec![0.0; place.rank * place.cols];
        for (direction, coefficient) in self.directions.iter().zip(&self.coefficients) {
            sum.iter_mut().zip(&direction.v[place.v()]).for_each(|(s, psi)| *s += coefficient * psi);
        }
        sum
    }

    /// Settles the step from the coefficients.
    fn settle_step(&mut self) {
        let mut squares = 0.0;
        for place in self.places.clone().matrices() {
            let mut estimate = self.estimate(place);
            msign(&mut estimate, place.rank, place.cols);
            squares += estimate.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
            self.step.v[place.v()].copy_from_slice(&estimate);
        }
        // P has orthonormal columns
        self.norm = squares.sqrt();
    }
}

/// Replaces `x` `[rows, cols]`, of few rows, by about the nearest matrix of orthonormal rows; zero stays zero.
fn msign(x: &mut [f32], rows: usize, cols: usize) {
    let norm = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let inverse = if norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 };
    x.iter_mut().for_each(|x| *x *= inverse);
    let [a, b, c] = NEWTON_SCHULZ;
    let dot = |x: &[f32], i: usize, j: usize| -> f32 {
        x[i * cols..(i + 1) * cols].iter().zip(&x[j * cols..(j + 1) * cols]).map(|(a, b)| a * b).sum()
    };
    for _ in 0..ITERATIONS {
        let gram: Vec<f32> = (0..rows * rows).map(|k| dot(x, k / rows, k % rows)).collect();
        let square = |i: usize, j: usize| -> f32 { (0..rows).map(|k| gram[i * rows + k] * gram[k * rows + j]).sum() };
        let at = |i: usize, j: usize| b * gram[i * rows + j] + c * square(i, j) + if i == j { a } else { 0.0 };
        let p: Vec<f32> = (0..rows * rows).map(|k| at(k / rows, k % rows)).collect();
        let before = x.to_vec();
        super::lowrank::multiply(x, &p, &before, [rows, rows, cols]);
    }
}

impl Estimator for ZoMuon {
    fn begin(&mut self, _cpu: &Cpu, step: u64, _params: &[f32]) {
        let epoch = (step - 1) / self.interval;
        if self.epoch != Some(epoch) {
            self.settle_subspace(epoch);
        }
        for (k, direction) in self.directions.iter_mut().enumerate() {
            direction.noise.seed = direction_seed(self.line.seed, step, k);
            direction.noise.fill(0, &mut direction.v);
        }
    }

    fn probes(&self) -> usize {
        onesided::probes(self.directions.len())
    }

    fn probe(&self, i: usize) -> Probe<'_> {
        onesided::probe(&self.directions, i, self.line.eps)
    }

    fn wants_base(&self) -> bool {
        onesided::wants_base(self.directions.len())
    }

    fn conclude(&mut self, measured: &Measured<'_>, _params: &[f32]) {
        let n = self.directions.len();
        let ((losses, base), each) = (onesided::losses(measured, n), f64::from(self.line.eps) * n as f64);
        for (coefficient, loss) in self.coefficients.iter_mut().zip(losses) {
            *coefficient = ((loss - base) / each) as f32;
        }
        self.settle_step();
    }

    fn decided(&self) -> Vec<f32> {
        self.coefficients.clone()
    }

    fn recall(&mut self, decided: &[f32]) -> bool {
        let fits = decided.len() == self.coefficients.len();
        if fits {
            self.coefficients.copy_from_slice(decided);
            self.settle_step();
        }
        fits
    }

    fn terms(&self) -> Vec<Term<'_>> {
        vec![Term { direction: &self.step, coefficient: 1.0 }]
    }

    fn projected(&self) -> f64 {
        self.coefficients.iter().map(|c| f64::from(*c)).sum()
    }

    fn norm(&self, _n: usize) -> f64 {
        // a loss that is not finite must be seen in the norm
        let finite = self.coefficients.iter().all(|c| c.is_finite());
        if finite { self.norm } else { f64::NAN }
    }

    fn reset(&mut self) {
        self.epoch = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_about_orthonormal() {
        let mut x: Vec<f32> = (0..3 * 40).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
        msign(&mut x, 3, 40);
        for i in 0..3 {
            for j in 0..3 {
                let dot: f32 = (0..40).map(|k| x[i * 40 + k] * x[j * 40 + k]).sum();
                // singular values of 0.7 to 1.2
                assert!((dot - if i == j { 1.0 } else { 0.0 }).abs() < 0.55, "{i} {j}: {dot}");
            }
        }
        let mut zero = [0.0; 8];
        msign(&mut zero, 2, 4);
        assert_eq!(zero, [0.0; 8]);
    }
}
