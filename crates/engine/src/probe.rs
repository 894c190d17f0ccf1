//! Losses at points beside the weights: `w + s z`, with `z` a direction whose elements are made where they are needed.
//!
//! The weights are never written to. Before a block is run, its weights are formed at both points in two windows of one
//! block each, from one making of the direction; the classifier follows a piece of its rows at a time, with running sums
//! of the softmax. So both passes go side by side, read the weights once, and what they need beyond a forward pass are the
//! windows and a second set of inference activations.
//! Legend: n tokens, d dim, v vocabulary.

use kernels::Cpu;
use kernels::cross_entropy::{Running, cross_entropy_piece};
use kernels::direction::{Noise, SIGNS};
use kernels::gemm::MatRef;
use model::{Layout, Part};
use std::ops::Range;

use crate::blocks::{Context, OnCpu};
use crate::params::Params;
use crate::walk::Buffers;
use crate::weights::{BlockRanges, Ranges};
use crate::{Batch, EngineError, LossSum, Objective, Options, Sizes, Walk};

/// A direction in the space of the trained weights.
pub trait Direction: Sync {
    /// Writes elements `start ..` into `z`; `weights` are the trained weights at the same place, and as many.
    fn fill(&self, start: usize, weights: &[f32], z: &mut [f32]);
}

impl Direction for Noise {
    fn fill(&self, start: usize, _weights: &[f32], z: &mut [f32]) {
        Noise::fill(self, start, z);
    }
}

/// Two points beside the weights.
#[derive(Clone, Copy)]
pub struct Probe<'a> {
    /// Where they lie.
    pub direction: &'a dyn Direction,
    /// Where the second lies, if not in the direction of the first.
    pub second: Option<&'a dyn Direction>,
    /// How far along it.
    pub scales: [f32; 2],
}

/// Elements of a direction that are made at a time: whole blocks of noise, on the stack.
pub const DIRECTION_TILE: usize = SIGNS;
/// Elements of a task.
const CHUNK: usize = 8 * DIRECTION_TILE;

impl Probe<'_> {
    /// The weights `start .. start + w.len()`, which are `w`, at both points.
    fn form(&self, start: usize, w: &[f32], [a, b]: [&mut [f32]; 2]) {
        let (mut z, mut at) = ([0.0; DIRECTION_TILE], 0);
        while at < w.len() {
            let len = (DIRECTION_TILE - (start + at) % DIRECTION_TILE).min(w.len() - at);
            let (part, z) = (at..at + len, &mut z[..len]);
            self.direction.fill(start + at, &w[part.clone()], z);
            along(&mut a[part.clone()], &w[part.clone()], self.scales[0], z);
            if let Some(direction) = self.second {
                direction.fill(start + at, &w[part.clone()], z);
            }
            along(&mut b[part.clone()], &w[part], self.scales[1], z);
            at += len;
        }
    }

    /// As [`Probe::form`], on all threads.
    pub fn form_all(&self, cpu: &Cpu, start: usize, w: &[f32], [a, b]: [&mut [f32]; 2]) {
        cpu.pool().chunks_mut2((a, CHUNK), (b, CHUNK), |i, a, b| {
            let first = i * CHUNK;
            self.form(start + first, &w[first..first + a.len()], [a, b]);
        });
    }
}

fn along(to: &mut [f32], w: &[f32], scale: f32, z: &[f32]) {
    for ((to, w), z) in to.iter_mut().zip(w).zip(z) {
        *to = w + scale * z;
    }
}

/// What probing needs beside the walk's own buffers.
pub(crate) struct Probing {
    /// Activations of the second point.
    other: Buffers,
    /// One block and the gain before the classifier, at each point.
    windows: [Vec<f32>; 2],
    /// Where the weights of any block lie in a window.
    ranges: Ranges,
    /// Of every block, the weights that a window holds.
    spans: Vec<Range<usize>>,
    running: [Vec<Running>; 2],
}

fn span(layout: &Layout, l: usize) -> Range<usize> {
    layout.span(l, Part::AttnNorm, Part::Down)
}

/// Floats of one window.
fn window_len(layout: &Layout, dim: usize) -> usize {
    span(layout, 0).len() + dim
}

/// Bytes that probing a model of `layout` needs beside a walk of `sizes`.
pub fn probing_bytes(layout: &Layout, dim: usize, sizes: &Sizes) -> usize {
    8 * window_len(layout, dim) + without_logits(sizes).bytes() + 2 * sizes.n * size_of::<Running>()
}

/// The second point needs no logits of its own.
fn without_logits(sizes: &Sizes) -> Sizes {
    let mut sizes = *sizes;
    sizes.logits = 0;
    sizes
}

impl Probing {
    fn new(at: &Context<'_>) -> Probing {
        let (layout, d) = (&at.layout, at.spec.dim);
        let (block, len) = (span(layout, 0), window_len(layout, d));
        let within = BlockRanges::of(layout, 0).shifted(block.start);
        let ranges = Ranges { embed: 0..0, blocks: vec![within; at.spec.layers], final_norm: block.len()..len, classifier: 0..0 };
        Probing {
            other: Buffers::new(&without_logits(&at.sizes)),
            windows: [vec![0.0; len], vec![0.0; len]],
            ranges,
            spans: (0..at.spec.layers).map(|l| span(layout, l)).collect(),
            running: [vec![Running::START; at.sizes.n], vec![Running::START; at.sizes.n]],
        }
    }
}

