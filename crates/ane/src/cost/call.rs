//! A kernel as the cost model sees it: how often it runs, and what it moves.

use crate::{KernelSpec, Packed};

/// A kernel of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Dispatches a step.
    pub dispatches: usize,
    /// Programs: one for all layers, or one a layer where weights are baked in.
    pub programs: usize,
    /// Whether an update of the weights makes the programs stale.
    pub bakes_weights: bool,
    /// Bytes of weights that a program holds.
    pub baked_bytes: f64,
    /// Bytes of weights that lie in its input beside activations.
    pub packed_bytes: f64,
    /// Bytes of weights that lie in inputs of their own.
    pub parameter_bytes: f64,
    /// Bytes of activations that the host writes.
    pub written_bytes: f64,
    /// Bytes that the host reads.
    pub read_bytes: f64,
    /// Arithmetic of a dispatch.
    pub flops: f64,
}

impl Call {
    /// The kernel `spec`, run `dispatches` times a step by `programs` programs.
    pub fn of(spec: &KernelSpec, dispatches: usize, programs: usize) -> Call {
        let weights = |p: &Packed| p.fields.iter().filter(|f| f.holds.is_some()).map(|f| f.channels * f.width).sum::<usize>();
        let total = |p: &Packed| p.bytes() as f64;
        let in_surface = |p: &Packed| weights(p) as f64 * p.dtype.bits() as f64 / 8.0;
        let (mut packed, mut parameters, mut written) = (0.0, 0.0, 0.0);
        for input in &spec.inputs {
            let held = in_surface(input);
            written += total(input) - held;
            *(if held < total(input) { &mut packed } else { &mut parameters }) += held;
        }
        Call {
            name: spec.name.to_owned(),
            dispatches,
            programs,
            bakes_weights: spec.bakes_weights(),
            baked_bytes: baked_bytes(spec),
            packed_bytes: packed,
            parameter_bytes: parameters,
            written_bytes: written,
            read_bytes: spec.outputs.iter().map(total).sum(),
            flops: spec.flops,
        }
    }

    /// Bytes of its input surfaces of one layer.
    pub fn input_bytes(&self) -> f64 {
        self.packed_bytes + self.parameter_bytes + self.written_bytes
    }
}

/// Bytes of the weights in the files of a program, as its constants declare them.
fn baked_bytes(spec: &KernelSpec) -> f64 {
    let attributes = spec.program.functions.iter().flat_map(|f| &f.body).flat_map(|s| &s.attributes);
    let literals = attributes.filter_map(|(_, literal)| match &literal.elements {
        mil::Elements::Blob { path, .. } => Some((path, literal.ty.bytes().unwrap_or(0))),
        _ => None,
    });
    let of_weights = literals.filter(|(path, _)| spec.baked.iter().any(|(name, b)| name == *path && b.is_weight()));
    of_weights.map(|(_, bytes)| bytes as f64).sum()
}
