//! [`ModelSpec`]: the facts of a Llama-family decoder that cannot be derived from each other.
//!
//! Block: `x += a * Wo attention(norm(x))`, `x += a * Wdown (silu(Wgate norm(x)) * Wup norm(x))`, with `a` the residual
//! scale (1 in released models, `1/sqrt(2 layers)` in the DeepNet manner).

use serde::{Deserialize, Serialize};

/// Which released architecture the model exports as. The arithmetic is fixed by the other fields of the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// `LlamaForCausalLM`
    Llama,
    /// `MistralForCausalLM`
    Mistral,
    /// `Qwen2ForCausalLM`
    Qwen2,
    /// `Qwen3ForCausalLM`
    Qwen3,
}

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
}

/// Rotary position embedding: base and scaling. Layout is that of Hugging Face: pair `i` is `(i, head_dim/2 + i)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rope {
    /// Base of the geometric frequency series.
    pub theta: f64,
    /// Long-context scaling.
    pub scaling: RopeScaling,
}

impl Rope {
    /// Unscaled rotary embedding with base `theta`.
    pub const fn plain(theta: f64) -> Rope {
        Rope { theta, scaling: RopeScaling::None }
    }

    /// Rotation per position of each pair, in radians: `[head_dim / 2]`.
    pub fn frequencies(&self, head_dim: usize) -> Vec<f64> {
        let half = head_dim / 2;
        (0..half).map(|i| self.scaled(self.theta.powf(-2.0 * i as f64 / head_dim as f64))).collect()
    }

    fn scaled(&self, freq: f64) -> f64 {
        match self.scaling {
            RopeScaling::None => freq,
            RopeScaling::Linear { factor } => freq / factor,
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                let wavelength = 2.0 * std::f64::consts::PI / freq;
                let turns = original_context as f64 / wavelength;
                let smooth = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                let smooth = smooth.clamp(0.0, 1.0);
                (1.0 - smooth) * freq / factor + smooth * freq
            }
        }
    }
}

/// Layers from `from_layer` on attend to the last `size` positions only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlidingWindow {
    /// Positions that a query sees, itself included.
    pub size: usize,
    /// First layer with the window.
    pub from_layer: usize,
}

