//! What a walk needs of a spec: the weights of each block as slices of the flat array, and the table of rotations.

use kernels::rope::RopeTable;
use model::{Layout, ModelSpec, Part};
use std::ops::Range;

/// Where the weights of one block lie; the groups that one GEMM reads are one range.
#[derive(Clone, Debug)]
pub(crate) struct BlockRanges {
    pub attn_norm: Range<usize>,
    /// `[q + 2 kv, d]`
    pub qkv: Range<usize>,
    /// `[q + 2 kv]`, empty without
    pub qkv_bias: Range<usize>,
    pub q_norm: Range<usize>,
    pub k_norm: Range<usize>,
    /// `[d, q]`
    pub o: Range<usize>,
    pub o_bias: Range<usize>,
    pub ffn_norm: Range<usize>,
    /// `[2 ff, d]`
    pub gate_up: Range<usize>,
    /// `[d, ff]`
    pub down: Range<usize>,
}

impl BlockRanges {
    pub fn of(layout: &Layout, l: usize) -> BlockRanges {
        BlockRanges {
            attn_norm: layout.part(l, Part::AttnNorm),
            qkv: layout.span(l, Part::Q, Part::V),
            qkv_bias: layout.span(l, Part::QBias, Part::VBias),
            q_norm: layout.part(l, Part::QNorm),
            k_norm: layout.part(l, Part::KNorm),
            o: layout.part(l, Part::O),
            o_bias: layout.part(l, Part::OBias),
            ffn_norm: layout.part(l, Part::FfnNorm),
            gate_up: layout.span(l, Part::Gate, Part::Up),
            down: layout.part(l, Part::Down),
        }
    }

    /// The same places in an array that begins `by` elements later.
    pub fn shifted(&self, by: usize) -> BlockRanges {
        // a weight that the model does not have lies nowhere
        let at = |r: &Range<usize>| if r.is_empty() { 0..0 } else { r.start - by..r.end - by };
        BlockRanges {
            attn_norm: at(&self.attn_norm),
            qkv: at(&self.qkv),
            qkv_bias: at(&self.qkv_bias),
            q_norm: at(&self.q_norm),
            k_norm: at(&self.k_norm),
            o: at(&self.o),
            o_bias: at(&self.o_bias),
            ffn_norm: at(&self.ffn_norm),
            gate_up: at(&self.gate_up),
            down: at(&self.down),
        }
    }
}

/// Every range that the walk needs.
#[derive(Clone, Debug)]
pub(crate) struct Ranges {
    pub embed: Range<usize>,
    pub blocks: Vec<BlockRanges>,
    pub final_norm: Range<usize>,
    pub classifier: Range<usize>,
}

impl Ranges {
    pub fn of(spec: &ModelSpec, layout: &Layout) -> Ranges {
        Ranges {
            embed: layout.range(model::TensorId::Embed),
            blocks: (0..spec.layers).map(|l| BlockRanges::of(layout, l)).collect(),
            final_norm: layout.range(model::TensorId::FinalNorm),
            classifier: layout.classifier(),
        }
    }
}

/// The rotations of `spec` at positions `0..positions`.
pub(crate) fn rope_table(spec: &ModelSpec, positions: usize) -> RopeTable {
    RopeTable::new(&spec.rope.frequencies(spec.head_dim), spec.rope.attention_factor(), positions)
}
