//! The static kernels: weights are constants of the program, which an update of the weights makes anew.
//!
//! | kernel | reads | constants | returns |
//! |---|---|---|---|
//! | `fwd_attn` | `x` | norm, Q, K, V, O | `out`, `q`, `k` (rotated), `v`, `attn`; published form: and `xnorm` |
//! | `fwd_ffn` | `x2` | norm, gate, up, down | `out`, `h1`, `h3`; published form: and `gate`, `xnorm` |
//! | `ffn_bwd` | `dffn`, `h1`, `h3` | down, gate, up | `dx`, `dh1`, `dh3` |
//! | `attn_bwd` (ours) | `q`, `k`, `v`, `dout` | O | `dq`, `dk`, `dv`: before the rotation, summed over the group |
//! | `sdpa_bwd1`, `sdpa_bwd2` (published) | in `original` | O; none | |
//! | `qkv_bwd` | `dq`, `dk`, `dv` | Q, K, V | `dx` |

use mil::{BuildError, Var};
use model::Part;

use super::attention::{Heads, Turn};
use super::graph::Graph;
use super::ports::matrix;
use crate::{Baked, BlockShape, KernelForm, KernelSpec};

type Built = Result<KernelSpec, BuildError>;

/// What the attention part of a block computes.
pub(super) struct AttentionPart {
    pub xnorm: Var,
    pub heads: Heads,
    pub attn: Var,
    pub out: Var,
}

/// What the feed-forward part computes.
pub(super) struct FfnPart {
    pub xnorm: Var,
    pub h1: Var,
    pub h3: Var,
    pub act: Var,
    pub out: Var,
}

impl Graph<'_> {
    /// `W x` with the matrix of `part` as a constant.
    pub fn project(&mut self, part: Part, x: Var) -> Var {
        let (_, rows, cols) = matrix(self.shape, part);
        let w = self.baked(Baked::Matrix(part), &[rows, cols, 1, 1]);
        self.conv(x, w)
    }

    /// `W^T dy`.
    pub fn project_back(&mut self, part: Part, dy: Var) -> Var {
        let (_, rows, cols) = matrix(self.shape, part);
        let w = self.baked(Baked::Transposed(part), &[cols, rows, 1, 1]);
        self.conv(dy, w)
    }

    /// Norm, projections, rotation, attention, output projection, from the stream.
    pub fn attention_part(&mut self, x: Var, form: KernelForm) -> AttentionPart {
        let xnorm = self.rms_norm(x, Baked::Vector(Part::AttnNorm));
        let raw = Heads { q: self.project(Part::Q, xnorm), k: self.project(Part::K, xnorm), v: self.project(Part::V, xnorm) };
        let (heads, attn) = match form {
            KernelForm::Original => self.attend_in_rows(raw),
            KernelForm::Fused => {
                let (q, k) = (self.rotate(raw.q, Turn::Forward), self.rotate(raw.k, Turn::Forward));
                let heads = Heads { q, k, v: raw.v };
                (heads, self.attend(heads))
            }
        };
        let out = self.project(Part::O, attn);
        AttentionPart { xnorm, heads, attn, out }
    }

    /// Norm, gate, up, their product, down, from the stream.
    pub fn ffn_part(&mut self, x: Var) -> FfnPart {
        let xnorm = self.rms_norm(x, Baked::Vector(Part::FfnNorm));
        let (h1, h3) = (self.project(Part::Gate, xnorm), self.project(Part::Up, xnorm));
        let act = self.swiglu(h1, h3);
        let out = self.project(Part::Down, act);
        FfnPart { xnorm, h1, h3, act, out }
    }
}

/// The attention branch, norm included.
pub fn fwd_attn(shape: &BlockShape, form: KernelForm) -> Built {
    let mut g = Graph::reading(shape, &[("x", shape.dim)]);
    let x = g.field("x");
    let part = g.attention_part(x, form);
    let (h, mut fields) = (part.heads, vec![("out", part.out)]);
    fields.extend([("q", h.q), ("k", h.k), ("v", h.v), ("attn", part.attn)]);
    if form == KernelForm::Original {
        fields.push(("xnorm", part.xnorm));
    }
    g.finish("fwd_attn", "fwd_attn_out", &fields)
}

/// The feed-forward branch, norm included.
pub fn fwd_ffn(shape: &BlockShape, form: KernelForm) -> Built {
    let mut g = Graph::reading(shape, &[("x2", shape.dim)]);
    let x = g.field("x2");
    let part = g.ffn_part(x);
    let mut fields = vec![("out", part.out), ("h1", part.h1), ("h3", part.h3)];
    if form == KernelForm::Original {
        fields.extend([("gate", part.act), ("xnorm", part.xnorm)]);
    }
    g.finish("fwd_ffn", "fwd_ffn_out", &fields)
}

/// From the gradient of the feed-forward branch to that of its normed input.
pub fn ffn_bwd(shape: &BlockShape) -> Built {
    let (d, ff) = (shape.dim, shape.hidden);
    let mut g = Graph::reading(shape, &[("dffn", d), ("h1", ff), ("h3", ff)]);
    let (dffn, h1, h3) = (g.field("dffn"), g.field("h1"), g.field("h3"));
    let dact = g.project_back(Part::Down, dffn);
    let (dh1, dh3) = g.swiglu_back(dact, h1, h3);
    let (by_gate, by_up) = (g.project_back(Part::Gate, dh1), g.project_back(Part::Up, dh3));
    let dx = g.b.add(by_gate, by_up);
    g.finish("ffn_bwd", "ffn_bwd_out", &[("dx", dx), ("dh1", dh1), ("dh3", dh3)])
}

/// From the gradient of the attention branch to those of queries, keys and values before their rotation.
pub fn attn_bwd(shape: &BlockShape) -> Built {
    let (d, q, kv) = (shape.dim, shape.q_dim(), shape.kv_dim());
    let mut g = Graph::reading(shape, &[("q", q), ("k", kv), ("v", kv), ("dout", d)]);
    let dout = g.field("dout");
    let da = g.project_back(Part::O, dout);
    let heads = Heads { q: g.field("q"), k: g.field("k"), v: g.field("v") };
    let grad = g.attend_back(heads, da);
    g.finish("attn_bwd", "attn_bwd_out", &[("dq", grad.q), ("dk", grad.k), ("dv", grad.v)])
}

/// From the gradients of queries, keys and values to that of the normed stream.
pub fn qkv_bwd(shape: &BlockShape) -> Built {
    let (q, kv) = (shape.q_dim(), shape.kv_dim());
    let mut g = Graph::reading(shape, &[("dq", q), ("dk", kv), ("dv", kv)]);
    let (dq, dk, dv) = (g.field("dq"), g.field("dk"), g.field("dv"));
    let (by_q, by_k) = (g.project_back(Part::Q, dq), g.project_back(Part::K, dk));
    let by_v = g.project_back(Part::V, dv);
    let sum = g.b.add(by_q, by_k);
    let dx = g.b.add(sum, by_v);
    g.finish("qkv_bwd", "qkv_bwd_out", &[("dx", dx)])
}
