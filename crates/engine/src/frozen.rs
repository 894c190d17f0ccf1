//! [`Frozen`]: weights that do not change, each matrix in the type it is stored in, where it lies: a mapped file, say. A matrix
//! that is neither f32 nor, on tiles, bf16 is decoded where it is used, into a scratch of one; a large one a piece of its rows at a time. So a
//! base in bf16 takes half, and in q8_0 about a quarter, of what it takes in f32, for one more pass over it in each product.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use kernels::Cpu;
use kernels::embedding::embed;
use kernels::gemm::{Halves, MatRef};
use kernels::stored::{Numbers, Weight};
use model::{Layout, ModelSpec, TensorInfo};

use crate::EngineError;

/// Floats of the scratch that a matrix is decoded into, unless a single one needs more.
const PIECE: usize = 2 << 20;

/// Weights of a model, matrices as they are stored.
pub struct Frozen<'a> {
    layout: Layout,
    /// In the order of the layout.
    held: Vec<Held<'a>>,
    /// All vectors, in the order of the layout.
    vectors: Vec<f32>,
    scratch: Mutex<Vec<f32>>,
}

enum Held<'a> {
    /// Where it begins among the vectors.
    Vector(usize),
    Matrix(Weight<'a>),
}

impl<'a> Frozen<'a> {
    /// Each weight of `layout` from `source`, in its order. Vectors must be f32.
    ///
    /// # Errors
    /// Those of `source`, and a weight of another length than its shape.
    pub fn read<E: From<EngineError>>(
        layout: &Layout,
        mut source: impl FnMut(&TensorInfo) -> Result<Numbers<'a>, E>,
    ) -> Result<Frozen<'a>, E> {
        let (mut held, mut vectors) = (Vec::with_capacity(layout.tensors().len()), Vec::new());
        for t in layout.tensors() {
            let (numbers, [rows, cols], expected) = (source(t)?, t.shape, t.range.len());
            held.push(match numbers {
                Numbers::F32(floats) if rows == 1 && floats.len() == expected => {
                    let start = vectors.len();
                    vectors.extend_from_slice(&floats);
                    Held::Vector(start)
                }
                numbers => {
                    let weight = Weight::new(numbers, rows, cols).filter(|_| rows > 1);
                    Held::Matrix(weight.ok_or(EngineError::Length { what: "stored weight", found: 0, expected })?)
                }
            });
        }
        Ok(Frozen { layout: layout.clone(), held, vectors, scratch: Mutex::new(Vec::new()) })
    }

    /// Floats that matrices of a model of `spec` are decoded into, at most.
    pub fn scratch(spec: &ModelSpec) -> usize {
        let largest = spec.qkv_dim().max(2 * spec.hidden).max(spec.q_dim());
        PIECE.max(largest.max(spec.hidden) * spec.dim)
    }

    /// Bytes of all weights.
    pub fn bytes(&self) -> usize {
        let matrices = self.held.iter().map(|h| if let Held::Matrix(w) = h { w.matrix().bytes() } else { 0 });
        matrices.sum::<usize>() + 4 * self.vectors.len()
    }

    /// The elements of a weight as they are held.
    pub fn numbers(&self, of: &TensorInfo) -> Numbers<'_> {
        match self.from(of.range.start).next() {
            Some((_, Held::Matrix(weight))) => weight.numbers(),
            _ => Numbers::F32(self.vector(of.range.clone()).into()),
        }
    }

    /// The tensors from the one at `start` on.
    fn from(&self, start: usize) -> impl Iterator<Item = (&TensorInfo, &Held<'a>)> {
        let first = self.layout.tensors().partition_point(|t| t.range.end <= start);
        self.layout.tensors().iter().zip(&self.held).skip(first)
    }

    /// The weights at `range`, where they are one matrix, or part of one, that lies in f32.
    fn floats(&self, range: &Range<usize>) -> Option<&[f32]> {
        let (t, held) = self.from(range.start).next().filter(|(t, _)| range.end <= t.range.end)?;
        let Held::Matrix(weight) = held else { return None };
        weight.matrix().floats().map(|floats| &floats[range.start - t.range.start..range.end - t.range.start])
    }

    /// The weights at `range`, where they are matrices of `cols` columns in bfloat16.
    fn halves(&self, range: &Range<usize>, cols: usize) -> Option<Halves<'_>> {
        let (mut pieces, mut n, mut at) = ([&[][..]; 3], 0, range.start);
        for (t, held) in self.from(range.start).take_while(|(t, _)| t.range.start < range.end) {
            let Held::Matrix(weight) = held else { return None };
            let fits = t.range.start == at && t.shape[1] == cols;
            *pieces.get_mut(n).filter(|_| fits)? = weight.matrix().halves_bytes()?;
            (n, at) = (n + 1, t.range.end);
        }
        Halves::new(&pieces[..n], cols).filter(|_| at == range.end)
    }

    fn vector(&self, range: Range<usize>) -> &[f32] {
        match self.from(range.start).next() {
            Some((_, Held::Vector(at))) => &self.vectors[*at..at + range.len()],
            _ => &[],
        }
    }

    /// Rows `first ..` of the matrices that lie from `start` on, into `out`.
    fn decode(&self, cpu: &Cpu, start: usize, mut first: usize, mut out: &mut [f32]) {
        for (t, held) in self.from(start) {
            let Held::Matrix(weight) = held else { break };
            let [rows, cols] = t.shape;
            if first >= rows {
                first -= rows;
                continue;
            }
            let len = ((rows - first) * cols).min(out.len());
            let (part, rest) = out.split_at_mut(len);
            weight.matrix().decode(cpu, first, part);
            (first, out) = (0, rest);
            if out.is_empty() {
                break;
            }
        }
    }
}

