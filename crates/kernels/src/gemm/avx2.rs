//! AVX2 and FMA: tiles of 6 x 16 (12 accumulators, two panel vectors, one broadcast).
#![allow(unsafe_code)]
// Constant indices keep the accumulators in registers.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use super::micro::{self, Micro, Tile};
use super::pack::copy;

const MR: usize = 6;
const NR: usize = 16;

pub(super) static MICRO: Micro = Micro {
    rows: MR,
    cols: NR,
    depth: 256,
    cache: 64 << 10,
    tile,
    pack_transposed,
    copy_rows: copy::<MR>,
    copy_cols: copy::<NR>,
};

unsafe fn tile(tile: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { if tile.lhs_step == 1 { run::<true>(tile) } else { run::<false>(tile) } }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn run<const ALONG: bool>(tile: &Tile) {
    let mut sums = [[_mm256_setzero_ps(); 2]; MR];
    // SAFETY: the panel holds `depth` rows of NR; missing rows of the tile read its last row.
    unsafe {
        let rows: [*const f32; MR] = std::array::from_fn(|i| tile.lhs.add(i.min(tile.rows - 1) * tile.lhs_row));
        let mut rhs = tile.rhs;
        for k in 0..tile.depth {
            let panel = [_mm256_load_ps(rhs), _mm256_load_ps(rhs.add(8))];
            for i in 0..MR {
                let lhs = _mm256_set1_ps(if ALONG { *rows[i].add(k) } else { *rows[0].add(k * MR + i) });
                sums[i][0] = _mm256_fmadd_ps(lhs, panel[0], sums[i][0]);
                sums[i][1] = _mm256_fmadd_ps(lhs, panel[1], sums[i][1]);
            }
            rhs = rhs.add(NR);
        }
        // Through memory by constant indices: an accumulator that a store loop indexes would live in memory throughout.
        let mut spilled = Spilled([[0.0; NR]; MR]);
        for i in 0..MR {
            _mm256_store_ps(spilled.0[i].as_mut_ptr(), sums[i][0]);
            _mm256_store_ps(spilled.0[i].as_mut_ptr().add(8), sums[i][1]);
        }
        if tile.transposed || tile.rows < MR || tile.cols < NR {
            micro::store(tile, &spilled.0);
        } else {
            store(tile, &spilled);
        }
    }
}

/// A tile of sums in memory.
#[repr(C, align(64))]
struct Spilled([[f32; NR]; MR]);

#[target_feature(enable = "avx2,fma")]
unsafe fn store(tile: &Tile, sums: &Spilled) {
    for (i, sums) in sums.0.iter().enumerate() {
        for j in [0, 8] {
            // SAFETY: a whole tile lies within c.
            unsafe {
                let c = tile.c.add(i * tile.c_row + j);
                let sum = _mm256_load_ps(sums.as_ptr().add(j));
                _mm256_storeu_ps(c, if tile.accumulate { _mm256_add_ps(sum, _mm256_loadu_ps(c)) } else { sum });
            }
        }
    }
}

unsafe fn pack_transposed(source: *const f32, stride: usize, cols: usize, depth: usize, target: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        if cols < NR {
            return micro::pack_transposed::<NR>(source, stride, cols, depth, target);
        }
        let whole = depth / 8 * 8;
        pack(source, stride, whole, target);
        micro::pack_transposed::<NR>(source.add(whole), stride, cols, depth - whole, target.add(whole * NR));
    }
}

/// Packs NR whole rows over a multiple of eight steps.
#[target_feature(enable = "avx2,fma")]
unsafe fn pack(source: *const f32, stride: usize, depth: usize, target: *mut f32) {
    for k in (0..depth).step_by(8) {
        for j in [0, 8] {
            // SAFETY: rows j..j + 8 and steps k..k + 8 are within the source; panels are aligned to 64 bytes.
            unsafe {
                let block = std::array::from_fn(|i| _mm256_loadu_ps(source.add((j + i) * stride + k)));
                for (i, row) in transpose(block).into_iter().enumerate() {
                    _mm256_store_ps(target.add((k + i) * NR + j), row);
                }
            }
        }
    }
}

/// Transposes 8 x 8.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(r: [__m256; 8]) -> [__m256; 8] {
    let mut out = r;
    let mut halves = [[r[0]; 4]; 2];
    for (half, r) in halves.iter_mut().zip([[r[0], r[1], r[2], r[3]], [r[4], r[5], r[6], r[7]]]) {
        let (ab_lo, ab_hi) = (_mm256_unpacklo_ps(r[0], r[1]), _mm256_unpackhi_ps(r[0], r[1]));
        let (cd_lo, cd_hi) = (_mm256_unpacklo_ps(r[2], r[3]), _mm256_unpackhi_ps(r[2], r[3]));
        *half = [
            _mm256_shuffle_ps::<0x44>(ab_lo, cd_lo),
            _mm256_shuffle_ps::<0xee>(ab_lo, cd_lo),
            _mm256_shuffle_ps::<0x44>(ab_hi, cd_hi),
            _mm256_shuffle_ps::<0xee>(ab_hi, cd_hi),
        ];
    }
    for j in 0..4 {
        out[j] = _mm256_permute2f128_ps::<0x20>(halves[0][j], halves[1][j]);
        out[4 + j] = _mm256_permute2f128_ps::<0x31>(halves[0][j], halves[1][j]);
    }
    out
}
