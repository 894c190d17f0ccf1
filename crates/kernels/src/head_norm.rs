//! RMSNorm on every head of a query or key projection, in place (Qwen3): heads are columns of a wider array.
//! Legend: n tokens, h heads, hd head width; `x[n, stride]`, heads from column `first` on.

use crate::Cpu;
use crate::math::{dot, dot3};
use crate::rmsnorm::sum_partials;
use crate::simd::multiversion;

/// Tokens of a task, and of a partial sum of the weight gradient.
const ROWS: usize = 64;

/// Which columns of the array are the heads.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Width of a row.
    pub stride: usize,
    /// First column.
    pub first: usize,
    /// Number of heads; their width is that of the gain.
    pub heads: usize,
}

/// `x = x * r * w` for each head; `r[n, h]` is kept for the backward pass.
pub fn head_norm(cpu: &Cpu, x: &mut [f32], heads: Heads, r: &mut [f32], w: &[f32], eps: f32) {
    cpu.pool().chunks_mut2((x, ROWS * heads.stride), (r, ROWS * heads.heads), |_, x, r| {
        for (row, r) in x.chunks_exact_mut(heads.stride).zip(r.chunks_exact_mut(heads.heads)) {
            forward_row(cpu.isa(), &mut row[heads.first..heads.first + heads.heads * w.len()], r, w, eps);
        }
    });
}

/// `g[n, stride]`, the gradient of the normed heads, becomes that of `x`, the heads before the norm; `dw[hd] (+)=` that of
/// the gain. `partial` is scratch of [`head_partials`]`(n) * hd` floats.
#[allow(clippy::too_many_arguments)]
pub fn head_norm_backward(
    cpu: &Cpu,
    g: &mut [f32],
    heads: Heads,
    dw: &mut [f32],
    x: (&[f32], usize, usize),
    r: &[f32],
    w: &[f32],
    partial: &mut [f32],
    accumulate: bool,
) {
    let hd = w.len();
    let (x, x_stride, x_first) = x;
    let used = head_partials(g.len() / heads.stride) * hd;
    cpu.pool().chunks_mut2((g, ROWS * heads.stride), (&mut partial[..used], hd), |i, g, dw| {
        dw.fill(0.0);
        for (j, g) in g.chunks_exact_mut(heads.stride).enumerate() {
            let t = i * ROWS + j;
            let width = heads.heads * hd;
            let x = &x[t * x_stride + x_first..][..width];
            let r = &r[t * heads.heads..(t + 1) * heads.heads];
            backward_row(cpu.isa(), &mut g[heads.first..heads.first + width], dw, x, r, w);
        }
    });
    sum_partials(dw, &partial[..used], accumulate);
}

/// Number of partial sums that [`head_norm_backward`] keeps for `n` tokens.
pub fn head_partials(n: usize) -> usize {
    n.div_ceil(ROWS)
}

multiversion! {
    fn forward_row(row: &mut [f32], r: &mut [f32], w: &[f32], eps: f32) {
        let hd = w.len();
        for (head, r) in row.chunks_exact_mut(hd).zip(r) {
            *r = 1.0 / (dot::<FMA>(head, head) / hd as f32 + eps).sqrt();
            for (x, w) in head.iter_mut().zip(w) {
                *x = *x * *r * w;
            }
        }
    }
}

multiversion! {
    fn backward_row(g: &mut [f32], dw: &mut [f32], x: &[f32], r: &[f32], w: &[f32]) {
        let hd = w.len();
        for ((g, x), r) in g.chunks_exact_mut(hd).zip(x.chunks_exact(hd)).zip(r) {
            let c = dot3::<FMA>(w, g, x) / hd as f32 * r * r;
            for i in 0..hd {
                dw[i] += g[i] * x[i] * r;
            }
            for i in 0..hd {
                g[i] = r * (w[i] * g[i] - x[i] * c);
            }
        }
    }
}
