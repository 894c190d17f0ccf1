//! P-GAP (Mi et al., "Towards Fast LLM Fine-tuning through Zeroth-Order Optimization with Projected Gradient-Aligned
//! Perturbations", arXiv 2510.18228): directions in a low-dimensional space of the gradient, aligned with it there.
//!
//! ```text
//! each nu steps: S = 1/h sum_j g_j z_j, as MeZO with h directions;  U [out, r], V [in, r] of its largest singular values
//! in between:    Z = Z0 - (<M, Z0> - xi sqrt(delta) |M|) / |M|^2 M        M = U^T S V, Z0 normal, xi = 1 or -1
//!                g = (L(w + eps U Z V^T) - L(w - eps U Z V^T)) / (2 eps)  gradient = g U Z V^T
//! ```
//!
//! Of the gradient in the space, the mean of the estimate has all, but delta times what lies along M. U and V are found by
//! subspace iteration, so that M need not be diagonal: Z0 is normal, and a rotation of it is another. A step that looks along
//! h directions moves along them too. Vectors, the embedding and the classifier move along normals.
//! As in the paper delta falls in a straight line from its first value to 0 over the budget, whichever limit binds: at the end
//! directions have nothing along M. A trajectory says what it was.
//! Kept: U, V and M of every matrix of the layout, adapters of every kind included.

use engine::Probe;
use kernels::Cpu;
use kernels::direction::{Distribution, Noise};
use kernels::gemm::MatRef;
use kernels::noise::Philox;
use model::{Layout, Role, TensorInfo};

use super::lowrank::{LowRank, Place, Places, multiply, orthonormalize};
use super::{Estimator, Line, Measured, direction_seed};
use crate::gradient::Term;

/// Sets the seeds of what begins a subspace iteration, and of the signs, apart from those of the directions.
const SUBSPACE: u64 = 1 << 61;
const SIGNS: u64 = 0x7867_6170;
/// Products with the estimate and its transpose: it is a sum of few random matrices, whose singular values lie close together.
const ITERATIONS: usize = 4;

/// See the module.
pub struct Pgap {
    line: Line,
    interval: u64,
    /// At the start of the run, and in this step.
    delta: [f32; 2],
    pub(super) places: Places,
    step: u64,
    /// The directions of a step that settles the bases.
    wide: Vec<Noise>,
    /// That of a step in between: U, and `Z V^T`.
    narrow: LowRank,
    /// V^T of every matrix.
    v: Vec<f32>,
    /// M of every matrix, `[r, r]` each.
    core: Vec<f32>,
    coefficients: Vec<f32>,
    /// Squared norm of the direction.
    square: f64,
}

impl Pgap {
    /// The estimator of `line`, whose directions are those that a basis is made from, with spaces of rank `rank` for weights of
    /// `layout`; a basis stays for `interval` steps; `delta` is the
    /// paper's at the start.
    pub fn new(line: Line, rank: usize, interval: u64, delta: f64, layout: &Layout) -> Pgap {
        // the embedding and the classifier are as large as the rest together, and are moved as vectors are
        let of = |t: &TensorInfo| if t.role == Role::Embedding { 0 } else { rank.min(t.shape[0]).min(t.shape[1]) };
        let places = Places::of(layout, of);
        let noise = Noise { seed: 0, distribution: Distribution::Gaussian, isa: line.isa };
        Pgap {
            line,
            interval: interval.max(1),
            delta: [delta as f32; 2],
            step: 1,
            wide: vec![noise; line.directions],
            narrow: LowRank::new(&places, 1.0, noise, true),
            v: vec![0.0; places.v],
            core: vec![0.0; places.matrices().map(|p| p.rank * p.rank).sum()],
            coefficients: vec![0.0; line.directions],
            square: 0.0,
            places,
        }
    }

    /// Whether the step looks along many directions, to settle the bases.
    fn settles(&self) -> bool {
        (self.step - 1).is_multiple_of(self.interval)
    }

    /// `Z V^T` of every matrix.
    fn align(&mut self) {
        let seed = direction_seed(self.line.seed, self.step, 0);
        self.narrow.noise.seed = seed;
        let (signs, mut at) = (Philox::new(seed, SIGNS), 0);
        self.square = self.places.others() as f64;
        for (i, place) in self.places.clone().matrices().enumerate() {
            let square = place.rank * place.rank;
            let (core, mut z) = (&self.core[at..at + square], vec![0.0; square]);
            self.narrow.noise.fill(at, &mut z);
            let sign = if signs.uniform(i as u64) < 0.5 { -1.0 } else { 1.0 };
            aligned(&mut z, core, sign * f64::from(self.delta[1]).sqrt());
            multiply(&mut self.narrow.v[place.v()], &z, &self.v[place.v()], [place.rank, place.rank, place.cols]);
            self.square += z.iter().map(|z| f64::from(*z).powi(2)).sum::<f64>();
            at += square;
        }
        // another stream for vectors
        self.narrow.noise.seed ^= SUBSPACE;
    }

