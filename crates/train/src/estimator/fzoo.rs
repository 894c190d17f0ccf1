//! FZOO (Dang et al., "FZOO: Fast Zeroth-Order Optimizer for Fine-Tuning Large Language Models towards Adam-Scale Speed",
//! arXiv 2506.09034): one-sided differences along many signs, over the deviation of their losses.
//!
//! ```text
//! g = 1 / (eps N) sum_i (L(w + eps u_i) - L(w)) u_i        gradient = g / sigma,  sigma = std of L(w + eps u_i)
//! ```
//!
//! `sigma` is about `eps` times the length of the gradient, so that the division makes a step as long as the learning rate
//! says, whatever the slope: normalised descent. It is the deviation over the N losses, divided by N as in the authors'
//! program. N + 1 forward passes a step.

use engine::Probe;
use kernels::Cpu;
use kernels::direction::Noise;

use super::{Estimator, Line, Measured, direction_seed, onesided};
use crate::gradient::Term;

/// See the module.
pub struct Fzoo {
    line: Line,
    directions: Vec<Noise>,
    coefficients: Vec<f32>,
    slope: f64,
}

impl Fzoo {
    /// The estimator of `line`.
    pub fn new(line: Line) -> Fzoo {
        let noise = Noise { seed: 0, distribution: line.distribution, isa: line.isa };
        Fzoo { line, directions: vec![noise; line.directions], coefficients: vec![0.0; line.directions], slope: 0.0 }
    }
}

impl Estimator for Fzoo {
    fn begin(&mut self, _cpu: &Cpu, step: u64, _params: &[f32]) {
        for (k, direction) in self.directions.iter_mut().enumerate() {
            direction.seed = direction_seed(self.line.seed, step, k);
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
        let (losses, base) = onesided::losses(measured, n);
        let mean = losses.iter().sum::<f64>() / n as f64;
        let sigma = (losses.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        let each = f64::from(self.line.eps) * n as f64;
        self.slope = losses.iter().map(|l| (l - base) / each).sum();
        for (coefficient, loss) in self.coefficients.iter_mut().zip(losses) {
            // equal losses know no direction
            *coefficient = if sigma == 0.0 { 0.0 } else { ((loss - base) / (each * sigma)) as f32 };
        }
    }

    fn recall(&mut self, coefficients: &[f32]) -> bool {
        let fits = coefficients.len() == self.coefficients.len();
        if fits {
            self.coefficients.copy_from_slice(coefficients);
        }
        fits
    }

    fn terms(&self) -> Vec<Term<'_>> {
        let terms = self.directions.iter().zip(&self.coefficients);
        terms.map(|(direction, &coefficient)| Term { direction, coefficient }).collect()
    }

    fn projected(&self) -> f64 {
        self.slope
    }
}
