//! Activations rounded to blocks of 32 bytes with a scale, as the products with q8_0 weights read them.

use super::BLOCK;
use crate::Isa;
use crate::simd::multiversion;

/// Groups of four bytes of a block: what a 32-bit lane of a byte product sums.
pub(super) const GROUPS: usize = BLOCK / 4;

/// Rows of activations: `x ~ d q`, `d = max|x| / 127` of a block, `q` rounded to nearest, ties to even.
pub struct Quantised {
    cols: usize,
    /// `[m, k]`
    bytes: Vec<i8>,
    /// `[m, k / 32]`
    scales: Vec<f32>,
    /// `[m, k / 4]`: -128 times the sum of four bytes. Byte products take one operand without sign; a weight plus 128 is
    /// one, and this takes the surplus off.
    surplus: Vec<i32>,
}

/// One row of [`Quantised`].
#[derive(Clone, Copy)]
pub(super) struct QuantisedRow<'a> {
    pub bytes: &'a [i8],
    pub scales: &'a [f32],
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only byte products of x86 need it"))]
    pub surplus: &'a [i32],
}

impl Quantised {
    /// Room for `rows` rows of up to `cols` elements.
    pub fn new(rows: usize, cols: usize) -> Quantised {
        let blocks = rows * cols.div_ceil(BLOCK);
        Quantised { cols: 0, bytes: vec![0; blocks * BLOCK], scales: vec![0.0; blocks], surplus: vec![0; blocks * GROUPS] }
    }

    /// Takes the rows `x[m, cols]`; `cols` is a multiple of 32.
    pub(super) fn set(&mut self, isa: Isa, x: &[f32], cols: usize) {
        self.cols = cols;
        let blocks = x.len() / BLOCK;
        if self.scales.len() < blocks {
            *self = Quantised { cols, ..Quantised::new(x.len() / cols, cols) };
        }
        quantise(isa, &mut self.bytes[..x.len()], &mut self.scales[..blocks], &mut self.surplus[..blocks * GROUPS], x);
    }

    pub(super) fn row(&self, i: usize) -> QuantisedRow<'_> {
        let blocks = self.cols / BLOCK;
        QuantisedRow {
            bytes: &self.bytes[i * self.cols..(i + 1) * self.cols],
            scales: &self.scales[i * blocks..(i + 1) * blocks],
            surplus: &self.surplus[i * blocks * GROUPS..(i + 1) * blocks * GROUPS],
        }
    }
}

multiversion! {
    fn quantise(bytes: &mut [i8], scales: &mut [f32], surplus: &mut [i32], x: &[f32]) {
        let blocks = bytes.as_chunks_mut::<BLOCK>().0.iter_mut().zip(scales).zip(surplus.as_chunks_mut::<GROUPS>().0);
        for (((q, scale), surplus), x) in blocks.zip(x.as_chunks::<BLOCK>().0) {
            let mut max = [0.0f32; 16];
            for (i, x) in x.iter().enumerate() {
                max[i % 16] = if x.abs() > max[i % 16] { x.abs() } else { max[i % 16] };
            }
            let max = max.iter().fold(0.0f32, |m, &x| if x > m { x } else { m });
            // a comparison passes over NaN, which must not come out as a number
            let poison = x.iter().fold(0.0f32, |sum, x| sum + x * 0.0);
            *scale = max / 127.0 + poison;
            let inverse = if max > 0.0 { 127.0 / max } else { 0.0 };
            for (q, x) in q.iter_mut().zip(x) {
                *q = (x * inverse).round_ties_even() as i8;
            }
            for (surplus, q) in surplus.iter_mut().zip(q.as_chunks::<4>().0) {
                *surplus = -128 * q.iter().map(|&q| i32::from(q)).sum::<i32>();
            }
        }
    }
}
