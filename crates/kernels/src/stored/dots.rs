//! Dot products of stored rows with a few rows of activations: the plain form of every type, and which form is taken.
//!
//! Floats are summed in 64 lanes by element index, q8_0 in 16 lanes by block and group of four, so that every form
//! has the same order of additions.
#![allow(unsafe_code)]

use std::ops::Range;

use super::decode::{bf16_to_f32, f16_to_f32};
use super::quantised::{GROUPS, QuantisedRow};
use super::{BLOCK, BLOCK_BYTES, CODED_BLOCK, Coded, Elements, Matrix, Quantised, ROWS_MAX};
use crate::Isa;
use crate::math::sum_lanes;
use crate::pool::Shareable;
use crate::simd::{LANES, madd, multiversion};

/// Lanes of a dot product of floats: four vectors, so that their additions overlap.
pub(super) const WIDE: usize = 4 * LANES;

/// Rows of activations: `x[m, k]`, and rounded where a weight is q8_0.
pub(super) struct Inputs<'a> {
    pub x: &'a [f32],
    pub m: usize,
    pub k: usize,
    pub quantised: &'a Quantised,
}

impl Inputs<'_> {
    pub(super) fn row(&self, i: usize) -> &[f32] {
        &self.x[i * self.k..(i + 1) * self.k]
    }
}

/// Columns of `y[m, n]` that a task writes.
#[derive(Clone, Copy)]
pub(super) struct Output {
    pub data: Shareable<f32>,
    pub stride: usize,
}

impl Output {
    pub(super) fn at_column(self, column: usize) -> Output {
        Output { data: Shareable::new(self.data.get().wrapping_add(column)), ..self }
    }

    /// # Safety
    /// Element `(i, j)` exists, and no other task touches it.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) unsafe fn store(self, i: usize, j: usize, value: f32) {
        // SAFETY: the caller's promise.
        unsafe { *self.data.get().add(i * self.stride + j) = value }
    }
}

/// `y[i, j] = x_i w_(first + j)` for the rows `range` of `w`.
///
/// # Safety
/// `y` has as many columns as `range` has rows, and no other task touches them.
pub(super) unsafe fn rows(isa: Isa, w: &Matrix<'_>, range: Range<usize>, inputs: &Inputs<'_>, y: Output) {
    #[cfg(target_arch = "x86_64")]
    if matches!(isa, Isa::Avx512 | Isa::Amx) && super::avx512::takes(w) {
        // SAFETY: the caller's promise, and `Cpu` only holds an instruction set that is available.
        return unsafe { super::avx512::rows(w, range, inputs, y) };
    }
    if let Elements::Coded(coded, bytes) = w.elements {
        for (j, row) in range.enumerate() {
            let bytes = &bytes[coded.bytes_of(row * w.cols)..coded.bytes_of((row + 1) * w.cols)];
            let mut sums = [0.0; ROWS_MAX];
            coded_row(isa, &mut sums[..inputs.m], coded, bytes, inputs.x);
            for (i, sum) in sums[..inputs.m].iter().enumerate() {
                // SAFETY: the caller's promise; j is below the number of rows of the range.
                unsafe { *y.data.get().add(i * y.stride + j) = *sum };
            }
        }
        return;
    }
    for i in 0..inputs.m {
        // SAFETY: as above; row i of y exists.
        let out = unsafe { std::slice::from_raw_parts_mut(y.data.get().add(i * y.stride), range.len()) };
        one(isa, w, &range, inputs, i, out);
    }
}

/// The plain form: `out[j] = x_i w_j`.
fn one(isa: Isa, w: &Matrix<'_>, range: &Range<usize>, inputs: &Inputs<'_>, i: usize, out: &mut [f32]) {
    let (x, k) = (inputs.row(i), w.cols);
    let floats = range.start * k..range.end * k;
    match w.elements {
        Elements::F32(w) => f32_rows(isa, out, &w[floats], x),
        Elements::F16(w) => f16_rows(isa, out, &w[2 * floats.start..2 * floats.end], x),
        Elements::Bf16(w) => bf16_rows(isa, out, &w[2 * floats.start..2 * floats.end], x),
        Elements::Q8_0(w) => {
            let blocks = floats.start / BLOCK * BLOCK_BYTES..floats.end / BLOCK * BLOCK_BYTES;
            q8_0_rows(isa, out, &w[blocks], inputs.quantised.row(i));
        }
        // a row is decoded once for all inputs
        Elements::Coded(..) => {}
    }
}

