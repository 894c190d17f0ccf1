//! [`Layout`]: where each weight lies in the flat parameter array. The only place that knows the order.
//!
//! Q, K and V of a layer are neighbours, and so are gate and up: each group is read as one taller matrix
//! (`[q_dim + 2 kv_dim, dim]`, `[2 hidden, dim]`), which makes one GEMM of three, and of two.

use std::ops::Range;

use crate::{AdapterForm, AdapterSpec, Half, ModelSpec};

/// A weight of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// RMSNorm before attention `[dim]`.
    AttnNorm,
    /// Query projection `[q_dim, dim]`.
    Q,
    /// Key projection `[kv_dim, dim]`.
    K,
    /// Value projection `[kv_dim, dim]`.
    V,
    /// Query bias `[q_dim]`.
    QBias,
    /// Key bias `[kv_dim]`.
    KBias,
    /// Value bias `[kv_dim]`.
    VBias,
    /// Norm of each query head `[head_dim]`.
    QNorm,
    /// Norm of each key head `[head_dim]`.
    KNorm,
    /// Attention output projection `[dim, q_dim]`.
    O,
    /// Its bias `[dim]`.
    OBias,
    /// RMSNorm before the feed-forward block `[dim]`.
    FfnNorm,
    /// Gate projection `[hidden, dim]`.
    Gate,
    /// Up projection `[hidden, dim]`.
    Up,
    /// Down projection `[dim, hidden]`.
    Down,
}

/// Identity of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TensorId {
    /// Token embedding `[vocab, dim]`; also the classifier of a tied model.
    Embed,
    /// A weight of block `.0`.
    Layer(usize, Part),
    /// RMSNorm before the classifier `[dim]`.
    FinalNorm,
    /// Classifier `[vocab, dim]` of an untied model.
    Head,
    /// A half of the adapter of a matrix of block `.0`.
    Adapter(usize, Part, Half),
}

/// What kind of weight it is: decides initialisation, weight decay and which optimizer takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Embedding or classifier.
    Embedding,
    /// Matrix that reads the residual stream.
    Matrix,
    /// Matrix that writes into the residual stream.
    Output,
    /// Gain of a norm.
    Norm,
    /// Bias.
    Bias,
}

impl Role {
    /// Whether weight decay applies, as PyTorch recipes have it: matrices and the embedding, not norms or biases.
    pub fn decays(self) -> bool {
        matches!(self, Role::Embedding | Role::Matrix | Role::Output)
    }
}

/// One weight: who it is, its shape (row-major `[rows, cols]`; vectors have one row), and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Identity.
    pub id: TensorId,
    /// Kind.
    pub role: Role,
    /// `[rows, cols]`.
    pub shape: [usize; 2],
    /// Elements of the flat array.
    pub range: Range<usize>,
}

/// Order, shape, role and range of every weight of a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<TensorInfo>,
    len: usize,
}

impl Layout {
    /// The layout of `spec`, which must be valid.
    pub fn of(spec: &ModelSpec) -> Layout {
        let mut layout = Layout { tensors: Vec::new(), len: 0 };
        layout.push(TensorId::Embed, Role::Embedding, [spec.vocab, spec.dim]);
        for l in 0..spec.layers {
            layout.push_layer(spec, l);
        }
        layout.push(TensorId::FinalNorm, Role::Norm, [1, spec.dim]);
        if !spec.tied {
            layout.push(TensorId::Head, Role::Embedding, [spec.vocab, spec.dim]);
        }
        layout
    }

    fn push_layer(&mut self, spec: &ModelSpec, l: usize) {
        let (d, q, kv, ff) = (spec.dim, spec.q_dim(), spec.kv_dim(), spec.hidden);
        let mut add = |part, role, shape| self.push(TensorId::Layer(l, part), role, shape);
        add(Part::AttnNorm, Role::Norm, [1, d]);
        add(Part::Q, Role::Matrix, [q, d]);
        add(Part::K, Role::Matrix, [kv, d]);
        add(Part::V, Role::Matrix, [kv, d]);
        if spec.qkv_bias {
            add(Part::QBias, Role::Bias, [1, q]);
            add(Part::KBias, Role::Bias, [1, kv]);
            add(Part::VBias, Role::Bias, [1, kv]);
        }
        if spec.qk_norm {
            add(Part::QNorm, Role::Norm, [1, spec.head_dim]);
            add(Part::KNorm, Role::Norm, [1, spec.head_dim]);
        }
        add(Part::O, Role::Output, [d, q]);
        if spec.o_bias {
            add(Part::OBias, Role::Bias, [1, d]);
        }
        add(Part::FfnNorm, Role::Norm, [1, d]);
        add(Part::Gate, Role::Matrix, [ff, d]);
        add(Part::Up, Role::Matrix, [ff, d]);
        add(Part::Down, Role::Output, [d, ff]);
    }

