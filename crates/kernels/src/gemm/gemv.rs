//! Products of one to three rows: b is streamed once, as in decoding.
#![allow(unsafe_code)]

use super::{Isa, MatRef};
use crate::pool::{Pool, Shareable};

/// Rows that are worth it: beyond, packing b pays.
const ROWS_MAX: usize = 3;
/// Partial sums of a dot product, and columns that are summed at a time.
const LANES: usize = 64;
/// Elements of b that a task reads.
const TASK: usize = 16 << 10;

/// Whether a product with this left operand is one for this module.
pub(super) fn pays(a: MatRef) -> bool {
    a.rows <= ROWS_MAX && !a.transposed
}

/// What a task needs: c[m, n] = a[m, k] x b, b seen as its stored rows.
#[derive(Clone, Copy)]
struct Gemv<'a> {
    c: Shareable<f32>,
    c_stride: usize,
    a: MatRef<'a>,
    b: MatRef<'a>,
    accumulate: bool,
}

/// c = a x b (+ c); shapes and extents have been checked.
pub(super) fn gemv(pool: &Pool, isa: Isa, c: &mut [f32], c_stride: usize, a: MatRef, b: MatRef, accumulate: bool) {
    let gemv = Gemv { c: Shareable::new(c.as_mut_ptr()), c_stride, a, b, accumulate };
    let columns = if b.transposed { (TASK / a.cols).max(1) } else { LANES };
    pool.run(b.cols.div_ceil(columns), &|task| {
        let start = task * columns;
        let end = (start + columns).min(b.cols);
        // SAFETY: `Cpu` only holds an instruction set that is available.
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Amx => unsafe { avx512(&gemv, start, end) },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2(&gemv, start, end) },
            Isa::Neon | Isa::Accelerate => gemv.columns::<true>(start, end),
            _ => gemv.columns::<false>(start, end),
        }
    });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn avx512(gemv: &Gemv, start: usize, end: usize) {
    gemv.columns::<true>(start, end);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(gemv: &Gemv, start: usize, end: usize) {
    gemv.columns::<true>(start, end);
}

impl Gemv<'_> {
    #[inline(always)]
    fn columns<const FMA: bool>(&self, start: usize, end: usize) {
        if self.b.transposed {
            return self.dots::<FMA>(start, end);
        }
        match self.a.rows {
            1 => self.sums::<FMA, 1>(start, end),
            2 => self.sums::<FMA, 2>(start, end),
            _ => self.sums::<FMA, 3>(start, end),
        }
    }

    /// b's columns run along memory: one dot product an element.
    #[inline(always)]
    fn dots<const FMA: bool>(&self, start: usize, end: usize) {
        let k = self.a.cols;
        for j in start..end {
            let column = &self.b.data[j * self.b.stride..][..k];
            for i in 0..self.a.rows {
                let row = &self.a.data[i * self.a.stride..][..k];
                self.store(i, j, dot::<FMA>(row, column));
            }
        }
    }

    /// b's rows run along memory: `LANES` columns of c grow with k.
    #[inline(always)]
    fn sums<const FMA: bool, const M: usize>(&self, start: usize, end: usize) {
        let mut sums = [[0.0f32; LANES]; M];
        let width = end - start;
        for k in 0..self.a.cols {
            let mut padded = [0.0f32; LANES];
            let stored = &self.b.data[k * self.b.stride + start..][..width];
            let row: &[f32; LANES] = match stored.try_into() {
                Ok(row) => row,
                Err(_) => {
                    padded[..width].copy_from_slice(stored);
                    &padded
                }
            };
            for (i, sums) in sums.iter_mut().enumerate() {
                let a = self.a.data[i * self.a.stride + k];
                for (sum, &b) in sums.iter_mut().zip(row) {
                    *sum = multiply_add::<FMA>(a, b, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate().take(width) {
                self.store(i, start + j, sum);
            }
        }
    }

    #[inline(always)]
    fn store(&self, i: usize, j: usize, sum: f32) {
        // SAFETY: (i, j) is within c, whose extent was checked, and columns belong to one task each.
        unsafe {
            let c = self.c.get().add(i * self.c_stride + j);
            *c = if self.accumulate { *c + sum } else { sum };
        }
    }
}

#[inline(always)]
fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for l in 0..LANES {
            sums[l] = multiply_add::<FMA>(a[l], b[l], sums[l]);
        }
    }
    for (l, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[l] = multiply_add::<FMA>(a, b, sums[l]);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            sums[l] += sums[l + width];
        }
        width /= 2;
    }
    sums[0]
}

/// a x b + c, in one rounding where the instruction set has it.
#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}
