//! The micro-kernel in plain Rust: the reference, and the fallback where no better one exists.
#![allow(unsafe_code)]

use super::micro::{Micro, Tile, pack_transposed, store};
use super::pack::copy;

const MR: usize = 4;
const NR: usize = 8;

pub(super) static MICRO: Micro = Micro {
    rows: MR,
    cols: NR,
    depth: 256,
    cache: 32 << 10,
    tile,
    pack_transposed: pack_transposed::<NR>,
    copy_rows: copy::<MR>,
    copy_cols: copy::<NR>,
};

/// # Safety
/// See [`Micro::tile`].
unsafe fn tile(tile: &Tile) {
    let mut sums = [[0.0f32; NR]; MR];
    let offsets: [usize; MR] = std::array::from_fn(|i| i.min(tile.rows - 1) * tile.lhs_row);
    for k in 0..tile.depth {
        // SAFETY: the panel holds `depth` rows of NR; row offsets stay within the tile's rows.
        unsafe {
            let rhs = &*tile.rhs.add(k * NR).cast::<[f32; NR]>();
            for (sums, offset) in sums.iter_mut().zip(offsets) {
                let lhs = *tile.lhs.add(offset + k * tile.lhs_step);
                for (sum, rhs) in sums.iter_mut().zip(rhs) {
                    *sum += lhs * rhs;
                }
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { store(tile, &sums) };
}
