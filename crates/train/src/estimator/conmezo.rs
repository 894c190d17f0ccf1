//! ConMeZO (Behric et al., "ConMeZO: Adaptive Descent-Direction Sampling for Gradient-Free Finetuning of Large Language Models", arXiv
//! 2511.02757): MeZO along directions in a cone around the running mean of its estimates.
//!
//! ```text
//! d = cos t sqrt(n) m / |m| + sin t z        g = (L(w + eps d) - L(w - eps d)) / (2 eps)
//! gradient = g d                             m = b m + (1 - b) g d
//! ```
//!
//! As in the authors' program (github.com/LejsDeen/ConMeZO), whose commands have t = 1.35 and b = 0.95 (`opt/README.md`,
//! `roberta/examples/cone.sh`; the default of `opt/examples/cone.sh` is 0.99). Theirs begins with a random m where ours begins with
//! none, and holds b at 0.1 for 200 steps and eases it to its value by step 2000 (`opt/src/trainer.py`); here it is one number. The mean of the estimate is
//! `cos^2 t n m m^T / |m|^2 + sin^2 t` times the gradient: more of it along `m`. `m` changes after the step; the first step has
//! none and is MeZO's. One number a weight is kept for `m`.

use engine::{DIRECTION_TILE, Direction, Probe};
use kernels::Cpu;
use kernels::direction::Noise;

use super::mezo::differences;
use super::{Estimator, Line, Measured, direction_seed};
use crate::gradient::{Term, global_norm};

const CHUNK: usize = 8 * DIRECTION_TILE;

/// A direction in the cone.
struct Cone {
    noise: Noise,
    momentum: Vec<f32>,
    /// Factor on the momentum, and on the noise.
    along: f32,
    across: f32,
}

impl Direction for Cone {
    fn fill(&self, start: usize, _weights: &[f32], z: &mut [f32]) {
        self.noise.fill(start, z);
        for (z, m) in z.iter_mut().zip(&self.momentum[start..]) {
            *z = self.across * *z + self.along * m;
        }
    }
}

/// See the module.
pub struct ConMezo {
    line: Line,
    /// Half the opening of the cone, in radians.
    angle: f64,
    beta: f32,
    direction: Cone,
    coefficient: [f32; 1],
}

impl ConMezo {
    /// The estimator of `line`, of one direction whatever it says, for `n` weights.
    pub fn new(line: Line, angle: f64, beta: f32, n: usize) -> ConMezo {
        let noise = Noise { seed: 0, distribution: line.distribution, isa: line.isa };
        let direction = Cone { noise, momentum: vec![0.0; n], along: 0.0, across: 1.0 };
        ConMezo { line: Line { directions: 1, ..line }, angle, beta, direction, coefficient: [0.0] }
    }
}

impl Estimator for ConMezo {
    fn begin(&mut self, cpu: &Cpu, step: u64, _params: &[f32]) {
        let (norm, n) = (global_norm(cpu, &self.direction.momentum), self.direction.momentum.len() as f64);
        let (along, across) = if norm > 0.0 { (self.angle.cos() * n.sqrt() / norm, self.angle.sin()) } else { (0.0, 1.0) };
        self.direction.along = along as f32;
        self.direction.across = across as f32;
        self.direction.noise.seed = direction_seed(self.line.seed, step, 0);
    }

    fn probes(&self) -> usize {
        1
    }

    fn probe(&self, _i: usize) -> Probe<'_> {
        Probe { direction: &self.direction, second: None, scales: [self.line.eps, -self.line.eps] }
    }

    fn conclude(&mut self, measured: &Measured<'_>, _params: &[f32]) {
        differences(&self.line, measured, &mut self.coefficient);
    }

    fn recall(&mut self, coefficients: &[f32]) -> bool {
        if let [coefficient] = coefficients {
            self.coefficient = [*coefficient];
        }
        coefficients.len() == 1
    }

    fn terms(&self) -> Vec<Term<'_>> {
        vec![Term { direction: &self.direction, coefficient: self.coefficient[0] }]
    }

    fn finish(&mut self, cpu: &Cpu) {
        let Cone { noise, momentum, along, across } = &mut self.direction;
        let (noise, along, across, beta) = (*noise, *along, *across, self.beta);
        let take = (1.0 - beta) * self.coefficient[0];
        cpu.pool().chunks_mut(momentum, CHUNK, |i, momentum| {
            let mut z = [0.0; DIRECTION_TILE];
            for (j, m) in momentum.chunks_mut(DIRECTION_TILE).enumerate() {
                let z = &mut z[..m.len()];
                noise.fill(i * CHUNK + j * DIRECTION_TILE, z);
                for (m, z) in m.iter_mut().zip(z) {
                    *m = beta * *m + take * (across * *z + along * *m);
                }
            }
        });
    }

    fn state(&self) -> Vec<(&'static str, &[f32])> {
        vec![("momentum", &self.direction.momentum)]
    }

    fn load(&mut self, state: &[Vec<f32>]) {
        if let [momentum] = state {
            self.direction.momentum.copy_from_slice(momentum);
        }
    }

    fn reset(&mut self) {
        self.direction.momentum.fill(0.0);
    }
}
