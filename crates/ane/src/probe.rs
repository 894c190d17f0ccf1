//! [`probe`]: every kernel once on a device and once on a reference, over the same weights and seeded inputs. One run on a
//! machine says which kernels can be trusted there, and what went wrong with the others.
//!
//! Values are compared field by field: the largest difference, over the largest magnitude that the reference has in the
//! field. [`TOLERANCE`] allows what fp16 explains: each operation rounds to one part in 2048, sums of hundreds of terms in
//! another order differ by several of those, and a block is some tens of operations; a wrong order of ports, a wrong stride
//! or a saturated sum is off by the values themselves.

use std::collections::HashSet;

use half::f16;
use kernels::noise::Philox;
use mil::BuildError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::kernels::set;
use crate::kernels::weights::{Model, file};
use crate::sim::Simulator;
use crate::staging::{Copier, Rows};
use crate::{
    Baked, BlockShape, Device, DeviceError, Field, Kernel, KernelForm, KernelSpec, Packed, Pipeline, PipelineOptions, Source,
    Surface, WeightForm,
};

/// Largest difference that passes, as a part of the largest magnitude of a field.
pub const TOLERANCE: f32 = 0.02;
/// Of the inputs.
const SEED: u64 = 0x616e65;
/// Largest magnitude of an activation that is put in.
const AMPLITUDE: f32 = 1.0;

/// What was found on a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The device, in its words.
    pub device: String,
    /// What it was compared with, in its words.
    pub reference: String,
    /// Largest difference that passed.
    pub tolerance: f32,
    /// Each kernel, in order.
    pub kernels: Vec<KernelProbe>,
}

/// What was found about a kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelProbe {
    /// Options of the first pipeline that has it, and its name: `static/original/ffn_bwd`.
    pub name: String,
    /// How it went.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// How a kernel went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Every field is what the reference has, within the tolerance.
    Passed {
        /// Largest difference of a field.
        error: f32,
        /// Of one evaluation, by the device's own clock.
        seconds: f64,
    },
    /// It ran, and a field is something else.
    Differs {
        /// The field, where, what was expected and what was found.
        what: String,
    },
    /// The device did not run it.
    Failed {
        /// At which call, and why, in the device's words.
        why: String,
    },
    /// The reference did not run it, so that nothing is known.
    Unknown {
        /// Why, in the reference's words.
        why: String,
    },
}

impl ProbeReport {
    /// Kernels that passed.
    pub fn passed(&self) -> impl Iterator<Item = &KernelProbe> {
        self.kernels.iter().filter(|k| matches!(k.verdict, Verdict::Passed { .. }))
    }

    /// Whether every kernel did.
    pub fn all_passed(&self) -> bool {
        self.passed().count() == self.kernels.len()
    }
}

/// `passed, off by 0.0012, 0.21 ms`
impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Passed { error, seconds } => write!(f, "passed, off by {error:.4}, {:.2} ms", 1e3 * seconds),
            Verdict::Differs { what } => write!(f, "differs: {what}"),
            Verdict::Failed { why } => write!(f, "failed: {why}"),
            Verdict::Unknown { why } => write!(f, "unknown: the reference does not run it: {why}"),
        }
    }
}

/// A kernel, and what a report calls it.
#[derive(Clone, Debug)]
pub struct Case {
    /// See [`KernelProbe::name`].
    pub name: String,
    /// The kernel.
    pub spec: KernelSpec,
}

/// The kernels of every pipeline for blocks of `shape`, each program once.
///
/// # Errors
/// When `shape` has no kernels.
pub fn every_kernel(shape: &BlockShape) -> Result<Vec<Case>, BuildError> {
    let (mut seen, mut cases) = (HashSet::new(), Vec::new());
    for (options, label) in every_set() {
        for spec in set(&options, shape)?.specs {
            if seen.insert(spec.program.to_string()) {
                cases.push(Case { name: format!("{}{label}/{}", options.pipeline, spec.name), spec });
            }
        }
    }
    Ok(cases)
}

