//! Weights that are bfloat16 already, packed as the right operand: one plane of the three, and nothing to split.

use std::arch::x86_64::*;

use super::split::{mask, turn};
use super::{STEP, TILE};
use crate::gemm::Halves;

/// How the rows of the weights lie in the product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::gemm) enum Rows {
    /// They are columns of c: `c = a W^T`.
    Columns,
    /// They are steps of k: `c = a W`.
    Steps,
}

/// As [`super::split::pack_step`] for the plane h alone: up to 32 columns of c from `vector` on, up to 32 steps from `k` on.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn pack_step(
    source: (&Halves<'_>, Rows),
    (vector, vectors): (usize, usize),
    (k, depth): (usize, usize),
    target: *mut u8,
) {
    debug_assert!(depth <= STEP && vectors <= 2 * 16);
    let (w, rows) = source;
    for tile in 0..2 {
        let first = 16 * tile;
        let (count, target) = (vectors.saturating_sub(first).min(16), target.wrapping_add(tile * TILE));
        // SAFETY: the caller's promise; a tile's rows of W are in one piece.
        unsafe {
            if count == 0 {
                target.write_bytes(0, TILE);
            } else if rows == Rows::Columns {
                along(w.from(vector + first, k).as_ptr(), 2 * w.cols(), count, depth, target);
                turn(target);
            } else {
                across(w.from(k, vector + first).as_ptr(), 2 * w.cols(), count, depth, target);
            }
        }
    }
}

/// Rows `stride` bytes apart: row i of the tile holds the units of vector i.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn along(source: *const u8, stride: usize, vectors: usize, depth: usize, target: *mut u8) {
    let there = u32::MAX >> (32 - depth);
    for i in 0..16 {
        let halves = if i < vectors {
            // SAFETY: vector i exists, and the mask ends with its depth.
            unsafe { _mm512_maskz_loadu_epi16(there, source.wrapping_add(i * stride).cast()) }
        } else {
            _mm512_setzero_si512()
        };
        // SAFETY: row i of the tile.
        unsafe { _mm512_store_si512(target.add(64 * i).cast(), halves) };
    }
}

/// Steps of k `stride` bytes apart: row p of the tile holds unit p of every vector.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn across(source: *const u8, stride: usize, vectors: usize, depth: usize, target: *mut u8) {
    let columns = mask(vectors);
    let load = |k: usize| {
        if k >= depth {
            return _mm512_setzero_si512();
        }
        // SAFETY: step k is within the depth, and the mask ends with the vectors.
        let halves = unsafe { _mm256_maskz_loadu_epi16(columns, source.wrapping_add(k * stride).cast()) };
        _mm512_cvtepu16_epi32(halves)
    };
    for p in 0..16 {
        let units = _mm512_or_si512(load(2 * p), _mm512_slli_epi32::<16>(load(2 * p + 1)));
        // SAFETY: row p of the tile.
        unsafe { _mm512_store_si512(target.add(64 * p).cast(), units) };
    }
}
