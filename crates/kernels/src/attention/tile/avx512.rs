//! AVX-512: 8 x 32 outputs at a time, 16 accumulators.
#![allow(unsafe_code)]
// Constant indices keep the accumulators in registers.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use super::{Product, Strided};

/// As [`super::tile`]; only where there is AVX-512.
pub(super) fn tile(product: Product, c: &mut [f32], a: Strided<'_>, b: &[f32], m: usize, n: usize) {
    // SAFETY: the matrices hold their shapes, which `tile` asserted, and an `Isa` is only made where it is available.
    unsafe { product.run(c.as_mut_ptr(), a.data.as_ptr(), b.as_ptr(), m, n) }
}

impl Product {
    #[target_feature(enable = "avx512f")]
    unsafe fn run(&self, c: *mut f32, a: *const f32, b: *const f32, m: usize, n: usize) {
        for j in (0..n).step_by(32) {
            let cols = n - j;
            let mut i = 0;
            while i < m {
                // SAFETY: row i and column j are within the matrices.
                let (c, a, b) = unsafe { (c.add(i * self.ldc + j), a.add(i * self.a_row), b.add(j)) };
                // SAFETY: so are the rows and columns of each block.
                i += unsafe {
                    match (m - i, cols) {
                        (8.., 17..) => self.block::<8, 2>(c, a, b, cols),
                        (8.., _) => self.block::<8, 1>(c, a, b, cols),
                        (4.., 17..) => self.block::<4, 2>(c, a, b, cols),
                        (4.., _) => self.block::<4, 1>(c, a, b, cols),
                        (3, 17..) => self.block::<3, 2>(c, a, b, cols),
                        (2, 17..) => self.block::<2, 2>(c, a, b, cols),
                        (_, 17..) => self.block::<1, 2>(c, a, b, cols),
                        _ => self.block::<1, 1>(c, a, b, cols),
                    }
                };
            }
        }
    }

    /// `R` rows by `V` vectors, of which `cols` columns exist; returns `R`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn block<const R: usize, const V: usize>(&self, c: *mut f32, a: *const f32, b: *const f32, cols: usize) -> usize {
        let masks: [__mmask16; V] = std::array::from_fn(|v| 0xffff >> 16usize.saturating_sub(cols - 16 * v).min(15));
        let mut sums = [[_mm512_setzero_ps(); V]; R];
        // SAFETY: the caller's promise; masked lanes are not touched.
        unsafe {
            let rows: [*const f32; R] = std::array::from_fn(|r| a.add(r * self.a_row));
            let (mut at, mut b) = (0, b);
            for _ in 0..self.k {
                let row: [__m512; V] = std::array::from_fn(|v| _mm512_maskz_loadu_ps(masks[v], b.wrapping_add(16 * v)));
                for r in 0..R {
                    let x = _mm512_set1_ps(*rows[r].add(at));
                    for v in 0..V {
                        sums[r][v] = _mm512_fmadd_ps(x, row[v], sums[r][v]);
                    }
                }
                at += self.a_col;
                b = b.wrapping_add(self.ldb);
            }
            for r in 0..R {
                for v in 0..V {
                    let c = c.add(r * self.ldc + 16 * v);
                    let before = if self.accumulate { _mm512_maskz_loadu_ps(masks[v], c) } else { _mm512_setzero_ps() };
                    _mm512_mask_storeu_ps(c, masks[v], _mm512_add_ps(sums[r][v], before));
                }
            }
        }
        R
    }
}
