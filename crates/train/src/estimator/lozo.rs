//! LOZO (Chen et al., "Enhancing Zeroth-order Fine-tuning for Language Models with Low-rank Structures", arXiv 2410.07698):
//! MeZO along low-rank directions, one factor of which stays for many steps.
//!
//! ```text
//! Z = U V^T / sqrt(r)        U [out, r] new at each step, V [in, r] new at each nu steps, normal
//! ```
//!
//! The paper walks along `U V^T` and divides the update by `r`; here the direction has elements of variance 1, which is the
//! same with its eps times `sqrt(r)`. Over U and V the mean of the estimate is the gradient; while V stays, it is the gradient
//! projected by `V V^T / r`. Vectors move along normals. Nothing is kept: both factors are functions of seed and step.

use std::sync::Arc;

use engine::Direction;
use kernels::direction::{Distribution, Noise};
use model::Layout;

use super::mezo::{Central, Directions};
use super::{Line, direction_seed};

/// Where a tensor and its factors lie.
struct Place {
    start: usize,
    end: usize,
    cols: usize,
    /// First of its rows in U; none for a vector.
    u: Option<usize>,
    /// Its part of V, `[r, in]`.
    v: usize,
}

/// `U V^T / sqrt(r)` for matrices, noise for vectors.
pub struct LowRank {
    places: Arc<[Place]>,
    rank: usize,
    u: Vec<f32>,
    v: Vec<f32>,
    noise: Noise,
}

impl Direction for LowRank {
    fn fill(&self, start: usize, _weights: &[f32], z: &mut [f32]) {
        let (mut tensor, mut at) = (self.places.partition_point(|p| p.end <= start), 0);
        while at < z.len() && tensor < self.places.len() {
            let place = &self.places[tensor];
            let to = (place.end - start).min(z.len());
            match place.u {
                Some(u) => self.fill_matrix(place, u, start + at - place.start, &mut z[at..to]),
                None => self.noise.fill(start + at, &mut z[at..to]),
            }
            (tensor, at) = (tensor + 1, to);
        }
    }
}

impl LowRank {
    /// Elements of a matrix from element `first` of it on.
    fn fill_matrix(&self, place: &Place, u: usize, first: usize, z: &mut [f32]) {
        let (r, cols, mut at) = (self.rank, place.cols, 0);
        let scale = 1.0 / (r as f32).sqrt();
        while at < z.len() {
            let (row, col) = ((first + at) / cols, (first + at) % cols);
            let len = (cols - col).min(z.len() - at);
            let z = &mut z[at..at + len];
            z.fill(0.0);
            for k in 0..r {
                let (factor, v) = (scale * self.u[(u + row) * r + k], place.v + k * cols + col);
                for (z, v) in z.iter_mut().zip(&self.v[v..v + len]) {
                    *z += factor * v;
                }
            }
            at += len;
        }
    }
}

/// Directions of low rank, of which V stays for some steps.
pub struct Lazy {
    /// Steps that V stays for.
    interval: u64,
}

/// See the module.
pub type Lozo = Central<Lazy>;

impl Lozo {
    /// The estimator of `line` by directions of rank `rank` for weights of `layout`; V stays for `interval` steps.
    pub fn new(line: Line, rank: usize, interval: u64, layout: &Layout) -> Lozo {
        let (mut rows, mut floats, mut places) = (0, 0, Vec::new());
        for t in layout.tensors() {
            let is_matrix = t.shape[0] > 1;
            let (start, end) = (t.range.start, t.range.end);
            places.push(Place { start, end, cols: t.shape[1], u: is_matrix.then_some(rows), v: floats });
            if is_matrix {
                rows += t.shape[0];
                floats += t.shape[1] * rank;
            }
        }
        let places: Arc<[Place]> = places.into();
        let noise = Noise { seed: 0, distribution: Distribution::Gaussian, isa: line.isa };
        let low_rank = || LowRank { places: places.clone(), rank, u: vec![0.0; rows * rank], v: vec![0.0; floats], noise };
        Central::along(line, Lazy { interval: interval.max(1) }, low_rank)
    }
}

/// Sets the seeds of V apart from those of U.
const LAZY: u64 = 1 << 63;

impl Directions for Lazy {
    type Direction = LowRank;

    fn settle(&mut self, directions: &mut [LowRank], line: &Line, step: u64, _params: &[f32]) {
        let epoch = (step - 1) / self.interval;
        for (k, direction) in directions.iter_mut().enumerate() {
            direction.noise.seed = direction_seed(line.seed, LAZY | epoch, k);
            direction.noise.fill(0, &mut direction.v);
            direction.noise.seed = direction_seed(line.seed, step, k);
            direction.noise.fill(0, &mut direction.u);
            // another stream for vectors
            direction.noise.seed ^= LAZY;
        }
    }
}
