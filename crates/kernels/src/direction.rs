//! Random directions of zeroth-order methods: element i is a function of (seed, i) alone, made for speed, since a step makes
//! every element of a model twice.
//!
//! Threefry4x32 with 12 rounds (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011: the fewest that pass
//! BigCrush) is additions, rotations and exclusive ors, which every vector unit has; 16 counters go side by side. A block of
//! signs is 2048 elements, a bit each; a block of normals 128, a half-word each by Box and Muller, so that no normal exceeds
//! 4.86. Products and sums are rounded one by one: the bits are the same on every instruction set.

use crate::Isa;
use crate::simd::{LANES, multiversion};

/// How the elements of a direction are distributed: mean 0 and variance 1, independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Standard normal.
    Gaussian,
    /// -1 or 1.
    Rademacher,
}

/// A random direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    /// Which.
    pub seed: u64,
    /// Of what elements.
    pub distribution: Distribution,
    /// What computes it; the elements do not depend on it.
    pub isa: Isa,
}

/// Elements of a block of signs, and of normals: reads that begin and end between blocks waste nothing.
pub const SIGNS: usize = 32 * 4 * LANES;
const NORMALS: usize = 2 * 4 * LANES;

impl Noise {
    /// Writes elements `start ..` of the direction.
    pub fn fill(&self, start: usize, out: &mut [f32]) {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        match self.distribution {
            Distribution::Gaussian => fill::<NORMALS>(start, out, |first, out| normals(self.isa, out, key, first)),
            Distribution::Rademacher => fill::<SIGNS>(start, out, |first, out| signs(self.isa, out, key, first)),
        }
    }
}

/// Fills `out` by whole blocks of `N` elements; where it begins or ends inside one, by way of the stack.
fn fill<const N: usize>(start: usize, out: &mut [f32], blocks: impl Fn(u64, &mut [f32])) {
    let (mut at, mut out) = (start, out);
    if !at.is_multiple_of(N) && !out.is_empty() {
        let mut whole = [0.0; N];
        let (skip, len) = (at % N, (N - at % N).min(out.len()));
        blocks((at / N) as u64, &mut whole);
        let (head, rest) = out.split_at_mut(len);
        head.copy_from_slice(&whole[skip..skip + len]);
        (at, out) = (at + len, rest);
    }
    let whole = out.len() / N * N;
    let (middle, tail) = out.split_at_mut(whole);
    blocks((at / N) as u64, middle);
    if !tail.is_empty() {
        let mut last = [0.0; N];
        blocks(((at + whole) / N) as u64, &mut last);
        tail.copy_from_slice(&last[..tail.len()]);
    }
}

type Words = [u32; LANES];

/// Rotations of Threefry4x32, and the constant of its key schedule.
const ROTATIONS: [[u32; 2]; 8] = [[10, 26], [11, 21], [13, 27], [23, 5], [6, 20], [17, 11], [25, 10], [18, 20]];
const PARITY: u32 = 0x1bd1_1bda;
const ROUNDS: usize = 12;

#[inline(always)]
fn mix(a: &mut Words, b: &mut Words, turn: u32) {
    for l in 0..LANES {
        a[l] = a[l].wrapping_add(b[l]);
        b[l] = b[l].rotate_left(turn) ^ a[l];
    }
}

#[inline(always)]
fn threefry(mut x: [Words; 4], key: [u32; 4], rounds: usize) -> [Words; 4] {
    let schedule = [key[0], key[1], key[2], key[3], PARITY ^ key[0] ^ key[1] ^ key[2] ^ key[3]];
    inject(&mut x, &schedule, 0);
    for round in 0..rounds {
        let [first, second] = ROTATIONS[round % 8];
        let [x0, x1, x2, x3] = &mut x;
        if round % 2 == 0 {
            mix(x0, x1, first);
            mix(x2, x3, second);
        } else {
            mix(x0, x3, first);
            mix(x2, x1, second);
        }
        if round % 4 == 3 {
            inject(&mut x, &schedule, round / 4 + 1);
        }
    }
    x
}

#[inline(always)]
fn inject(x: &mut [Words; 4], schedule: &[u32; 5], times: usize) {
    for (i, word) in x.iter_mut().enumerate() {
        let add = schedule[(times + i) % 5].wrapping_add(if i == 3 { times as u32 } else { 0 });
        word.iter_mut().for_each(|w| *w = w.wrapping_add(add));
    }
}