/// Weights of a model as a walk reads them.
#[derive(Clone, Copy)]
pub enum Base<'p> {
    /// All in f32, in the order of the layout.
    Flat(&'p [f32]),
    /// As they are stored.
    Stored(&'p Frozen<'p>),
}

impl<'p> Base<'p> {
    /// Number of weights.
    pub fn len(self) -> usize {
        match self {
            Base::Flat(flat) => flat.len(),
            Base::Stored(frozen) => frozen.layout.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The vector, or neighbouring vectors, at `range`.
    pub fn vector(self, range: Range<usize>) -> &'p [f32] {
        match self {
            Base::Flat(flat) => &flat[range],
            Base::Stored(frozen) => frozen.vector(range),
        }
    }

    /// Calls `f` with the matrix, or neighbouring matrices of as many columns, at `range` in f32.
    pub fn matrix(self, cpu: &Cpu, range: Range<usize>, f: impl FnOnce(&[f32])) {
        match self {
            Base::Flat(flat) => f(&flat[range]),
            Base::Stored(frozen) => {
                if let Some(floats) = frozen.floats(&range) {
                    return f(floats);
                }
                let mut scratch = frozen.scratch.lock().unwrap_or_else(PoisonError::into_inner);
                if scratch.len() < range.len() {
                    scratch.resize(range.len(), 0.0);
                }
                frozen.decode(cpu, range.start, 0, &mut scratch[..range.len()]);
                f(&scratch[..range.len()]);
            }
        }
    }

    /// Calls `f(rows, values)` for pieces of the matrix `[rows, cols]` at `range`, in order; one piece where it lies in f32.
    pub fn pieces(self, cpu: &Cpu, range: Range<usize>, cols: usize, mut f: impl FnMut(Range<usize>, &[f32])) {
        let rows = range.len() / cols;
        match self {
            Base::Flat(flat) => f(0..rows, &flat[range]),
            Base::Stored(frozen) => {
                if let Some(floats) = frozen.floats(&range) {
                    return f(0..rows, floats);
                }
                let most = (PIECE / cols).clamp(1, rows.max(1));
                let mut scratch = frozen.scratch.lock().unwrap_or_else(PoisonError::into_inner);
                if scratch.len() < most * cols {
                    scratch.resize(most * cols, 0.0);
                }
                for first in (0..rows).step_by(most) {
                    let end = rows.min(first + most);
                    let piece = &mut scratch[..(end - first) * cols];
                    frozen.decode(cpu, range.start, first, piece);
                    f(first..end, piece);
                }
            }
        }
    }

    /// `c = a W^T`, or `c = a W` where `back`, by the matrix, or neighbouring matrices of as many columns, `W` `[rows, cols]` at
    /// `range`.
    pub fn product(self, cpu: &Cpu, range: Range<usize>, cols: usize, (a, back): (MatRef<'_>, bool), c: &mut [f32]) {
        let rows = range.len() / cols;
        if let Base::Stored(frozen) = self
            && let Some(w) = frozen.halves(&range, cols)
            && cpu.gemm_halves(c, if back { cols } else { rows }, a, (&w, !back), false)
        {
            return;
        }
        self.pieces(cpu, range, cols, |part, w| {
            let w = MatRef::new(w, part.len(), cols);
            if back {
                let a = MatRef::strided(&a.data[part.start..], a.rows, part.len(), a.stride);
                cpu.gemm(c, cols, a, w, part.start > 0); // [m, rows] x [rows, cols]
            } else {
                cpu.gemm(&mut c[part.start..], rows, a, w.t(), false); // [m, cols] x [cols, rows]
            }
        });
    }

    /// Rows `ids` of the matrix of `cols` columns at `range`: an embedding.
    pub(crate) fn gather(self, cpu: &Cpu, out: &mut [f32], range: Range<usize>, ids: &[u32], cols: usize) {
        match self {
            Base::Flat(flat) => embed(cpu, out, &flat[range], ids, cols),
            Base::Stored(frozen) => {
                if let Some((_, Held::Matrix(weight))) = frozen.from(range.start).next() {
                    weight.matrix().gather(cpu, out, ids);
                }
            }
        }
    }
}

impl std::fmt::Debug for Base<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} weights", self.len())
    }
}