    /// U, V and M of a matrix from the estimate of the step.
    fn settle(&mut self, cpu: &Cpu, place: &Place, at: usize) {
        let Place { rows, cols, rank, .. } = *place;
        let estimate = self.estimate(cpu, place);
        let s = MatRef::new(&estimate, rows, cols);
        let (u, v) = (&mut self.narrow.u[place.u()], &mut vec![0.0; cols * rank]); // [m, r], [n, r]
        let begin = Noise { seed: direction_seed(self.line.seed, SUBSPACE | self.step, at), ..self.wide[0] };
        Noise { distribution: Distribution::Gaussian, ..begin }.fill(0, v);
        for _ in 0..ITERATIONS {
            cpu.gemm(u, rank, s, MatRef::new(v, cols, rank), false); // [m, n] x [n, r]
            orthonormalize(u, rows, rank);
            cpu.gemm(v, rank, s.t(), MatRef::new(u, rows, rank), false); // [n, m] x [m, r]
            orthonormalize(v, cols, rank);
        }
        let mut sv = vec![0.0; rows * rank];
        cpu.gemm(&mut sv, rank, s, MatRef::new(v, cols, rank), false);
        let core = &mut self.core[at..at + rank * rank];
        cpu.gemm(core, rank, MatRef::new(u, rows, rank).t(), MatRef::new(&sv, rows, rank), false); // [r, m] x [m, r]
        for (k, row) in self.v[place.v()].chunks_exact_mut(cols).enumerate() {
            row.iter_mut().zip(v.chunks_exact(rank)).for_each(|(to, v)| *to = v[k]);
        }
    }

    /// The estimate of the step for one matrix.
    fn estimate(&self, cpu: &Cpu, place: &Place) -> Vec<f32> {
        const CHUNK: usize = 8 * engine::DIRECTION_TILE;
        let mut sum = vec![0.0; place.rows * place.cols];
        let (wide, coefficients) = (&self.wide, &self.coefficients);
        cpu.pool().chunks_mut(&mut sum, CHUNK, |i, sum| {
            let mut z = [0.0; engine::DIRECTION_TILE];
            for (j, sum) in sum.chunks_mut(engine::DIRECTION_TILE).enumerate() {
                let (start, z) = (place.start + i * CHUNK + j * engine::DIRECTION_TILE, &mut z[..sum.len()]);
                for (noise, coefficient) in wide.iter().zip(coefficients) {
                    noise.fill(start, z);
                    sum.iter_mut().zip(&*z).for_each(|(s, z)| *s += coefficient * z);
                }
            }
        });
        sum
    }
}

/// Gives `z` the part `length` along `core`; a core of 0 has no direction.
fn aligned(z: &mut [f32], core: &[f32], length: f64) {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let square = dot(core, core);
    if square > 0.0 {
        let factor = ((dot(core, z) - length * square.sqrt()) / square) as f32;
        z.iter_mut().zip(core).for_each(|(z, m)| *z -= factor * m);
    }
}

impl Estimator for Pgap {
    fn set_progress(&mut self, share: f64) {
        self.delta[1] = self.delta[0] * (1.0 - share.clamp(0.0, 1.0)) as f32;
    }

    fn begin(&mut self, _cpu: &Cpu, step: u64, _params: &[f32]) {
        self.step = step;
        if self.settles() {
            let seed = |k| direction_seed(self.line.seed, step, k);
            self.wide.iter_mut().enumerate().for_each(|(k, noise)| noise.seed = seed(k));
        } else {
            self.align();
        }
    }

    fn probes(&self) -> usize {
        if self.settles() { self.wide.len() } else { 1 }
    }

    fn probe(&self, i: usize) -> Probe<'_> {
        let direction: &dyn engine::Direction = if self.settles() { &self.wide[i] } else { &self.narrow };
        Probe { direction, second: None, scales: [self.line.eps, -self.line.eps] }
    }

    fn conclude(&mut self, measured: &Measured<'_>, _params: &[f32]) {
        self.coefficients.fill(0.0);
        let probes = self.probes();
        super::mezo::differences(&self.line, measured, &mut self.coefficients[..probes]);
    }

    fn decided(&self) -> Vec<f32> {
        self.coefficients.iter().copied().chain([self.delta[1]]).collect()
    }

    fn recall(&mut self, decided: &[f32]) -> bool {
        let [coefficients @ .., delta] = decided else { return false };
        let fits = coefficients.len() == self.coefficients.len() && *delta >= 0.0;
        if fits {
            self.coefficients.copy_from_slice(coefficients);
            self.delta[1] = *delta;
        }
        if fits && !self.settles() {
            self.align();
        }
        fits
    }

    fn terms(&self) -> Vec<Term<'_>> {
        if !self.settles() {
            return vec![Term { direction: &self.narrow, coefficient: self.coefficients[0] }];
        }
        let terms = self.wide.iter().zip(&self.coefficients);
        terms.map(|(direction, &coefficient)| Term { direction, coefficient }).collect()
    }

    fn norm(&self, n: usize) -> f64 {
        let squares: f64 = self.coefficients.iter().map(|c| f64::from(*c).powi(2)).sum();
        (squares * if self.settles() { n as f64 } else { self.square }).sqrt()
    }

    fn finish(&mut self, cpu: &Cpu) {
        if !self.settles() {
            return;
        }
        let mut at = 0;
        for place in self.places.clone().matrices() {
            self.settle(cpu, place, at);
            at += place.rank * place.rank;
        }
    }

    fn state(&self) -> Vec<(&'static str, &[f32])> {
        vec![("basis_u", &self.narrow.u), ("basis_v", &self.v), ("core", &self.core)]
    }

    fn load(&mut self, state: &[Vec<f32>]) {
        if let [u, v, core] = state {
            self.narrow.u.copy_from_slice(u);
            self.v.copy_from_slice(v);
            self.core.copy_from_slice(core);
        }
    }

    fn reset(&mut self) {
        [&mut self.narrow.u, &mut self.v, &mut self.core].into_iter().for_each(|values| values.fill(0.0));
    }
}
