//! AVX-512: tiles of 8 x 48 (24 accumulators, 3 panel vectors). A panel row is three vectors; a narrow tile at the
//! right edge uses the kernel of one or two.
#![allow(unsafe_code)]
// Constant indices keep the accumulators in registers.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::micro::{Micro, Tile};

const MR: usize = 8;
const NR: usize = 48;
/// Rows of the panel that are fetched ahead of use: about the latency of the second-level cache.
const AHEAD: usize = 16;

pub(super) static MICRO: Micro =
    Micro { rows: MR, cols: NR, depth: 512, cache: 240 << 10, tile, pack_transposed, copy_rows, copy_cols };

unsafe fn tile(tile: &Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        match (tile.cols.div_ceil(16), tile.lhs_step) {
            (1, 1) => run::<1, true>(tile),
            (1, _) => run::<1, false>(tile),
            (2, 1) => run::<2, true>(tile),
            (2, _) => run::<2, false>(tile),
            (_, 1) => run::<3, true>(tile),
            _ => run::<3, false>(tile),
        }
    }
}

/// A tile of sums in memory.
#[repr(C, align(64))]
struct Spilled([f32; NR * MR]);

#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn run<const NV: usize, const ALONG: bool>(tile: &Tile) {
    let mut sums = [[_mm512_setzero_ps(); NV]; MR];
    // SAFETY: the panel holds `depth` rows of NR; missing rows of the tile read its last row; masks end with its columns.
    unsafe {
        let rows: [*const f32; MR] = std::array::from_fn(|i| tile.lhs.add(i.min(tile.rows - 1) * tile.lhs_row));
        let mut rhs = tile.rhs;
        for k in 0..tile.depth {
            let panel: [__m512; NV] = std::array::from_fn(|v| _mm512_load_ps(rhs.add(16 * v)));
            for v in 0..NV {
                _mm_prefetch::<_MM_HINT_T0>(rhs.wrapping_add(AHEAD * NR + 16 * v).cast());
            }
            for i in 0..MR {
                let lhs = _mm512_set1_ps(if ALONG { *rows[i].add(k) } else { *rows[0].add(k * MR + i) });
                for v in 0..NV {
                    sums[i][v] = _mm512_fmadd_ps(lhs, panel[v], sums[i][v]);
                }
            }
            rhs = rhs.add(NR);
        }
        if tile.transposed {
            // Through memory: the columns are made from whole rows.
            let mut spilled = MaybeUninit::<Spilled>::uninit();
            let target = spilled.as_mut_ptr().cast::<f32>();
            for i in 0..MR {
                for v in 0..NV {
                    _mm512_store_ps(target.add(i * NR + 16 * v), sums[i][v]);
                }
            }
            return store_transposed(tile, target);
        }
        let masks: [__mmask16; NV] = std::array::from_fn(|v| 0xffff >> 16usize.saturating_sub(tile.cols - 16 * v).min(15));
        // By constant indices: an accumulator that a loop indexes would live in memory throughout.
        for i in 0..MR {
            for v in 0..NV {
                if i < tile.rows {
                    let c = tile.c.add(i * tile.c_row + 16 * v);
                    let before = if tile.accumulate { _mm512_maskz_loadu_ps(masks[v], c) } else { _mm512_setzero_ps() };
                    _mm512_mask_storeu_ps(c, masks[v], _mm512_add_ps(sums[i][v], before));
                }
            }
        }
    }
}

