//! What each part of a block reads and writes.
//! Legend: n tokens, d dim, q and kv widths of query and key heads, ff hidden.

/// The attention part of a block, forward.
pub struct AttentionForward<'b> {
    /// Residual stream `[n, d]`.
    pub x: &'b [f32],
    /// Normed stream `[n, d]`, scratch.
    pub norm: &'b mut [f32],
    /// `1 / rms` of each row `[n]`; wanted by the backward pass.
    pub r: &'b mut [f32],
    /// `[n, q + 2 kv]`: queries and keys rotated; wanted by the backward pass.
    pub qkv: &'b mut [f32],
    /// `[n, q + kv]` before the head norms, empty without; wanted by the backward pass.
    pub raw_qk: &'b mut [f32],
    /// `1 / rms` of each query head, then of each key head; empty without head norms.
    pub r_heads: (&'b mut [f32], &'b mut [f32]),
    /// Mixed values `[n, q]`; wanted by the backward pass.
    pub mixed: &'b mut [f32],
    /// Log-sum-exp of each score row `[n, heads]`; wanted by the default backward pass alone.
    pub lse: &'b mut [f32],
    /// The branch, before the residual scale `[n, d]`.
    pub out: &'b mut [f32],
}

/// From the gradient of the attention branch to that of the projections.
pub struct AttentionBackward<'b> {
    /// Gradient of the branch `[n, d]`.
    pub dout: &'b [f32],
    /// As the forward pass left it `[n, q + 2 kv]`.
    pub qkv: &'b [f32],
    /// As the forward pass left it `[n, q]`; what runs the forward pass elsewhere may compute it again.
    pub mixed: &'b mut [f32],
    /// As the forward pass left it `[n, heads]`; likewise.
    pub lse: &'b mut [f32],
    /// Gradient of the mixed values `[n, q]`, scratch.
    pub dmixed: &'b mut [f32],
    /// Gradient of queries, keys and values before their rotation `[n, q + 2 kv]`.
    pub dqkv: &'b mut [f32],
}

/// The feed-forward part of a block, forward.
pub struct FfnForward<'b> {
    /// Residual stream `[n, d]`.
    pub x: &'b [f32],
    /// Normed stream `[n, d]`.
    pub norm: &'b [f32],
    /// `[n, 2 ff]`; wanted by the backward pass.
    pub gate_up: &'b mut [f32],
    /// `[n, ff]`, scratch.
    pub act: &'b mut [f32],
    /// The branch, before the residual scale `[n, d]`; none: only what the backward pass wants.
    pub out: Option<&'b mut [f32]>,
}

/// From the gradient of the feed-forward branch to that of its normed input.
pub struct FfnBackward<'b> {
    /// Gradient of the branch `[n, d]`.
    pub dout: &'b [f32],
    /// As the forward pass left it `[n, 2 ff]`; becomes its own gradient.
    pub gate_up: &'b mut [f32],
    /// `[n, ff]`, scratch.
    pub dact: &'b mut [f32],
    /// Gradient of the normed stream `[n, d]`.
    pub dnorm: &'b mut [f32],
}

/// Backward pass of an RMSNorm.
pub struct NormBackward<'b> {
    /// Gradient of the residual stream `[n, d]`; added to.
    pub dx: &'b mut [f32],
    /// Gradient of the gain `[d]`.
    pub dgain: &'b mut [f32],
    /// Gradient of the normed stream `[n, d]`.
    pub dnorm: &'b [f32],
    /// Input of the norm `[n, d]`.
    pub x: &'b [f32],
    /// `1 / rms` of each row `[n]`.
    pub r: &'b [f32],
    /// Partial sums, scratch.
    pub partial: &'b mut [f32],
    /// Whether `dgain` is added to.
    pub accumulate: bool,
}
