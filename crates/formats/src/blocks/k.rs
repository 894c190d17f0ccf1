//! Blocks of 256 weights, whose groups of 16 or 32 have small integer scales under one half-precision scale.

use super::half_at;

/// Weights of a large block.
const LARGE: usize = 256;

/// Scale and minimum of group `j`, 6 bits each, from 12 bytes: the first four groups lie plainly, the bits of the others are
/// spread over what those leave.
fn scale_and_minimum(packed: &[u8], j: usize) -> (f32, f32) {
    let (scale, minimum) = if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        ((packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4, (packed[j + 4] >> 4) | (packed[j] >> 6) << 4)
    };
    (f32::from(scale), f32::from(minimum))
}

/// Scale, scale of the minima, 12 bytes of both for 8 groups, 128 bytes: 32 hold the nibbles of two groups.
pub(crate) fn q4_k(block: &[u8; 144], out: &mut [f32; LARGE]) {
    groups(block, &block[16..], out, |_, _| 0);
}

/// As [`q4_k`], with 32 bytes of fifth bits before the nibbles: bit `g` belongs to group `g`.
pub(crate) fn q5_k(block: &[u8; 176], out: &mut [f32; LARGE]) {
    groups(block, &block[48..], out, |group, l| (block[16 + l] >> group & 1) << 4);
}

/// Eight groups of 32: `high` gives the bits above the nibble of weight `l` of a group.
fn groups(block: &[u8], nibbles: &[u8], out: &mut [f32; LARGE], high: impl Fn(usize, usize) -> u8) {
    let (d, min) = (half_at(block, 0), half_at(block, 2));
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, minimum) = scale_and_minimum(&block[4..16], group);
        let (scale, minimum) = (d * scale, min * minimum);
        let bytes = &nibbles[group / 2 * 32..];
        for (l, (o, byte)) in out.iter_mut().zip(bytes).enumerate() {
            let nibble = if group.is_multiple_of(2) { byte & 15 } else { byte >> 4 };
            *o = scale * f32::from(nibble | high(group, l)) - minimum;
        }
    }
}

/// 128 bytes of nibbles, 64 of upper bit pairs, 16 signed scales, scale. Each half of the block: four runs of 32 weights,
/// whose nibbles are the low, low, high, high ones of 64 bytes and whose bit pairs lie in 32.
pub(crate) fn q6_k(block: &[u8; 210], out: &mut [f32; LARGE]) {
    let d = half_at(block, 208);
    for (i, o) in out.iter_mut().enumerate() {
        let (half, run, l) = (i / 128, i / 32 % 4, i % 32);
        let byte = block[half * 64 + run % 2 * 32 + l];
        let nibble = if run < 2 { byte & 15 } else { byte >> 4 };
        let pair = block[128 + half * 32 + l] >> (2 * run) & 3;
        let scale = d * f32::from(block[192 + i / 16] as i8);
        *o = scale * (f32::from(nibble | pair << 4) - 32.0);
    }
}