impl Walk<'_, OnCpu> {
    /// Losses of a batch at the two points of `probe`; none when `stop`, asked before each block, said yes. Afterwards
    /// [`Walk::token_losses`] are those of the first point.
    ///
    /// # Errors
    /// When the batch does not fit the buffers or the vocabulary, or the walk was opened for gradients or with an adapter.
    pub fn losses_along(
        &mut self,
        params: &[f32],
        batch: &Batch<'_>,
        probe: &Probe<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<[LossSum; 2]>, EngineError> {
        self.at.check(params.into(), batch)?;
        if self.at.options != Options::INFERENCE || self.at.adapter.is_some() {
            return Err(EngineError::Length { what: "buffers for gradients or adapters", found: 1, expected: 0 });
        }
        let mut probing = self.probing.take().unwrap_or_else(|| Box::new(Probing::new(&self.at)));
        let own = probing.embed(&self.at, &mut self.buffers, params, batch, probe);
        // within the blocks, weights are looked up in a window
        std::mem::swap(&mut self.at.ranges, &mut probing.ranges);
        let ran = probing.blocks(&self.at, &mut self.buffers, params, batch, (probe, &own), stop);
        std::mem::swap(&mut self.at.ranges, &mut probing.ranges);
        let losses = ran.then(|| probing.classify(&self.at, &mut self.buffers, params, batch, (probe, self.objective)));
        self.probing = Some(probing);
        Ok(losses)
    }
}

impl Probing {
    /// The embedded batch at both points; gives where the gain before the classifier lies.
    fn embed(
        &mut self,
        at: &Context<'_>,
        buffers: &mut Buffers,
        params: &[f32],
        batch: &Batch<'_>,
        probe: &Probe<'_>,
    ) -> Range<usize> {
        let (len, d, table) = (batch.len() * at.spec.dim, at.spec.dim, at.ranges.embed.start);
        let (a, b) = (&mut buffers.residual[0][..len], &mut self.other.residual[0][..len]);
        at.cpu.pool().chunks_mut2((a, d), (b, d), |i, a, b| {
            let first = table + batch.inputs[i] as usize * d;
            probe.form(first, &params[first..first + d], [a, b]);
        });
        at.ranges.final_norm.clone()
    }

    /// Every block at both points, from its window; false when `stop` said yes.
    fn blocks(
        &mut self,
        at: &Context<'_>,
        buffers: &mut Buffers,
        params: &[f32],
        batch: &Batch<'_>,
        (probe, last): (&Probe<'_>, &Range<usize>),
        stop: &mut dyn FnMut() -> bool,
    ) -> bool {
        for (l, span) in self.spans.iter().enumerate() {
            if stop() {
                return false;
            }
            let [a, b] = &mut self.windows;
            let (block, gain) = (span.len(), span.len() + last.len());
            probe.form_all(at.cpu, span.start, &params[span.clone()], [&mut a[..block], &mut b[..block]]);
            if l + 1 == self.spans.len() {
                probe.form(last.start, &params[last.clone()], [&mut a[block..gain], &mut b[block..gain]]);
            }
            for (side, window) in [(&mut *buffers, &*a), (&mut self.other, &*b)] {
                side.block_forward(&mut OnCpu, at, Params::from(window), batch, l);
            }
        }
        true
    }

    /// Losses of the normed streams at both points.
    fn classify(
        &mut self,
        at: &Context<'_>,
        buffers: &mut Buffers,
        params: &[f32],
        batch: &Batch<'_>,
        (probe, objective): (&Probe<'_>, Objective),
    ) -> [LossSum; 2] {
        let (n, d, v) = (batch.len(), at.spec.dim, at.spec.vocab);
        let Buffers { scratch, .. } = buffers;
        let most = (scratch.logits.len() / n).min(self.windows[0].len() / d).max(1);
        let width = v.div_ceil(v.div_ceil(most));
        self.running.iter_mut().for_each(|rows| rows[..n].fill(Running::START));
        for first in (0..v).step_by(width) {
            let (width, start) = (width.min(v - first), at.ranges.classifier.start + first * d);
            let [a, b] = &mut self.windows;
            let (a, b) = (&mut a[..width * d], &mut b[..width * d]);
            probe.form_all(at.cpu, start, &params[start..start + width * d], [a, b]);
            for (i, (norm, window)) in [(&scratch.norm, &*a), (&self.other.scratch.norm, &*b)].into_iter().enumerate() {
                let (x, logits) = (MatRef::new(&norm[..n * d], n, d), &mut scratch.logits[..n * width]);
                at.cpu.gemm(logits, width, x, MatRef::new(window, width, d).t(), false); // [n, d] x [d, width]
                cross_entropy_piece(at.cpu, &mut self.running[i][..n], logits, batch.targets, first, width);
            }
        }
        let [a, b] = &self.running;
        [(a, scratch), (b, &mut self.other.scratch)].map(|(running, scratch)| {
            let tokens = scratch.losses.iter_mut().zip(&mut scratch.hits).zip(running).zip(batch.targets);
            for (((loss, hit), row), target) in tokens {
                let predicted = *target != crate::IGNORE;
                (*loss, *hit) = if predicted { (row.loss(), row.is_hit()) } else { (0.0, false) };
            }
            objective.total(batch, &mut scratch.losses, &scratch.hits)
        })
    }
}
