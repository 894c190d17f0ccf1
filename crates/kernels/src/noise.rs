//! Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011).
//!
//! Number i of a stream is a function of (seed, purpose, i) alone, so it depends neither on threads nor on chunks, and
//! one stream can change without shifting another. Normals use polynomials of their own for ln, sin and cos: the
//! mathematical libraries of platforms differ in the last bits.

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;
/// Numbers in a block.
const LANES: u64 = 4;

/// One stream of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
    purpose: [u32; 2],
}

impl Philox {
    /// The stream of `purpose` under `seed`; different pairs are independent streams.
    pub fn new(seed: u64, purpose: u64) -> Philox {
        Philox { key: halves(seed), purpose: halves(purpose) }
    }

    /// Four random words.
    pub fn block(&self, counter: u64) -> [u32; 4] {
        let [low, high] = halves(counter);
        rounds([low, high, self.purpose[0], self.purpose[1]], self.key)
    }

    /// Number `i` of the stream, uniform in [0, 1), a multiple of 2^-24.
    pub fn uniform(&self, i: u64) -> f32 {
        unit(self.block(i / LANES)[(i % LANES) as usize])
    }

    /// An index below `n`, from draw `i`: block `i`, not number `i`, of the stream. 0 when `n` is 0.
    ///
    /// The bias is below n / 2^64.
    pub fn index(&self, i: u64, n: usize) -> usize {
        let [low, high, ..] = self.block(i);
        let word = u64::from(high) << 32 | u64::from(low);
        ((u128::from(word) * n as u128) >> 64) as usize
    }

    /// Writes numbers `start..` of the stream, scaled to [lo, hi); rounding may reach `hi`.
    pub fn fill_uniform(&self, out: &mut [f32], start: u64, lo: f32, hi: f32) {
        self.fill(out, start, |block| block.map(|word| lo + (hi - lo) * unit(word)));
    }

    /// Writes standard normals `start..` of the stream (Box-Muller, magnitude below 6.8).
    pub fn fill_normal(&self, out: &mut [f32], start: u64) {
        self.fill(out, start, |[a, b, c, d]| {
            let ([x, y], [z, w]) = (normals(a, b), normals(c, d));
            [x, y, z, w]
        });
    }

    fn fill(&self, out: &mut [f32], start: u64, values: impl Fn([u32; 4]) -> [f32; 4]) {
        let skip = (start % LANES) as usize;
        let head = out.len().min((LANES as usize - skip) % LANES as usize);
        let (first, rest) = out.split_at_mut(head);
        let mut counter = start / LANES;
        if head > 0 {
            first.copy_from_slice(&values(self.block(counter))[skip..skip + head]);
            counter += 1;
        }
        for part in rest.chunks_mut(LANES as usize) {
            part.copy_from_slice(&values(self.block(counter))[..part.len()]);
            counter += 1;
        }
    }
}

fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

