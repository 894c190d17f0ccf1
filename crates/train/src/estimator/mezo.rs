//! MeZO (Malladi et al., "Fine-Tuning Language Models with Just Forward Passes", arXiv 2305.17333): the central difference
//! along a random direction, which is Spall's SPSA.
//!
//! ```text
//! g_k = (L(w + eps z_k) - L(w - eps z_k)) / (2 eps)        gradient = 1/q sum_k g_k z_k
//! ```
//!
//! With independent elements of mean 0 and variance 1 its expectation is the gradient, up to terms of order eps^2. Signs
//! (Rademacher) give the smaller variance; the paper has normals.

use engine::Probe;
use kernels::direction::{Distribution, Noise};
use kernels::{Cpu, Isa};

use super::{Estimator, Measured, direction_seed};
use crate::gradient::Term;

/// Constants of the estimator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Seed of the run.
    pub seed: u64,
    /// Length of a step along a direction.
    pub eps: f32,
    /// Directions a step.
    pub directions: usize,
    /// Of what elements.
    pub distribution: Distribution,
    /// What computes them.
    pub isa: Isa,
}

/// See the module.
pub struct Mezo {
    line: Line,
    directions: Vec<Noise>,
    coefficients: Vec<f32>,
}

impl Mezo {
    /// The estimator of `line`.
    pub fn new(line: Line) -> Mezo {
        let noise = Noise { seed: 0, distribution: line.distribution, isa: line.isa };
        Mezo { line, directions: vec![noise; line.directions], coefficients: vec![0.0; line.directions] }
    }

    /// The central difference along each direction of `line`, over their number.
    pub(super) fn differences(line: &Line, measured: &Measured<'_>, into: &mut [f32]) {
        let width = 2.0 * f64::from(line.eps) * into.len() as f64;
        for (coefficient, [above, below]) in into.iter_mut().zip(measured.pairs) {
            *coefficient = ((above - below) / width) as f32;
        }
    }
}

impl Estimator for Mezo {
    fn begin(&mut self, _cpu: &Cpu, step: u64, _params: &[f32]) {
        for (k, direction) in self.directions.iter_mut().enumerate() {
            direction.seed = direction_seed(self.line.seed, step, k);
        }
    }

    fn probes(&self) -> usize {
        self.directions.len()
    }

    fn probe(&self, i: usize) -> Probe<'_> {
        Probe { direction: &self.directions[i], second: None, scales: [self.line.eps, -self.line.eps] }
    }

    fn conclude(&mut self, measured: &Measured<'_>, _params: &[f32]) {
        Mezo::differences(&self.line, measured, &mut self.coefficients);
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
}