/// Sets of kernels, and what sets them apart in a name.
fn every_set() -> impl Iterator<Item = (PipelineOptions, &'static str)> {
    Pipeline::ALL.into_iter().flat_map(|pipeline| {
        let fused = PipelineOptions::of(pipeline);
        [
            (fused, ""),
            (PipelineOptions { kernels: KernelForm::Original, ..fused }, "/original"),
            (PipelineOptions { weights: WeightForm::Parameters, ..fused }, "/parameters"),
            (PipelineOptions { int8: true, ..fused }, "/int8"),
        ]
    })
}

/// Runs each of `cases` on `device` and on `reference`, with the weights of the first layer of `model`. A failure of one
/// kernel is its verdict; the others are tried all the same.
pub fn probe<D: Device, R: Device>(device: &D, reference: &R, cases: &[Case], model: &Model<'_>) -> ProbeReport {
    let one = |case: &Case| KernelProbe { name: case.name.clone(), verdict: judge(device, reference, &case.spec, model) };
    ProbeReport {
        device: device.describe(),
        reference: reference.describe(),
        tolerance: TOLERANCE,
        kernels: cases.iter().map(one).collect(),
    }
}

/// What is known of a kernel already, by its name and the [`digest`] of its program.
pub type Known = dyn Fn(&str, &str) -> Option<Verdict>;
/// Told what was found out of a kernel, by the same.
pub type Found = dyn FnMut(&str, &str, &Verdict);

/// How kernels are tried before their first use on a device that nobody has seen this program on.
pub struct Checks {
    /// What they are compared with.
    pub reference: Simulator,
    /// What is known.
    pub known: Box<Known>,
    /// Told the rest.
    pub found: Box<Found>,
}

impl Checks {
    /// Comparisons with `reference` of which nothing is known before or kept after.
    pub fn new(reference: Simulator) -> Checks {
        Checks { reference, known: Box::new(|_, _| None), found: Box::new(|_, _, _| ()) }
    }

    /// The verdict on a kernel with its program's text: what is known, or what a trial on `device` finds.
    pub(crate) fn judge<D: Device>(&mut self, device: &D, (spec, text): (&KernelSpec, &str), model: &Model<'_>) -> Verdict {
        let digest = digest(text);
        if let Some(known) = (self.known)(spec.name, &digest) {
            return known;
        }
        let verdict = judge(device, &self.reference, spec, model);
        // what the reference could not run is no news of the device
        if !matches!(verdict, Verdict::Unknown { .. }) {
            (self.found)(spec.name, &digest, &verdict);
        }
        verdict
    }
}

/// SHA-256 of the text of a program: what a verdict on it is kept under. The weights of a program are none of its text.
pub fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect()
}

/// What sets the kernels of `options` apart in the name of a probe: `static/original`.
pub fn label(options: &PipelineOptions) -> String {
    let forms = every_set().filter(|(set, _)| set.pipeline == options.pipeline);
    let alike = |set: &PipelineOptions| (set.kernels, set.weights, set.int8) == (options.kernels, options.weights, options.int8);
    let label = forms.into_iter().find(|(set, _)| alike(set)).map_or("", |(_, label)| label);
    format!("{}{label}", options.pipeline)
}

fn judge<D: Device, R: Device>(device: &D, reference: &R, spec: &KernelSpec, model: &Model<'_>) -> Verdict {
    let expected = match run(reference, spec, model) {
        Ok((values, _)) => values,
        Err(error) => return Verdict::Unknown { why: error.to_string() },
    };
    match run(device, spec, model) {
        Ok((found, seconds)) => compare(spec, &expected, &found, seconds),
        Err(error) => Verdict::Failed { why: error.to_string() },
    }
}

