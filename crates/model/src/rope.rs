//! [`Rope`]: the frequencies of rotary position embedding and the ways they are stretched beyond the length of pre-training.
//!
//! Pair `i` of a head turns by `theta^(-2i / head_dim)` radians a position (Su et al., arXiv 2104.09864). Frequencies are
//! computed in f32, operation by operation as transformers does: at position 8,000 the angle of a frequency that was rounded
//! elsewhere is off by 4e-4.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How positions beyond the pre-training length are mapped onto rotation frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum RopeScaling {
    /// Frequencies as they are.
    None,
    /// Every frequency divided by `factor`.
    Linear {
        /// Divisor of the frequencies.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided by `factor`, high ones kept, a smooth ramp between.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Wavelengths above `original_context / low_freq_factor` are scaled in full.
        low_freq_factor: f64,
        /// Wavelengths below `original_context / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context length of pre-training.
        original_context: usize,
    },
    /// YaRN (Peng et al., arXiv 2309.00071): low frequencies divided by `factor`, high ones kept, a linear ramp over the
    /// pairs between, and queries and keys lengthened by `attention_factor`.
    Yarn {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Context length of pre-training.
        original_context: usize,
        /// Pairs that turn more often than this within `original_context` are kept.
        beta_fast: f64,
        /// Pairs that turn less often than this within `original_context` are scaled in full.
        beta_slow: f64,
        /// Factor on cosines and sines; [`RopeScaling::yarn_attention`] where nothing else is said.
        attention_factor: f64,
        /// The ends of the ramp are whole pairs.
        truncate: bool,
    },
}

impl fmt::Display for RopeScaling {
    /// For people: `none`, `linear, factor 4`, `llama3, factor 8, ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RopeScaling::None => write!(f, "none"),
            RopeScaling::Linear { factor } => write!(f, "linear, factor {factor}"),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                let ends = format!("low {low_freq_factor}, high {high_freq_factor}");
                write!(f, "llama3, factor {factor}, {ends}, original context {original_context}")
            }
            RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, attention_factor, truncate } => {
                let whole = if *truncate { "" } else { ", not truncated" };
                let betas = format!("betas {beta_fast} and {beta_slow}, attention {attention_factor}");
                write!(f, "yarn, factor {factor}, original context {original_context}, {betas}{whole}")
            }
        }
    }
}

impl RopeScaling {
    /// The attention factor that the YaRN paper advises for `factor`: `0.1 ln(factor) + 1`.
    pub fn yarn_attention(factor: f64) -> f64 {
        if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 }
    }

    /// Whether every parameter can be.
    pub(crate) fn is_sound(&self) -> bool {
        let positive = |values: &[f64]| values.iter().all(|v| v.is_finite() && *v > 0.0);
        match *self {
            RopeScaling::None => true,
            RopeScaling::Linear { factor } => positive(&[factor]),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                positive(&[factor, low_freq_factor, high_freq_factor])
                    && high_freq_factor > low_freq_factor
                    && original_context > 0
            }
            RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, attention_factor, .. } => {
                positive(&[factor, beta_fast, beta_slow, attention_factor]) && beta_fast >= beta_slow && original_context > 0
            }
        }
    }
}

/// Rotary position embedding: base and scaling. Layout is that of Hugging Face: pair `i` is `(i, head_dim/2 + i)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rope {
    /// Base of the geometric frequency series.
    pub theta: f64,
    /// Long-context scaling.
    pub scaling: RopeScaling,
}

impl fmt::Display for Rope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "theta {}, scaling {}", self.theta, self.scaling)
    }
}

impl Rope {
    /// Unscaled rotary embedding with base `theta`.
    pub const fn plain(theta: f64) -> Rope {
        Rope { theta, scaling: RopeScaling::None }
    }

