//! What lies in the weight files of a program: records of the weight container (`mil::blob`), filled from the flat parameters.
//!
//! Conversion from f32 rounds to nearest, ties to even. Weights that lie in surfaces are written by [`crate::staging`].

use half::f16;
use half::slice::HalfFloatSliceExt;
use mil::blob::Writer;
use mil::{DType, Type};
use model::{Layout, ModelSpec, Part, TensorId};

use crate::Baked;

/// What files are filled from.
#[derive(Clone, Copy, Debug)]
pub struct Model<'m> {
    /// The model.
    pub spec: &'m ModelSpec,
    /// Order of its weights.
    pub layout: &'m Layout,
    /// Its weights.
    pub params: &'m [f32],
    /// Tokens of a window.
    pub seq: usize,
}

/// Offset of the first record of a file.
pub(super) const FIRST: u64 = 64;

/// Magnitude of the largest level of an 8-bit weight.
const LEVELS: f32 = 127.0;

impl Model<'_> {
    /// The weights that `what` is made of, `[rows, cols]` as the layout has them; empty for masks and tables.
    pub fn of(&self, what: Baked, layer: usize) -> &[f32] {
        let range = match what {
            Baked::Matrix(part) | Baked::Transposed(part) | Baked::Vector(part) | Baked::Int8(part) => {
                self.layout.part(layer, part)
            }
            Baked::FinalNorm => self.layout.range(TensorId::FinalNorm),
            Baked::Classifier => self.layout.classifier(),
            Baked::CausalMask | Baked::RopeCos | Baked::RopeSin => 0..0,
        };
        &self.params[range]
    }

    fn columns(&self, layer: usize, part: Part) -> usize {
        self.layout.get(TensorId::Layer(layer, part)).map_or(1, |t| t.shape[1].max(1))
    }
}

/// Bytes of the weight file that holds `what` of `layer` (which only weights of a block ask for).
pub fn file(what: Baked, model: &Model<'_>, layer: usize) -> Vec<u8> {
    let weights = model.of(what, layer);
    match what {
        Baked::Matrix(_) | Baked::Vector(_) | Baked::FinalNorm | Baked::Classifier => halves(weights),
        Baked::Transposed(part) => halves(&transposed(weights, model.columns(layer, part))),
        Baked::Int8(part) => int8(weights, model.columns(layer, part)),
        Baked::CausalMask => halves(&causal_mask(model.seq)),
        Baked::RopeCos => halves(&rope_table(model.spec, model.seq, f64::cos)),
        Baked::RopeSin => halves(&rope_table(model.spec, model.seq, f64::sin)),
    }
}

/// A name for the file and the constant that hold `what`.
pub(super) fn name(what: Baked) -> String {
    let (part, form) = match what {
        Baked::Matrix(part) | Baked::Vector(part) => (part, ""),
        Baked::Transposed(part) => (part, "_transposed"),
        Baked::Int8(part) => (part, "_int8"),
        Baked::FinalNorm => return "final_norm_gain".into(),
        Baked::Classifier => return "classifier_w".into(),
        Baked::CausalMask => return "causal_mask".into(),
        Baked::RopeCos => return "rope_cos".into(),
        Baked::RopeSin => return "rope_sin".into(),
    };
    let part = match part {
        Part::Q => "wq",
        Part::K => "wk",
        Part::V => "wv",
        Part::O => "wo",
        Part::Gate => "w1",
        Part::Up => "w3",
        Part::Down => "w2",
        Part::AttnNorm => "attn_norm_gain",
        Part::FfnNorm => "ffn_norm_gain",
        Part::QNorm => "q_norm_gain",
        Part::KNorm => "k_norm_gain",
        Part::QBias => "q_bias",
        Part::KBias => "k_bias",
        Part::VBias => "v_bias",
        Part::OBias => "o_bias",
    };
    format!("{part}{form}")
}

/// `[cols, rows]` of `[rows, cols]`.
fn transposed(matrix: &[f32], cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|c| matrix.iter().skip(c).step_by(cols).copied()).collect()
}

/// 0 where a query (row) sees a key (column), else the lowest number of fp16.
fn causal_mask(seq: usize) -> Vec<f32> {
    let lowest = f16::MIN.to_f32();
    (0..seq * seq).map(|i| if i % seq <= i / seq { 0.0 } else { lowest }).collect()
}

/// Cosines or sines of every pair at every position: `[1, 1, hd/2, s]`. Angles are rounded to f32, as on the CPU.
fn rope_table(spec: &ModelSpec, seq: usize, of: fn(f64) -> f64) -> Vec<f32> {
    let (frequencies, scale) = (spec.rope.frequencies(spec.head_dim), spec.rope.attention_factor());
    let turn = |f: f32| (0..seq).map(move |t| of(f64::from(t as f32 * f)) as f32 * scale);
    frequencies.into_iter().flat_map(turn).collect()
}

/// A file of one record of fp16.
fn halves(values: &[f32]) -> Vec<u8> {
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(values);
    records(&[(DType::Fp16, bytes(&halves))])
}

/// The smallest scale of which 127 steps reach `largest`, as it is stored; a row of zeros, or of next to nothing, has one of
/// six bits.
fn scale_of(largest: f32) -> f16 {
    let scale = f16::from_f32(largest / LEVELS).max(f16::from_bits(1 << 6));
    if scale.to_f32() * LEVELS < largest { f16::from_bits(scale.to_bits() + 1) } else { scale }
}

/// Two records: levels `[rows, cols]` of -127 to 127, and a scale a row in fp16.
fn int8(matrix: &[f32], cols: usize) -> Vec<u8> {
    let (mut levels, mut scales) = (Vec::with_capacity(matrix.len()), Vec::new());
    for row in matrix.chunks_exact(cols) {
        let largest = row.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let scale = scale_of(largest);
        levels.extend(row.iter().map(|v| (v / scale.to_f32()).round_ties_even().clamp(-LEVELS, LEVELS) as i8 as u8));
        scales.push(scale);
    }
    records(&[(DType::Int8, levels), (DType::Fp16, bytes(&scales))])
}

fn bytes(halves: &[f16]) -> Vec<u8> {
    halves.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A file of vectors. Each has the size of its type, which is all that a writer can mind.
fn records(vectors: &[(DType, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new();
    for (dtype, data) in vectors {
        let written = writer.push(&Type::new(*dtype, &[8 * data.len() / dtype.bits()]), data);
        debug_assert!(written.is_ok(), "{written:?}");
    }
    writer.finish()
}

/// Offset of the scales in a file of 8-bit weights.
pub(super) fn scales_offset(elements: usize) -> u64 {
    // a record is 64 bytes, and so is the alignment of records and data
    2 * FIRST + (elements as u64).next_multiple_of(64)
}
