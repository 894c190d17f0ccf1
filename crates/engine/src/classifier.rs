//! Final projection and cross-entropy, a chunk of tokens at a time: `[tokens, vocab]` never exists.
//! Legend: n tokens, m tokens of a chunk, d dim, v vocabulary.

use kernels::cross_entropy::{cross_entropy, cross_entropy_backward};
use kernels::gemm::MatRef;
use kernels::rmsnorm::rmsnorm_backward;

use crate::{Batch, CpuEngine, LossSum};

impl CpuEngine<'_> {
    /// Losses of the normed stream in `scratch.norm`.
    pub(crate) fn classify(&mut self, params: &[f32], batch: &Batch<'_>) -> LossSum {
        let (n, d, v, chunk) = (batch.len(), self.spec.dim, self.spec.vocab, self.sizes.chunk);
        let s = &mut self.scratch;
        let weights = MatRef::new(&params[self.ranges.classifier.clone()], v, d);
        for at in (0..n).step_by(chunk) {
            let m = chunk.min(n - at);
            let logits = &mut s.logits[..m * v];
            self.cpu.gemm(logits, v, MatRef::new(&s.norm[at * d..], m, d), weights.t(), false); // [m, d] x [d, v]
            cross_entropy(self.cpu, &mut s.losses[at..at + m], logits, &batch.targets[at..at + m], v);
        }
        self.total(batch)
    }

    /// As [`Self::classify`]; also the gradient of the classifier and of the final norm, and `scratch.dx`.
    pub(crate) fn classify_backward(&mut self, params: &[f32], batch: &Batch<'_>, grad: &mut [f32], accumulate: bool) -> LossSum {
        let (cpu, n, d, v) = (self.cpu, batch.len(), self.spec.dim, self.spec.vocab);
        let s = &mut self.scratch;
        let weights = MatRef::new(&params[self.ranges.classifier.clone()], v, d);
        for at in (0..n).step_by(self.sizes.chunk) {
            let m = self.sizes.chunk.min(n - at);
            let (logits, x) = (&mut s.logits[..m * v], MatRef::new(&s.norm[at * d..], m, d));
            cpu.gemm(logits, v, x, weights.t(), false); // [m, d] x [d, v]
            cross_entropy_backward(cpu, &mut s.losses[at..at + m], logits, &batch.targets[at..at + m], v);
            let dlogits = MatRef::new(logits, m, v);
            let dweights = &mut grad[self.ranges.classifier.clone()];
            cpu.gemm(dweights, d, dlogits.t(), x, accumulate || at > 0); // [v, m] x [m, d]
            cpu.gemm(&mut s.branch[at * d..(at + m) * d], d, dlogits, weights, false); // [m, v] x [v, d]
        }
        let last = self.spec.layers;
        let x = &self.residual[last][..n * d];
        let (gain, dgain) = (&params[self.ranges.final_norm.clone()], &mut grad[self.ranges.final_norm.clone()]);
        let dx = &mut s.dx[..n * d];
        dx.fill(0.0);
        rmsnorm_backward(cpu, dx, dgain, &s.branch[..n * d], x, &s.r_final[..n], gain, &mut s.partial, accumulate);
        self.total(batch)
    }

    /// `[n, v]` logits of the normed stream.
    pub(crate) fn all_logits(&mut self, params: &[f32], n: usize) -> Vec<f32> {
        let (d, v) = (self.spec.dim, self.spec.vocab);
        let mut logits = vec![0.0; n * v];
        let weights = MatRef::new(&params[self.ranges.classifier.clone()], v, d);
        self.cpu.gemm(&mut logits, v, MatRef::new(&self.scratch.norm, n, d), weights.t(), false); // [n, d] x [d, v]
        logits
    }

    fn total(&self, batch: &Batch<'_>) -> LossSum {
        let sum = self.scratch.losses[..batch.len()].iter().map(|&l| f64::from(l)).sum();
        LossSum { sum, tokens: batch.predicted() }
    }
}
