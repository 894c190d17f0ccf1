//! AVX2 and FMA: 6 x 16 outputs at a time, 12 accumulators, two vectors of the right matrix, one broadcast.
#![allow(unsafe_code)]
// Constant indices keep the accumulators in registers.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use super::{Product, Strided};

/// As [`super::tile`]; only where there are AVX2 and FMA.
pub(super) fn tile(product: Product, c: &mut [f32], a: Strided<'_>, b: &[f32], m: usize, n: usize) {
    // SAFETY: the matrices hold their shapes, which `tile` asserted, and an `Isa` is only made where it is available.
    unsafe { run(&product, c.as_mut_ptr(), a.data.as_ptr(), b.as_ptr(), m, n) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn run(x: &Product, c: *mut f32, a: *const f32, b: *const f32, m: usize, n: usize) {
    for j in (0..n).step_by(16) {
        let cols = (n - j).min(16);
        let mut i = 0;
        while i < m {
            // SAFETY: row i and column j are within the matrices.
            let (c, a, b) = unsafe { (c.add(i * x.ldc + j), a.add(i * x.a_row), b.add(j)) };
            // SAFETY: so are the rows and columns of each block.
            i += unsafe {
                match (m - i, cols) {
                    // two blocks of four are quicker than one of six and two of one
                    (8, 16) => block::<4, true>(x, c, a, b, cols),
                    (6.., 16) => block::<6, true>(x, c, a, b, cols),
                    (4.., 16) => block::<4, true>(x, c, a, b, cols),
                    (_, 16) => block::<1, true>(x, c, a, b, cols),
                    (4.., _) => block::<4, false>(x, c, a, b, cols),
                    _ => block::<1, false>(x, c, a, b, cols),
                }
            };
        }
    }
}

/// `R` rows by 16 columns, all of them when `WHOLE`, else the first `cols`; returns `R`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn block<const R: usize, const WHOLE: bool>(x: &Product, c: *mut f32, a: *const f32, b: *const f32, cols: usize) -> usize {
    let masks = [0, 8].map(|first| mask(cols.saturating_sub(first)));
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    // SAFETY: the caller's promise; masked lanes are not touched.
    unsafe {
        let rows: [*const f32; R] = std::array::from_fn(|r| a.add(r * x.a_row));
        let (mut at, mut b) = (0, b);
        for _ in 0..x.k {
            let row = [load::<WHOLE>(b, masks[0]), load::<WHOLE>(b.wrapping_add(8), masks[1])];
            for r in 0..R {
                let left = _mm256_set1_ps(*rows[r].add(at));
                sums[r][0] = _mm256_fmadd_ps(left, row[0], sums[r][0]);
                sums[r][1] = _mm256_fmadd_ps(left, row[1], sums[r][1]);
            }
            at += x.a_col;
            b = b.wrapping_add(x.ldb);
        }
        for r in 0..R {
            for v in 0..2 {
                let c = c.wrapping_add(r * x.ldc + 8 * v);
                let sum = if x.accumulate { _mm256_add_ps(sums[r][v], load::<WHOLE>(c, masks[v])) } else { sums[r][v] };
                if WHOLE {
                    _mm256_storeu_ps(c, sum);
                } else {
                    _mm256_maskstore_ps(c, masks[v], sum);
                }
            }
        }
    }
    R
}

/// The first `n` of eight lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn mask(n: usize) -> __m256i {
    _mm256_cmpgt_epi32(_mm256_set1_epi32(n.min(8) as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load<const WHOLE: bool>(from: *const f32, mask: __m256i) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe { if WHOLE { _mm256_loadu_ps(from) } else { _mm256_maskload_ps(from, mask) } }
}
