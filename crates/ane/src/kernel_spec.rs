//! [`KernelSpec`]: a program together with what lies in its surfaces and what its weight files hold.

use mil::Program;
use model::Part;

use crate::Packed;

/// What a weight file of a program holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baked {
    /// The matrix of `part`, as the layout has it: `[rows, cols]`.
    Matrix(Part),
    /// The matrix of `part` transposed: `[cols, rows]`.
    Transposed(Part),
    /// A vector of the block (gain of a norm) as `[1, d, 1, 1]`.
    Vector(Part),
    /// Gain of the norm before the classifier.
    FinalNorm,
    /// The classifier `[vocab, d]`.
    Classifier,
    /// 0 on and below the diagonal, -65504 above it: `[1, 1, s, s]`.
    CausalMask,
    /// Cosines of the rotation `[1, 1, head_dim / 2, s]`, a row a pair.
    RopeCos,
    /// Sines, likewise.
    RopeSin,
    /// The matrix of `part` rounded to 8 bits, a scale a row.
    Int8(Part),
}

impl Baked {
    /// Whether it follows from the weights, so that an update of them makes the program stale.
    pub fn is_weight(self) -> bool {
        !matches!(self, Baked::CausalMask | Baked::RopeCos | Baked::RopeSin)
    }
}

/// A program, and how its surfaces and weight files are filled.
#[derive(Clone, Debug)]
pub struct KernelSpec {
    /// `sdpa_fwd`, `ffn_bwd`, ...
    pub name: &'static str,
    /// A checked program.
    pub program: Program,
    /// Inputs, in the order of the program.
    pub inputs: Vec<Packed>,
    /// Outputs, in the order of the program.
    pub outputs: Vec<Packed>,
    /// Weight files: path in the program and what they hold.
    pub baked: Vec<(String, Baked)>,
    /// Weight files of further layers, in a program of several: path, what they hold, and how many layers after the first.
    pub deeper: Vec<(String, Baked, usize)>,
    /// Multiply-adds of one evaluation, times two.
    pub flops: f64,
}

impl KernelSpec {
    /// Whether an update of the weights makes the program stale.
    pub fn bakes_weights(&self) -> bool {
        self.baked.iter().any(|(_, b)| b.is_weight())
    }

    /// Whether weights lie in its surfaces, written there whenever they change.
    pub fn stages_weights(&self) -> bool {
        self.inputs.iter().flat_map(|p| &p.fields).any(|f| f.holds.is_some())
    }
}
