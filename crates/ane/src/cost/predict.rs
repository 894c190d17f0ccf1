//! Times from work and constants.

use mil::Chip;

use super::machine::Variant;
use super::profile::RESIDENT_BYTES;
use super::{Call, Constants, HostWork, Machine};

/// Convolutions of one program, one upon the other, with a square window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv {
    /// How many.
    pub layers: usize,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Positions.
    pub positions: usize,
    /// Width of the window.
    pub window: usize,
    /// Whether the weights lie in the input beside the activations instead of in the program.
    pub packed: bool,
}

/// Milliseconds of a program of convolutions, or of products with a constant matrix.
pub fn conv_ms(constants: &Constants, machine: Machine, conv: &Conv) -> f64 {
    let rates = constants.engine(machine);
    let weights = (conv.inputs * conv.outputs * conv.window * conv.window) as f64 * 2.0;
    let arithmetic = weights * conv.positions as f64 / rates.tflops / 1e9;
    let activations = ((conv.inputs + conv.outputs) * conv.positions) as f64 * 2.0 / rates.surface_gbs / 1e6;
    if conv.packed {
        return rates.floor_ms + arithmetic + activations + weights / constants.packed_gbs / 1e6;
    }
    let streams = conv.layers == 1 || weights > RESIDENT_BYTES;
    let large_m4 = machine.chip == Chip::M4 && machine.variant != Variant::Base;
    let conflict = if large_m4 && conv.inputs.is_multiple_of(4096) { constants.bank_conflict } else { 1.0 };
    let stream = if streams { weights * conflict / rates.stream_gbs / 1e6 } else { 0.0 };
    rates.floor_ms + conv.layers as f64 * arithmetic.max(stream) + activations
}

/// Predicted time of a step over one window, in milliseconds, and what it is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Dispatches.
    pub engine_ms: f64,
    /// Activations in and out of surfaces.
    pub copy_ms: f64,
    /// Products of matrices on the host.
    pub gemm_ms: f64,
    /// Passes over elements on the host.
    pub element_ms: f64,
}

impl Step {
    /// All of it.
    pub fn total_ms(&self) -> f64 {
        self.engine_ms + self.copy_ms + self.gemm_ms + self.element_ms
    }
}

fn dispatch_ms(constants: &Constants, machine: Machine, call: &Call, speedup: f64) -> f64 {
    let rates = constants.engine(machine);
    let arithmetic = call.flops / (rates.tflops * speedup) / 1e9;
    let stream = call.baked_bytes / rates.stream_gbs / 1e6;
    let surfaces = (call.written_bytes + call.read_bytes + call.parameter_bytes) / rates.surface_gbs / 1e6;
    rates.floor_ms + arithmetic.max(stream) + surfaces + call.packed_bytes / constants.packed_gbs / 1e6
}

/// Milliseconds of a step of `calls` and `host` on `machine`; `int8`: products of the device in 8 bits.
pub fn step(constants: &Constants, machine: Machine, calls: &[Call], host: &HostWork, int8: bool) -> Step {
    let speedup = if int8 { Constants::int8_speedup(machine) } else { 1.0 };
    let speed = constants.host(machine);
    let copied: f64 = calls.iter().map(|c| c.dispatches as f64 * (c.written_bytes + c.read_bytes)).sum();
    Step {
        engine_ms: calls.iter().map(|c| c.dispatches as f64 * dispatch_ms(constants, machine, c, speedup)).sum(),
        copy_ms: copied / (constants.copy_gbs * speed) / 1e6,
        gemm_ms: host.gemm_flops / (constants.gemm_tflops * speed) / 1e9,
        element_ms: host.elements * 4.0 / (constants.element_gbs * speed) / 1e6,
    }
}