    /// Rotation per position of each pair, in radians: `[head_dim / 2]`.
    pub fn frequencies(&self, head_dim: usize) -> Vec<f32> {
        let ramp = self.yarn_ramp(head_dim);
        (0..head_dim / 2)
            .map(|pair| {
                let exponent = (2 * pair) as f32 / head_dim as f32;
                let inverse = f64::from(self.theta as f32).powf(f64::from(exponent)) as f32;
                self.scaled(pair, inverse, ramp)
            })
            .collect()
    }

    /// Factor on the cosines and sines of every rotation.
    pub fn attention_factor(&self) -> f32 {
        match self.scaling {
            RopeScaling::Yarn { attention_factor, .. } => attention_factor as f32,
            _ => 1.0,
        }
    }

    /// The frequency of `pair`, from `inverse`, one over its frequency without scaling.
    fn scaled(&self, pair: usize, inverse: f32, (low, high): (f64, f64)) -> f32 {
        let freq = 1.0 / inverse;
        match self.scaling {
            RopeScaling::None => freq,
            RopeScaling::Linear { factor } => freq / factor as f32,
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                let (factor, low, high) = (factor as f32, low_freq_factor as f32, high_freq_factor as f32);
                let wavelength = std::f32::consts::TAU / freq;
                let smooth = (original_context as f32 / wavelength - low) / (high - low);
                match smooth {
                    s if s <= 0.0 => freq / factor,
                    s if s >= 1.0 => freq,
                    s => (1.0 - s) * freq / factor + s * freq,
                }
            }
            RopeScaling::Yarn { factor, .. } => {
                let ramp = ((pair as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
                let (interpolated, kept) = (1.0 / (factor as f32 * inverse), 1.0 - ramp);
                interpolated * (1.0 - kept) + freq * kept
            }
        }
    }

    /// First and last pair of the ramp of YaRN: those that turn `beta_fast` and `beta_slow` times in the original context.
    fn yarn_ramp(&self, head_dim: usize) -> (f64, f64) {
        let RopeScaling::Yarn { original_context, beta_fast, beta_slow, truncate, .. } = self.scaling else { return (0.0, 1.0) };
        let pair_of = |turns: f64| {
            let wavelength = original_context as f64 / (turns * std::f64::consts::TAU);
            head_dim as f64 * wavelength.ln() / (2.0 * self.theta.ln())
        };
        let (mut low, mut high) = (pair_of(beta_fast), pair_of(beta_slow));
        if truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        // transformers bounds the end by the width of the head, not by its pairs
        let (low, high) = (low.max(0.0), high.min(head_dim as f64 - 1.0));
        if low == high { (low, high + 0.001) } else { (low, high) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_scaling_keeps_high_and_divides_low_frequencies() {
        let scaling = RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 8192 };
        let plain = Rope::plain(500_000.0).frequencies(128);
        let scaled = Rope { theta: 500_000.0, scaling }.frequencies(128);
        assert_eq!(plain[0], scaled[0]);
        assert_eq!(plain[63] / 8.0, scaled[63]);
    }

    #[test]
    fn yarn_keeps_fast_pairs_divides_slow_ones_and_lengthens() {
        // the values of Qwen2.5 with YaRN: theta 1e6, heads of 128, factor 4 over 32,768 positions
        let scaling = RopeScaling::Yarn {
            factor: 4.0,
            original_context: 32_768,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: RopeScaling::yarn_attention(4.0),
            truncate: true,
        };
        let rope = Rope { theta: 1e6, scaling };
        let (plain, scaled) = (Rope::plain(1e6).frequencies(128), rope.frequencies(128));
        assert_eq!(rope.yarn_ramp(128), (23.0, 40.0));
        assert_eq!(plain[..24], scaled[..24]);
        assert!(plain[40..].iter().zip(&scaled[40..]).all(|(p, s)| (p / s - 4.0).abs() < 1e-6));
        assert!((rope.attention_factor() - 1.138_629_4).abs() < 1e-7);
        assert_eq!(RopeScaling::yarn_attention(0.5), 1.0);
    }
}
