//! Lengths of every buffer of an engine: what it allocates, and what a memory prediction adds up.

use kernels::attention::attention_scratch;
use kernels::embedding::bias_partials;
use kernels::head_norm::head_partials;
use kernels::rmsnorm::dw_partials;
use model::ModelSpec;

use crate::{Options, Shape};

/// Floats of logits that the classifier works on at a time.
const LOGITS: usize = 12 << 20;

/// Lengths in floats. Legend: n tokens of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Tokens of a batch.
    pub n: usize,
    /// Layers whose inner activations are kept: all, or one that is recomputed.
    pub kept: usize,
    /// Layers whose gate and up are kept.
    pub gates: usize,
    /// Residual stream: one per layer, and the last.
    pub residual: usize,
    /// Q, K, V of a layer.
    pub qkv: usize,
    /// Q and K before their norms; 0 without.
    pub raw_qk: usize,
    /// Attention output of a layer.
    pub mixed: usize,
    /// Log-sum-exps of a layer.
    pub lse: usize,
    /// Gate and up of a layer.
    pub gate_up: usize,
    /// Scratch rows of width `dim`.
    pub row: usize,
    /// Scratch as wide as the feed-forward block or the projections.
    pub wide: usize,
    /// Partial sums of norm and bias gradients.
    pub partial: usize,
    /// Tokens that the classifier takes at a time.
    pub chunk: usize,
    /// Logits of one chunk.
    pub logits: usize,
    /// Gradient of one gain.
    pub gain: usize,
    layers: usize,
    heads: usize,
    qk_heads: usize,
    attention: usize,
}

impl Sizes {
    /// Sizes for batches of up to `shape`, on `threads` threads.
    pub fn of(spec: &ModelSpec, shape: Shape, options: Options, threads: usize) -> Sizes {
        let n = shape.rows * shape.seq;
        let widest = spec.dim.max(spec.qkv_dim());
        let partials = dw_partials(n).max(bias_partials(n)).max(head_partials(n));
        let chunks = n.div_ceil((LOGITS / spec.vocab).clamp(16, n.max(16)));
        let chunk = n.div_ceil(chunks).next_multiple_of(16).min(n);
        // whole windows, where one fits: a device takes them one at a time
        let chunk = if chunk > shape.seq { chunk / shape.seq * shape.seq } else { chunk };
        let qk_heads = if spec.qk_norm { spec.heads + spec.kv_heads } else { 0 };
        let kept = if options.recompute || !options.gradient { 1 } else { spec.layers };
        Sizes {
            n,
            kept,
            gates: kept,
            residual: n * spec.dim,
            qkv: n * spec.qkv_dim(),
            raw_qk: if spec.qk_norm { n * (spec.q_dim() + spec.kv_dim()) } else { 0 },
            mixed: n * spec.q_dim(),
            lse: n * spec.heads,
            gate_up: n * 2 * spec.hidden,
            row: n * spec.dim,
            wide: n * spec.hidden.max(spec.qkv_dim()),
            partial: if options.gradient { partials * widest } else { 0 },
            chunk,
            logits: chunk * spec.vocab,
            gain: if options.gradient { spec.dim.max(spec.head_dim) } else { 0 },
            layers: if options.gradient { spec.layers } else { 1 },
            heads: spec.heads,
            qk_heads,
            attention: attention_scratch(shape.seq, spec.head_dim, threads),
        }
    }

    /// The same where gate and up, half of what a layer keeps, are computed again in the backward pass.
    pub fn sparing(self) -> Sizes {
        Sizes { gates: 1, ..self }
    }

    /// Residual streams that are kept: the input of every layer, or two that take turns.
    pub fn residuals(&self) -> usize {
        self.layers + 1
    }

    /// Bytes of all buffers together.
    pub fn bytes(&self) -> usize {
        let norms = self.n * (2 + self.qk_heads);
        let layer = self.qkv + self.raw_qk + self.mixed + self.lse + self.residual + norms;
        let scratch = 3 * self.row + 2 * self.wide + self.partial + self.logits + self.gain + 2 * self.n + self.attention;
        4 * (self.residuals() * self.residual + self.kept * layer + self.gates * self.gate_up + scratch)
    }

    pub(crate) fn norm_lens(&self) -> (usize, usize) {
        (self.n, self.n * self.qk_heads)
    }

    pub(crate) fn head_lens(&self) -> usize {
        self.n * self.heads
    }
}
