//! The dynamic kernels of ours: weights are data, five dispatches a layer.
//!
//! | kernel | activations | weights | outputs |
//! |---|---|---|---|
//! | `attn_fwd` | `xnorm` | Q, K, V, O | `out`, `q`, `k` (rotated), `v`, `attn` |
//! | `ffn_fwd` | `x2norm` | gate, up, down | `out`, `h1`, `h3` |
//! | `ffn_bwd` | `dffn`, `h1`, `h3` | down, gate, up | `dx`, `dh1`, `dh3` |
//! | `attn_bwd` | `q`, `k`, `v`, `dout` | O | `dq`, `dk`, `dv`: before the rotation, summed over the group |
//! | `qkv_bwd` | `dq`, `dk`, `dv` | Q, K, V | `dx` |
//!
//! `out` is a branch before the residual scale, `dx` the gradient of a normed stream. Gradients of weights are the walk's.

use mil::BuildError;
use model::Part;

use super::attention::{Heads, Turn};
use super::graph::Graph;
use super::ports::{Lie, Stack, ports};
use crate::{BlockShape, KernelForm, KernelSpec, WeightForm};

type Built = Result<KernelSpec, BuildError>;

/// Projections, rotation, attention and output projection.
pub fn attn_fwd(shape: &BlockShape, form: WeightForm) -> Built {
    let (d, q, kv) = (shape.dim, shape.q_dim(), shape.kv_dim());
    let weights = [(Stack::qkv(shape), Lie::Turned), (Stack::one(shape, Part::O), Lie::Upright)];
    let mut g = Graph::new(shape, KernelForm::Fused, ports(shape, form, &[&[("xnorm", d)]], &weights));
    let (x, w_qkv, w_o) = (g.field("xnorm"), g.weight(&["wq", "wk", "wv"]), g.weight(&["wo"]));
    let qkv = g.through(w_qkv, x);
    let s = shape.seq;
    let raw = g.b.slice(qkv, &[0, 0, 0, 0], &[1, q + kv, 1, s]);
    // queries and keys turn together
    let rotated = g.rotate(raw, Turn::Forward);
    let heads = Heads {
        q: g.b.slice(rotated, &[0, 0, 0, 0], &[1, q, 1, s]),
        k: g.b.slice(rotated, &[0, q, 0, 0], &[1, kv, 1, s]),
        v: g.b.slice(qkv, &[0, q + kv, 0, 0], &[1, kv, 1, s]),
    };
    let attn = g.attend(heads);
    let out = g.through(w_o, attn);
    let fields = [("out", out), ("q", heads.q), ("k", heads.k), ("v", heads.v), ("attn", attn)];
    g.finish("attn_fwd", "y_out", &fields)
}

/// The feed-forward branch.
pub fn ffn_fwd(shape: &BlockShape, form: WeightForm) -> Built {
    let (d, ff, s) = (shape.dim, shape.hidden, shape.seq);
    let weights = [(Stack::gate_up(shape), Lie::Turned), (Stack::one(shape, Part::Down), Lie::Upright)];
    let mut g = Graph::new(shape, KernelForm::Fused, ports(shape, form, &[&[("x2norm", d)]], &weights));
    let (x, w_gate_up, w_down) = (g.field("x2norm"), g.weight(&["w1", "w3"]), g.weight(&["w2"]));
    let gate_up = g.through(w_gate_up, x);
    let h1 = g.b.slice(gate_up, &[0, 0, 0, 0], &[1, ff, 1, s]);
    let h3 = g.b.slice(gate_up, &[0, ff, 0, 0], &[1, ff, 1, s]);
    let act = g.swiglu(h1, h3);
    let out = g.through(w_down, act);
    g.finish("ffn_fwd", "y_out", &[("out", out), ("h1", h1), ("h3", h3)])
}

/// From the gradient of the feed-forward branch to that of its normed input.
pub fn ffn_bwd(shape: &BlockShape, form: WeightForm) -> Built {
    let (d, ff) = (shape.dim, shape.hidden);
    // down is turned, so that in the packed form nothing has more channels than the hidden width; gate and up are single for
    // the same reason, but neighbours in a surface of their own
    let down = (Stack::one(shape, Part::Down), Lie::Turned);
    let weights = match form {
        WeightForm::Packed => {
            vec![down, (Stack::one(shape, Part::Gate), Lie::Upright), (Stack::one(shape, Part::Up), Lie::Upright)]
        }
        WeightForm::Parameters => vec![down, (Stack::gate_up(shape), Lie::Upright)],
    };
    let activations = ports(shape, form, &[&[("dffn", d)], &[("h1", ff)], &[("h3", ff)]], &weights);
    let mut g = Graph::new(shape, KernelForm::Fused, activations);
    let (dffn, h1, h3, w_down) = (g.field("dffn"), g.field("h1"), g.field("h3"), g.weight(&["w2"]));
    let dact = g.back(w_down, dffn);
    let (dh1, dh3) = g.swiglu_back(dact, h1, h3);
    let dx = match form {
        WeightForm::Packed => {
            let (w_gate, w_up) = (g.weight(&["w1"]), g.weight(&["w3"]));
            let (by_gate, by_up) = (g.back(w_gate, dh1), g.back(w_up, dh3));
            g.b.add(by_gate, by_up)
        }
        WeightForm::Parameters => {
            let w_gate_up = g.weight(&["w1", "w3"]);
            let both = g.b.concat(&[dh1, dh3], 1);
            g.back(w_gate_up, both)
        }
    };
    g.finish("ffn_bwd", "y_out", &[("dx", dx), ("dh1", dh1), ("dh3", dh3)])
}

/// From the gradient of the attention branch to those of queries, keys and values before their rotation.
pub fn attn_bwd(shape: &BlockShape, form: WeightForm) -> Built {
    let (d, q, kv) = (shape.dim, shape.q_dim(), shape.kv_dim());
    let most = d.max(q);
    // keys and values share a column where they fit below each other; the matrix lies so that it fills its columns
    let columns: &[&[_]] = if 2 * kv <= most {
        &[&[("q", q)], &[("k", kv), ("v", kv)], &[("dout", d)]]
    } else {
        &[&[("q", q)], &[("k", kv)], &[("v", kv)], &[("dout", d)]]
    };
    let weights = [(Stack::one(shape, Part::O), if q < d { Lie::Upright } else { Lie::Turned })];
    let mut g = Graph::new(shape, KernelForm::Fused, ports(shape, form, columns, &weights));
    let (dout, w_o) = (g.field("dout"), g.weight(&["wo"]));
    let da = g.back(w_o, dout);
    let heads = Heads { q: g.field("q"), k: g.field("k"), v: g.field("v") };
    let grad = g.attend_back(heads, da);
    g.finish("attn_bwd", "y_out", &[("dq", grad.q), ("dk", grad.k), ("dv", grad.v)])
}

/// From the gradients of queries, keys and values to that of the normed stream.
pub fn qkv_bwd(shape: &BlockShape, form: WeightForm) -> Built {
    let (q, kv) = (shape.q_dim(), shape.kv_dim());
    let weights = [(Stack::qkv(shape), Lie::Upright)];
    let activations: [&[_]; 1] = [&[("dq", q), ("dk", kv), ("dv", kv)]];
    let mut g = Graph::new(shape, KernelForm::Fused, ports(shape, form, &activations, &weights));
    let (dqkv, w_qkv) = (g.fields(&["dq", "dk", "dv"]), g.weight(&["wq", "wk", "wv"]));
    let dx = g.back(w_qkv, dqkv);
    g.finish("qkv_bwd", "y_out", &[("dx", dx)])
}