fn rounds(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let [low_0, high_0] = halves(u64::from(MULTIPLIERS[0]) * u64::from(counter[0]));
        let [low_1, high_1] = halves(u64::from(MULTIPLIERS[1]) * u64::from(counter[2]));
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// The upper 24 bits as a fraction: exact in f32.
fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// Two independent standard normals from two words.
fn normals(radius: u32, angle: u32) -> [f32; 2] {
    // In (0, 1]: never 0, whose logarithm is infinite.
    let u = (radius as f32 + 0.5) * (1.0 / (1u64 << 32) as f32);
    let r = (-2.0 * ln(u)).max(0.0).sqrt();
    let [sin, cos] = sin_cos(angle);
    [r * cos, r * sin]
}

/// ln x for normal positive x: x = m 2^e with m in [sqrt(1/2), sqrt 2), then a polynomial in m - 1 (Cephes `logf`).
fn ln(x: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let e = (shifted as i32 >> 23) as f32;
    let f = f32::from_bits((shifted & 0x007f_ffff) + SQRT_HALF_BITS) - 1.0;
    let coefficients = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    let poly = coefficients.into_iter().fold(0.0, |sum, c| sum * f + c);
    // ln 2 in two parts: the first has few bits, so that its product with e is exact.
    let tail = poly * f * f * f + e * -2.121_944_4e-4 - 0.5 * f * f;
    f + tail + e * 0.693_359_4
}

/// sin and cos of 2 pi word / 2^32: the quadrant is exact, the rest lies within a quarter of pi.
fn sin_cos(word: u32) -> [f32; 2] {
    let turned = word.wrapping_add(1 << 29);
    let x = (turned << 2 >> 2) as f32 - (1u32 << 29) as f32;
    let x = x * (std::f32::consts::FRAC_PI_2 / (1u32 << 30) as f32);
    let s = x * x;
    let sin = ((-1.951_529_6e-4 * s + 8.332_161e-3) * s - 1.666_665_5e-1) * s * x + x;
    let cos = ((2.443_315_7e-5 * s - 1.388_731_6e-3) * s + 4.166_664_6e-2) * s * s - 0.5 * s + 1.0;
    match turned >> 30 {
        0 => [sin, cos],
        1 => [cos, -sin],
        2 => [-sin, -cos],
        _ => [-cos, sin],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        // kat_vectors of Random123, philox4x32 with 10 rounds.
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ];
        for (counter, key, want) in cases {
            assert_eq!(rounds(counter, key), want);
        }
        let philox = Philox::new(0x299f_31d0_a409_3822, 0x0370_7344_1319_8a2e);
        assert_eq!(philox.block(0x85a3_08d3_243f_6a88), cases[2].2);
    }

    #[test]
    fn chunks_do_not_matter() {
        let philox = Philox::new(7, 9);
        let mut whole = vec![0.0; 103];
        for normal in [false, true] {
            let fill = |out: &mut [f32], start| {
                if normal { philox.fill_normal(out, start) } else { philox.fill_uniform(out, start, -2.0, 3.0) }
            };
            fill(&mut whole, 5);
            for chunk in [1, 2, 3, 4, 5, 7, 50] {
                let mut parts = vec![0.0; 103];
                for (i, part) in parts.chunks_mut(chunk).enumerate() {
                    fill(part, 5 + (i * chunk) as u64);
                }
                assert_eq!(parts, whole, "chunk {chunk}");
            }
        }
        philox.fill_uniform(&mut whole, 11, 0.0, 1.0);
        assert!(whole.iter().zip(11..).all(|(&x, i)| x == philox.uniform(i)));
    }

    #[test]
    fn streams_differ() {
        let blocks = [(1, 1), (1, 2), (2, 1), (1 << 32, 1), (1, 1 << 32)].map(|(s, p)| Philox::new(s, p).block(0));
        for (i, a) in blocks.iter().enumerate() {
            assert!(blocks[..i].iter().all(|b| a != b));
        }
    }

    #[test]
    fn functions_are_accurate() {
        for i in 0..200_000u32 {
            let word = i.wrapping_mul(0x9e37_79b9);
            let u = (word as f32 + 0.5) * (1.0 / (1u64 << 32) as f32);
            let want = f64::from(u).ln();
            assert!((f64::from(ln(u)) - want).abs() <= 2e-7 * want.abs() + 1e-9, "ln {u}");
            let angle = f64::from(word) / 4_294_967_296.0 * std::f64::consts::TAU;
            let [sin, cos] = sin_cos(word).map(f64::from);
            assert!((sin - angle.sin()).abs() < 2e-7 && (cos - angle.cos()).abs() < 2e-7, "angle {angle}");
        }
    }

    #[test]
    fn bits_are_those_of_every_platform() {
        let mut out = [0.0; 4];
        Philox::new(42, 0).fill_normal(&mut out, 0);
        assert_eq!(out.map(f32::to_bits), NORMALS_OF_42, "{:#010x?}", out.map(f32::to_bits));
    }

    /// The first normals of seed 42, purpose 0, within 1e-6 of those of f64; no step of the formula may round otherwise.
    const NORMALS_OF_42: [u32; 4] = [0xbf78_5e5c, 0x3e46_ace8, 0xbf9e_28d3, 0x3ff6_433c];

    #[test]
    fn moments() {
        let n = 1 << 20;
        let mut out = vec![0.0; n];
        let moment = |out: &[f32], power| out.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / n as f64;
        Philox::new(3, 1).fill_normal(&mut out, 0);
        assert!(out.iter().all(|x| x.is_finite() && x.abs() < 6.8));
        for (power, want, tolerance) in [(1, 0.0, 5e-3), (2, 1.0, 8e-3), (3, 0.0, 2e-2), (4, 3.0, 6e-2)] {
            let got = moment(&out, power);
            assert!((got - want).abs() < tolerance, "normal moment {power}: {got}");
        }
        Philox::new(3, 2).fill_uniform(&mut out, 0, 0.0, 1.0);
        assert!(out.iter().all(|x| (0.0..1.0).contains(x)));
        for power in 1..4 {
            let (got, want) = (moment(&out, power), 1.0 / f64::from(power + 1));
            assert!((got - want).abs() < 2e-3, "uniform moment {power}: {got}");
        }
    }

    #[test]
    fn indices_are_even() {
        let philox = Philox::new(5, 5);
        assert_eq!(philox.index(0, 0), 0);
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|i| counts[philox.index(i, 7)] += 1);
        assert!(counts.iter().all(|&c| c.abs_diff(10_000) < 500), "{counts:?}");
    }
}
