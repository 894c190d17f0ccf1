//! Dot products of stored rows in AVX-512: weights are read once for up to four rows of activations, ahead of their use.
#![allow(unsafe_code)]
// Constant indices keep the accumulators in registers.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;
use std::ops::Range;

use super::dots::{Inputs, Output, WIDE};
use super::quantised::{GROUPS, QuantisedRow};
use super::{BLOCK, BLOCK_BYTES, Elements, Matrix};
use crate::math::sum_lanes;

/// Bytes between what is read and what is fetched: hardware stops fetching ahead at the end of a page.
const AHEAD: usize = 8192;

/// Whether there is a form for this weight: q8_0 needs byte products.
pub(super) fn takes(w: &Matrix<'_>) -> bool {
    match w.elements {
        Elements::F32(_) | Elements::F16(_) | Elements::Bf16(_) => true,
        Elements::Q8_0(_) => is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw"),
        Elements::Coded(..) => false,
    }
}

/// As [`super::dots::rows`].
///
/// # Safety
/// As there; AVX-512 F is available, and VNNI for q8_0.
pub(super) unsafe fn rows(w: &Matrix<'_>, range: Range<usize>, inputs: &Inputs<'_>, y: Output) {
    let mut first = 0;
    while first < inputs.m {
        // SAFETY: rows `first..` of the inputs and of y exist; the caller's promises.
        first += unsafe {
            match inputs.m - first {
                4.. => some::<4>(w, range.clone(), inputs, first, y),
                2..4 => some::<2>(w, range.clone(), inputs, first, y),
                _ => some::<1>(w, range.clone(), inputs, first, y),
            }
        };
    }
}

unsafe fn some<const M: usize>(w: &Matrix<'_>, range: Range<usize>, inputs: &Inputs<'_>, first: usize, y: Output) -> usize {
    let floats = range.start * w.cols..range.end * w.cols;
    let x: [&[f32]; M] = std::array::from_fn(|i| inputs.row(first + i));
    // SAFETY: the caller's promises; the slices are those of the rows.
    unsafe {
        match w.elements {
            Elements::F32(w) => floats_of::<F32, M>(w[floats].as_ptr().cast(), range.len(), x, first, y),
            Elements::F16(w) => floats_of::<F16, M>(w[2 * floats.start..2 * floats.end].as_ptr(), range.len(), x, first, y),
            Elements::Bf16(w) => floats_of::<Bf16, M>(w[2 * floats.start..2 * floats.end].as_ptr(), range.len(), x, first, y),
            Elements::Q8_0(w) => {
                let blocks = &w[floats.start / BLOCK * BLOCK_BYTES..floats.end / BLOCK * BLOCK_BYTES];
                let x = std::array::from_fn(|i| inputs.quantised.row(first + i));
                q8_0::<M>(blocks.as_ptr(), range.len(), x, first, y);
            }
            // not taken
            Elements::Coded(..) => {}
        }
    }
    M
}

/// f16 to f32 by the instruction, for the plain form is slow where elements are subnormal.
///
/// # Safety
/// AVX-512 F is available.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn decode_f16(out: &mut [f32], bytes: &[u8]) {
    for (out, bytes) in out.chunks_mut(16).zip(bytes.chunks(32)) {
        let mask = 0xffff >> (16 - out.len().min(bytes.len() / 2));
        // SAFETY: the mask leaves out what lies beyond either slice.
        unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), mask, F16::load(bytes.as_ptr(), mask)) };
    }
}

/// How sixteen stored elements become floats.
trait Load {
    const BYTES: usize;

    /// # Safety
    /// The elements of `mask` can be read.
    unsafe fn load(at: *const u8, mask: __mmask16) -> __m512;
}

struct F32;
struct F16;
struct Bf16;

impl Load for F32 {
    const BYTES: usize = 4;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn load(at: *const u8, mask: __mmask16) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_maskz_loadu_ps(mask, at.cast()) }
    }
}

impl Load for F16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn load(at: *const u8, mask: __mmask16) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, at.cast())) }
    }
}

impl Load for Bf16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn load(at: *const u8, mask: __mmask16) -> __m512 {
        // SAFETY: the caller's promise.
        let bits = unsafe { _mm256_maskz_loadu_epi16(mask, at.cast()) };
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
    }
}

