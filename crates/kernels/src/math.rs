//! Elementary functions as polynomials: they vectorise, and they give the same bits on every platform.

use crate::simd::LANES;

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts, the first exact in products with small integers (Cody and Waite).
const LN2_HI: f32 = 0.693_359_4;
const LN2_LO: f32 = -2.121_944_4e-4;
/// Adding this rounds to an integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0;

/// `e^x` within 2 ulp for `x` in `[-87.3, 88.7]`, clamped outside; NaN stays NaN. Cephes `expf` coefficients.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.7 { 88.7 } else { x };
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HI) - n * LN2_LO;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_6e-1;
    let p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    // 2^n in two factors: n = 128 has no float of its own
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    y * power_of_two(n >> 1) * power_of_two(n.wrapping_sub(n >> 1))
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// Logistic function.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Sum of 16 lanes in a fixed tree.
#[inline(always)]
pub(crate) fn sum_lanes(lanes: [f32; LANES]) -> f32 {
    let mut l = lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            l[i] += l[i + width];
        }
        width /= 2;
    }
    l[0]
}

/// `sum a_i b_i` over 16 lanes.
#[inline(always)]
pub(crate) fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut acc = [0.0f32; LANES];
    let (ac, at) = a.as_chunks::<LANES>();
    let (bc, bt) = b.as_chunks::<LANES>();
    for (x, y) in ac.iter().zip(bc) {
        for l in 0..LANES {
            acc[l] = crate::simd::madd::<FMA>(x[l], y[l], acc[l]);
        }
    }
    for (l, (x, y)) in at.iter().zip(bt).enumerate() {
        acc[l] = crate::simd::madd::<FMA>(*x, *y, acc[l]);
    }
    sum_lanes(acc)
}

/// `sum a b c` over 16 lanes.
#[inline(always)]
pub(crate) fn dot3<const FMA: bool>(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let mut acc = [0.0f32; LANES];
    let ((ac, at), (bc, bt), (cc, ct)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>(), c.as_chunks::<LANES>());
    for ((x, y), z) in ac.iter().zip(bc).zip(cc) {
        for l in 0..LANES {
            acc[l] = crate::simd::madd::<FMA>(x[l] * y[l], z[l], acc[l]);
        }
    }
    for (l, ((x, y), z)) in at.iter().zip(bt).zip(ct).enumerate() {
        acc[l] = crate::simd::madd::<FMA>(x * y, *z, acc[l]);
    }
    sum_lanes(acc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_ulp() {
        let mut worst = 0.0f64;
        for i in -87_000..88_700 {
            let x = i as f32 * 1e-3;
            let exact = f64::from(x).exp();
            worst = worst.max(((f64::from(exp(x)) - exact) / exact).abs());
        }
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "relative error {worst:e}");
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(-1e9) < 1.3e-38 && exp(1e9) > 1e38);
    }
}
