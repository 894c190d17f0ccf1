//! What the kernels of a pipeline add up to.

use super::Call;

/// Sums over the kernels of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Dispatches a step.
    pub dispatches: usize,
    /// Bytes of activations that the host writes a step.
    pub written_bytes: f64,
    /// Bytes that it reads a step.
    pub read_bytes: f64,
    /// Bytes of weights in surfaces, staged anew by each update of the weights.
    pub staged_bytes: f64,
    /// Programs compiled at the start.
    pub compiles: usize,
    /// Programs compiled anew by each update of the weights.
    pub compiles_of_update: usize,
    /// Arithmetic of the device a step.
    pub flops: f64,
    /// Bytes of all surfaces: an input a layer where weights lie in it, an input and an output a program elsewhere.
    pub surface_bytes: f64,
}

impl Totals {
    /// Sums of `calls`.
    pub fn of(calls: &[Call]) -> Totals {
        calls.iter().fold(Totals::default(), |sum, call| {
            let times = call.dispatches as f64;
            let weights = call.packed_bytes + call.parameter_bytes;
            let inputs = if weights > 0.0 { times } else { call.programs as f64 };
            Totals {
                dispatches: sum.dispatches + call.dispatches,
                written_bytes: sum.written_bytes + times * call.written_bytes,
                read_bytes: sum.read_bytes + times * call.read_bytes,
                staged_bytes: sum.staged_bytes + times * weights,
                compiles: sum.compiles + call.programs,
                compiles_of_update: sum.compiles_of_update + if call.bakes_weights { call.programs } else { 0 },
                flops: sum.flops + times * call.flops,
                surface_bytes: sum.surface_bytes + inputs * call.input_bytes() + call.programs as f64 * call.read_bytes,
            }
        })
    }
}