/// Weights that do not change, shared by whoever reads them.
#[derive(Clone)]
pub enum BaseWeights {
    /// See [`Base::Flat`].
    Flat(Arc<Vec<f32>>),
    /// See [`Base::Stored`].
    Stored(Arc<Frozen<'static>>),
}

impl BaseWeights {
    /// The same, borrowed.
    pub fn as_base(&self) -> Base<'_> {
        match self {
            BaseWeights::Flat(flat) => Base::Flat(flat),
            BaseWeights::Stored(frozen) => Base::Stored(frozen),
        }
    }

    /// All weights in f32, where they are held so.
    pub fn flat(&self) -> Option<&[f32]> {
        if let BaseWeights::Flat(flat) = self { Some(flat) } else { None }
    }

    /// The elements of a weight as they are held.
    pub fn numbers(&self, of: &TensorInfo) -> Numbers<'_> {
        match self {
            BaseWeights::Flat(flat) => Numbers::F32(flat[of.range.clone()].into()),
            BaseWeights::Stored(frozen) => frozen.numbers(of),
        }
    }

    /// Rows `rows` of a weight.
    pub fn rows(&self, cpu: &Cpu, of: &TensorInfo, rows: Range<usize>, out: &mut [f32]) {
        let (start, cols) = (of.range.start, of.shape[1]);
        match self {
            BaseWeights::Flat(flat) => out.copy_from_slice(&flat[start + rows.start * cols..start + rows.end * cols]),
            BaseWeights::Stored(frozen) if of.shape[0] == 1 => out.copy_from_slice(frozen.vector(of.range.clone())),
            BaseWeights::Stored(frozen) => frozen.decode(cpu, start, rows.start, out),
        }
    }
}

impl From<Arc<Vec<f32>>> for BaseWeights {
    fn from(flat: Arc<Vec<f32>>) -> BaseWeights {
        BaseWeights::Flat(flat)
    }
}