/// Rows of floats from `w` on against `M` rows of activations, in the order of [`super::dots`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn floats_of<L: Load, const M: usize>(w: *const u8, rows: usize, x: [&[f32]; M], first: usize, y: Output) {
    const VECTORS: usize = WIDE / 16;
    let k = x[0].len();
    let whole = k / WIDE * WIDE;
    for j in 0..rows {
        let row = w.wrapping_add(j * k * L::BYTES);
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; M];
        // SAFETY: masks leave out what lies beyond the row; a fetch ahead may be of any address.
        unsafe {
            for at in (0..whole).step_by(WIDE) {
                for line in (0..WIDE * L::BYTES).step_by(64) {
                    _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(at * L::BYTES + line + AHEAD).cast());
                }
                for v in 0..VECTORS {
                    let w = L::load(row.add((at + 16 * v) * L::BYTES), 0xffff);
                    for i in 0..M {
                        sums[i][v] = _mm512_fmadd_ps(w, _mm512_loadu_ps(x[i].as_ptr().add(at + 16 * v)), sums[i][v]);
                    }
                }
            }
            for v in 0..VECTORS {
                let at = whole + 16 * v;
                if at < k {
                    let mask = 0xffff >> 16usize.saturating_sub(k - at);
                    let w = L::load(row.add(at * L::BYTES), mask);
                    for i in 0..M {
                        let x = _mm512_maskz_loadu_ps(mask, x[i].as_ptr().add(at));
                        sums[i][v] = _mm512_fmadd_ps(w, x, sums[i][v]);
                    }
                }
            }
            for i in 0..M {
                let [a, b, c, d] = sums[i];
                y.store(first + i, j, sum(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d))));
            }
        }
    }
}

/// The sum of the lanes, in the order of [`sum_lanes`].
#[inline]
#[target_feature(enable = "avx512f")]
fn sum(v: __m512) -> f32 {
    let mut lanes = [0.0; 16];
    // SAFETY: sixteen lanes are stored.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), v) };
    sum_lanes(lanes)
}

/// Blocks whose scales are converted at once.
const SCALES: usize = 16;

/// Rows of q8_0 from `w` on against `M` rows of rounded activations: two blocks a vector, in the order of
/// [`super::dots`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn q8_0<const M: usize>(w: *const u8, rows: usize, x: [QuantisedRow<'_>; M], first: usize, y: Output) {
    let blocks = x[0].scales.len();
    let lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    let places = _mm512_mullo_epi32(lane, _mm512_set1_epi32(BLOCK_BYTES as i32));
    let pair = _mm512_srli_epi32::<3>(lane);
    for j in 0..rows {
        let row = w.wrapping_add(j * blocks * BLOCK_BYTES);
        let mut sums = [_mm512_setzero_ps(); M];
        for b in (0..blocks).step_by(SCALES) {
            let count = (blocks - b).min(SCALES);
            let mask: __mmask16 = 0xffff >> (SCALES - count);
            let at = row.wrapping_add(b * BLOCK_BYTES);
            // SAFETY: `count` blocks lie at `at` (a scale and two bytes after it are read of each) and at block b of x.
            unsafe {
                let words = _mm512_mask_i32gather_epi32::<1>(_mm512_setzero_si512(), mask, places, at.cast());
                let scales = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words));
                let scales: [__m512; M] =
                    std::array::from_fn(|i| _mm512_mul_ps(scales, _mm512_maskz_loadu_ps(mask, x[i].scales.as_ptr().add(b))));
                for p in (0..count).step_by(2) {
                    let at = at.add(p * BLOCK_BYTES);
                    _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD).cast());
                    let which = _mm512_add_epi32(pair, _mm512_set1_epi32(p as i32));
                    let both = p + 1 < count;
                    let w = signless(two(at.wrapping_add(2), at.wrapping_add(BLOCK_BYTES + 2), both));
                    for i in 0..M {
                        let (bytes, surplus) = (x[i].bytes.as_ptr().add((b + p) * BLOCK), x[i].surplus.as_ptr());
                        let mask = if both { u16::MAX } else { 0xff };
                        let bytes = _mm512_maskz_loadu_epi32(mask, bytes.cast());
                        let surplus = _mm512_maskz_loadu_epi32(mask, surplus.add((b + p) * GROUPS));
                        let exact = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(surplus, w, bytes));
                        sums[i] = _mm512_fmadd_ps(exact, _mm512_permutexvar_ps(which, scales[i]), sums[i]);
                    }
                }
            }
        }
        for i in 0..M {
            // SAFETY: the caller's promise.
            unsafe { y.store(first + i, j, sum(sums[i])) };
        }
    }
}

/// 32 bytes at `a` and, where it exists, 32 at `b`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn two(a: *const u8, b: *const u8, both: bool) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let a = _mm512_castsi256_si512(_mm256_loadu_si256(a.cast()));
        if both {
            _mm512_inserti64x4::<1>(a, _mm256_loadu_si256(b.cast()))
        } else {
            _mm512_zextsi256_si512(_mm512_castsi512_si256(a))
        }
    }
}

/// Signed bytes plus 128.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn signless(w: __m512i) -> __m512i {
    _mm512_xor_si512(w, _mm512_set1_epi8(-128))
}
