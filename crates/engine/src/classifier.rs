//! Final projection and cross-entropy, a chunk of tokens at a time: `[tokens, vocab]` never exists.
//! Legend: n tokens, m tokens of a chunk, d dim, v vocabulary.

use kernels::gemm::MatRef;

use crate::batch::IGNORE;
use crate::blocks::{Blocks, Context, NormAt, NormBackward};
use crate::gradient::Gradient;
use crate::params::Params;
use crate::walk::Buffers;
use crate::{Batch, LossSum, Objective};

impl Buffers {
    /// What `objective` counts of the normed stream in `scratch.norm`.
    pub fn classify<B: Blocks>(
        &mut self,
        blocks: &mut B,
        at: &Context<'_>,
        params: Params<'_>,
        batch: &Batch<'_>,
        objective: Objective,
    ) -> LossSum {
        let (n, d, v) = (batch.len(), at.spec.dim, at.spec.vocab);
        let s = &mut self.scratch;
        for first in (0..n).step_by(at.sizes.chunk) {
            let end = n.min(first + at.sizes.chunk);
            let logits = &mut s.logits[..(end - first) * v];
            blocks.classify(at, params, &s.norm[first * d..end * d], logits);
            blocks.cross_entropy(at, &mut s.losses[first..end], logits, &batch.targets[first..end], false);
            mark_hits(&mut s.hits[first..end], logits, &batch.targets[first..end], v);
        }
        objective.total(batch, &mut s.losses, &s.hits)
    }

    /// As [`Self::classify`]; also the gradient of the classifier and of the final norm, and `scratch.dx`.
    pub fn classify_backward<B: Blocks>(
        &mut self,
        blocks: &mut B,
        at: &Context<'_>,
        params: Params<'_>,
        batch: &Batch<'_>,
        to: &mut Gradient<'_>,
    ) -> LossSum {
        let (cpu, n, d, v) = (at.cpu, batch.len(), at.spec.dim, at.spec.vocab);
        let s = &mut self.scratch;
        for first in (0..n).step_by(at.sizes.chunk) {
            let end = n.min(first + at.sizes.chunk);
            let (m, logits) = (end - first, &mut s.logits[..(end - first) * v]);
            blocks.classify(at, params, &s.norm[first * d..end * d], logits);
            blocks.cross_entropy(at, &mut s.losses[first..end], logits, &batch.targets[first..end], true);
            let (dlogits, x) = (MatRef::new(logits, m, v), MatRef::new(&s.norm[first * d..], m, d));
            if at.adapter.is_none() {
                let dweights = &mut to.grad[at.ranges.classifier.clone()];
                cpu.gemm(dweights, d, dlogits.t(), x, to.accumulate || first > 0); // [v, m] x [m, d]
            }
            let dnorm = &mut s.branch[first * d..end * d];
            params.base.product(cpu, at.ranges.classifier.clone(), d, (dlogits, true), dnorm); // [m, v] x [v, d]
        }
        s.dx[..n * d].fill(0.0);
        let accumulate = to.accumulate;
        let io = NormBackward {
            dx: &mut s.dx[..n * d],
            dgain: to.gain(at, NormAt::Final, &mut s.dgain),
            dnorm: &s.branch[..n * d],
            x: &self.residual[at.spec.layers][..n * d],
            r: &s.r_final[..n],
            partial: &mut s.partial,
            accumulate,
        };
        blocks.norm_back(at, params, NormAt::Final, io);
        Objective::Loss.total(batch, &mut self.scratch.losses, &self.scratch.hits)
    }
}

/// Whether each target is the most likely id, from what the cross-entropy left: `exp(z - max)`, which is 1 for that id alone
/// (and for those that are as likely to the last bit).
fn mark_hits(hits: &mut [bool], exps: &[f32], targets: &[u32], v: usize) {
    for ((hit, row), target) in hits.iter_mut().zip(exps.chunks_exact(v)).zip(targets) {
        *hit = *target != IGNORE && row[*target as usize] >= 1.0;
    }
}
