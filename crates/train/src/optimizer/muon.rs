//! Muon (Jordan et al., 2024): momentum, then the nearest (semi-)orthogonal matrix by five Newton-Schulz steps.
//!
//! ```text
//! M = mu M + G        U = G + mu M (nesterov) or M        X = U / |U|
//! repeat: A = X X^T,  B = a I + b A + c A^2,  X = B X        (a, b, c) = (3.4445, -4.7750, 2.0315)
//! W = (1 - lr wd) W - lr * 0.2 sqrt(max(rows, cols)) X
//! ```
//!
//! The factor `0.2 sqrt(max)` gives the update the root mean square of an AdamW update, so that learning rate and decay
//! mean the same for both (Moonlight, arXiv 2502.16982). Tall matrices multiply from the right, by `B` of `X^T X`, so the
//! small products are always of the shorter side. `A` and `B` are symmetric: about half of their products is computed. Cost of
//! an `m x n` matrix, m <= n: about `ns_steps (3 m^2 n + m^3)` FLOPs, whatever the batch: on a CPU with small batches as much as the gradient itself.

use kernels::gemm::{Cpu, MatRef};
use model::Layout;

use super::{CHUNK, Rates, takes_muon};
use crate::Gradient;
use crate::gradient::global_norm;

/// Newton-Schulz coefficients: the slope at zero as steep as convergence into about `[0.7, 1.2]` allows.
pub(crate) const NEWTON_SCHULZ: [f32; 3] = [3.4445, -4.7750, 2.0315];
/// Root mean square of an AdamW update that the step is scaled to.
const UPDATE_RMS: f64 = 0.2;

struct Matrix {
    start: usize,
    rows: usize,
    cols: usize,
    /// Where its momentum begins.
    state: usize,
}

impl Matrix {
    fn len(&self) -> usize {
        self.rows * self.cols
    }

    fn short(&self) -> usize {
        self.rows.min(self.cols)
    }
}

pub(super) struct Muon {
    momentum: f32,
    ns_steps: u32,
    nesterov: bool,
    matrices: Vec<Matrix>,
    buffer: Vec<f32>,
    scratch: Scratch,
}

struct Scratch {
    x: Vec<f32>,
    next: Vec<f32>,
    a: Vec<f32>,
    b: Vec<f32>,
}

fn matrices(layout: &Layout) -> Vec<Matrix> {
    let mut state = 0;
    let hidden = layout.tensors().iter().filter(|t| takes_muon(t));
    hidden
        .map(|t| {
            let matrix = Matrix { start: t.range.start, rows: t.shape[0], cols: t.shape[1], state };
            state += matrix.len();
            matrix
        })
        .collect()
}

/// Floats of the two large and the two square buffers.
fn sizes(matrices: &[Matrix]) -> (usize, usize) {
    let of = |f: fn(&Matrix) -> usize| matrices.iter().map(f).max().unwrap_or(0);
    (of(Matrix::len), of(|m| m.short() * m.short()))
}

/// Floats of scratch that a model needs.
pub(super) fn scratch(layout: &Layout) -> usize {
    let (large, square) = sizes(&matrices(layout));
    2 * (large + square)
}

impl Muon {
    pub(super) fn new(momentum: f64, ns_steps: u32, nesterov: bool, layout: &Layout) -> Muon {
        let matrices = matrices(layout);
        let (large, square) = sizes(&matrices);
        let zeros = |n: usize| vec![0.0; n];
        let scratch = Scratch { x: zeros(large), next: zeros(large), a: zeros(square), b: zeros(square) };
        let buffer = zeros(matrices.iter().map(Matrix::len).sum());
        Muon { momentum: momentum as f32, ns_steps, nesterov, matrices, buffer, scratch }
    }

    pub(super) fn step(&mut self, cpu: &Cpu, params: &mut [f32], gradient: &Gradient, rates: Rates) {
        for matrix in &self.matrices {
            let n = matrix.len();
            let momentum = &mut self.buffer[matrix.state..matrix.state + n];
            let direction = &mut self.scratch.x[..n];
            let (mu, nesterov, scale) = (self.momentum, self.nesterov, gradient.scale());
            let weights = &params[matrix.start..matrix.start + n];
            cpu.pool().chunks_mut2((momentum, CHUNK), (direction, CHUNK), |i, m, u| {
                let (start, weights) = (matrix.start + i * CHUNK, &weights[i * CHUNK..i * CHUNK + m.len()]);
                gradient.tiles(start, weights, |at, g| {
                    let part = at..at + g.len();
                    look_ahead(&mut m[part.clone()], &mut u[part], g, scale, mu, nesterov);
                });
            });
            self.scratch.orthogonalize(cpu, matrix.rows, matrix.cols, self.ns_steps);
            let rate = (rates.lr * UPDATE_RMS * (matrix.rows.max(matrix.cols) as f64).sqrt()) as f32;
            let (keep, x) = (rates.keep(true), &self.scratch.x);
            cpu.pool().chunks_mut(&mut params[matrix.start..matrix.start + n], CHUNK, |i, w| {
                for (w, x) in w.iter_mut().zip(&x[i * CHUNK..]) {
                    *w = *w * keep - rate * x;
                }
            });
        }
    }