/// What sets the two kinds apart, so that equal seeds of both are independent.
const STREAMS: [u32; 2] = [0x7369_676e, 0x6e6f_726d];

/// Sixteen counters of block `block`.
#[inline(always)]
fn words(block: u64, key: [u32; 2], stream: u32) -> [Words; 4] {
    let mut x = [[0; LANES]; 4];
    x[0] = [block as u32; LANES];
    x[1] = [(block >> 32) as u32; LANES];
    x[2] = std::array::from_fn(|l| l as u32);
    threefry(x, [key[0], key[1], stream, 0], ROUNDS)
}

multiversion! {
    /// Whole blocks of signs from block `first` on.
    fn signs(out: &mut [f32], key: [u32; 2], first: u64) {
        let (blocks, _) = out.as_chunks_mut::<SIGNS>();
        for (i, block) in blocks.iter_mut().enumerate() {
            let x = words(first + i as u64, key, STREAMS[0]);
            let (rows, _) = block.as_chunks_mut::<LANES>();
            for (w, rows) in rows.chunks_exact_mut(32).enumerate() {
                for (bit, row) in rows.iter_mut().enumerate() {
                    for l in 0..LANES {
                        row[l] = f32::from_bits((x[w][l] << bit) & 0x8000_0000 | 0x3f80_0000);
                    }
                }
            }
        }
    }
}

multiversion! {
    /// Whole blocks of normals from block `first` on.
    fn normals(out: &mut [f32], key: [u32; 2], first: u64) {
        let (blocks, _) = out.as_chunks_mut::<NORMALS>();
        for (i, block) in blocks.iter_mut().enumerate() {
            let x = words(first + i as u64, key, STREAMS[1]);
            let (rows, _) = block.as_chunks_mut::<LANES>();
            for (x, rows) in x.iter().zip(rows.chunks_exact_mut(2)) {
                for l in 0..LANES {
                    [rows[0][l], rows[1][l]] = box_muller(x[l]);
                }
            }
        }
    }
}

/// Two independent normals: the radius from the upper half of the word, the angle from the lower.
#[inline(always)]
fn box_muller(word: u32) -> [f32; 2] {
    // in (0, 1): the middle of one of 65,536 equal parts
    let u = ((word >> 16) as i32 as f32 + 0.5) * (1.0 / 65_536.0);
    let r = (-2.0 * ln(u)).sqrt();
    // the quadrant is exact, the rest lies within a quarter of pi
    let turned = (word & 0xffff).wrapping_add(1 << 13);
    let x = ((turned & 0x3fff) as i32 - (1 << 13)) as f32 * (std::f32::consts::FRAC_PI_2 / 16_384.0);
    let s = x * x;
    let sin = ((-1.951_529_6e-4 * s + 8.332_161e-3) * s - 1.666_665_5e-1) * s * x + x;
    let cos = ((2.443_315_7e-5 * s - 1.388_731_6e-3) * s + 4.166_664_6e-2) * s * s - 0.5 * s + 1.0;
    let swap = (turned >> 14) & 1 == 1;
    let (a, b) = if swap { (sin, cos) } else { (cos, sin) };
    // quadrants 1 and 2 turn the sign of the cosine, 2 and 3 that of the sine
    let (flip_a, flip_b) = (((turned >> 14) + 1) << 30, turned << 16);
    let sign = |x: f32, flip: u32| f32::from_bits(x.to_bits() ^ (flip & 0x8000_0000));
    [r * sign(a, flip_a), r * sign(b, flip_b)]
}

/// ln x for normal x in (0, 1): x = m 2^e with m in [sqrt(1/2), sqrt 2), then a polynomial in m - 1 (Cephes
/// `logf`).
#[inline(always)]
fn ln(x: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let e = (shifted as i32 >> 23) as f32;
    let f = f32::from_bits((shifted & 0x007f_ffff) + SQRT_HALF_BITS) - 1.0;
    let p = 7.037_683_6e-2;
    let p = p * f - 1.151_461e-1;
    let p = p * f + 1.167_699_9e-1;
    let p = p * f - 1.242_014_1e-1;
    let p = p * f + 1.424_932_3e-1;
    let p = p * f - 1.666_805_8e-1;
    let p = p * f + 2.000_071_5e-1;
    let p = p * f - 2.499_999_4e-1;
    let p = p * f + 3.333_333e-1;
    (p * f - 0.5) * (f * f) + f + e * std::f32::consts::LN_2
}

#[cfg(test)]
mod tests;
