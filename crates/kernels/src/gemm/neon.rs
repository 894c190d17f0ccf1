//! NEON: tiles of 8 x 12 (24 accumulators, three panel vectors, two vectors of the broadcast operand).
#![allow(unsafe_code)]
// Constant indices keep the accumulators in registers.
#![allow(clippy::needless_range_loop)]

use std::arch::aarch64::*;

use super::micro::{self, Micro, Tile, pack_transposed};
use super::pack::copy;

const MR: usize = 8;
const NR: usize = 12;
const NV: usize = NR / 4;

pub(super) static MICRO: Micro = Micro {
    rows: MR,
    cols: NR,
    depth: 256,
    cache: 64 << 10,
    tile,
    pack_transposed: pack_transposed::<NR>,
    copy_rows: copy::<MR>,
    copy_cols: copy::<NR>,
};

unsafe fn tile(tile: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { if tile.lhs_step == 1 { run::<true>(tile) } else { run::<false>(tile) } }
}

#[target_feature(enable = "neon")]
unsafe fn run<const ALONG: bool>(tile: &Tile) {
    let mut sums = [[vdupq_n_f32(0.0); NV]; MR];
    // SAFETY: the panel holds `depth` rows of NR; missing rows of the tile read its last row.
    unsafe {
        let rows: [*const f32; MR] = std::array::from_fn(|i| tile.lhs.add(i.min(tile.rows - 1) * tile.lhs_row));
        let mut rhs = tile.rhs;
        for k in 0..tile.depth {
            let panel: [float32x4_t; NV] = std::array::from_fn(|v| vld1q_f32(rhs.add(4 * v)));
            for i in 0..MR {
                let lhs = vdupq_n_f32(if ALONG { *rows[i].add(k) } else { *rows[0].add(k * MR + i) });
                for v in 0..NV {
                    sums[i][v] = vfmaq_f32(sums[i][v], lhs, panel[v]);
                }
            }
            rhs = rhs.add(NR);
        }
        // Through memory by constant indices: an accumulator that a store loop indexes would live in memory throughout.
        let mut spilled = [[0.0f32; NR]; MR];
        for i in 0..MR {
            for v in 0..NV {
                vst1q_f32(spilled[i].as_mut_ptr().add(4 * v), sums[i][v]);
            }
        }
        if tile.transposed || tile.rows < MR || tile.cols < NR {
            micro::store(tile, &spilled);
        } else {
            store(tile, &spilled);
        }
    }
}

#[target_feature(enable = "neon")]
unsafe fn store(tile: &Tile, sums: &[[f32; NR]; MR]) {
    for (i, sums) in sums.iter().enumerate() {
        for j in [0, 4, 8] {
            // SAFETY: a whole tile lies within c.
            unsafe {
                let c = tile.c.add(i * tile.c_row + j);
                let sum = vld1q_f32(sums.as_ptr().add(j));
                vst1q_f32(c, if tile.accumulate { vaddq_f32(sum, vld1q_f32(c)) } else { sum });
            }
        }
    }
}
