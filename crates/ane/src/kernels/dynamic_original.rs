//! The published dynamic kernels, ten dispatches a layer; `sdpa_bwd1` and `sdpa_bwd2` are in `original`.
//!
//! | kernel | activations | weights | outputs |
//! |---|---|---|---|
//! | `sdpa_fwd` | `xnorm` | Q, K, V | `attn`, `q`, `k` (rotated), `v`, `xnorm` |
//! | `wo_fwd` | `attn` | O | `out` |
//! | `ffn_fused` | `x2norm`, `x2` | gate, up, down | `x_next` (residual scale inside), `h1`, `h3`, `gate` |
//! | `ffn_bwd_w2t` | `dffn` | down | `dact` |
//! | `ffn_bwd_w13t` | `dh1`, `dh3` | gate, up | `dx` |
//! | `wot_bwd` | `dout` | O | `da` |
//! | `q_bwd` | `dq` | Q | `dx`, by way of the queries |
//! | `kv_bwd` | `dk`, `dv` | K, V | `dx`, by way of keys and values |

use mil::BuildError;
use model::Part;

use super::attention::Heads;
use super::graph::Graph;
use super::ports::{Lie, Stack, ports};
use crate::{BlockShape, KernelForm, KernelSpec, WeightForm};

type Built = Result<KernelSpec, BuildError>;

fn graph<'s>(
    shape: &'s BlockShape,
    form: WeightForm,
    activations: &[(&'static str, usize)],
    weights: &[(Part, Lie)],
) -> Graph<'s> {
    let columns: Vec<&[_]> = activations.chunks(1).collect();
    let weights: Vec<_> = weights.iter().map(|&(part, lie)| (Stack::one(shape, part), lie)).collect();
    Graph::new(shape, KernelForm::Original, ports(shape, form, &columns, &weights))
}

/// Projections, rotation, attention.
pub fn sdpa_fwd(shape: &BlockShape, form: WeightForm) -> Built {
    let weights = [(Part::Q, Lie::Turned), (Part::K, Lie::Turned), (Part::V, Lie::Turned)];
    let mut g = graph(shape, form, &[("xnorm", shape.dim)], &weights);
    let (x, w_q, w_k, w_v) = (g.field("xnorm"), g.weight(&["wq"]), g.weight(&["wk"]), g.weight(&["wv"]));
    let raw = Heads { q: g.through(w_q, x), k: g.through(w_k, x), v: g.through(w_v, x) };
    let (heads, attn) = g.attend_in_rows(raw);
    let fields = [("attn", attn), ("q", heads.q), ("k", heads.k), ("v", heads.v), ("xnorm", x)];
    g.finish("sdpa_fwd", "sdpa_fwd_out", &fields)
}

/// Output projection.
pub fn wo_fwd(shape: &BlockShape, form: WeightForm) -> Built {
    let mut g = graph(shape, form, &[("attn", shape.q_dim())], &[(Part::O, Lie::Turned)]);
    let (x, w) = (g.field("attn"), g.weight(&["wo"]));
    let out = g.through(w, x);
    g.finish("wo_fwd", "wo_fwd_out", &[("out", out)])
}

/// The feed-forward part with its residual connection.
pub fn ffn_fused(shape: &BlockShape, form: WeightForm) -> Built {
    let weights = [(Part::Gate, Lie::Turned), (Part::Up, Lie::Turned), (Part::Down, Lie::Upright)];
    let mut g = graph(shape, form, &[("x2norm", shape.dim), ("x2", shape.dim)], &weights);
    let (x, x2, w_gate) = (g.field("x2norm"), g.field("x2"), g.weight(&["w1"]));
    let (w_up, w_down) = (g.weight(&["w3"]), g.weight(&["w2"]));
    let (h1, h3) = (g.through(w_gate, x), g.through(w_up, x));
    let act = g.swiglu(h1, h3);
    let branch = g.through(w_down, act);
    let next = g.add_branch(x2, branch);
    g.finish("ffn_fused", "ffn_fused_out", &[("x_next", next), ("h1", h1), ("h3", h3), ("gate", act)])
}

/// Back through the down projection.
pub fn ffn_bwd_w2t(shape: &BlockShape, form: WeightForm) -> Built {
    let mut g = graph(shape, form, &[("dffn", shape.dim)], &[(Part::Down, Lie::Upright)]);
    let (dy, w) = (g.field("dffn"), g.weight(&["w2"]));
    let dact = g.back(w, dy);
    g.finish("ffn_bwd_w2t", "ffn_bwd_w2t_out", &[("dact", dact)])
}

/// Back through gate and up.
pub fn ffn_bwd_w13t(shape: &BlockShape, form: WeightForm) -> Built {
    let (ff, weights) = (shape.hidden, [(Part::Gate, Lie::Upright), (Part::Up, Lie::Upright)]);
    pair_back(shape, form, ("ffn_bwd_w13t", "ffn_bwd_w13t_out"), [("dh1", ff), ("dh3", ff)], weights)
}

/// Back through the output projection.
pub fn wot_bwd(shape: &BlockShape, form: WeightForm) -> Built {
    let mut g = graph(shape, form, &[("dout", shape.dim)], &[(Part::O, Lie::Upright)]);
    let (dy, w) = (g.field("dout"), g.weight(&["wo"]));
    let da = g.back(w, dy);
    g.finish("wot_bwd", "wot_bwd_out", &[("da", da)])
}

/// Back through the query projection.
pub fn q_bwd(shape: &BlockShape, form: WeightForm) -> Built {
    let mut g = graph(shape, form, &[("dq", shape.q_dim())], &[(Part::Q, Lie::Upright)]);
    let (dy, w) = (g.field("dq"), g.weight(&["wq"]));
    let dx = g.back(w, dy);
    g.finish("q_bwd", "q_bwd_out", &[("dx", dx)])
}

/// Back through the projections of keys and values.
pub fn kv_bwd(shape: &BlockShape, form: WeightForm) -> Built {
    let (kv, weights) = (shape.kv_dim(), [(Part::K, Lie::Upright), (Part::V, Lie::Upright)]);
    pair_back(shape, form, ("kv_bwd", "kv_bwd_out"), [("dk", kv), ("dv", kv)], weights)
}

/// `dx = A^T da + B^T db`.
fn pair_back(
    shape: &BlockShape,
    form: WeightForm,
    (name, port): (&'static str, &'static str),
    activations: [(&'static str, usize); 2],
    weights: [(Part, Lie); 2],
) -> Built {
    let mut g = graph(shape, form, &activations, &weights);
    let mut sum = None;
    for ((field, _), (part, _)) in activations.into_iter().zip(weights) {
        let (dy, w) = (g.field(field), g.weight(&[super::ports::matrix(shape, part).0]));
        let dx = g.back(w, dy);
        sum = Some(sum.map_or(dx, |sum| g.b.add(sum, dx)));
    }
    let fields: Vec<_> = sum.map(|dx| ("dx", dx)).into_iter().collect();
    g.finish(name, port, &fields)
}