multiversion! {
    fn f32_rows(out: &mut [f32], w: &[f32], x: &[f32]) {
        for (out, w) in out.iter_mut().zip(w.chunks_exact(x.len())) {
            *out = dot::<FMA, f32>(w, x, |w| w);
        }
    }
}

multiversion! {
    fn f16_rows(out: &mut [f32], w: &[u8], x: &[f32]) {
        for (out, w) in out.iter_mut().zip(w.as_chunks::<2>().0.chunks_exact(x.len())) {
            *out = dot::<FMA, [u8; 2]>(w, x, |w| f16_to_f32(u16::from_le_bytes(w)));
        }
    }
}

multiversion! {
    fn bf16_rows(out: &mut [f32], w: &[u8], x: &[f32]) {
        for (out, w) in out.iter_mut().zip(w.as_chunks::<2>().0.chunks_exact(x.len())) {
            *out = dot::<FMA, [u8; 2]>(w, x, |w| bf16_to_f32(u16::from_le_bytes(w)));
        }
    }
}

multiversion! {
    /// `out[i] = w x_i` of the coded row `w`, [`CODED_BLOCK`] weights decoded at a time; the order of additions is that of [`dot`].
    fn coded_row(out: &mut [f32], coded: Coded, w: &[u8], x: &[f32]) {
        let (mut piece, mut sums, k) = ([0.0; CODED_BLOCK], [[0.0; WIDE]; ROWS_MAX], x.len() / out.len());
        for (p, w) in w.chunks(coded.bytes_of(CODED_BLOCK)).enumerate() {
            let first = p * CODED_BLOCK;
            let piece = &mut piece[..CODED_BLOCK.min(k - first)];
            (coded.decode)(w, piece);
            for (sums, x) in sums.iter_mut().zip(x.chunks_exact(k)) {
                add_products::<FMA, f32>(sums, piece, &x[first..first + piece.len()], |w| w);
            }
        }
        for (out, sums) in out.iter_mut().zip(&sums) {
            *out = total(sums);
        }
    }
}

/// `sum w_i x_i` over [`WIDE`] lanes.
#[inline(always)]
fn dot<const FMA: bool, T: Copy>(w: &[T], x: &[f32], decode: impl Fn(T) -> f32 + Copy) -> f32 {
    let mut sums = [0.0f32; WIDE];
    add_products::<FMA, T>(&mut sums, w, x, decode);
    total(&sums)
}

/// Adds `w_i x_i` to lane `i mod WIDE`.
#[inline(always)]
fn add_products<const FMA: bool, T: Copy>(sums: &mut [f32; WIDE], w: &[T], x: &[f32], decode: impl Fn(T) -> f32 + Copy) {
    let ((w, w_rest), (x, x_rest)) = (w.as_chunks::<WIDE>(), x.as_chunks::<WIDE>());
    for (w, x) in w.iter().zip(x) {
        for l in 0..WIDE {
            sums[l] = madd::<FMA>(decode(w[l]), x[l], sums[l]);
        }
    }
    for (sum, (w, x)) in sums.iter_mut().zip(w_rest.iter().zip(x_rest)) {
        *sum = madd::<FMA>(decode(*w), *x, *sum);
    }
}

/// The sum of all lanes.
#[inline(always)]
fn total(sums: &[f32; WIDE]) -> f32 {
    let quarter = |i: usize, l: usize| sums[i * LANES + l];
    sum_lanes(std::array::from_fn(|l| (quarter(0, l) + quarter(1, l)) + (quarter(2, l) + quarter(3, l))))
}

multiversion! {
    fn q8_0_rows(out: &mut [f32], w: &[u8], x: QuantisedRow<'_>) {
        let blocks = x.scales.len();
        for (out, w) in out.iter_mut().zip(w.as_chunks::<BLOCK_BYTES>().0.chunks_exact(blocks)) {
            let mut sums = [0.0f32; LANES];
            for (b, (w, x_scale)) in w.iter().zip(x.scales).enumerate() {
                let scale = f16_to_f32(u16::from_le_bytes([w[0], w[1]])) * x_scale;
                let (w, x) = (&w[2..], &x.bytes[b * BLOCK..(b + 1) * BLOCK]);
                let half = &mut sums[b % 2 * GROUPS..][..GROUPS];
                for (g, sum) in half.iter_mut().enumerate() {
                    let mut exact = 0;
                    for i in 4 * g..4 * g + 4 {
                        exact += i32::from(w[i] as i8) * i32::from(x[i]);
                    }
                    *sum = madd::<FMA>(exact as f32, scale, *sum);
                }
            }
            *out = sum_lanes(sums);
        }
    }
}
