//! [`ModelSpec`]: the facts of a Llama-family decoder that cannot be derived from each other.
//!
//! Block: `x += a * Wo attention(norm(x))`, `x += a * Wdown (silu(Wgate norm(x)) * Wup norm(x))`, with `a` the residual
//! scale (1 in released models, `1/sqrt(2 layers)` in the DeepNet manner).

use serde::{Deserialize, Serialize};

use crate::Rope;

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
    /// `SmolLM3ForCausalLM`
    SmolLm3,
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
    /// Blocks whose queries and keys are not rotated at all, ascending.
    #[serde(default)]
    pub no_rope: Vec<usize>,
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

    /// Whether queries and keys of `layer` are rotated.
    pub fn rotates(&self, layer: usize) -> bool {
        self.no_rope.binary_search(&layer).is_err()
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
        if !self.no_rope.is_sorted_by(|a, b| a < b) || self.no_rope.last().is_some_and(|l| *l >= self.layers) {
            return fail("no-rope layers", format!("{:?}", self.no_rope), "must ascend and be layers of the model");
        }
        if !self.rope.scaling.is_sound() {
            let expected = "factors must be positive, high_freq_factor above low_freq_factor, beta_fast not below beta_slow";
            return fail("rope scaling", self.rope.scaling.to_string(), expected);
        }
        Ok(())
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
    fn layers_without_rotation_ascend_and_exist() {
        let of = |no_rope: &[usize]| ModelSpec { no_rope: no_rope.to_vec(), ..spec() };
        for bad in [[1, 0], [2, 2], [1, 4]] {
            assert_eq!(of(&bad).validate().map_err(|e| e.field), Err("no-rope layers"));
        }
        let good = of(&[1, 3]);
        assert_eq!(good.validate(), Ok(()));
        assert_eq!([0, 1, 2, 3].map(|l| good.rotates(l)), [true, false, true, false]);
    }
}
