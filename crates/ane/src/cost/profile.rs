//! The constants of the cost model. A test fits those that are fitted anew, from elsewhere, fails when it
//! finds others, and prints them.

use mil::Chip;

use super::Machine;
use super::machine::Variant;

/// Rates of an engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineRates {
    /// What a dispatch of nothing takes, in milliseconds.
    pub floor_ms: f64,
    /// Arithmetic in fp16, TFLOP/s.
    pub tflops: f64,
    /// Weights of a program that do not stay on the chip, GB/s.
    pub stream_gbs: f64,
    /// Activations in and out of surfaces, GB/s.
    pub surface_gbs: f64,
}

/// Everything that the model knows of machines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constants {
    /// M1; from measurements of its parts, not fitted.
    pub m1: EngineRates,
    /// M2; from measurements of its parts, not fitted.
    pub m2: EngineRates,
    /// M3.
    pub m3: EngineRates,
    /// M4 without a suffix.
    pub m4: EngineRates,
    /// Floor of M4 Pro and Max; arithmetic and surfaces are those of M4.
    pub m4_large_floor_ms: f64,
    /// Weight stream of M4 Pro and Max.
    pub m4_large_stream_gbs: f64,
    /// M5; from measurements of its parts, not fitted.
    pub m5: EngineRates,
    /// How many times longer weights stream on M4 Pro and Max when the input channels are a multiple of 4,096.
    pub bank_conflict: f64,
    /// Weights that lie beside activations in a surface and are sliced out of it, GB/s.
    pub packed_gbs: f64,
    /// Conversion and copy between fp32 and surfaces on the host of an M4, GB/s of fp16.
    pub copy_gbs: f64,
    /// Matrix products on the host of an M4, TFLOP/s.
    pub gemm_tflops: f64,
    /// Passes over elements on the host of an M4, GB/s of fp32.
    pub element_gbs: f64,
    /// Speed of the host of M1 as a multiple of that of M4.
    pub host_m1: f64,
    /// The same of M2.
    pub host_m2: f64,
    /// The same of M3.
    pub host_m3: f64,
    /// The same of M5.
    pub host_m5: f64,
    /// Speed of the host of Pro, Max and Ultra as a multiple of that without a suffix.
    pub host_large: f64,
}

/// Bytes of a layer's weights that stay on the chip when layers follow each other: stacks of 640 channels run from there,
/// stacks of 768 stream (libane, M3 Pro).
pub(super) const RESIDENT_BYTES: f64 = 1.05e6;

/// The constants in use.
pub const CONSTANTS: Constants = Constants {
    // floor and weight stream, surface stream: 0.19-0.23 ms, 51 and 24 GB/s; 8.1 TF sustained (guide, M1)
    m1: EngineRates { floor_ms: 0.21, tflops: 8.1, stream_gbs: 51.0, surface_gbs: 24.0 },
    // 95-160 us a dispatch (auto, M2 Pro); 9.0 TF (libane); weights of 8,192 x 8,192 in 2.61 ms (guide); surfaces as M1
    m2: EngineRates { floor_ms: 0.127, tflops: 9.0, stream_gbs: 51.0, surface_gbs: 24.0 },
    m3: EngineRates { floor_ms: 0.2108, tflops: 16.35, stream_gbs: 51.2, surface_gbs: 34.1 },
    m4: EngineRates { floor_ms: 0.0654, tflops: 13.78, stream_gbs: 52.7, surface_gbs: 65.7 },
    m4_large_floor_ms: 0.1161,
    m4_large_stream_gbs: 111.6,
    // 0.06-0.11 ms; 18 TF convolutions; 100 GB/s memory (bridge-rs); 57 GB/s activations (guide)
    m5: EngineRates { floor_ms: 0.09, tflops: 18.0, stream_gbs: 100.0, surface_gbs: 57.0 },
    bank_conflict: 2.747,
    packed_gbs: 17.91,
    copy_gbs: 15.93,
    gemm_tflops: 2.023,
    element_gbs: 12.22,
    host_m1: 0.4163,
    host_m2: 0.5369,
    host_m3: 0.9203,
    host_m5: 0.9964,
    host_large: 1.667,
};

