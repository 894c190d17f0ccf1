//! Activations as the engine computes them: straight lines between 33 knots.
//!
//! Measured: largest errors sigmoid 0.0034, tanh 0.0017, gelu 0.0059; gelu(0) = -0.000543, silu(0) = -0.001259; sigmoid
//! clamps its argument to [-9.938, 8.320]. Where the knots lie is not known: here they are even, over a range that makes the
//! error about what was measured, and the function itself is taken outside of it.

/// Intervals between the 33 knots.
const INTERVALS: usize = 32;

/// A function that the engine has a table of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `tanh(x)`
    Tanh,
    /// `x Φ(x)`
    Gelu,
    /// `x sigmoid(x)`
    Silu,
}

/// A table: knots at even steps.
pub(crate) struct Table {
    low: f32,
    step: f32,
    knots: [f32; INTERVALS + 1],
    function: fn(f64) -> f64,
    /// Beyond its range the argument is taken to be at its edge.
    clamps: bool,
    /// The function is odd, and the table holds its right half.
    odd: bool,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn gelu(x: f64) -> f64 {
    x * 0.5 * super::super::interpreter::special::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

impl Table {
    /// The table of `activation`.
    pub(crate) fn new(activation: Activation) -> Table {
        match activation {
            Activation::Sigmoid => Table::even(sigmoid, -9.938, 8.320, true, false),
            Activation::Tanh => Table::even(f64::tanh, 0.0, 4.25, false, true),
            Activation::Gelu => Table::even(gelu, -3.9, 3.9, false, false).with_zero(-0.000543),
            Activation::Silu => Table::even(silu, -6.0, 6.0, false, false).with_zero(-0.001259),
        }
    }

    fn even(function: fn(f64) -> f64, low: f64, high: f64, clamps: bool, odd: bool) -> Table {
        let step = (high - low) / INTERVALS as f64;
        let knots = std::array::from_fn(|i| super::round_fp16(function(low + step * i as f64) as f32));
        Table { low: low as f32, step: step as f32, knots, function, clamps, odd }
    }

    /// The knot in the middle is the one at 0.
    fn with_zero(mut self, value: f32) -> Table {
        self.knots[INTERVALS / 2] = value;
        self
    }

    /// The function at `x`, not yet rounded.
    pub(crate) fn at(&self, x: f32) -> f32 {
        let magnitude = if self.odd { x.abs() } else { x };
        let place = (magnitude - self.low) / self.step;
        let outside = !(0.0..=INTERVALS as f32).contains(&place);
        let y = if outside && !self.clamps {
            (self.function)(f64::from(magnitude)) as f32
        } else {
            let place = place.clamp(0.0, INTERVALS as f32);
            let i = (place as usize).min(INTERVALS - 1);
            self.knots[i] + (self.knots[i + 1] - self.knots[i]) * (place - i as f32)
        };
        if self.odd && x < 0.0 { -y } else { y }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(activation: Activation, function: fn(f64) -> f64) -> f64 {
        let table = Table::new(activation);
        let points = (-2000..=2000).map(|i| f64::from(i) / 200.0);
        points.map(|x| (f64::from(table.at(x as f32)) - function(x)).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn errors_are_about_those_measured() {
        let errors = [
            (Activation::Sigmoid, worst(Activation::Sigmoid, sigmoid), 0.0034),
            (Activation::Tanh, worst(Activation::Tanh, f64::tanh), 0.0017),
        ];
        for (activation, error, measured) in errors {
            assert!((0.5..1.5).contains(&(error / measured)), "{activation:?}: {error}");
        }
        let error = worst(Activation::Gelu, gelu);
        assert!((0.5..1.5).contains(&(error / 0.0059)), "{error}");
    }

    #[test]
    fn values_at_zero_are_those_measured() {
        assert_eq!(Table::new(Activation::Gelu).at(0.0), -0.000543);
        assert_eq!(Table::new(Activation::Silu).at(0.0), -0.001259);
    }

    #[test]
    fn ends_are_those_measured() {
        let sigmoid = Table::new(Activation::Sigmoid);
        assert_eq!(sigmoid.at(f32::INFINITY), sigmoid.at(8.320));
        assert_eq!(sigmoid.at(-f32::INFINITY), sigmoid.at(-9.938));
        assert_eq!(Table::new(Activation::Tanh).at(-f32::INFINITY), -1.0);
    }
}
