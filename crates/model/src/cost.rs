//! What a spec costs: floating-point operations a token, and bytes of the training state.

use crate::{Layout, ModelSpec, Role};

/// Floating-point operations of one token (a multiply-add counts 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flops {
    /// Forward pass, classifier included.
    pub forward: f64,
    /// Forward and backward pass.
    pub train: f64,
}

/// FLOPs a token in windows of `seq` tokens: `2 x matrix weights + causal attention` forward, three times that to train.
pub fn flops_per_token(spec: &ModelSpec, seq: usize) -> Flops {
    let layout = Layout::of(spec);
    let body: usize =
        layout.tensors().iter().filter(|t| matches!(t.role, Role::Matrix | Role::Output)).map(|t| t.range.len()).sum();
    let weights = (body + spec.vocab * spec.dim) as f64;
    // scores and mix: 2 x 2 x q_dim x visible positions, half of the window on average
    let attention =
        (0..spec.layers).map(|l| 4.0 * spec.q_dim() as f64 * (seq as f64 / 2.0).min(spec.window_of(l) as f64)).sum::<f64>();
    let forward = 2.0 * weights + attention;
    Flops { forward, train: 3.0 * forward }
}

/// Bytes of the parameter-sized arrays of a training run, all f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryModel {
    /// Weights.
    pub weights: usize,
    /// Gradient.
    pub gradient: usize,
    /// Optimizer moments.
    pub optimizer: usize,
}

impl MemoryModel {
    /// Backpropagation with an optimizer that keeps `moments` arrays (2 for AdamW).
    pub fn dense(params: usize, moments: usize) -> MemoryModel {
        let bytes = 4 * params;
        MemoryModel { weights: bytes, gradient: bytes, optimizer: moments * bytes }
    }

    /// Sum of the parts.
    pub fn total(&self) -> usize {
        self.weights + self.gradient + self.optimizer
    }
}
