//! A loss and how sure of it we are.
//!
//! Windows are the clusters: tokens of one window share their context, so a per-token standard error would be far too
//! small. With window `i` of loss sum `s_i` over `n_i` tokens and `N = sum n_i`, the token-weighted mean is
//! `mu = sum s_i / N` and, for `k` windows, `SE^2 = k/(k-1) * sum (s_i - mu n_i)^2 / N^2` (linearised ratio estimator;
//! Cochran, Sampling Techniques, 6.3, without the finite-population factor).

use serde::{Deserialize, Serialize};

/// A number with its standard error; the error is NaN where it cannot be known (fewer than two windows).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The number.
    #[serde(with = "crate::number")]
    pub value: f64,
    /// Its standard error.
    #[serde(with = "crate::number")]
    pub se: f64,
}

impl Estimate {
    fn scaled(self, factor: f64) -> Estimate {
        Estimate { value: self.value * factor, se: self.se * factor }
    }
}

/// Running sums over windows. The order of [`LossStats::add`] is the order of summation: keep it fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossStats {
    windows: u64,
    tokens: u64,
    sum: f64,
    /// Mean of the first window with tokens: sums are taken about it, so that equal windows give an error of zero.
    origin: f64,
    dd: f64,
    dn: f64,
    nn: f64,
}

impl LossStats {
    /// No windows yet.
    pub fn new() -> LossStats {
        LossStats::default()
    }

    /// Adds a window: the sum of its losses in nats, and the number of tokens that carry a loss. Empty windows are ignored.
    pub fn add(&mut self, sum: f64, tokens: u64) {
        if tokens == 0 {
            return;
        }
        let n = tokens as f64;
        if self.windows == 0 {
            self.origin = sum / n;
        }
        let d = sum - self.origin * n;
        self.windows += 1;
        self.tokens += tokens;
        self.sum += sum;
        self.dd += d * d;
        self.dn += d * n;
        self.nn += n * n;
    }

    /// Windows that had tokens.
    pub fn windows(&self) -> u64 {
        self.windows
    }

    /// Tokens that carried a loss.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Total loss in nats.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Mean loss in nats a token; NaN without tokens.
    pub fn mean(&self) -> Estimate {
        let n = self.tokens as f64;
        Estimate { value: self.sum / n, se: self.standard_error() }
    }

    /// `exp(mean)`; its error by the delta method.
    pub fn perplexity(&self) -> Estimate {
        let mean = self.mean();
        let value = mean.value.exp();
        Estimate { value, se: value * mean.se }
    }

    /// Bits a byte of the text that the tokens decode to: `nats * tokens / ln 2 / bytes`. `None` when `bytes` is 0.
    pub fn bits_per_byte(&self, bytes: u64) -> Option<Estimate> {
        let factor = self.tokens as f64 / std::f64::consts::LN_2 / bytes as f64;
        (bytes > 0).then(|| self.mean().scaled(factor))
    }

    fn standard_error(&self) -> f64 {
        if self.windows < 2 {
            return f64::NAN;
        }
        let (k, n) = (self.windows as f64, self.tokens as f64);
        let shift = self.sum / n - self.origin;
        let residual = self.dd - 2.0 * shift * self.dn + shift * shift * self.nn;
        // max() would turn a NaN loss into an error of zero
        let residual = if residual < 0.0 { 0.0 } else { residual };
        (k / (k - 1.0) * residual).sqrt() / n
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn equal_windows_reduce_to_the_textbook_error_of_a_mean() {
        let mut stats = LossStats::new();
        let means = [2.0, 2.5, 1.5, 3.0];
        for m in means {
            stats.add(m * 10.0, 10);
        }
        let mean = 2.25;
        let variance: f64 = means.iter().map(|m| (m - mean) * (m - mean)).sum::<f64>() / 3.0;
        assert!((stats.mean().value - mean).abs() < 1e-12);
        assert!((stats.mean().se - (variance / 4.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn longer_windows_weigh_more() {
        let mut stats = LossStats::new();
        stats.add(10.0, 10);
        stats.add(90.0, 30);
        assert!((stats.mean().value - 2.5).abs() < 1e-12);
        // residuals 10 - 25 = -15 and 90 - 75 = 15
        assert!((stats.mean().se - (2.0 * 450.0f64).sqrt() / 40.0).abs() < 1e-12);
    }

    #[test]
    fn constant_loss_has_no_error_and_one_window_an_unknown_one() {
        let mut stats = LossStats::new();
        stats.add(0.3 * 7.0, 7);
        assert!(stats.mean().se.is_nan());
        for n in [7, 3, 11] {
            stats.add(0.3 * n as f64, n);
        }
        stats.add(0.0, 0);
        assert!(stats.mean().se < 1e-12, "{}", stats.mean().se);
        assert_eq!((stats.windows(), stats.tokens()), (4, 28));
    }

    #[test]
    fn bits_per_byte_and_perplexity_follow_the_mean() {
        let mut stats = LossStats::new();
        stats.add(std::f64::consts::LN_2 * 8.0, 4);
        stats.add(std::f64::consts::LN_2 * 8.0, 4);
        let bpb = stats.bits_per_byte(32).unwrap();
        assert!((bpb.value - 0.5).abs() < 1e-12);
        assert!((stats.perplexity().value - 4.0).abs() < 1e-12);
        assert!(stats.bits_per_byte(0).is_none());
    }

    #[test]
    fn a_bad_window_is_not_hidden() {
        let mut stats = LossStats::new();
        stats.add(1.0, 1);
        stats.add(f64::NAN, 1);
        assert!(stats.mean().value.is_nan() && stats.mean().se.is_nan());
    }
}
