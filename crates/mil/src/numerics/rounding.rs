//! Rounding of `f32` to narrower types, without branches, so that loops over it vectorise.

/// Magnitude bits from which on a number of fp16 is normal: 2^-14.
const NORMAL: u32 = 0x3880_0000;
/// Magnitude bits of 65536, the first power of two that fp16 lacks.
const TOO_LARGE: u32 = 0x4780_0000;
const INFINITY: u32 = 0x7f80_0000;

/// The nearest number of fp16, ties to even; beyond the largest one infinity; NaN stays.
#[inline]
pub fn round_fp16(x: f32) -> f32 {
    let magnitude = x.to_bits() & 0x7fff_ffff;
    select_fp16(x, magnitude.wrapping_add(0x0fff + (magnitude >> 13 & 1)) & !0x1fff)
}

/// As [`round_fp16`], ties away from zero where the result is normal.
#[inline]
pub(super) fn round_fp16_away(x: f32) -> f32 {
    let magnitude = x.to_bits() & 0x7fff_ffff;
    select_fp16(x, magnitude.wrapping_add(0x1000) & !0x1fff)
}

/// `x` rounded, given its magnitude rounded as a normal number is.
#[inline]
fn select_fp16(x: f32, normal: u32) -> f32 {
    let bits = x.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    // beside 0.5 an f32 has steps of 2^-24, those of a denormal fp16
    let denormal = ((f32::from_bits(magnitude) + 0.5) - 0.5).to_bits();
    let rounded = if magnitude < NORMAL { denormal } else { normal };
    let rounded = if rounded >= TOO_LARGE { INFINITY } else { rounded };
    let rounded = if magnitude > INFINITY { magnitude } else { rounded };
    f32::from_bits(rounded | bits & 0x8000_0000)
}

/// The nearest number of bfloat16, ties to even; NaN stays.
#[inline]
pub fn round_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & !0xffff;
    f32::from_bits(if bits & 0x7fff_ffff > INFINITY { bits } else { rounded })
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    /// Every fp16 number, the numbers midway between two, and their neighbours in f32, of both signs.
    #[test]
    fn rounding_agrees_with_half_everywhere_it_can_turn() {
        for i in 0..0x7c00u16 {
            let (low, high) = (f16::from_bits(i).to_f32(), f16::from_bits(i + 1).to_f32());
            let middle = if high.is_finite() { (low + high) / 2.0 } else { 65520.0 };
            for x in [low, middle, middle.next_down(), middle.next_up()] {
                for x in [x, -x] {
                    assert_eq!(round_fp16(x).to_bits(), f16::from_f32(x).to_f32().to_bits(), "{x:e}");
                }
            }
        }
        for x in [f32::INFINITY, f32::MAX, 65519.996, 1e-8, 2.0f32.powi(-25), 0.0, -0.0] {
            assert_eq!(round_fp16(x).to_bits(), f16::from_f32(x).to_f32().to_bits(), "{x:e}");
        }
        assert!(round_fp16(f32::NAN).is_nan());
    }

    #[test]
    fn bfloat16_agrees_with_half() {
        for i in (0..u32::MAX).step_by(65_521) {
            let x = f32::from_bits(i);
            if !x.is_nan() {
                assert_eq!(round_bf16(x).to_bits(), bf16::from_f32(x).to_f32().to_bits(), "{x:e}");
            }
        }
        assert!(round_bf16(f32::NAN).is_nan());
    }
}
