//! Kernels that multiply and do nothing else, for pipelines whose other work is the CPU's. Weights are data: `matmul-only`.
//! Weights are constants: `conv`. Each reads one field and returns one, `y`.
//!
//! Published: a kernel a matrix (K and V share a program, and so do gate and up). Ours: neighbours in one kernel, `wqkv`
//! returns Q, K and V below each other, `wkv` K and V, `w13` gate and up.

use mil::BuildError;
use model::Part;

use super::graph::Graph;
use super::ports::{Lie, Stack, matrix, ports};
use crate::{BlockShape, KernelForm, KernelSpec, WeightForm};

type Built = Result<KernelSpec, BuildError>;

/// What the matrix of `part` is multiplied with.
fn input(part: Part) -> &'static str {
    match part {
        Part::O => "attn",
        Part::Down => "act",
        Part::Gate | Part::Up => "x2norm",
        _ => "xnorm",
    }
}

/// `y = W x` with the weights of `stack` as data.
fn product(
    shape: &BlockShape,
    (form, weights): (KernelForm, WeightForm),
    (name, port): (&'static str, &'static str),
    field: (&'static str, usize),
    (stack, matrices): (Stack, &[&str]),
) -> Built {
    let mut g = Graph::new(shape, form, ports(shape, weights, &[&[field]], &[(stack, Lie::Turned)]));
    let (x, w) = (g.field(field.0), g.weight(matrices));
    let y = g.through(w, x);
    g.finish(name, port, &[("y", y)])
}

/// One matrix; programs of the same extents are the same text.
pub fn matmul(shape: &BlockShape, form: KernelForm, weights: WeightForm, part: Part) -> Built {
    let (name, _, cols) = matrix(shape, part);
    let port = match part {
        Part::Q => "wq_out",
        Part::K | Part::V => "wkv_out",
        Part::O => "wo_out",
        Part::Gate | Part::Up => "w13_out",
        _ => "w2_out",
    };
    let stack = Stack::one(shape, part);
    product(shape, (form, weights), (name, port), (input(part), cols), (stack, &[name]))
}

/// Q, K and V.
pub fn matmul_qkv(shape: &BlockShape, weights: WeightForm) -> Built {
    let (stack, form) = (Stack::qkv(shape), (KernelForm::Fused, weights));
    product(shape, form, ("wqkv", "wqkv_out"), ("xnorm", shape.dim), (stack, &["wq", "wk", "wv"]))
}

/// K and V.
pub fn matmul_kv(shape: &BlockShape, weights: WeightForm) -> Built {
    let (stack, form) = (Stack::kv(shape), (KernelForm::Fused, weights));
    product(shape, form, ("wkv", "wkv_out"), ("xnorm", shape.dim), (stack, &["wk", "wv"]))
}

/// Gate and up.
pub fn matmul_gate_up(shape: &BlockShape, weights: WeightForm) -> Built {
    let (stack, form) = (Stack::gate_up(shape), (KernelForm::Fused, weights));
    product(shape, form, ("w13", "w13_out"), ("x2norm", shape.dim), (stack, &["w1", "w3"]))
}

/// One matrix as a constant.
pub fn conv(shape: &BlockShape, part: Part, int8: bool) -> Built {
    let (name, _, cols) = matrix(shape, part);
    let mut g = Graph::reading(shape, &[(input(part), cols)]);
    let x = g.field(input(part));
    let y = g.project_in(int8, &[part], x);
    let fields: Vec<_> = y.into_iter().map(|y| ("y", y)).collect();
    g.finish(name, "y_out", &fields)
}

/// Q, K and V as constants.
pub fn qkv_conv(shape: &BlockShape, int8: bool) -> Built {
    stacked_conv(shape, "qkv_conv", &[Part::Q, Part::K, Part::V], int8)
}

/// Gate and up as constants.
pub fn gate_up_conv(shape: &BlockShape, int8: bool) -> Built {
    stacked_conv(shape, "w13", &[Part::Gate, Part::Up], int8)
}

/// Matrices that read the same, their products below each other.
fn stacked_conv(shape: &BlockShape, name: &'static str, parts: &[Part], int8: bool) -> Built {
    let field = input(parts[0]);
    let mut g = Graph::reading(shape, &[(field, shape.dim)]);
    let x = g.field(field);
    let products = g.project_in(int8, parts, x);
    let y = g.b.concat(&products, 1);
    g.finish(name, "y_out", &[("y", y)])
}

/// The feed-forward part with its weights as constants. Published: `x2norm` and `x2` to `x_next`, with the residual scale that
/// the original left out. Ours: `x2norm` to the branch `out`, and `h1`, `h3`, which a backward pass wants.
pub fn ffn_conv(shape: &BlockShape, form: KernelForm, int8: bool) -> Built {
    let d = shape.dim;
    let columns: &[&[_]] = if form == KernelForm::Fused { &[&[("x2norm", d)]] } else { &[&[("x2norm", d)], &[("x2", d)]] };
    let mut g = Graph::new(shape, form, ports(shape, WeightForm::Packed, columns, &[]));
    let x = g.field("x2norm");
    let gate_up = g.project_in(int8, &[Part::Gate, Part::Up], x);
    let (h1, h3) = (gate_up[0], gate_up[1]);
    let act = g.swiglu(h1, h3);
    let out = g.project_in(int8, &[Part::Down], act)[0];
    if form == KernelForm::Fused {
        return g.finish("ffn_conv", "y_out", &[("out", out), ("h1", h1), ("h3", h3)]);
    }
    let x2 = g.field("x2");
    let next = g.add_branch(x2, out);
    g.finish("ffn_conv", "y_out", &[("x_next", next)])
}