/// Elements of every field of every output, field by field, and seconds of the evaluation.
fn run<D: Device>(device: &D, spec: &KernelSpec, model: &Model<'_>) -> Result<(Vec<Vec<f32>>, f64), DeviceError> {
    let text = spec.program.clone().in_dialect(device.dialect()).to_string();
    let first = spec.baked.iter().map(|(path, what)| (path.clone(), file(*what, model, 0)));
    let deeper = spec.deeper.iter().map(|(path, what, after)| (path.clone(), file(*what, model, *after)));
    let blobs: Vec<_> = first.chain(deeper).collect();
    let kernel = device.compile(&Source { name: spec.name, text: &text, blobs: &blobs })?;
    let surfaces = |ports: &[crate::Port]| ports.iter().map(|p| device.surface(p.surface_bytes)).collect::<Result<Vec<_>, _>>();
    let (inputs, outputs) = (surfaces(kernel.inputs())?, surfaces(kernel.outputs())?);
    let mut stream = 0;
    for ((packed, surface), port) in spec.inputs.iter().zip(&inputs).zip(kernel.inputs()) {
        surface.write(|memory| {
            for field in &packed.fields {
                stream += 1;
                fill(memory, port.row_stride, field, model, stream);
            }
        })?;
    }
    let request = kernel.request(&inputs, &outputs)?;
    let before = device.counters().evaluate_seconds;
    kernel.evaluate(&request)?;
    let seconds = device.counters().evaluate_seconds - before;
    let mut values = Vec::new();
    for ((packed, surface), port) in spec.outputs.iter().zip(&outputs).zip(kernel.outputs()) {
        values.extend(surface.read(|memory| elements(memory, port.row_stride, packed))?);
    }
    Ok((values, seconds))
}

/// Weights where `field` holds them, else numbers of the stream.
fn fill(memory: &mut [u8], row_stride: usize, field: &Field, model: &Model<'_>, stream: u64) {
    let mut copier = Copier::default();
    match field.holds {
        Some(what @ Baked::Transposed(_)) => copier.write_transposed(memory, row_stride, field, model.of(what, 0)),
        Some(what) => copier.write_matrix(memory, row_stride, field, model.of(what, 0)),
        None => {
            let mut data = vec![0.0; field.channels * field.width];
            Philox::new(SEED, stream).fill_uniform(&mut data, 0, -AMPLITUDE, AMPLITUDE);
            copier.write(memory, row_stride, field, Rows { data: &data, stride: field.channels, offset: 0 }, 1.0);
        }
    }
}

/// Elements of each field, channel by channel.
fn elements(memory: &[u8], row_stride: usize, packed: &Packed) -> Vec<Vec<f32>> {
    let row = |field: &Field, c: usize| {
        let first = (field.first_channel + c) * row_stride + 2 * field.first_column;
        let bytes = memory[first..first + 2 * field.width].chunks_exact(2);
        bytes.map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect::<Vec<_>>()
    };
    packed.fields.iter().map(|field| (0..field.channels).flat_map(|c| row(field, c)).collect()).collect()
}

fn compare(spec: &KernelSpec, expected: &[Vec<f32>], found: &[Vec<f32>], seconds: f64) -> Verdict {
    let mut error = 0f32;
    for ((field, expected), found) in spec.outputs.iter().flat_map(|p| &p.fields).zip(expected).zip(found) {
        let largest = expected.iter().filter(|v| v.is_finite()).fold(0f32, |m, v| m.max(v.abs())).max(f32::MIN_POSITIVE);
        for (i, (a, b)) in expected.iter().zip(found).enumerate() {
            // equal infinities do not differ, nor do two that are no numbers
            let same = a == b || a.is_nan() && b.is_nan();
            let off = if same { 0.0 } else { (a - b).abs() / largest };
            if off.is_nan() || off > TOLERANCE {
                let place = format!("{}[{}, {}]", field.name, i / field.width, i % field.width);
                let zeros = if found.iter().all(|v| *v == 0.0) { "; the whole field is zero" } else { "" };
                return Verdict::Differs { what: format!("{place} should be {a}, and is {b}{zeros}") };
            }
            error = error.max(off);
        }
    }
    Verdict::Passed { error, seconds }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