    fn push(&mut self, id: TensorId, role: Role, shape: [usize; 2]) {
        let end = self.len + shape[0] * shape[1];
        self.tensors.push(TensorInfo { id, role, shape, range: self.len..end });
        self.len = end;
    }

    /// The layout of the trained weights of `adapter` on a model of `spec`: per block the parts of each target, then, where
    /// they are trained, the gains of its norms; at the end the gain before the classifier.
    pub fn of_adapter(spec: &ModelSpec, adapter: &AdapterSpec) -> Layout {
        let (mut layout, base) = (Layout { tensors: Vec::new(), len: 0 }, Layout::of(spec));
        for l in 0..spec.layers {
            for part in adapter.targets.iter().map(|t| t.part()) {
                let [out, inner] = base.get(TensorId::Layer(l, part)).map_or([0, 0], |t| t.shape);
                layout.push(TensorId::Adapter(l, part, Half::A), Role::Matrix, [adapter.rank, inner]);
                layout.push(TensorId::Adapter(l, part, Half::B), Role::Matrix, [out, adapter.rank]);
                if adapter.form == AdapterForm::Dora {
                    layout.push(TensorId::Adapter(l, part, Half::M), Role::Norm, [1, out]);
                }
            }
            let norms = base.tensors.iter().filter(|t| adapter.norms && t.role == Role::Norm);
            for norm in norms.filter(|t| matches!(t.id, TensorId::Layer(of, _) if of == l)) {
                layout.push(norm.id, Role::Norm, norm.shape);
            }
        }
        if adapter.norms {
            layout.push(TensorId::FinalNorm, Role::Norm, [1, spec.dim]);
        }
        layout
    }

    /// All weights, in order, without gaps.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no weights at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The weight `id`, if the spec has it.
    pub fn get(&self, id: TensorId) -> Option<&TensorInfo> {
        self.tensors.iter().find(|t| t.id == id)
    }

    /// The range of `id`; empty when the spec has no such weight.
    pub fn range(&self, id: TensorId) -> Range<usize> {
        self.get(id).map_or(0..0, |t| t.range.clone())
    }

    /// The range of `part` of block `layer`; empty when the spec has no such weight.
    pub fn part(&self, layer: usize, part: Part) -> Range<usize> {
        self.range(TensorId::Layer(layer, part))
    }

    /// The neighbours from `first` to `last` of block `layer` as one range.
    pub fn span(&self, layer: usize, first: Part, last: Part) -> Range<usize> {
        self.part(layer, first).start..self.part(layer, last).end
    }

    /// The classifier: its own matrix, or the embedding of a tied model.
    pub fn classifier(&self) -> Range<usize> {
        let head = self.range(TensorId::Head);
        if head.is_empty() { self.range(TensorId::Embed) } else { head }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets;

    #[test]
    fn ranges_are_contiguous_and_counts_are_the_published_ones() {
        for (name, params) in [
            ("stories-36m", 36_442_624),
            ("scaling-1536", 176_961_024),
            ("scaling-2048", 281_036_800),
            ("smollm2-135m", 134_515_008),
            ("smollm2-360m", 361_821_120),
            ("stories110m", 109_529_856),
            ("scaling-1024", 95_429_632),
            // 596,042,752 without the query and key norms that the released model has
            ("qwen3-0.6b", 596_042_752 + 28 * 2 * 128),
        ] {
            let spec = presets().into_iter().find(|p| p.name == name).map(|p| p.spec);
            let layout = spec.map(|s| Layout::of(&s));
            assert_eq!(layout.as_ref().map(Layout::len), Some(params), "{name}");
        }
    }

    #[test]
    fn fused_groups_are_neighbours() {
        let spec = crate::preset("qwen3-0.6b").map(|p| p.spec);
        let Some(spec) = spec else { unreachable!() };
        let layout = Layout::of(&spec);
        let mut at = 0;
        for t in layout.tensors() {
            assert_eq!(t.range.start, at);
            at = t.range.end;
        }
        assert_eq!(layout.span(3, Part::Q, Part::V).len(), spec.qkv_dim() * spec.dim);
        assert_eq!(layout.span(3, Part::Gate, Part::Up).len(), 2 * spec.hidden * spec.dim);
    }
}
