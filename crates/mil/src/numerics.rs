//! How operations round: named profiles, each a set of switches.
//!
//! `exact` evaluates each operation in `f32` and rounds its result to the type of the result, to nearest, ties to even,
//! overflow to infinity: the definition of what programs mean. `f64` is the oracle that tolerances are measured against: no
//! rounding at all. `m1` ... `m5` model what was measured on the engines of these chips.
//!
//! The model of a dot product on the engine: lanes go through an adder in tiles of four, which aligns its operands to the
//! larger of them and keeps 12 significant bits of it; what leaves a tile is added up in `f32`. It is the simplest rule that
//! gives the measured values (4096 followed by 1024 ones makes 5116; of sixteen ones between a and -a all survive below
//! 4096, four from there on); the true order of lanes is not known.

mod lut;
mod rounding;

use std::fmt;
use std::sync::Arc;

use crate::tensor::Real;
use crate::{Chip, DType};

pub(crate) use lut::{Activation, Table};
pub use rounding::{round_bf16, round_fp16};

/// A matrix product: `c [m, n] = a [m, k] x b [k, n]`, all dense and row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Rows of `a` and `c`.
    pub m: usize,
    /// Columns of `b` and `c`.
    pub n: usize,
    /// Columns of `a`, rows of `b`.
    pub k: usize,
    /// Whether `a` is stored as `[k, m]`.
    pub transpose_a: bool,
    /// Whether `b` is stored as `[n, k]`.
    pub transpose_b: bool,
}

/// A function that computes a [`Product`] of `a` and `b` into `c`, which it overwrites. It must give the same bits whatever
/// the number of threads.
pub type MatMul = Arc<dyn Fn(&Product, &[f32], &[f32], &mut [f32]) + Send + Sync>;

/// In what numbers operations are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// `f32`, rounded to the type of the result after each operation.
    Single,
    /// `f64`, never rounded.
    Double,
}

/// A named profile.
#[derive(Clone)]
pub struct Numerics {
    /// `exact`, `f64`, `m1` ... `m5`.
    pub name: &'static str,
    /// In what numbers operations are evaluated.
    pub precision: Precision,
    /// Results that lie midway between two numbers of fp16 go away from zero rather than to the even one.
    pub ties_away: bool,
    /// Dot products lose bits in tiles of four lanes.
    pub tiles: bool,
    /// Dot products of this magnitude, or that pass through it, are infinite.
    pub product_limit: Option<f32>,
    /// Dot products take denormal numbers for zero.
    pub flush_products: bool,
    /// There is no NaN and no negative zero: a NaN that comes in is infinite, one that would arise is zero.
    pub no_nan: bool,
    /// Activations are piecewise linear.
    pub tables: bool,
    /// A slice that does not begin at the left edge makes magnitudes above 4094 infinite.
    pub slice_gain: bool,
    /// Attention does not look at its mask.
    pub ignores_masks: bool,
    matmul: Option<MatMul>,
}

impl fmt::Debug for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Numerics({})", self.name)
    }
}

impl Default for Numerics {
    fn default() -> Numerics {
        Numerics::exact()
    }
}

impl Numerics {
    /// Names of all profiles.
    pub const NAMES: [&'static str; 7] = ["exact", "f64", "m1", "m2", "m3", "m4", "m5"];

    /// Each operation in `f32`, its result rounded to its type.
    pub fn exact() -> Numerics {
        Numerics {
            name: "exact",
            precision: Precision::Single,
            ties_away: false,
            tiles: false,
            product_limit: None,
            flush_products: false,
            no_nan: false,
            tables: false,
            slice_gain: false,
            ignores_masks: false,
            matmul: None,
        }
    }

    /// The oracle: `f64` throughout.
    pub fn oracle() -> Numerics {
        Numerics { name: "f64", precision: Precision::Double, ..Numerics::exact() }
    }

    /// The engine of `chip`. What was measured on M1 alone is taken to hold up to M4; M5 was seen to add up in wide numbers
    /// and to round ties away from zero.
    pub fn ane(chip: Chip) -> Numerics {
        let m5 = chip == Chip::M5;
        Numerics {
            name: chip.name(),
            ties_away: m5,
            tiles: !m5,
            product_limit: (!m5).then_some(32768.0),
            flush_products: chip == Chip::M1,
            no_nan: true,
            tables: true,
            slice_gain: chip <= Chip::M2,
            ignores_masks: true,
            ..Numerics::exact()
        }
    }

    /// The profile called `name`.
    pub fn of_name(name: &str) -> Option<Numerics> {
        match name {
            "exact" => Some(Numerics::exact()),
            "f64" => Some(Numerics::oracle()),
            chip => Chip::of_name(chip).map(Numerics::ane),
        }
    }

    /// The same profile with `matmul` for matrix products and convolutions, where the profile asks for plain products in
    /// `f32`; the models of engines keep their own.
    pub fn with_matmul(mut self, matmul: MatMul) -> Numerics {
        self.matmul = Some(matmul);
        self
    }

    /// The injected product, where this profile may use it.
    pub(crate) fn matmul(&self) -> Option<&MatMul> {
        self.matmul.as_ref().filter(|_| !self.tiles && self.product_limit.is_none() && !self.flush_products)
    }

    /// Makes of `values`, as an operation computed them, elements of type `dtype`.
    pub(crate) fn finish<F: Real>(&self, dtype: DType, values: &mut [F]) {
        let Some(values) = F::singles_mut(values) else { return };
        match dtype {
            DType::Fp16 if self.ties_away => values.iter_mut().for_each(|x| *x = rounding::round_fp16_away(*x)),
            DType::Fp16 => values.iter_mut().for_each(|x| *x = round_fp16(*x)),
            DType::Bf16 => values.iter_mut().for_each(|x| *x = round_bf16(*x)),
            _ => {}
        }
        if self.no_nan {
            // x + 0 turns the negative zero into the positive one
            values.iter_mut().for_each(|x| *x = if x.is_nan() { 0.0 } else { *x + 0.0 });
        }
    }

    /// Makes of `values`, as they come in from outside, elements of type `dtype`.
    pub(crate) fn admit<F: Real>(&self, dtype: DType, values: &mut [F]) {
        if self.no_nan {
            let Some(values) = F::singles_mut(values) else { return };
            values.iter_mut().for_each(|x| *x = if x.is_nan() { f32::INFINITY } else { *x });
        }
        self.finish(dtype, values);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_profiles() {
        for name in Numerics::NAMES {
            assert_eq!(Numerics::of_name(name).unwrap().name, name);
        }
        assert!(Numerics::of_name("m6").is_none());
    }

    #[test]
    fn ties_by_chip() {
        let round = |chip, x: f32| {
            let mut v = [x];
            Numerics::ane(chip).finish(DType::Fp16, &mut v);
            v[0]
        };
        assert_eq!(round(Chip::M1, 2049.0), 2048.0);
        assert_eq!(round(Chip::M5, 2049.0), 2050.0);
        assert_eq!(round(Chip::M5, -2049.0), -2050.0);
    }

    #[test]
    fn no_nan_and_no_negative_zero_on_an_engine() {
        let mut v = [f32::NAN, -0.0, -f32::INFINITY];
        Numerics::ane(Chip::M4).admit(DType::Fp16, &mut v);
        assert_eq!(v.map(f32::to_bits), [f32::INFINITY, 0.0, -f32::INFINITY].map(f32::to_bits));
        let mut v = [f32::NAN];
        Numerics::ane(Chip::M4).finish(DType::Fp16, &mut v);
        assert_eq!(v[0].to_bits(), 0);
    }
}