/// Stores the columns of the tile as rows of c, eight elements each.
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn store_transposed(tile: &Tile, sums: *const f32) {
    let rows = _mm256_cmpgt_epi32(_mm256_set1_epi32(tile.rows as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    for j in (0..tile.cols).step_by(16) {
        // SAFETY: j is a multiple of 16 below the columns of the tile, whose vectors were all written.
        let block = std::array::from_fn(|i| unsafe { _mm512_load_ps(sums.add(i * NR + j)) });
        for (j, column) in (j..tile.cols).zip(columns(block)) {
            // SAFETY: column j and the rows of the mask are within the tile.
            unsafe {
                let c = tile.c.add(j * tile.c_row);
                let mut sum = column;
                if tile.accumulate {
                    sum = _mm256_add_ps(sum, _mm256_maskload_ps(c, rows));
                }
                _mm256_maskstore_ps(c, rows, sum);
            }
        }
    }
}

/// Transposes 8 x 16 to 16 x 8.
#[inline]
#[target_feature(enable = "avx512f,avx2,fma")]
fn columns(rows: [__m512; MR]) -> [__m256; 16] {
    let top = quads([rows[0], rows[1], rows[2], rows[3]]);
    let bottom = quads([rows[4], rows[5], rows[6], rows[7]]);
    let mut columns = [_mm256_setzero_ps(); 16];
    for j in 0..4 {
        let (a, b) = (top[j], bottom[j]);
        columns[j] = _mm256_set_m128(_mm512_extractf32x4_ps::<0>(b), _mm512_extractf32x4_ps::<0>(a));
        columns[4 + j] = _mm256_set_m128(_mm512_extractf32x4_ps::<1>(b), _mm512_extractf32x4_ps::<1>(a));
        columns[8 + j] = _mm256_set_m128(_mm512_extractf32x4_ps::<2>(b), _mm512_extractf32x4_ps::<2>(a));
        columns[12 + j] = _mm256_set_m128(_mm512_extractf32x4_ps::<3>(b), _mm512_extractf32x4_ps::<3>(a));
    }
    columns
}

/// Transposes each 4 x 4 block of the four lanes: element j of the result holds columns j, 4 + j, 8 + j, 12 + j.
#[inline]
#[target_feature(enable = "avx512f")]
fn quads(r: [__m512; 4]) -> [__m512; 4] {
    let (ab_lo, ab_hi) = (_mm512_unpacklo_ps(r[0], r[1]), _mm512_unpackhi_ps(r[0], r[1]));
    let (cd_lo, cd_hi) = (_mm512_unpacklo_ps(r[2], r[3]), _mm512_unpackhi_ps(r[2], r[3]));
    [
        _mm512_shuffle_ps::<0x44>(ab_lo, cd_lo),
        _mm512_shuffle_ps::<0xee>(ab_lo, cd_lo),
        _mm512_shuffle_ps::<0x44>(ab_hi, cd_hi),
        _mm512_shuffle_ps::<0xee>(ab_hi, cd_hi),
    ]
}

unsafe fn copy_rows(source: *const f32, stride: usize, steps: usize, target: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { copy_eights::<{ MR / 8 }>(source, stride, steps, target) }
}

unsafe fn copy_cols(source: *const f32, stride: usize, steps: usize, target: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { copy_eights::<{ NR / 8 }>(source, stride, steps, target) }
}

/// [`super::pack::copy`] of panels of `N` eights: moves of 8 floats, where a call would cost more than they do.
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn copy_eights<const N: usize>(source: *const f32, stride: usize, steps: usize, target: *mut f32) {
    for k in 0..steps {
        for j in 0..N {
            // SAFETY: the caller's promise: both rows hold N eights.
            unsafe { _mm256_storeu_ps(target.add(8 * (k * N + j)), _mm256_loadu_ps(source.add(k * stride + 8 * j))) };
        }
    }
}

unsafe fn pack_transposed(source: *const f32, stride: usize, cols: usize, depth: usize, target: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { pack(source, stride, cols, depth, target) }
}

#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn pack(source: *const f32, stride: usize, cols: usize, depth: usize, target: *mut f32) {
    for j in (0..NR).step_by(16) {
        let rows = cols.saturating_sub(j).min(16);
        for k in (0..depth).step_by(16) {
            let steps = (depth - k).min(16);
            let mask = if steps == 16 { 0xffff } else { (1u16 << steps) - 1 };
            let mut block = [_mm512_setzero_ps(); 16];
            for (i, row) in block.iter_mut().enumerate() {
                if i < rows {
                    // SAFETY: row j + i is one of `cols`, and the mask stays within `depth`.
                    *row = unsafe { _mm512_maskz_loadu_ps(mask, source.add((j + i) * stride + k)) };
                }
            }
            for (i, row) in transpose(block).into_iter().enumerate() {
                if i < steps {
                    // SAFETY: step k + i of the panel; panels are aligned to 64 bytes and NR is a multiple of 16.
                    unsafe { _mm512_store_ps(target.add((k + i) * NR + j), row) };
                }
            }
        }
    }
}

/// Transposes 16 x 16.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(r: [__m512; 16]) -> [__m512; 16] {
    let q: [[__m512; 4]; 4] = [0, 4, 8, 12].map(|i| quads([r[i], r[i + 1], r[i + 2], r[i + 3]]));
    let mut out = r;
    for j in 0..4 {
        let (a, b) = (_mm512_shuffle_f32x4::<0x88>(q[0][j], q[1][j]), _mm512_shuffle_f32x4::<0xdd>(q[0][j], q[1][j]));
        let (c, d) = (_mm512_shuffle_f32x4::<0x88>(q[2][j], q[3][j]), _mm512_shuffle_f32x4::<0xdd>(q[2][j], q[3][j]));
        out[j] = _mm512_shuffle_f32x4::<0x88>(a, c);
        out[4 + j] = _mm512_shuffle_f32x4::<0x88>(b, d);
        out[8 + j] = _mm512_shuffle_f32x4::<0xdd>(a, c);
        out[12 + j] = _mm512_shuffle_f32x4::<0xdd>(b, d);
    }
    out
}