    pub(super) fn visit(&self, f: &mut impl FnMut(&str, &[f32])) {
        f("momentum_buffer", &self.buffer);
    }

    pub(super) fn visit_mut<E>(&mut self, f: &mut impl FnMut(&str, &mut [f32]) -> Result<(), E>) -> Result<(), E> {
        f("momentum_buffer", &mut self.buffer)
    }
}

fn look_ahead(m: &mut [f32], u: &mut [f32], g: &[f32], scale: f32, mu: f32, nesterov: bool) {
    // 1 takes the momentum as it is: m + 0 g
    let (on_m, on_g) = if nesterov { (mu, scale) } else { (1.0, 0.0) };
    for ((m, u), g) in m.iter_mut().zip(u).zip(g) {
        *m = *m * mu + g * scale;
        *u = *m * on_m + g * on_g;
    }
}

impl Scratch {
    /// Replaces `x` `[rows, cols]` by an approximation of the nearest semi-orthogonal matrix; zero stays zero.
    fn orthogonalize(&mut self, cpu: &Cpu, rows: usize, cols: usize, steps: u32) {
        let n = rows * cols;
        let norm = global_norm(cpu, &self.x[..n]);
        let inverse = if norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 };
        cpu.pool().chunks_mut(&mut self.x[..n], CHUNK, |_, x| x.iter_mut().for_each(|x| *x *= inverse));
        for _ in 0..steps {
            self.newton_schulz(cpu, rows, cols);
            std::mem::swap(&mut self.x, &mut self.next);
        }
    }

    /// `next = p(x)`.
    fn newton_schulz(&mut self, cpu: &Cpu, rows: usize, cols: usize) {
        let k = rows.min(cols);
        let x = MatRef::new(&self.x[..rows * cols], rows, cols);
        let (a, b) = (&mut self.a[..k * k], &mut self.b[..k * k]);
        // rows i.. of x, or of x^T when x is tall: [k - i, max(rows, cols)]
        let from = |i: usize| match rows <= cols {
            true => MatRef::strided(&x.data[i * cols..], rows - i, cols, cols),
            false => MatRef::strided(&x.data[i..], rows, cols - i, cols).t(),
        };
        symmetric(cpu, a, k, |i, n| (MatRef { rows: n, ..from(i) }, from(i).t()));
        symmetric(cpu, b, k, |i, n| (MatRef::strided(&a[i * k..], n, k, k), MatRef::strided(&a[i..], k, k - i, k)));
        polynomial(cpu, b, a, k);
        let b = MatRef::new(b, k, k);
        let next = &mut self.next[..rows * cols];
        if rows <= cols {
            cpu.gemm(next, cols, b, x, false); // [m, m] x [m, n]
        } else {
            cpu.gemm(next, cols, x, b, false); // [m, n] x [n, n]
        }
    }
}

/// Rows of a product that are multiplied at once: enough for the matrix product to run at speed.
const STRIP: usize = 128;
/// Side of the squares that are mirrored at once.
const TILE: usize = 16;

/// Symmetric `c` `[k, k]` from its upper part: `factors(i, n)` are the factors of rows `i .. i + n`, columns `i ..`.
fn symmetric<'a>(cpu: &Cpu, c: &mut [f32], k: usize, factors: impl Fn(usize, usize) -> (MatRef<'a>, MatRef<'a>)) {
    for i in (0..k).step_by(STRIP) {
        let (left, right) = factors(i, STRIP.min(k - i));
        cpu.gemm(&mut c[i * k + i..], k, left, right, false);
    }
    for i in (0..k).step_by(TILE) {
        for j in (0..=i).step_by(TILE) {
            for row in i..k.min(i + TILE) {
                for col in j..row.min(j + TILE) {
                    c[row * k + col] = c[col * k + row];
                }
            }
        }
    }
}

/// `b = p0 I + p1 a + p2 b`, both `[k, k]`; on entry `b` is `a` squared.
fn polynomial(cpu: &Cpu, b: &mut [f32], a: &[f32], k: usize) {
    let rows = CHUNK.div_ceil(k);
    cpu.pool().chunks_mut(b, rows * k, |i, part| {
        for (r, row) in part.chunks_exact_mut(k).enumerate() {
            let at = i * rows + r;
            for (b, a) in row.iter_mut().zip(&a[at * k..]) {
                *b = NEWTON_SCHULZ[1] * a + NEWTON_SCHULZ[2] * *b;
            }
            row[at] += NEWTON_SCHULZ[0];
        }
    });
}
