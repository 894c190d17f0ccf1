//! Operands of AMX products: f32 split into three bfloat16 planes, in the order that tiles are loaded.
//!
//! Legend: a *unit* is a pair of neighbours along k, 32 bits. A tile of the left operand is [16 vectors][16 units], one of
//! the right operand [16 units][16 vectors]. A step of a panel is three planes (h, m, l) of two tiles, 32 vectors by 32 k.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::{STEP, STEP_BYTES, TILE};
use crate::gemm::avx512::transpose;
use crate::gemm::pack::Operand;

/// Which operand of the product a panel is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Packs one step of a panel: up to 32 vectors from `vector` on, up to 32 elements from `k` on, zeros beyond. Says whether
/// every element is a bfloat16 itself, so that the planes m and l are zero.
///
/// # Safety
/// The processor has AVX-512 BF16, the ranges are within the operand, and `target` holds a step, aligned to 64 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn pack_step(
    side: Side,
    source: &Operand,
    vector: usize,
    vectors: usize,
    k: usize,
    depth: usize,
    target: *mut u8,
) -> bool {
    let mut whole = true;
    debug_assert!(depth <= STEP && vectors <= 2 * 16);
    for tile in 0..2 {
        let first = 16 * tile;
        let count = vectors.saturating_sub(first).min(16);
        let target = target.wrapping_add(tile * TILE);
        // SAFETY: the caller's promise; planes are two tiles apart.
        unsafe {
            if count == 0 {
                (0..3).for_each(|plane| target.add(2 * TILE * plane).write_bytes(0, TILE));
                continue;
            }
            let from = source.at(vector + first, k);
            whole &= if source.along {
                split_along(from, source.stride, count, depth, target)
            } else {
                split_across(from, source.stride, count, depth, target)
            };
            if source.along != (side == Side::Left) {
                (0..3).for_each(|plane| turn(target.add(2 * TILE * plane)));
            }
        }
    }
    whole
}

/// Bytes of the step after this one.
pub(super) const fn after(steps: usize) -> usize {
    steps * STEP_BYTES
}

/// Vectors that run along memory, `stride` apart: row i of the tiles holds the units of vector i.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn split_along(source: *const f32, stride: usize, vectors: usize, depth: usize, target: *mut u8) -> bool {
    let mut rest = 0;
    let (low, high) = (mask(depth), mask(depth.saturating_sub(16)));
    for i in 0..16 {
        let (mut x, mut y) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        if i < vectors {
            // SAFETY: vector i exists, and the masks end with its depth.
            unsafe {
                x = _mm512_maskz_loadu_ps(low, source.add(i * stride));
                y = _mm512_maskz_loadu_ps(high, source.wrapping_add(i * stride + 16));
            }
        }
        for plane in 0..3 {
            // SAFETY: a conversion of registers.
            let halves: __m512i = unsafe { transmute(_mm512_cvtne2ps_pbh(y, x)) };
            // SAFETY: row i of a tile of this plane.
            unsafe { _mm512_store_si512(target.add(2 * TILE * plane + 64 * i).cast(), halves) };
            x = _mm512_sub_ps(x, widened(_mm512_castsi512_si256(halves)));
            y = _mm512_sub_ps(y, widened(_mm512_extracti64x4_epi64::<1>(halves)));
            if plane == 0 {
                rest |= not_zero(x) | not_zero(y);
            }
        }
    }
    rest == 0
}

/// Vectors side by side, their steps of k `stride` apart: row p of the tiles holds unit p of every vector.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn split_across(source: *const f32, stride: usize, vectors: usize, depth: usize, target: *mut u8) -> bool {
    let mut rest = 0;
    let columns = mask(vectors);
    for p in 0..16 {
        let (mut x, mut y) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        // SAFETY: steps 2p and 2p + 1 are within the depth, and the mask ends with the vectors.
        unsafe {
            if 2 * p < depth {
                x = _mm512_maskz_loadu_ps(columns, source.add(2 * p * stride));
            }
            if 2 * p + 1 < depth {
                y = _mm512_maskz_loadu_ps(columns, source.add((2 * p + 1) * stride));
            }
        }
        for plane in 0..3 {
            // SAFETY: a conversion of registers.
            let halves: __m512i = unsafe { transmute(_mm512_cvtne2ps_pbh(y, x)) };
            let even = widened(_mm512_castsi512_si256(halves));
            let odd = widened(_mm512_extracti64x4_epi64::<1>(halves));
            let units = _mm512_or_si512(_mm512_srli_epi32::<16>(_mm512_castps_si512(even)), _mm512_castps_si512(odd));
            // SAFETY: row p of a tile of this plane.
            unsafe { _mm512_store_si512(target.add(2 * TILE * plane + 64 * p).cast(), units) };
            x = _mm512_sub_ps(x, even);
            y = _mm512_sub_ps(y, odd);
            if plane == 0 {
                rest |= not_zero(x) | not_zero(y);
            }
        }
    }
    rest == 0
}

/// Lanes that are not zero; what is no number is not zero either.
#[inline]
#[target_feature(enable = "avx512f")]
fn not_zero(x: __m512) -> __mmask16 {
    _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(x, _mm512_setzero_ps())
}

/// Sixteen bfloat16 as f32.
#[inline]
#[target_feature(enable = "avx512f")]
fn widened(halves: __m256i) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
}

/// The first `count` of 16 lanes.
#[inline]
pub(super) fn mask(count: usize) -> __mmask16 {
    if count >= 16 { 0xffff } else { (1 << count) - 1 }
}

/// Transposes a tile of 16 x 16 units in place.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn turn(tile: *mut u8) {
    let rows: *mut f32 = tile.cast();
    // SAFETY: the tile is 16 vectors, aligned; its bits pass through f32 registers unchanged.
    unsafe {
        let turned = transpose(std::array::from_fn(|i| _mm512_load_ps(rows.add(16 * i))));
        for (i, row) in turned.into_iter().enumerate() {
            _mm512_store_ps(rows.add(16 * i), row);
        }
    }
}
