//! A kernel as the cost model sees it: how often it runs, and what it moves.

use mil::BuildError;
use model::ModelSpec;

use crate::kernels::{self, Usage};
use crate::{BlockShape, KernelSpec, Packed, PipelineOptions};

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
    /// A kernel in a model.
    pub fn of(usage: &Usage<'_>) -> Call {
        let &Usage { spec, dispatches, programs } = usage;
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

/// The kernels of a step with `options` over `seq` tokens.
///
/// # Errors
/// When a program cannot be built: see [`kernels::set()`].
pub fn calls(options: &PipelineOptions, spec: &ModelSpec, seq: usize) -> Result<Vec<Call>, BuildError> {
    let set = kernels::set(options, &BlockShape::of(spec, seq))?;
    Ok(set.usage(spec.layers).map(|usage| Call::of(&usage)).collect())
}

/// Bytes of the weights in the files of a program, as its constants declare them.
fn baked_bytes(spec: &KernelSpec) -> f64 {
    let attributes = spec.program.functions.iter().flat_map(|f| &f.body).flat_map(|s| &s.attributes);
    let literals = attributes.filter_map(|(_, literal)| match &literal.elements {
        mil::Elements::Blob { path, .. } => Some((path, literal.ty.bytes().unwrap_or(0))),
        _ => None,
    });
    let of_first = spec.baked.iter().map(|(path, what)| (path, what));
    let held: Vec<_> = of_first.chain(spec.deeper.iter().map(|(path, what, _)| (path, what))).collect();
    let of_weights = literals.filter(|(path, _)| held.iter().any(|(name, what)| name == path && what.is_weight()));
    of_weights.map(|(_, bytes)| bytes as f64).sum()
}
