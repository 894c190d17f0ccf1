//! Products of many rows of activations with q8_0 weights on bfloat16 tiles: `y = bf16(x) bf16(d q)^T`, sums in f32.
//!
//! Rounding both sides to 8 bits of mantissa moves an element by 2^-8 of itself at most; the rounding of activations to
//! blocks of bytes, as in the products with few rows, moves it by a 254th of the largest of its block. Weights are the left
//! tiles, for their rows are stored along k; activations are packed once as right tiles; a block of y comes out transposed.
//!
//! Each element of y is one chain of sums in ascending k.
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::*;

use super::decode::f16_to_f32;
use super::{BLOCK, BLOCK_BYTES};
use crate::Cpu;
use crate::gemm::amx::with_tiles;
use crate::pool::Shareable;

/// Rows of weights, and of activations, of a block of y: two tiles by two.
const SIDE: usize = 32;
/// Elements of k that a tile holds: a block of q8_0.
const STEP: usize = BLOCK;
/// Floats of the memory of a tile.
const TILE: usize = 256;

/// Floats of a line of a tile, and of the cache.
const LINE: usize = 16;

/// `packed` for `m` rows of `k` elements, from `memory`, which grows to hold it.
pub(super) fn room(memory: &mut Vec<f32>, m: usize, k: usize) -> &mut [f32] {
    let len = m.div_ceil(SIDE) * k.div_ceil(STEP) * 2 * TILE;
    if memory.len() < len + LINE {
        memory.resize(len + LINE, 0.0);
    }
    aligned(memory, len)
}

/// `len` floats that begin with a line of the cache: a tile's line that lies in two is loaded twice.
fn aligned(memory: &mut [f32], len: usize) -> &mut [f32] {
    let first = memory.as_ptr().align_offset(64).min(LINE);
    &mut memory[first..first + len]
}

/// `y[m, n]`: where column 0 of a weight's part is, and how far rows are apart.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub data: Shareable<f32>,
    pub stride: usize,
    pub rows: usize,
}

/// Packs `x[m, k]` into `packed`: [blocks of 32 rows][steps of k][2 tiles].
pub(super) fn pack(cpu: &Cpu, packed: &mut [f32], x: &[f32], k: usize) {
    let steps = k / STEP;
    cpu.pool().chunks_mut(packed, steps * 2 * TILE, |block, tiles| {
        for (i, tile) in tiles.chunks_exact_mut(TILE).enumerate() {
            let first = block * SIDE + i % 2 * 16;
            let rows = (x.len() / k).saturating_sub(first).min(16);
            let x = &x[(first.min(x.len() / k)) * k..];
            // SAFETY: tiles are only used where there is AVX-512 BF16; `rows` rows of x hold a step at this place.
            unsafe { pack_tile(tile.as_mut_ptr(), x.as_ptr().wrapping_add(i / 2 * STEP), k, rows) };
        }
    });
}

/// One right tile: dword `t` of line `p` holds elements `2p` and `2p + 1` of row `t`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn pack_tile(tile: *mut f32, x: *const f32, stride: usize, rows: usize) {
    let mut lines = [_mm512_setzero_ps(); 16];
    for (t, line) in lines.iter_mut().enumerate().take(rows) {
        // SAFETY: the caller's promise.
        let (low, high) = unsafe { (_mm512_loadu_ps(x.add(t * stride)), _mm512_loadu_ps(x.add(t * stride + 16))) };
        *line = bf16(low, high);
    }
    transpose(&mut lines);
    for (p, line) in lines.iter().enumerate() {
        // SAFETY: a tile has sixteen lines.
        unsafe { _mm512_storeu_ps(tile.add(16 * p), *line) };
    }
}

/// 32 floats rounded to bf16, the lower ones first.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16(low: __m512, high: __m512) -> __m512 {
    let both = _mm512_cvtne2ps_pbh(high, low);
    // SAFETY: both are 64 bytes without invalid values.
    unsafe { std::mem::transmute::<__m512bh, __m512>(both) }
}

/// Sixteen lines of sixteen dwords, transposed.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(lines: &mut [__m512; 16]) {
    let mut pairs = [_mm512_setzero_ps(); 16];
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_ps(lines[2 * i], lines[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_ps(lines[2 * i], lines[2 * i + 1]);
    }
    // quads[4 i + c]: column c of every 128-bit lane, rows 4 i..4 i + 4
    let mut quads = [_mm512_setzero_ps(); 16];
    for i in 0..4 {
        let pd = |j: usize| _mm512_castps_pd(pairs[4 * i + j]);
        quads[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(0), pd(2)));
        quads[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(0), pd(2)));
        quads[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(1), pd(3)));
        quads[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(1), pd(3)));
    }
    for c in 0..4 {
        let even = |a, b| _mm512_shuffle_f32x4::<0x88>(a, b);
        let odd = |a, b| _mm512_shuffle_f32x4::<0xdd>(a, b);
        let (a, b) = (even(quads[c], quads[4 + c]), even(quads[8 + c], quads[12 + c]));
        let (d, e) = (odd(quads[c], quads[4 + c]), odd(quads[8 + c], quads[12 + c]));
        lines[c] = even(a, b);
        lines[4 + c] = even(d, e);
        lines[8 + c] = odd(a, b);
        lines[12 + c] = odd(d, e);
    }
}

