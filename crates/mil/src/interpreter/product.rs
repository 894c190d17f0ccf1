//! The matrix product under all others, as each profile computes it.
//!
//! An element of the result is a sum over `k` in ascending order, in blocks of rows and columns that are held in registers.

use std::borrow::Cow;

use crate::numerics::{Numerics, Product};
use crate::tensor::Real;

/// Rows of a block.
const ROWS: usize = 4;
/// Columns of a block.
const COLS: usize = 8;
/// Below this a number of fp16 is denormal.
const NORMAL: f32 = 6.103_515_6e-5;

/// `c = a x b`.
pub(super) fn product<F: Real>(numerics: &Numerics, p: &Product, a: &[F], b: &[F], c: &mut [F]) {
    if p.k == 0 {
        return c.fill(F::default());
    }
    if let Some(matmul) = numerics.matmul()
        && let (Some(a), Some(b), Some(c)) = (F::singles(a), F::singles(b), F::singles_mut(c))
    {
        return matmul(p, a, b, c);
    }
    let a = plain(a, p.transpose_a, p.k, p.m);
    let b = plain(b, p.transpose_b, p.n, p.k);
    match (F::singles(&a), F::singles(&b), numerics.tiles) {
        (Some(x), Some(y), true) => {
            if let Some(c) = F::singles_mut(c) {
                tiled(numerics, (p.m, p.n, p.k), &flushed(numerics, x), &flushed(numerics, y), c);
            }
        }
        _ => blocked((p.m, p.n, p.k), &a, &b, c),
    }
}

/// A matrix of `rows` stored rows as it is read, or transposed.
fn plain<F: Real>(x: &[F], transposed: bool, rows: usize, cols: usize) -> Cow<'_, [F]> {
    if !transposed {
        return Cow::Borrowed(x);
    }
    let mut out = vec![F::default(); x.len()];
    for r0 in (0..rows).step_by(16) {
        for c in 0..cols {
            for r in r0..(r0 + 16).min(rows) {
                out[c * rows + r] = x[r * cols + c];
            }
        }
    }
    Cow::Owned(out)
}

/// Denormal numbers as zeros, where the engine takes them so.
fn flushed<'x>(numerics: &Numerics, x: &'x [f32]) -> Cow<'x, [f32]> {
    if !numerics.flush_products {
        return Cow::Borrowed(x);
    }
    Cow::Owned(x.iter().map(|x| if x.abs() < NORMAL { 0.0 } else { *x }).collect())
}

type Extents = (usize, usize, usize);

/// Columns `j..j + COLS` of `b` [k, n] beside each other, zeros where there are none.
fn pack<F: Real>(b: &[F], n: usize, j: usize, panel: &mut [[F; COLS]]) {
    let width = COLS.min(n - j);
    for (to, from) in panel.iter_mut().zip(b.chunks_exact(n)) {
        to[..width].copy_from_slice(&from[j..j + width]);
        to[width..].fill(F::default());
    }
}

fn blocked<F: Real>((m, n, k): Extents, a: &[F], b: &[F], c: &mut [F]) {
    let mut panel = vec![[F::default(); COLS]; k];
    for j in (0..n).step_by(COLS) {
        let width = COLS.min(n - j);
        pack(b, n, j, &mut panel);
        for i in (0..m).step_by(ROWS) {
            let rows = ROWS.min(m - i);
            let mut sums = [[F::default(); COLS]; ROWS];
            if rows == ROWS {
                block(k, &a[i * k..], &panel, &mut sums);
            } else {
                for (r, sums) in sums.iter_mut().enumerate().take(rows) {
                    a[(i + r) * k..].iter().zip(&panel).for_each(|(x, row)| add_scaled(sums, *x, row));
                }
            }
            for (r, row) in sums.iter().enumerate().take(rows) {
                c[(i + r) * n + j..][..width].copy_from_slice(&row[..width]);
            }
        }
    }
}

#[inline(always)]
fn add_scaled<F: Real>(sums: &mut [F; COLS], x: F, row: &[F; COLS]) {
    for (sum, y) in sums.iter_mut().zip(row) {
        *sum += x * *y;
    }
}

/// Adds up a whole block: `a` begins at its rows.
fn block<F: Real>(k: usize, a: &[F], panel: &[[F; COLS]], sums: &mut [[F; COLS]; ROWS]) {
    let [a0, a1, a2, a3] = [0, 1, 2, 3].map(|r| &a[r * k..(r + 1) * k]);
    let [mut s0, mut s1, mut s2, mut s3] = *sums;
    for ((((row, x0), x1), x2), x3) in panel.iter().zip(a0).zip(a1).zip(a2).zip(a3) {
        add_scaled(&mut s0, *x0, row);
        add_scaled(&mut s1, *x1, row);
        add_scaled(&mut s2, *x2, row);
        add_scaled(&mut s3, *x3, row);
    }
    *sums = [s0, s1, s2, s3];
}

/// Lanes that go through the narrow adder together.
const LANES: usize = 4;

/// As an engine adds up: see the header of `numerics`.
fn tiled(numerics: &Numerics, (m, n, k): Extents, a: &[f32], b: &[f32], c: &mut [f32]) {
    let limit = numerics.product_limit.unwrap_or(f32::INFINITY);
    let mut panel = vec![[0.0; COLS]; k];
    for j in (0..n).step_by(COLS) {
        let width = COLS.min(n - j);
        pack(b, n, j, &mut panel);
        for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)).take(m) {
            let (mut sums, mut peaks) = ([0.0f32; COLS], [0.0f32; COLS]);
            for (lanes, rows) in a.chunks(LANES).zip(panel.chunks(LANES)) {
                let tile = tile(lanes, rows);
                for i in 0..COLS {
                    sums[i] += tile[i];
                    peaks[i] = peaks[i].max(sums[i].abs());
                }
            }
            for ((c, sum), peak) in c[j..j + width].iter_mut().zip(sums).zip(peaks) {
                *c = if peak >= limit { f32::INFINITY.copysign(sum) } else { sum };
            }
        }
    }
    if numerics.flush_products {
        c.iter_mut().filter(|x| x.abs() < NORMAL).for_each(|x| *x = 0.0);
    }
}

/// Sums of up to four products, for each of eight columns.
#[inline(always)]
fn tile(lanes: &[f32], rows: &[[f32; COLS]]) -> [f32; COLS] {
    let mut sums = [0.0; COLS];
    for (x, row) in lanes.iter().zip(rows) {
        for (sum, y) in sums.iter_mut().zip(row) {
            *sum = narrow_add(*sum, x * y);
        }
    }
    sums
}

/// The sum, each operand first rounded to a multiple of 2^-11 of the larger one's power of two.
#[inline(always)]
fn narrow_add(x: f32, y: f32) -> f32 {
    let largest = x.abs().max(y.abs());
    let power = f32::from_bits(largest.to_bits() & 0x7f80_0000);
    // beside 1.5 * 2^12 of these powers an f32 has steps of 2^-11 of them
    let magic = power * 6144.0;
    let sum = ((x + magic) - magic) + ((y + magic) - magic);
    // what is infinite, or next to it, is added as it is
    if magic.is_finite() { sum } else { x + y }
}
