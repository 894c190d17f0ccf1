//! Deep supervision from losses alone: every block is credited by a loss of its own, that which the model's final norm and
//! classifier make of its output (the logit lens; auxiliary losses are those of Lee et al., "Deeply-Supervised Nets", arXiv
//! 1409.5185, taken here with the head that is there instead of one that is learnt).
//!
//! ```text
//! g_l = (L_l(w + eps z) - L_l(w - eps z)) / (2 eps)        gradient of block l = g_l z there
//! ```
//!
//! All blocks move at once, along one direction of independent elements, and `L_l` depends on blocks up to `l` alone. So the mean of
//! the estimate for block `l` is the gradient of `L_l` there (up to eps^2): of the model's loss for the last block, and of
//! something else for all others. That is its bias: a block is told to make the next token readable early, which a trained
//! model does not do, and what later blocks would have made of its output counts nothing. In return the slope of an early
//! loss has not the noise of later blocks in it. What is shared by all (the gain before the classifier) is credited by the last.
//!
//! A step is two forward passes for each direction, and a classifier for each block: where the vocabulary is large, that is most of the cost.
//! Nothing is kept.

use engine::{Direction, Probe};
use kernels::Cpu;
use kernels::direction::Noise;
use model::{Layout, TensorId};

use super::{Estimator, Line, Measured, direction_seed};
use crate::gradient::Term;

/// A direction, each block of which is scaled by its own slope.
struct Credited {
    noise: Noise,
    /// Where the weights of consecutive blocks end, and which those are.
    ends: Vec<(usize, usize)>,
    slopes: Vec<f32>,
}

impl Direction for Credited {
    fn fill(&self, start: usize, _weights: &[f32], z: &mut [f32]) {
        self.noise.fill(start, z);
        let (mut at, first) = (start, self.ends.partition_point(|(end, _)| *end <= start));
        let mut rest = z;
        for &(end, block) in &self.ends[first..] {
            let (own, others) = rest.split_at_mut((end - at).min(rest.len()));
            own.iter_mut().for_each(|z| *z *= self.slopes[block]);
            (at, rest) = (end, others);
            if rest.is_empty() {
                return;
            }
        }
    }
}

/// See the module.
pub struct Dszo {
    line: Line,
    layers: usize,
    directions: Vec<Credited>,
}

impl Dszo {
    /// The estimator of `line` for an adapter of `layout` on a model of `layers` blocks.
    pub fn new(line: Line, layout: &Layout, layers: usize) -> Dszo {
        let mut ends: Vec<(usize, usize)> = Vec::new();
        for t in layout.tensors() {
            let block = match t.id {
                TensorId::Adapter(l, ..) | TensorId::Layer(l, _) => l,
                _ => layers - 1,
            };
            match ends.last_mut() {
                Some((end, last)) if *last == block => *end = t.range.end,
                _ => ends.push((t.range.end, block)),
            }
        }
        let noise = Noise { seed: 0, distribution: line.distribution, isa: line.isa };
        let credited = || Credited { noise, ends: ends.clone(), slopes: vec![0.0; layers] };
        Dszo { line, layers, directions: (0..line.directions).map(|_| credited()).collect() }
    }
}

impl Estimator for Dszo {
    fn begin(&mut self, _cpu: &Cpu, step: u64, _params: &[f32]) {
        for (k, direction) in self.directions.iter_mut().enumerate() {
            direction.noise.seed = direction_seed(self.line.seed, step, k);
        }
    }

    fn probes(&self) -> usize {
        self.directions.len()
    }

    fn probe(&self, i: usize) -> Probe<'_> {
        Probe { direction: &self.directions[i].noise, second: None, scales: [self.line.eps, -self.line.eps] }
    }

    fn depths(&self) -> usize {
        self.layers
    }

    fn conclude(&mut self, measured: &Measured<'_>, _params: &[f32]) {
        let width = 2.0 * f64::from(self.line.eps) * self.directions.len() as f64;
        for (direction, losses) in self.directions.iter_mut().zip(measured.depths.chunks_exact(self.layers)) {
            for (slope, [above, below]) in direction.slopes.iter_mut().zip(losses) {
                *slope = ((above - below) / width) as f32;
            }
        }
    }

    fn decided(&self) -> Vec<f32> {
        self.directions.iter().flat_map(|d| d.slopes.iter().copied()).collect()
    }

    fn recall(&mut self, decided: &[f32]) -> bool {
        let fits = decided.len() == self.layers * self.directions.len();
        if fits {
            let slopes = decided.chunks_exact(self.layers);
            self.directions.iter_mut().zip(slopes).for_each(|(d, slopes)| d.slopes.copy_from_slice(slopes));
        }
        fits
    }

    fn terms(&self) -> Vec<Term<'_>> {
        self.directions.iter().map(|direction| Term { direction, coefficient: 1.0 }).collect()
    }

    /// Of the model's own loss.
    fn projected(&self) -> f64 {
        self.directions.iter().filter_map(|d| d.slopes.last()).map(|slope| f64::from(*slope)).sum()
    }

    fn norm(&self, _n: usize) -> f64 {
        let square = |d: &Credited| {
            let starts = std::iter::once(0).chain(d.ends.iter().map(|(end, _)| *end));
            let own = starts.zip(&d.ends).map(|(start, (end, block))| (end - start) as f64 * f64::from(d.slopes[*block]).powi(2));
            own.sum::<f64>()
        };
        self.directions.iter().map(square).sum::<f64>().sqrt()
    }
}
