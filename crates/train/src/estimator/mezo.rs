//! MeZO (Malladi et al., "Fine-Tuning Language Models with Just Forward Passes", arXiv 2305.17333): the central difference
//! along a random direction, which is Spall's SPSA.
//!
//! ```text
//! g_k = (L(w + eps z_k) - L(w - eps z_k)) / (2 eps)        gradient = 1/q sum_k g_k z_k
//! ```
//!
//! With independent elements of mean 0 and variance 1 its expectation is the gradient, up to terms of order eps^2. Signs
//! (Rademacher) give the smaller variance; the paper has normals. Methods that differ in their directions alone are
//! [`Central`] too.

use engine::{Direction, Probe};
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

/// How a method chooses its directions, and what it remembers for that.
pub trait Directions {
    /// One of them.
    type Direction: Direction;

    /// Settles `directions` for `step` at `params`.
    fn settle(&mut self, directions: &mut [Self::Direction], line: &Line, step: u64, params: &[f32]);

    /// Share of the weights that a direction moves.
    fn density(&self) -> f64 {
        1.0
    }

    /// See [`Estimator::state`].
    fn state<'d>(&self, _directions: &'d [Self::Direction]) -> Vec<(&'static str, &'d [f32])> {
        Vec::new()
    }

    /// See [`Estimator::load`].
    fn load(&mut self, _directions: &mut [Self::Direction], _state: &[Vec<f32>]) {}

    /// See [`Estimator::reset`].
    fn reset(&mut self, _directions: &mut [Self::Direction]) {}
}

/// Central differences along directions of `M`.
pub struct Central<M: Directions> {
    line: Line,
    method: M,
    directions: Vec<M::Direction>,
    coefficients: Vec<f32>,
}

impl<M: Directions> Central<M> {
    /// The estimator of `line` with directions by `method`, which begin as `direction` makes them.
    pub(super) fn along(line: Line, method: M, mut direction: impl FnMut() -> M::Direction) -> Central<M> {
        let directions = (0..line.directions).map(|_| direction()).collect();
        Central { line, method, directions, coefficients: vec![0.0; line.directions] }
    }
}

/// The central difference along each direction of `line`, over their number.
pub(super) fn differences(line: &Line, measured: &Measured<'_>, into: &mut [f32]) {
    let width = 2.0 * f64::from(line.eps) * into.len() as f64;
    for (coefficient, [above, below]) in into.iter_mut().zip(measured.pairs) {
        *coefficient = ((above - below) / width) as f32;
    }
}

impl<M: Directions> Estimator for Central<M> {
    fn begin(&mut self, _cpu: &Cpu, step: u64, params: &[f32]) {
        self.method.settle(&mut self.directions, &self.line, step, params);
    }

    fn probes(&self) -> usize {
        self.directions.len()
    }

    fn probe(&self, i: usize) -> Probe<'_> {
        Probe { direction: &self.directions[i], second: None, scales: [self.line.eps, -self.line.eps] }
    }

    fn conclude(&mut self, measured: &Measured<'_>, _params: &[f32]) {
        differences(&self.line, measured, &mut self.coefficients);
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

    fn norm(&self, n: usize) -> f64 {
        let squares: f64 = self.coefficients.iter().map(|c| f64::from(*c).powi(2)).sum();
        (squares * n as f64 * self.method.density()).sqrt()
    }

    fn state(&self) -> Vec<(&'static str, &[f32])> {
        self.method.state(&self.directions)
    }

    fn load(&mut self, state: &[Vec<f32>]) {
        self.method.load(&mut self.directions, state);
    }

    fn reset(&mut self) {
        self.method.reset(&mut self.directions);
    }
}

/// Noise over every weight, new for each step.
pub struct Everywhere;

/// See the module.
pub type Mezo = Central<Everywhere>;

impl Mezo {
    /// The estimator of `line`.
    pub fn new(line: Line) -> Mezo {
        let noise = Noise { seed: 0, distribution: line.distribution, isa: line.isa };
        Central::along(line, Everywhere, || noise)
    }
}

impl Directions for Everywhere {
    type Direction = Noise;

    fn settle(&mut self, directions: &mut [Noise], line: &Line, step: u64, _params: &[f32]) {
        for (k, direction) in directions.iter_mut().enumerate() {
            direction.seed = direction_seed(line.seed, step, k);
        }
    }
}
