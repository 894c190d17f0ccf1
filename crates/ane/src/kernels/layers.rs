//! The forward pass of several layers as one program, weights as constants: one dispatch instead of two a layer, and the
//! residual stream between them stays on the device (in fp16).
//!
//! A port a layer, in order, each with what the backward pass wants of it: `x_next` (the stream after the layer), `x2` (the
//! stream in its middle), `q`, `k` (rotated), `v`, `attn`, `h1`, `h3`. A reader of the last layer alone reads one port.

use mil::BuildError;

use super::graph::{Graph, Output};
use crate::{BlockShape, KernelForm, KernelSpec};

/// Ports, in the order of the layers.
const PORTS: [&str; 26] = [
    "a_out", "b_out", "c_out", "d_out", "e_out", "f_out", "g_out", "h_out", "i_out", "j_out", "k_out", "l_out", "m_out", "n_out",
    "o_out", "p_out", "q_out", "r_out", "s_out", "t_out", "u_out", "v_out", "w_out", "x_out", "y_out", "z_out",
];

/// Most layers of one program.
pub const MOST: usize = PORTS.len();

/// `x` through `layers` layers.
///
/// # Errors
/// When there are none, or more than [`MOST`].
pub fn layers_fwd(shape: &BlockShape, form: KernelForm, layers: usize) -> Result<KernelSpec, BuildError> {
    if !(1..=MOST).contains(&layers) {
        return Err(BuildError {
            subject: "layers_fwd".into(),
            message: format!("{layers} layers in a program: from 1 to {MOST}"),
        });
    }
    let mut g = Graph::reading(shape, &[("x", shape.dim)]);
    let mut x = g.field("x");
    let mut ports: Vec<(&'static str, Vec<_>)> = Vec::new();
    for (layer, port) in PORTS.into_iter().enumerate().take(layers) {
        g.layer = layer;
        let attention = g.attention_part(x, form);
        let middle = g.add_branch(x, attention.out);
        let ffn = g.ffn_part(middle);
        x = g.add_branch(middle, ffn.out);
        let h = attention.heads;
        let stream = [("x_next", x), ("x2", middle), ("q", h.q), ("k", h.k), ("v", h.v)];
        let inner = [("attn", attention.attn), ("h1", ffn.h1), ("h3", ffn.h3)];
        ports.push((port, [&stream[..], &inner[..]].concat()));
    }
    let ports: Vec<Output<'_>> = ports.iter().map(|(port, fields)| (*port, fields.as_slice())).collect();
    g.finish_ports("layers_fwd", &ports)
}