/// `y[m, n] = x w^T` for packed x and the rows of q8_0 `w[n, k]`.
pub(super) fn product(cpu: &Cpu, y: Target, packed: &[f32], w: &[u8], n: usize, k: usize) {
    let steps = k / STEP;
    let row_bytes = steps * BLOCK_BYTES;
    cpu.pool().run(n.div_ceil(SIDE), &|task| {
        let (first, rows) = (task * SIDE, SIDE.min(n - task * SIDE));
        let w = &w[first * row_bytes..(first + rows) * row_bytes];
        cpu.scratch(LINE + (steps * 2 + 4) * TILE, |scratch| {
            let (left, out) = aligned(scratch, (steps * 2 + 4) * TILE).split_at_mut(steps * 2 * TILE);
            // SAFETY: an `Isa` with tiles is only held where there are tiles and AVX-512 BF16; a whole block of rows is
            // packed, rows beyond the last as zeros; columns `first..first + rows` of y are this task's alone; nothing unwinds.
            unsafe {
                pack_weights(left.as_mut_ptr(), w.as_ptr(), rows, steps);
                with_tiles(|| {
                    for block in 0..y.rows.div_ceil(SIDE) {
                        multiply(left.as_ptr(), packed.as_ptr().add(block * steps * 2 * TILE), steps, out.as_mut_ptr());
                        store(y, block * SIDE, first, rows, out.as_ptr());
                    }
                });
            }
        });
    });
}

/// Left tiles of up to 32 rows: [steps of k][2 tiles], line `r` of a tile is row `r`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn pack_weights(tiles: *mut f32, w: *const u8, rows: usize, steps: usize) {
    for r in 0..SIDE {
        for step in 0..steps {
            let line = tiles.wrapping_add((step * 2 + r / 16) * TILE + r % 16 * 16);
            // SAFETY: the line is within the tiles, and the block within the row.
            unsafe {
                if r >= rows {
                    _mm512_storeu_ps(line, _mm512_setzero_ps());
                    continue;
                }
                let block = w.add((r * steps + step) * BLOCK_BYTES);
                let d = _mm512_set1_ps(f16_to_f32(block.cast::<u16>().read_unaligned()));
                let half = |at: usize| {
                    let bytes = _mm_loadu_si128(block.add(2 + at).cast());
                    _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)))
                };
                _mm512_storeu_ps(line, bf16(half(0), half(16)));
            }
        }
    }
}

/// `out[2][2]` tiles of sums: two tiles of weights by two of activations, `steps` (at least one) steps of k.
///
/// # Safety
/// Inside [`with_tiles`]; the operands hold their steps, and `out` four tiles.
#[inline]
unsafe fn multiply(a: *const f32, b: *const f32, steps: usize, out: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{a} + {line}]",
            "tileloadd tmm6, [{b} + {line}]",
            "tileloadd tmm7, [{b} + {line} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{a} + {line} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 2048",
            "add {b}, 2048",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{out} + {line}], tmm0",
            "tilestored [{out} + {line} + 1024], tmm1",
            "tilestored [{out} + {line} + 2048], tmm2",
            "tilestored [{out} + {line} + 3072], tmm3",
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            steps = inout(reg) steps => _,
            line = in(reg) 64usize,
            out = in(reg) out,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }
}

/// The four tiles of [`multiply`], transposed, into rows `row..` of y, columns `column..column + columns`.
#[target_feature(enable = "avx512f")]
unsafe fn store(y: Target, row: usize, column: usize, columns: usize, tiles: *const f32) {
    for tile in 0..4 {
        let (row, offset) = (row + tile % 2 * 16, tile / 2 * 16);
        let mask = (0xffffu32 >> 16usize.saturating_sub(columns.saturating_sub(offset))) as __mmask16;
        // SAFETY: the caller's tiles; rows and masked columns are within y.
        unsafe {
            let mut lines: [__m512; 16] = std::array::from_fn(|i| _mm512_loadu_ps(tiles.add(tile * TILE + 16 * i)));
            transpose(&mut lines);
            for (t, line) in lines.iter().enumerate().take(y.rows.saturating_sub(row).min(16)) {
                let at = y.data.get().wrapping_add((row + t) * y.stride + column + offset);
                _mm512_mask_storeu_ps(at, mask, *line);
            }
        }
    }
}
