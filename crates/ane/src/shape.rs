//! [`BlockShape`]: all that a kernel must know of a model and of the windows it is trained on.

use model::ModelSpec;

/// Extents and constants of a block, of the same value in every layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockShape {
    /// Width of the residual stream.
    pub dim: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; query head `q` reads key head `q / group`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width of the feed-forward part.
    pub hidden: usize,
    /// Tokens of a window.
    pub seq: usize,
    /// Rows of the classifier.
    pub vocab: usize,
    /// Epsilon of every norm.
    pub norm_eps: f32,
    /// Factor on both branches of the block.
    pub residual_scale: f32,
    /// Whether queries and keys are rotated.
    pub rotates: bool,
}

impl BlockShape {
    /// The blocks of `spec` over windows of `seq` tokens. See [`BlockShape::misfit`] for what no shape can say.
    pub fn of(spec: &ModelSpec, seq: usize) -> BlockShape {
        BlockShape {
            dim: spec.dim,
            heads: spec.heads,
            kv_heads: spec.kv_heads,
            head_dim: spec.head_dim,
            hidden: spec.hidden,
            seq,
            vocab: spec.vocab,
            norm_eps: spec.norm_eps,
            residual_scale: spec.residual_scale,
            rotates: spec.no_rope.len() < spec.layers,
        }
    }

    /// What of `spec` the attention kernels cannot compute; the projections alone never mind.
    pub fn misfit(spec: &ModelSpec, seq: usize) -> Option<&'static str> {
        let local = |layer| spec.window_of(layer) < seq;
        match () {
            () if spec.qkv_bias || spec.o_bias => Some("biases"),
            () if spec.qk_norm => Some("norms of query and key heads"),
            () if (0..spec.layers).any(local) => Some("windows of attention"),
            () if !spec.no_rope.is_empty() && spec.no_rope.len() < spec.layers => Some("layers without rotation among others"),
            () => None,
        }
    }

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernels_cannot_compute_is_named() {
        let spec = |name| model::preset(name).map(|p| p.spec).unwrap_or_else(|| unreachable!());
        assert_eq!(BlockShape::misfit(&spec("stories110m"), 256), None);
        assert_eq!(BlockShape::misfit(&spec("qwen3-0.6b"), 256), Some("norms of query and key heads"));
        let some = ModelSpec { no_rope: vec![3], ..spec("stories110m") };
        assert_eq!(BlockShape::misfit(&some, 256), Some("layers without rotation among others"));
        let none = ModelSpec { no_rope: (0..12).collect(), ..spec("stories110m") };
        assert_eq!((BlockShape::misfit(&none, 256), BlockShape::of(&none, 256).rotates), (None, false));
        let window = Some(model::SlidingWindow { size: 64, from_layer: 5 });
        let local = ModelSpec { window, ..spec("stories110m") };
        assert_eq!((BlockShape::misfit(&local, 256), BlockShape::misfit(&local, 64)), (Some("windows of attention"), None));
    }
}
