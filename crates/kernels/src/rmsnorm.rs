//! RMSNorm: `y = x * r * w`, `r = 1 / sqrt(mean(x^2) + eps)`.
//!
//! Backward: `dx = r * (w dy - x * r^2 * mean(w dy x))`, `dw = sum_t dy x r` (Zhang and Sennrich, arXiv 1910.07467).
//! Legend: n rows (tokens, or heads of tokens), d width.

use crate::Cpu;
use crate::math::{dot, dot3};
use crate::simd::multiversion;

/// Rows a task takes: enough work to be worth claiming, the same for every thread count.
const ROWS: usize = 16;
/// Rows that share one partial sum of the weight gradient.
const DW_ROWS: usize = 128;

/// `y[n, d]` and `r[n]` from `x[n, d]`, `w[d]`.
pub fn rmsnorm(cpu: &Cpu, y: &mut [f32], r: &mut [f32], x: &[f32], w: &[f32], eps: f32) {
    let d = w.len();
    cpu.pool().chunks_mut2((y, ROWS * d), (r, ROWS), |i, y, r| {
        let at = i * ROWS * d;
        norm_rows(cpu.isa(), y, r, &x[at..at + y.len()], w, eps);
    });
}

/// `sum[n, d] = x + a * branch`, then `y` and `r` as [`rmsnorm`] of it: a residual and the next norm in one pass.
#[allow(clippy::too_many_arguments)]
pub fn add_rmsnorm(
    cpu: &Cpu,
    sum: &mut [f32],
    y: &mut [f32],
    r: &mut [f32],
    x: &[f32],
    branch: &[f32],
    a: f32,
    w: &[f32],
    eps: f32,
) {
    let d = w.len();
    cpu.pool().chunks_mut3((sum, ROWS * d), (y, ROWS * d), (r, ROWS), |i, sum, y, r| {
        let rows = i * ROWS * d..i * ROWS * d + sum.len();
        let isa = cpu.isa();
        sum.copy_from_slice(&x[rows.clone()]);
        add_scaled(isa, sum, &branch[rows], a);
        norm_rows(isa, y, r, sum, w, eps);
    });
}

/// `y[n, d] = x * r * w` with `r` from a forward pass: recomputes what was not kept.
pub fn rmsnorm_again(cpu: &Cpu, y: &mut [f32], x: &[f32], r: &[f32], w: &[f32]) {
    let d = w.len();
    cpu.pool().chunks_mut(y, ROWS * d, |i, y| {
        let at = i * ROWS * d;
        scale_rows(cpu.isa(), y, &x[at..at + y.len()], &r[i * ROWS..], w);
    });
}

/// `dx[n, d] += ` the gradient through the norm, `dw[d] (+)=` that of the gain; `partial` is scratch of
/// [`dw_partials`]`(n) * d` floats.
#[allow(clippy::too_many_arguments)]
pub fn rmsnorm_backward(
    cpu: &Cpu,
    dx: &mut [f32],
    dw: &mut [f32],
    dy: &[f32],
    x: &[f32],
    r: &[f32],
    w: &[f32],
    partial: &mut [f32],
    accumulate: bool,
) {
    let d = w.len();
    let used = dw_partials(r.len()) * d;
    cpu.pool().chunks_mut2((dx, DW_ROWS * d), (&mut partial[..used], d), |i, dx, partial| {
        let at = i * DW_ROWS * d;
        let rows = at..at + dx.len();
        backward_rows(cpu.isa(), dx, partial, &dy[rows.clone()], &x[rows], &r[i * DW_ROWS..], w);
    });
    sum_partials(dw, &partial[..used], accumulate);
}

/// Number of partial sums that [`rmsnorm_backward`] keeps for `n` rows.
pub fn dw_partials(n: usize) -> usize {
    n.div_ceil(DW_ROWS)
}

/// `out[d] (+)= sum_i partial[i, d]`, in order.
pub(crate) fn sum_partials(out: &mut [f32], partial: &[f32], accumulate: bool) {
    if !accumulate {
        out.fill(0.0);
    }
    for row in partial.chunks_exact(out.len()) {
        for (o, p) in out.iter_mut().zip(row) {
            *o += p;
        }
    }
}

multiversion! {
    /// `x += a * b`, elementwise.
    pub(crate) fn add_scaled(x: &mut [f32], b: &[f32], a: f32) {
        for (x, b) in x.iter_mut().zip(b) {
            *x += a * b;
        }
    }
}

multiversion! {
    fn norm_rows(y: &mut [f32], r: &mut [f32], x: &[f32], w: &[f32], eps: f32) {
        let d = w.len();
        for ((y, x), r) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(r) {
            *r = 1.0 / (dot::<FMA>(x, x) / d as f32 + eps).sqrt();
            for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                *y = x * *r * w;
            }
        }
    }
}

multiversion! {
    fn scale_rows(y: &mut [f32], x: &[f32], r: &[f32], w: &[f32]) {
        let d = w.len();
        for ((y, x), r) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(r) {
            for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                *y = x * *r * w;
            }
        }
    }
}

multiversion! {
    fn backward_rows(dx: &mut [f32], dw: &mut [f32], dy: &[f32], x: &[f32], r: &[f32], w: &[f32]) {
        let d = w.len();
        dw.fill(0.0);
        let rows = dx.chunks_exact_mut(d).zip(dy.chunks_exact(d)).zip(x.chunks_exact(d)).zip(r);
        for (((dx, dy), x), r) in rows {
            let mean = dot3::<FMA>(w, dy, x) / d as f32;
            let c = mean * r * r;
            for i in 0..d {
                dx[i] += r * (w[i] * dy[i] - x[i] * c);
                dw[i] += dy[i] * x[i] * r;
            }
        }
    }
}
