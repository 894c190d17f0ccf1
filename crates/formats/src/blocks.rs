//! Blocks of 32 weights (this file) and of 256 (`k.rs`), as ggml defines them: one function a block, `w = scale * q (+ minimum)`.
//!
//! Arithmetic is in f32, in the order of ggml's reference, so that results are the same to the last bit.

mod k;

use half::f16;

pub(crate) use k::{q4_k, q5_k, q6_k};

/// Weights of a small block.
const SMALL: usize = 32;

/// Decodes block by block. `B` bytes hold `N` weights.
pub(crate) fn decode<const B: usize, const N: usize>(bytes: &[u8], out: &mut [f32], one: fn(&[u8; B], &mut [f32; N])) {
    let (blocks, _) = bytes.as_chunks::<B>();
    let (outs, _) = out.as_chunks_mut::<N>();
    outs.iter_mut().zip(blocks).for_each(|(o, b)| one(b, o));
}

/// The half at `at`.
fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Scale, 32 signed bytes.
pub(crate) fn q8_0(block: &[u8; 34], out: &mut [f32; SMALL]) {
    let d = half_at(block, 0);
    out.iter_mut().zip(&block[2..]).for_each(|(o, q)| *o = d * f32::from(*q as i8));
}

/// Scale, 16 bytes: low nibbles are the first half, high ones the second.
pub(crate) fn q4_0(block: &[u8; 18], out: &mut [f32; SMALL]) {
    let d = half_at(block, 0);
    for (j, q) in block[2..].iter().enumerate() {
        out[j] = d * (f32::from(q & 15) - 8.0);
        out[j + 16] = d * (f32::from(q >> 4) - 8.0);
    }
}

/// Scale, minimum, 16 bytes.
pub(crate) fn q4_1(block: &[u8; 20], out: &mut [f32; SMALL]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (j, q) in block[4..].iter().enumerate() {
        out[j] = d * f32::from(q & 15) + m;
        out[j + 16] = d * f32::from(q >> 4) + m;
    }
}

/// Scale, the fifth bits of all weights, 16 bytes.
pub(crate) fn q5_0(block: &[u8; 22], out: &mut [f32; SMALL]) {
    let d = half_at(block, 0);
    five_bits(&block[2..], |j, q| out[j] = d * (f32::from(q) - 16.0));
}

/// Scale, minimum, the fifth bits, 16 bytes.
pub(crate) fn q5_1(block: &[u8; 24], out: &mut [f32; SMALL]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    five_bits(&block[4..], |j, q| out[j] = d * f32::from(q) + m);
}

/// Hands on weight `j` of a block whose four bytes of fifth bits are followed by 16 of nibbles.
fn five_bits(bits: &[u8], mut put: impl FnMut(usize, u8)) {
    let high = u32::from_le_bytes([bits[0], bits[1], bits[2], bits[3]]);
    let fifth = |j: usize| ((high >> j) as u8 & 1) << 4;
    for (j, q) in bits[4..].iter().enumerate() {
        put(j, (q & 15) | fifth(j));
        put(j + 16, (q >> 4) | fifth(j + 16));
    }
}

/// Appends blocks of [`q8_0`]: `d = max |w| / 127`, `q = round(w / d)`, halves away from zero. `false`, with nothing
/// appended, when a value is not finite or a scale is beyond half precision.
pub(crate) fn encode_q8_0(values: &[f32], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    for block in values.chunks_exact(SMALL) {
        let largest = block.iter().fold(0f32, |m, v| m.max(v.abs()));
        let d = largest / 127.0;
        let scale = f16::from_f32(d);
        if !(scale.is_finite() && block.iter().all(|v| v.is_finite())) {
            out.truncate(before);
            return false;
        }
        // a scale so small that its inverse is infinite is zero in half precision, and so is all that it multiplies
        let inverse = Some(1.0 / d).filter(|i: &f32| i.is_finite()).unwrap_or(0.0);
        out.extend_from_slice(&scale.to_le_bytes());
        out.extend(block.iter().map(|v| (v * inverse).round() as i8 as u8));
    }
    true
}