/// A Llama-family decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Released architecture that the model exports as.
    pub family: Family,
    /// Width of the residual stream.
    pub dim: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; query head `q` reads head `q / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Width of one head; need not be `dim / heads`.
    pub head_dim: usize,
    /// Width of the feed-forward block.
    pub hidden: usize,
    /// Token ids that the embedding has rows for.
    pub vocab: usize,
    /// Longest position the model is meant for; information, not a limit on training windows.
    pub context: usize,
    /// Rotary embedding.
    pub rope: Rope,
    /// Epsilon of every RMSNorm.
    pub norm_eps: f32,
    /// The classifier is the embedding matrix.
    pub tied: bool,
    /// Biases on Q, K and V.
    pub qkv_bias: bool,
    /// Bias on the attention output projection.
    pub o_bias: bool,
    /// RMSNorm on every head of Q and K, before the rotation.
    pub qk_norm: bool,
    /// Local attention.
    pub window: Option<SlidingWindow>,
    /// Factor on both branches of every block (DeepNet alpha).
    pub residual_scale: f32,
}

/// Why a spec cannot be.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{field} = {found}: {expected}")]
pub struct SpecError {
    /// Field of the spec.
    pub field: &'static str,
    /// Its value.
    pub found: String,
    /// What it should have been.
    pub expected: String,
}

/// Largest size of one dimension: far beyond any model for one machine, and small enough that products of two fit u64.
const LIMIT: usize = 1 << 24;

impl ModelSpec {
    /// Width of all query heads together.
    pub fn q_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads together.
    pub fn kv_dim(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Width of Q, K and V side by side.
    pub fn qkv_dim(&self) -> usize {
        self.q_dim() + 2 * self.kv_dim()
    }

    /// Query heads that share one key head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Positions that a query of `layer` sees, itself included (`usize::MAX` without a window).
    pub fn window_of(&self, layer: usize) -> usize {
        match self.window {
            Some(w) if layer >= w.from_layer => w.size,
            _ => usize::MAX,
        }
    }

    /// The same model over another vocabulary.
    pub fn with_vocab(&self, vocab: usize) -> ModelSpec {
        ModelSpec { vocab, ..self.clone() }
    }

    /// Checks every field against the others.
    pub fn validate(&self) -> Result<(), SpecError> {
        self.check_sizes()?;
        let fail = |field, found: String, expected: &str| Err(SpecError { field, found, expected: expected.into() });
        if !self.heads.is_multiple_of(self.kv_heads) {
            return fail("kv_heads", self.kv_heads.to_string(), &format!("must divide heads = {}", self.heads));
        }
        if !self.head_dim.is_multiple_of(2) {
            return fail("head_dim", self.head_dim.to_string(), "must be even for rotary embedding");
        }
        if !(self.rope.theta.is_finite() && self.rope.theta > 0.0) {
            return fail("rope theta", self.rope.theta.to_string(), "must be positive and finite");
        }
        if !(self.norm_eps.is_finite() && self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return fail("norm_eps", self.norm_eps.to_string(), "must lie between 0 and 1");
        }
        if !(self.residual_scale.is_finite() && self.residual_scale > 0.0) {
            return fail("residual_scale", self.residual_scale.to_string(), "must be positive and finite");
        }
        if self.window.is_some_and(|w| w.size == 0) {
            return fail("sliding window", "0".into(), "must be at least 1");
        }
        self.check_rope_scaling()
    }

    fn check_sizes(&self) -> Result<(), SpecError> {
        let sizes = [
            ("dim", self.dim),
            ("layers", self.layers),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("hidden", self.hidden),
            ("vocab", self.vocab),
            ("context", self.context),
            ("q_dim", self.heads.saturating_mul(self.head_dim)),
        ];
        for (field, value) in sizes {
            let limit = if field == "layers" { 4096 } else { LIMIT };
            if value == 0 || value > limit {
                let expected = format!("must lie between 1 and {limit}");
                return Err(SpecError { field, found: value.to_string(), expected });
            }
        }
        Ok(())
    }

    fn check_rope_scaling(&self) -> Result<(), SpecError> {
        let good = match self.rope.scaling {
            RopeScaling::None => true,
            RopeScaling::Linear { factor } => factor.is_finite() && factor > 0.0,
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                factor.is_finite()
                    && factor > 0.0
                    && low_freq_factor > 0.0
                    && high_freq_factor > low_freq_factor
                    && original_context > 0
            }
        };
        if good {
            return Ok(());
        }
        Err(SpecError {
            field: "rope scaling",
            found: format!("{:?}", self.rope.scaling),
            expected: "factors must be positive, high_freq_factor above low_freq_factor".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ModelSpec {
        crate::preset("stories-36m").map(|p| p.spec).unwrap_or_else(|| unreachable!())
    }

    #[test]
    fn a_zero_or_huge_size_is_named() {
        let bad = ModelSpec { layers: 0, ..spec() };
        assert_eq!(bad.validate().map_err(|e| e.field), Err("layers"));
        let bad = ModelSpec { heads: usize::MAX, ..spec() };
        assert_eq!(bad.validate().map_err(|e| e.field), Err("heads"));
    }

    #[test]
    fn heads_must_share_evenly() {
        let bad = ModelSpec { kv_heads: 3, ..spec() };
        assert_eq!(bad.validate().map_err(|e| e.field), Err("kv_heads"));
    }

    #[test]
    fn llama3_scaling_keeps_high_and_divides_low_frequencies() {
        let scaling = RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 8192 };
        let plain = Rope::plain(500_000.0).frequencies(128);
        let scaled = Rope { theta: 500_000.0, scaling }.frequencies(128);
        assert_eq!(plain[0], scaled[0]);
        assert!((plain[63] / scaled[63] - 8.0).abs() < 1e-12);
    }
}
