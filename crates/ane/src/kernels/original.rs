//! Attention as the published kernels compute it: heads transposed to a row a token, key heads copied for every query head
//! (each repeated in place: k0, k0, k1, k1), backward in two kernels with the rotation and the sum over the group left to the
//! CPU between and after them.
//! Legend: s tokens, h query heads, kv key heads, hd head width.

use mil::{BuildError, Var};
use model::Part;

use super::attention::{Heads, Turn};
use super::graph::Graph;
use crate::{Baked, BlockShape, KernelSpec};

impl Graph<'_> {
    /// `[1, heads, s, hd]` of `[1, heads hd, 1, s]`.
    pub fn head_rows(&mut self, x: Var) -> Var {
        let heads = self.split(x);
        self.turn(heads)
    }

    /// `[1, heads hd, 1, s]` of `[1, heads, s, hd]`.
    pub fn head_columns(&mut self, x: Var) -> Var {
        let heads = self.turn(x);
        self.channels(heads)
    }

    /// Each head of `[1, kv, s, hd]` as often as query heads read it, in place: `[1, h, s, hd]`.
    fn repeat_heads(&mut self, x: Var) -> Var {
        let (group, [_, kv, s, hd]) = (self.shape.group(), self.extents(x));
        if group == 1 {
            return x;
        }
        let mut copies = Vec::with_capacity(kv * group);
        for head in 0..kv {
            let one = self.b.slice(x, &[0, head, 0, 0], &[1, 1, s, hd]);
            copies.extend(std::iter::repeat_n(one, group));
        }
        self.b.concat(&copies, 1)
    }

    /// Probabilities `[1, h, s, s]` from queries and repeated keys in rows.
    fn probabilities_in_rows(&mut self, q: Var, k: Var) -> Var {
        let (scores, scale) = (self.matmul(q, k, false, true), self.score_scale());
        let scaled = self.b.mul(scores, scale);
        self.masked_softmax(scaled)
    }

    /// Rotated queries and keys and the mixed values, from the projections `[1, ., 1, s]`.
    pub fn attend_in_rows(&mut self, raw: Heads) -> (Heads, Var) {
        let heads = Heads { q: self.rotate(raw.q, Turn::Forward), k: self.rotate(raw.k, Turn::Forward), v: raw.v };
        let (q, k, v) = (self.head_rows(heads.q), self.head_rows(heads.k), self.head_rows(heads.v));
        let (k, v) = (self.repeat_heads(k), self.repeat_heads(v));
        let probs = self.probabilities_in_rows(q, k);
        let mixed = self.matmul(probs, v, false, false);
        (heads, self.head_columns(mixed))
    }
}

/// First half of the backward pass: `dv_full` `[1, h hd, 1, s]` for every query head, `probs` and `dp` `[1, h s, 1, s]`. Reads
/// `q`, `k_tiled` and `v_tiled` (a key head for every query head) and the gradient `da` of the mixed values; with the output
/// projection baked in, that of the branch, `dout`.
pub fn sdpa_bwd1(shape: &BlockShape, projects: bool) -> Result<KernelSpec, BuildError> {
    let (d, q) = (shape.dim, shape.q_dim());
    let last = if projects { ("dout", d) } else { ("da", q) };
    let mut g = Graph::reading(shape, &[("q", q), ("k_tiled", q), ("v_tiled", q), last]);
    let mut da = g.field(last.0);
    if projects {
        let w = g.baked(Baked::Transposed(Part::O), &[q, d, 1, 1]);
        da = g.conv(da, w);
    }
    let (q, k, v) = (g.field("q"), g.field("k_tiled"), g.field("v_tiled"));
    let (q, k, v, da) = (g.head_rows(q), g.head_rows(k), g.head_rows(v), g.head_rows(da));
    let probs = g.probabilities_in_rows(q, k);
    let (dv, dp) = (g.matmul(probs, da, true, false), g.matmul(da, v, false, true));
    let dv = g.head_columns(dv);
    let (probs, dp) = (g.channels(probs), g.channels(dp));
    g.finish("sdpa_bwd1", "sdpa_bwd1_out", &[("dv_full", dv), ("probs", probs), ("dp", dp)])
}

/// Second half: `dq` and `dk_full` `[1, h hd, 1, s]`, both as they were after the rotation. Reads `probs`, `dp`, `q`,
/// `k_tiled`.
pub fn sdpa_bwd2(shape: &BlockShape) -> Result<KernelSpec, BuildError> {
    let (h, s, q) = (shape.heads, shape.seq, shape.q_dim());
    let mut g = Graph::reading(shape, &[("probs", h * s), ("dp", h * s), ("q", q), ("k_tiled", q)]);
    let (probs, dp, q, k) = (g.field("probs"), g.field("dp"), g.field("q"), g.field("k_tiled"));
    let (probs, dp) = (g.b.reshape(probs, &[1, h, s, s]), g.b.reshape(dp, &[1, h, s, s]));
    let (q, k) = (g.head_rows(q), g.head_rows(k));
    let (ds, scale) = (g.softmax_back(probs, dp), g.score_scale());
    let ds = g.b.mul(ds, scale);
    let (dq, dk) = (g.matmul(ds, k, false, false), g.matmul(ds, q, true, false));
    let (dq, dk) = (g.head_columns(dq), g.head_columns(dk));
    g.finish("sdpa_bwd2", "sdpa_bwd2_out", &[("dq", dq), ("dk_full", dk)])
}
