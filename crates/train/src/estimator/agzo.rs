//! AGZO (Lin et al., "AGZO: Activation-Guided Zeroth-Order Optimization for LLM Fine-Tuning", arXiv 2601.17261): directions in
//! the space of what a matrix multiplies, where its gradient lies.
//!
//! ```text
//! D = R A^T        A [in, r] orthonormal, of the largest singular values of the inputs H [tokens, in];  R [out, r] normal
//! g_i = (L(w + eps D_i) - L(w)) / eps        gradient = 1/N sum_i g_i D_i
//! ```
//!
//! The gradient of a matrix is `dY^T H`, so that its rows are combinations of those of H. The mean of the estimate is the
//! gradient projected by `A A^T`. A comes from the pass at the weights, which measures `L(w)` too, by power iteration on
//! `H^T H`: no further pass. Of an adapter the half that reads the inputs, A, is guided. What is not seen to multiply
//! anything (embedding, classifier, vectors, the other half of an adapter) moves along normals. With several batches a step
//! the first is looked at. Nothing is kept; the bases are those of a batch, which a trajectory names.

use engine::{Probe, Projection};
use kernels::Cpu;
use kernels::direction::{Distribution, Noise};
use kernels::gemm::MatRef;
use model::{Half, Layout, Part, TensorId, TensorInfo};

use super::lowrank::{LowRank, Place, Places, orthonormalize};
use super::{Estimator, Line, Measured, direction_seed, onesided};
use crate::gradient::Term;

/// Products with the inputs and their transpose.
const ITERATIONS: usize = 3;
/// Sets the seeds of what begins a power iteration apart from those of the directions.
const BASIS: u64 = 1 << 60;

/// See the module.
pub struct Agzo {
    line: Line,
    step: u64,
    /// Matrices that multiply the same, and what it is.
    readers: Vec<((usize, Projection), Vec<Place>)>,
    directions: Vec<LowRank>,
    coefficients: Vec<f32>,
    /// Squared norm of a direction, on average.
    square: f64,
}

impl Agzo {
    /// The estimator of `line` by directions of rank `rank` for weights of `layout`.
    pub fn new(line: Line, rank: usize, layout: &Layout) -> Agzo {
        let reads = |t: &TensorInfo| reader(t).map_or(0, |_| rank.min(t.shape[1]));
        let places = Places::of(layout, reads);
        let mut readers: Vec<((usize, Projection), Vec<Place>)> = Vec::new();
        for (t, place) in layout.tensors().iter().zip(&*places.all) {
            let Some(what) = reader(t).filter(|_| place.factors.is_some()) else { continue };
            match readers.iter_mut().find(|(w, _)| *w == what) {
                Some((_, all)) => all.push(*place),
                None => readers.push((what, vec![*place])),
            }
        }
        let square: usize = places.others() + places.matrices().map(|p| p.rows * p.rank).sum::<usize>();
        let noise = Noise { seed: 0, distribution: Distribution::Gaussian, isa: line.isa };
        Agzo {
            line,
            step: 1,
            readers,
            directions: (0..line.directions).map(|_| LowRank::new(&places, 1.0, noise, true)).collect(),
            coefficients: vec![0.0; line.directions],
            square: square as f64,
        }
    }
}

/// What a tensor multiplies.
fn reader(t: &TensorInfo) -> Option<(usize, Projection)> {
    let (TensorId::Layer(l, part) | TensorId::Adapter(l, part, Half::A)) = t.id else { return None };
    let which = match part {
        Part::Q | Part::K | Part::V => Projection::Qkv,
        Part::O => Projection::O,
        Part::Gate | Part::Up => Projection::GateUp,
        Part::Down => Projection::Down,
        _ => return None,
    };
    Some((l, which))
}

impl Estimator for Agzo {
    fn begin(&mut self, _cpu: &Cpu, step: u64, _params: &[f32]) {
        self.step = step;
        for (k, direction) in self.directions.iter_mut().enumerate() {
            direction.noise.seed = direction_seed(self.line.seed, step, k);
            direction.noise.fill(0, &mut direction.u);
            // another stream for what has no factors
            direction.noise.seed ^= BASIS;
        }
    }

    fn wants_inputs(&self) -> bool {
        true
    }

    fn see(&mut self, cpu: &Cpu, l: usize, which: Projection, inputs: &[f32]) {
        let Some(i) = self.readers.iter().position(|(what, _)| *what == (l, which)) else { return };
        let Some(&Place { cols, rank, .. }) = self.readers[i].1.first() else { return };
        let (n, mut basis) = (inputs.len() / cols, vec![0.0; cols * rank]);
        let (h, mut product) = (MatRef::new(inputs, n, cols), vec![0.0; n * rank]);
        let seed = direction_seed(self.line.seed, BASIS | self.step, i);
        Noise { seed, distribution: Distribution::Gaussian, isa: self.line.isa }.fill(0, &mut basis);
        for _ in 0..ITERATIONS {
            cpu.gemm(&mut product, rank, h, MatRef::new(&basis, cols, rank), false); // [n, in] x [in, r]
            cpu.gemm(&mut basis, rank, h.t(), MatRef::new(&product, n, rank), false); // [in, n] x [n, r]
            orthonormalize(&mut basis, cols, rank);
        }
        for place in &self.readers[i].1 {
            for direction in &mut self.directions {
                for (k, row) in direction.v[place.v()].chunks_exact_mut(cols).enumerate() {
                    row.iter_mut().zip(basis.chunks_exact(rank)).for_each(|(to, a)| *to = a[k]);
                }
            }
        }
    }

    fn probes(&self) -> usize {
        onesided::probes(self.directions.len())
    }

    fn probe(&self, i: usize) -> Probe<'_> {
        onesided::probe(&self.directions, i, self.line.eps)
    }

    fn wants_base(&self) -> bool {
        true
    }

    fn conclude(&mut self, measured: &Measured<'_>, _params: &[f32]) {
        let n = self.directions.len();
        let (losses, _) = onesided::losses(measured, n);
        for (coefficient, loss) in self.coefficients.iter_mut().zip(losses) {
            *coefficient = ((loss - measured.base) / (f64::from(self.line.eps) * n as f64)) as f32;
        }
    }

    fn recall(&mut self, decided: &[f32]) -> bool {
        let fits = decided.len() == self.coefficients.len();
        if fits {
            self.coefficients.copy_from_slice(decided);
        }
        fits
    }

    fn terms(&self) -> Vec<Term<'_>> {
        let terms = self.directions.iter().zip(&self.coefficients);
        terms.map(|(direction, &coefficient)| Term { direction, coefficient }).collect()
    }

    fn norm(&self, _n: usize) -> f64 {
        let squares: f64 = self.coefficients.iter().map(|c| f64::from(*c).powi(2)).sum();
        (squares * self.square).sqrt()
    }
}
