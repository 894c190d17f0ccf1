//! The error function, which the standard library lacks.

use std::f64::consts::PI;

/// Where the series gives way to the continued fraction.
const FAR: f64 = 2.5;

/// `2/√π ∫₀ˣ exp(-t²) dt`, to about 1e-15.
pub(crate) fn erf(x: f64) -> f64 {
    if x.is_nan() {
        x
    } else if x.abs() < FAR {
        series(x)
    } else {
        x.signum() * (1.0 - fraction(x.abs()))
    }
}

/// `1 - erf(x)`, without loss where that is small.
pub(crate) fn erfc(x: f64) -> f64 {
    if x < FAR { 1.0 - erf(x) } else { fraction(x) }
}

/// `2/√π exp(-x²) Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!`: all terms have one sign.
fn series(x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// `exp(-x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...))))`, for large `x`.
fn fraction(x: f64) -> f64 {
    let tail = (1..=60).rev().fold(x, |tail, n| x + f64::from(n) / 2.0 / tail);
    (-x * x).exp() / PI.sqrt() / tail
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the tables of Abramowitz and Stegun, 7.1.
    #[test]
    fn tabulated_values() {
        for (x, y) in [(0.0, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)] {
            assert!((erf(x) - y).abs() < 1e-10, "{x}: {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        assert!((erfc(3.0) / 2.209_049_699_858_544e-5 - 1.0).abs() < 1e-12);
        assert!((erfc(2.4999999) / erfc(2.5000001) - 1.0).abs() < 1e-5);
        assert_eq!((erf(f64::INFINITY), erf(f64::NEG_INFINITY)), (1.0, -1.0));
    }
}