/// A fitted constant: its name and how to reach it.
pub(super) type Knob = (&'static str, fn(&mut Constants) -> &mut f64);

/// Constants that are fitted to times of single programs.
pub(super) const PROGRAM_KNOBS: [Knob; 11] = [
    ("floor of M3, ms", |c| &mut c.m3.floor_ms),
    ("floor of M4, ms", |c| &mut c.m4.floor_ms),
    ("floor of M4 Pro and Max, ms", |c| &mut c.m4_large_floor_ms),
    ("arithmetic of M3, TFLOP/s", |c| &mut c.m3.tflops),
    ("arithmetic of M4, TFLOP/s", |c| &mut c.m4.tflops),
    ("weight stream of M3, GB/s", |c| &mut c.m3.stream_gbs),
    ("weight stream of M4, GB/s", |c| &mut c.m4.stream_gbs),
    ("weight stream of M4 Pro and Max, GB/s", |c| &mut c.m4_large_stream_gbs),
    ("surfaces of M3, GB/s", |c| &mut c.m3.surface_gbs),
    ("surfaces of M4, GB/s", |c| &mut c.m4.surface_gbs),
    ("weights of 4,096 k input channels on M4 Pro and Max, times longer", |c| &mut c.bank_conflict),
];

/// Constants that are fitted to times of steps and of their parts.
pub(super) const STEP_KNOBS: [Knob; 9] = [
    ("weights packed into a surface, GB/s", |c| &mut c.packed_gbs),
    ("copies of the host of M4, GB/s", |c| &mut c.copy_gbs),
    ("matrix products of the host of M4, TFLOP/s", |c| &mut c.gemm_tflops),
    ("passes over elements of the host of M4, GB/s", |c| &mut c.element_gbs),
    ("host of M1, times that of M4", |c| &mut c.host_m1),
    ("host of M2, times that of M4", |c| &mut c.host_m2),
    ("host of M3, times that of M4", |c| &mut c.host_m3),
    ("host of M5, times that of M4", |c| &mut c.host_m5),
    ("host of Pro, Max and Ultra, times that without a suffix", |c| &mut c.host_large),
];

impl Constants {
    /// Rates of a machine's engine.
    pub fn engine(&self, machine: Machine) -> EngineRates {
        match (machine.chip, machine.variant) {
            (Chip::M1, _) => self.m1,
            (Chip::M2, _) => self.m2,
            (Chip::M3, _) => self.m3,
            (Chip::M4, Variant::Base) => self.m4,
            (Chip::M4, _) => EngineRates { floor_ms: self.m4_large_floor_ms, stream_gbs: self.m4_large_stream_gbs, ..self.m4 },
            (Chip::M5, _) => self.m5,
        }
    }

    /// Speed of a machine's host as a multiple of that of M4.
    pub fn host(&self, machine: Machine) -> f64 {
        let generation = match machine.chip {
            Chip::M1 => self.host_m1,
            Chip::M2 => self.host_m2,
            Chip::M3 => self.host_m3,
            Chip::M4 => 1.0,
            Chip::M5 => self.host_m5,
        };
        if machine.variant == Variant::Base { generation } else { generation * self.host_large }
    }

    /// How much faster 8-bit weights and activations are (published, not fitted: facts of M3 Pro, M4, M5 Max; none on M1, M2).
    pub fn int8_speedup(machine: Machine) -> f64 {
        match machine.chip {
            Chip::M1 | Chip::M2 => 1.0,
            Chip::M3 => 1.07,
            Chip::M4 => 1.88,
            Chip::M5 => 1.85,
        }
    }

    /// Milliseconds to compile and load one program: `baked` ones hold weights.
    pub fn compile_ms(machine: Machine, baked: bool) -> f64 {
        match (machine.chip, baked) {
            // 60 programs in 7.1-8.5 s on M1, 3.2-4.2 s later; 10 without weights in 0.35-0.43 s
            (Chip::M1, true) => 130.0,
            (_, true) => 62.0,
            (Chip::M1, false) => 60.0,
            (_, false) => 39.0,
        }
    }
}
