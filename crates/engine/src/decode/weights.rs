//! [`DecodeWeights`]: the weights that a decoder reads, each in the type that it is stored in, borrowed or owned.

use kernels::Cpu;
use kernels::stored::{Held, Matrix, Numbers, Stored, Weight};
use model::{Layout, ModelSpec, Part, TensorId, TensorInfo};

use crate::blocks::Projection;
use crate::{AdapterPlan, EngineError};

/// Weights of a model for decoding: matrices are read in the type that they are stored in, vectors are f32.
pub struct DecodeWeights<'a> {
    pub(super) embed: Weight<'a>,
    head: Option<Weight<'a>>,
    pub(super) final_norm: Held<'a, f32>,
    pub(super) blocks: Vec<Block<'a>>,
    /// Low-rank adapters beside the matrices, and their values.
    pub(super) adapter: Option<(&'a AdapterPlan, &'a [f32])>,
}

/// Weights of one block; optional vectors are empty where the model lacks them.
pub(super) struct Block<'a> {
    pub attn_norm: Held<'a, f32>,
    /// `[q, d]`, `[kv, d]`, `[kv, d]`
    pub qkv: [Weight<'a>; 3],
    /// `[q + 2 kv]`
    pub qkv_bias: Vec<f32>,
    pub q_norm: Held<'a, f32>,
    pub k_norm: Held<'a, f32>,
    /// `[d, q]`
    pub o: Weight<'a>,
    pub o_bias: Held<'a, f32>,
    pub ffn_norm: Held<'a, f32>,
    /// `[ff, d]` each
    pub gate_up: [Weight<'a>; 2],
    /// `[d, ff]`
    pub down: Weight<'a>,
}

impl Block<'_> {
    fn matrices(&self) -> [Matrix<'_>; 7] {
        let ([q, k, v], [gate, up]) = (&self.qkv, &self.gate_up);
        [q, k, v, &self.o, gate, up, &self.down].map(Weight::matrix)
    }
}

impl<'a> DecodeWeights<'a> {
    /// Views of the flat array `params`.
    ///
    /// # Errors
    /// When its length is not that of the spec.
    pub fn borrowed(spec: &ModelSpec, params: &'a [f32]) -> Result<DecodeWeights<'a>, EngineError> {
        let layout = Layout::of(spec);
        if params.len() != layout.len() {
            return Err(EngineError::Length { what: "parameters", found: params.len(), expected: layout.len() });
        }
        Self::read(spec, |t| Ok(Numbers::F32(Held::Borrowed(&params[t.range.clone()]))))
    }

    /// Each weight of `spec`, which must be valid, from `source`, in the order of the layout. Vectors must be f32.
    ///
    /// # Errors
    /// Those of `source`, and a weight of another length than its shape.
    pub fn read<E: From<EngineError>>(
        spec: &ModelSpec,
        source: impl FnMut(&TensorInfo) -> Result<Numbers<'a>, E>,
    ) -> Result<DecodeWeights<'a>, E> {
        let mut reader = Reader { layout: Layout::of(spec), source };
        let embed = reader.matrix(TensorId::Embed)?;
        let blocks = (0..spec.layers).map(|l| reader.block(l)).collect::<Result<_, E>>()?;
        let final_norm = reader.vector(TensorId::FinalNorm)?;
        let head = (!spec.tied).then(|| reader.matrix(TensorId::Head)).transpose()?;
        Ok(DecodeWeights { embed, head, final_norm, blocks, adapter: None })
    }

    /// The same with the adapters `values` of `plan` beside the matrices, which are those of the frozen base.
    pub fn adapted(self, plan: &'a AdapterPlan, values: &'a [f32]) -> DecodeWeights<'a> {
        DecodeWeights { adapter: Some((plan, values)), ..self }
    }

    /// What the adapters of a projection add to its product `y` `[m, width]` with `x`.
    pub(super) fn beside(&self, cpu: &Cpu, at: (usize, Projection), x: &[f32], y: &mut [f32], width: usize) {
        if let Some((plan, values)) = self.adapter {
            plan.add_beside(cpu, values, at, x, y, width);
        }
    }

    /// `[vocab, d]`
    pub(super) fn classifier(&self) -> Matrix<'_> {
        self.head.as_ref().unwrap_or(&self.embed).matrix()
    }

    /// All matrices, the embedding first.
    fn matrices(&self) -> impl Iterator<Item = Matrix<'_>> {
        let ends = std::iter::once(&self.embed).chain(&self.head).map(Weight::matrix);
        ends.chain(self.blocks.iter().flat_map(Block::matrices))
    }

    /// Whether some matrix is not f32.
    pub(super) fn are_encoded(&self) -> bool {
        self.matrices().any(|m| m.stored() != Stored::F32)
    }

    /// Bytes of matrices that decoding one token reads: all but the embedding, of which it reads one row.
    pub fn bytes_of_a_token(&self) -> usize {
        let embed = self.embed.matrix().bytes();
        let all: usize = self.matrices().map(|m| m.bytes()).sum();
        if self.head.is_some() { all - embed } else { all }
    }
}

struct Reader<F> {
    layout: Layout,
    source: F,
}

impl<'a, E: From<EngineError>, F: FnMut(&TensorInfo) -> Result<Numbers<'a>, E>> Reader<F> {
    fn matrix(&mut self, id: TensorId) -> Result<Weight<'a>, E> {
        let t = self.layout.get(id).ok_or(EngineError::Length { what: "layout", found: 0, expected: 1 })?;
        let [rows, cols] = t.shape;
        let weight = Weight::new((self.source)(t)?, rows, cols);
        Ok(weight.ok_or(EngineError::Length { what: "stored weight", found: 0, expected: rows * cols })?)
    }

    /// A vector, empty where the model lacks it.
    fn vector(&mut self, id: TensorId) -> Result<Held<'a, f32>, E> {
        let Some(t) = self.layout.get(id) else { return Ok(Held::Borrowed(&[])) };
        let expected = t.range.len();
        match (self.source)(t)? {
            Numbers::F32(floats) if floats.len() == expected => Ok(floats),
            Numbers::F32(floats) => Err(EngineError::Length { what: "stored vector", found: floats.len(), expected }.into()),
            _ => Err(EngineError::Length { what: "stored vector in f32", found: 0, expected }.into()),
        }
    }

    fn block(&mut self, l: usize) -> Result<Block<'a>, E> {
        let id = |part| TensorId::Layer(l, part);
        let attn_norm = self.vector(id(Part::AttnNorm))?;
        let qkv = [self.matrix(id(Part::Q))?, self.matrix(id(Part::K))?, self.matrix(id(Part::V))?];
        let mut qkv_bias = Vec::new();
        for part in [Part::QBias, Part::KBias, Part::VBias] {
            qkv_bias.extend_from_slice(&self.vector(id(part))?);
        }
        Ok(Block {
            attn_norm,
            qkv,
            qkv_bias,
            q_norm: self.vector(id(Part::QNorm))?,
            k_norm: self.vector(id(Part::KNorm))?,
            o: self.matrix(id(Part::O))?,
            o_bias: self.vector(id(Part::OBias))?,
            ffn_norm: self.vector(id(Part::FfnNorm))?,
            gate_up: [self.matrix(id(Part::Gate))?, self.matrix(id(Part::Up))?],
            down: self.matrix(id(Part::Down))?,
        })
    }
}
