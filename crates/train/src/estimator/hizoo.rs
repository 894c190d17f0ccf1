//! HiZOO (Zhao et al., "Second-Order Fine-Tuning without Pain for LLMs: A Hessian Informed Zeroth-Order Optimizer", ICLR 2025,
//! arXiv 2402.15173): MeZO in coordinates scaled by a running estimate of the diagonal of the Hessian.
//!
//! ```text
//! d = z / sqrt(H)        g = (L(w + eps d) - L(w - eps d)) / (2 eps)        gradient = g d
//! H = (1 - a) H + a |L(w + eps d) + L(w - eps d) - 2 L(w)| H z^2 / (2 eps^2)
//! ```
//!
//! The mean of the estimate is the gradient over `H`. `H` begins at 1 and changes after the step, so that a direction is the
//! same where losses were measured and where weights move (the authors' program moves them by the new `H`). Normals only: the
//! square of a sign tells nothing of its element. One number a weight is kept for `H`; three forward passes a direction.

use engine::{DIRECTION_TILE, Direction, Probe};
use kernels::Cpu;
use kernels::direction::Noise;

use super::mezo::differences;
use super::{Estimator, Line, Measured, direction_seed};
use crate::gradient::Term;

/// Where `H` is kept: far beyond what a slow average reaches, and no step is infinite.
const BOUNDS: (f32, f32) = (1e-8, 1e8);
const CHUNK: usize = 8 * DIRECTION_TILE;

/// Noise over the root of `H`.
struct Scaled {
    noise: Noise,
    hessian: Vec<f32>,
}

impl Direction for Scaled {
    fn fill(&self, start: usize, _weights: &[f32], z: &mut [f32]) {
        self.noise.fill(start, z);
        for (z, h) in z.iter_mut().zip(&self.hessian[start..]) {
            *z /= h.sqrt();
        }
    }
}

/// See the module.
pub struct Hizoo {
    line: Line,
    smoothing: f64,
    direction: Scaled,
    coefficient: [f32; 1],
    curvature: f32,
    /// Sum of `1 / H`.
    inverse: f64,
}

impl Hizoo {
    /// The estimator of `line`, of one direction whatever it says, for `n` weights; `smoothing` is the paper's alpha.
    pub fn new(line: Line, smoothing: f64, n: usize) -> Hizoo {
        let noise = Noise { seed: 0, distribution: kernels::direction::Distribution::Gaussian, isa: line.isa };
        let direction = Scaled { noise, hessian: vec![1.0; n] };
        Hizoo {
            line: Line { directions: 1, ..line },
            smoothing,
            direction,
            coefficient: [0.0],
            curvature: 0.0,
            inverse: n as f64,
        }
    }
}

impl Estimator for Hizoo {
    fn begin(&mut self, _cpu: &Cpu, step: u64, _params: &[f32]) {
        self.direction.noise.seed = direction_seed(self.line.seed, step, 0);
    }

    fn probes(&self) -> usize {
        1
    }

    fn probe(&self, _i: usize) -> Probe<'_> {
        Probe { direction: &self.direction, second: None, scales: [self.line.eps, -self.line.eps] }
    }

    fn wants_base(&self) -> bool {
        true
    }

    fn conclude(&mut self, measured: &Measured<'_>, _params: &[f32]) {
        differences(&self.line, measured, &mut self.coefficient);
        let sum: f64 = measured.pairs.iter().flatten().sum();
        self.curvature = ((sum - 2.0 * measured.base).abs() / (2.0 * f64::from(self.line.eps).powi(2))) as f32;
    }

    fn decided(&self) -> Vec<f32> {
        vec![self.coefficient[0], self.curvature]
    }

    fn recall(&mut self, decided: &[f32]) -> bool {
        if let [coefficient, curvature] = decided {
            (self.coefficient, self.curvature) = ([*coefficient], *curvature);
        }
        decided.len() == 2
    }

    fn terms(&self) -> Vec<Term<'_>> {
        vec![Term { direction: &self.direction, coefficient: self.coefficient[0] }]
    }

    fn norm(&self, _n: usize) -> f64 {
        f64::from(self.coefficient[0]).abs() * self.inverse.sqrt()
    }

    fn finish(&mut self, cpu: &Cpu) {
        let (keep, take) = ((1.0 - self.smoothing) as f32, (self.smoothing * f64::from(self.curvature)) as f32);
        let (noise, hessian) = (self.direction.noise, &mut self.direction.hessian);
        let mut inverse = vec![0.0; hessian.len().div_ceil(CHUNK)];
        cpu.pool().chunks_mut2((hessian, CHUNK), (&mut inverse, 1), |i, h, sum| {
            let mut z = [0.0; DIRECTION_TILE];
            for (j, h) in h.chunks_mut(DIRECTION_TILE).enumerate() {
                let z = &mut z[..h.len()];
                noise.fill(i * CHUNK + j * DIRECTION_TILE, z);
                for (h, z) in h.iter_mut().zip(z) {
                    *h = (*h * keep + take * *h * *z * *z).clamp(BOUNDS.0, BOUNDS.1);
                    sum[0] += 1.0 / f64::from(*h);
                }
            }
        });
        self.inverse = inverse.iter().sum();
    }

    fn state(&self) -> Vec<(&'static str, &[f32])> {
        vec![("hessian", &self.direction.hessian)]
    }

    fn load(&mut self, state: &[Vec<f32>]) {
        if let [hessian] = state {
            self.direction.hessian.copy_from_slice(hessian);
            self.inverse = hessian.iter().map(|h| 1.0 / f64::from(*h)).sum();
        }
    }

    fn reset(&mut self) {
        self.direction.hessian.fill(1.0);
        self.inverse = self.direction.hessian.len() as f64;
    }
}
