//! [`Unit`]: one kernel of a pipeline on a device, for every layer: compiled, its surfaces allocated, its weights in place,
//! its requests bound.

mod plan;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use crate::kernels::weights::{self, Model};
use crate::staging::{self, Copier, Rows, Seen};
use crate::{Baked, Device, DeviceError, Kernel, KernelSpec, Packed, Source, Surface};
pub use plan::surface_bytes;
use plan::{count, shared_key, span};

/// Programs that do not bake weights, by their text: compiled once however many units and layers share them.
pub type Compiled<D> = HashMap<String, Rc<<D as Device>::Kernel>>;

/// Surfaces that hold nothing but weights, by what lies in them: kernels that read the same weights share one. The flag says
/// whether they were written since the weights changed.
pub type Shared<D> = HashMap<String, (<D as Device>::Surface, bool)>;

/// What all units of a pipeline share.
pub struct Common<D: Device> {
    pub compiled: Compiled<D>,
    pub weights: Shared<D>,
    pub copier: Copier,
    pub costs: Costs,
}

impl<D: Device> Default for Common<D> {
    fn default() -> Common<D> {
        let (compiled, weights) = (HashMap::new(), HashMap::new());
        Common { compiled, weights, copier: Copier::default(), costs: Costs::default() }
    }
}

/// Time and bytes of the copies.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    pub staged_bytes: u64,
    pub read_bytes: u64,
    pub dispatches: u64,
    pub flops: f64,
    pub compile_seconds: f64,
    pub stage_seconds: f64,
    pub evaluate_seconds: f64,
    pub read_seconds: f64,
}

/// A window's worth of columns that a dispatch reads.
#[derive(Clone, Copy, Debug)]
pub struct In<'a> {
    /// Field that takes them.
    pub field: &'static str,
    /// The columns.
    pub rows: Rows<'a>,
    /// Whether it is a gradient, which passes through the device in a scale of its own.
    pub gradient: bool,
}

/// Where a field that a dispatch wrote goes.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// The field.
    pub field: &'static str,
    /// The port that has it; none: the first that does.
    pub port: Option<usize>,
    /// Which of the given buffers.
    pub to: usize,
    /// First column in its rows.
    pub offset: usize,
    /// Whether it is a gradient.
    pub gradient: bool,
    /// Whether it is added to what is there.
    pub add: bool,
}

/// Rows that outputs go to: data from the first row of the window on, and floats from row to row.
pub type To<'t> = (&'t mut [f32], usize);

/// Why a dispatch has no result.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The device says so.
    Device(DeviceError),
    /// A value that fp16 cannot hold, going in or coming out.
    Overflow,
    /// All zeros came out, though neither input nor weights are: how the hardware answers what it does not like.
    Zeros,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Device(error) => error.fmt(f),
            Failure::Overflow => f.write_str("a value beyond fp16's 65504"),
            Failure::Zeros => f.write_str("the device returned zeros for input that is not zero"),
        }
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Failure {
        Failure::Device(error)
    }
}

/// One layer's request.
struct Slot<D: Device> {
    kernel: Rc<D::Kernel>,
    inputs: Vec<D::Surface>,
    outputs: Vec<D::Surface>,
    request: <D::Kernel as Kernel>::Request,
    weights_alive: bool,
}

/// A kernel of a pipeline, for every layer.
pub struct Unit<D: Device> {
    pub spec: KernelSpec,
    /// Why it is not used any more.
    pub off: Option<String>,
    /// Layers of one program.
    pub span: usize,
    /// What is compiled: the same for every layer and every update.
    text: OnceCell<String>,
    slots: Vec<Slot<D>>,
}

impl<D: Device> Unit<D> {
    pub fn new(spec: KernelSpec) -> Unit<D> {
        let span = span(&spec);
        Unit { spec, off: None, span, text: OnceCell::new(), slots: Vec::new() }
    }

    /// Programs that are compiled for new weights.
    pub fn programs(&self, layers: usize) -> u64 {
        if self.spec.bakes_weights() { self.count(layers) as u64 } else { 0 }
    }

    /// Programs, or sets of surfaces, for `layers` layers.
    fn count(&self, layers: usize) -> usize {
        count(&self.spec, layers)
    }

    fn slot(&self, layer: usize) -> usize {
        if self.slots.len() > 1 { layer / self.span } else { 0 }
    }

    /// Brings the unit up to date with the weights: compiled where they are baked in, written where they are data.
    pub fn refresh(&mut self, device: &D, model: &Model<'_>, layers: usize, common: &mut Common<D>) -> Result<(), Failure> {
        let count = self.count(layers);
        if self.spec.bakes_weights() {
            // what is loaded goes before its successors come: a process may hold only so many
            self.slots.clear();
        }
        let began = Instant::now();
        for slot in self.slots.len()..count {
            let slot = self.open(device, common, model, slot * self.span)?;
            self.slots.push(slot);
        }
        common.costs.compile_seconds += began.elapsed().as_secs_f64();
        if self.spec.stages_weights() {
            let began = Instant::now();
            for layer in 0..count {
                common.costs.staged_bytes += self.stage_weights(model, layer, common)?;
            }
            common.costs.stage_seconds += began.elapsed().as_secs_f64();
        }
        Ok(())
    }

    /// The program as the device reads it.
    pub fn text(&self, device: &D) -> &str {
        self.text.get_or_init(|| self.spec.program.clone().in_dialect(device.dialect()).to_string())
    }

    fn open(&self, device: &D, common: &mut Common<D>, model: &Model<'_>, layer: usize) -> Result<Slot<D>, Failure> {
        let text = self.text(device);
        let kernel = match common.compiled.get(text).filter(|_| !self.spec.bakes_weights()) {
            Some(kernel) => kernel.clone(),
            None => {
                let kernel = Rc::new(self.compile(device, text, model, layer)?);
                if !self.spec.bakes_weights() {
                    common.compiled.insert(text.to_owned(), kernel.clone());
                }
                kernel
            }
        };
        let mut inputs = Vec::new();
        for (packed, port) in self.spec.inputs.iter().zip(kernel.inputs()) {
            inputs.push(match shared_key(packed, layer, port.surface_bytes) {
                Some(key) => match common.weights.get(&key) {
                    Some((surface, _)) => surface.clone(),
                    None => {
                        let surface = device.surface(port.surface_bytes)?;
                        common.weights.insert(key, (surface.clone(), false));
                        surface
                    }
                },
                None => device.surface(port.surface_bytes)?,
            });
        }
        // outputs are read before the next dispatch: layers share them
        let outputs = match self.slots.first().filter(|_| !self.spec.bakes_weights()) {
            Some(slot) => slot.outputs.clone(),
            None => kernel.outputs().iter().map(|p| device.surface(p.surface_bytes)).collect::<Result<_, _>>()?,
        };
        let request = kernel.request(&inputs, &outputs)?;
        let baked = |(_, what): &(String, Baked)| what.is_weight() && staging::largest(model.of(*what, layer)) > 0.0;
        let weights_alive = !self.spec.bakes_weights() || self.spec.baked.iter().any(baked);
        Ok(Slot { kernel, inputs, outputs, request, weights_alive })
    }

    fn compile(&self, device: &D, text: &str, model: &Model<'_>, layer: usize) -> Result<D::Kernel, DeviceError> {
        let first = self.spec.baked.iter().map(|(path, what)| (path, *what, layer));
        let deeper = self.spec.deeper.iter().map(|(path, what, after)| (path, *what, layer + after));
        let fill = |(path, what, layer): (&String, Baked, usize)| (path.clone(), weights::file(what, model, layer));
        let blobs: Vec<(String, Vec<u8>)> = first.chain(deeper).map(fill).collect();
        device.compile(&Source { name: self.spec.name, text, blobs: &blobs })
    }

    /// Writes the weights of a layer; gives the bytes written.
    fn stage_weights(&mut self, model: &Model<'_>, layer: usize, common: &mut Common<D>) -> Result<u64, DeviceError> {
        let slot = &mut self.slots[layer];
        let (mut bytes, mut alive) = (0, false);
        for ((packed, surface), port) in self.spec.inputs.iter().zip(&slot.inputs).zip(slot.kernel.inputs()) {
            let fields: Vec<_> = packed.fields.iter().filter_map(|f| Some((f, f.holds?))).collect();
            alive |= fields.iter().any(|(_, what)| model.of(*what, layer).iter().any(|v| *v != 0.0));
            let written = shared_key(packed, layer, port.surface_bytes)
                .and_then(|key| common.weights.get_mut(&key))
                .map(|(_, written)| written);
            if fields.is_empty() || written.is_some_and(|w| std::mem::replace(w, true)) {
                continue;
            }
            let copier = &mut common.copier;
            surface.write(|memory| {
                for (field, what) in fields {
                    let matrix = model.of(what, layer);
                    bytes += 2 * matrix.len() as u64;
                    match what {
                        Baked::Transposed(_) => copier.write_transposed(memory, port.row_stride, field, matrix),
                        _ => copier.write_matrix(memory, port.row_stride, field, matrix),
                    }
                }
            })?;
        }
        slot.weights_alive = alive;
        Ok(bytes)
    }

    /// Unloads its programs and frees its surfaces: it is not used any more.
    pub fn close(&mut self, why: &str) {
        self.off.get_or_insert_with(|| why.to_owned());
        self.slots.clear();
    }

    /// One dispatch: inputs written, program run, outputs read.
    pub fn run(
        &self,
        layer: usize,
        ins: &[In<'_>],
        outs: &[Out],
        to: &mut [To<'_>],
        common: &mut Common<D>,
    ) -> Result<(), Failure> {
        let slot = &self.slots[self.slot(layer)];
        let Common { copier, costs, .. } = common;
        let largest = ins.iter().filter(|i| i.gradient).map(|i| self.largest(i)).fold(0.0, f32::max);
        let scale = staging::gradient_scale(largest);
        let began = Instant::now();
        let mut seen = Seen::default();
        for input in ins {
            seen |= self.stage(slot, input, if input.gradient { scale } else { 1.0 }, copier, costs)?;
        }
        costs.stage_seconds += began.elapsed().as_secs_f64();
        if seen.overflow {
            return Err(Failure::Overflow);
        }
        let began = Instant::now();
        slot.kernel.evaluate(&slot.request)?;
        costs.evaluate_seconds += began.elapsed().as_secs_f64();
        costs.dispatches += 1;
        costs.flops += self.spec.flops;
        let began = Instant::now();
        let dead = ins.iter().any(|i| i.gradient) && largest == 0.0;
        let told = find(&self.spec.inputs, "dp").is_none();
        // what was handed over from another kernel may be zero by right
        self.inspect(slot, outs, told && seen.alive && slot.weights_alive && !dead)?;
        for out in outs {
            self.fetch(slot, out, if out.gradient { 1.0 / scale } else { 1.0 }, to, copier, costs)?;
        }
        costs.read_seconds += began.elapsed().as_secs_f64();
        Ok(())
    }

    /// Looks at the outputs before any is copied: what is refused leaves the walk's buffers as they were.
    fn inspect(&self, slot: &Slot<D>, outs: &[Out], must_live: bool) -> Result<(), Failure> {
        let mut seen = Seen::default();
        for (i, field) in outs.iter().filter_map(|o| written(&self.spec, o)) {
            let stride = slot.kernel.outputs()[i].row_stride;
            seen |= slot.outputs[i].read(|memory| staging::scan(memory, stride, field))?;
        }
        match seen {
            Seen { overflow: true, .. } => Err(Failure::Overflow),
            Seen { alive: false, .. } if must_live && !outs.is_empty() => Err(Failure::Zeros),
            _ => Ok(()),
        }
    }

    /// Copies fields of this unit's last output into fields of the same names that `next` reads.
    pub fn hand_over(&self, next: &Unit<D>, layer: usize, fields: &[&str], costs: &mut Costs) -> Result<(), Failure> {
        let (from, to) = (&self.slots[self.slot(layer)], &next.slots[next.slot(layer)]);
        let began = Instant::now();
        for name in fields {
            let (Some((i, a)), Some((j, b))) = (find(&self.spec.outputs, name), find(&next.spec.inputs, name)) else { continue };
            let (source, target) = (from.kernel.outputs()[i].row_stride, to.kernel.inputs()[j].row_stride);
            from.outputs[i].read(|read| {
                to.inputs[j].write(|write| {
                    for c in 0..a.channels {
                        let (s, t) = ((a.first_channel + c) * source, (b.first_channel + c) * target);
                        let (s, t) = (s + 2 * a.first_column, t + 2 * b.first_column);
                        write[t..t + 2 * a.width].copy_from_slice(&read[s..s + 2 * a.width]);
                    }
                })
            })??;
            costs.staged_bytes += 2 * (a.channels * a.width) as u64;
        }
        costs.stage_seconds += began.elapsed().as_secs_f64();
        Ok(())
    }

    /// Largest magnitude of the window that `input` gives.
    fn largest(&self, input: &In<'_>) -> f32 {
        let Some((_, field)) = find(&self.spec.inputs, input.field) else { return 0.0 };
        let rows = input.rows.data.chunks(input.rows.stride).take(field.width);
        rows.map(|row| staging::largest(&row[input.rows.offset..input.rows.offset + field.channels])).fold(0.0, f32::max)
    }

    fn stage(&self, slot: &Slot<D>, input: &In<'_>, scale: f32, copier: &mut Copier, costs: &mut Costs) -> Result<Seen, Failure> {
        let Some((i, field)) = find(&self.spec.inputs, input.field) else { return Ok(Seen::default()) };
        let stride = slot.kernel.inputs()[i].row_stride;
        costs.staged_bytes += 2 * (field.channels * field.width) as u64;
        Ok(slot.inputs[i].write(|memory| copier.write(memory, stride, field, input.rows, scale))?)
    }

    fn fetch(
        &self,
        slot: &Slot<D>,
        out: &Out,
        scale: f32,
        to: &mut [To<'_>],
        copier: &mut Copier,
        costs: &mut Costs,
    ) -> Result<(), Failure> {
        let Some((i, field)) = written(&self.spec, out) else { return Ok(()) };
        let stride = slot.kernel.outputs()[i].row_stride;
        costs.read_bytes += 2 * (field.channels * field.width) as u64;
        let (data, rows) = &mut to[out.to];
        Ok(slot.outputs[i].read(|memory| copier.read(memory, stride, field, (data, *rows, out.offset), (scale, out.add)))?)
    }
}

/// The surface and the field called `name`.
fn find<'p>(packed: &'p [Packed], name: &str) -> Option<(usize, &'p crate::Field)> {
    packed.iter().enumerate().find_map(|(i, p)| Some((i, p.field(name)?)))
}

/// The surface and the field that `out` names.
fn written<'s>(spec: &'s KernelSpec, out: &Out) -> Option<(usize, &'s crate::Field)> {
    match out.port {
        Some(port) => Some((port, spec.outputs.get(port)?.field(out.field)?)),
        None => find(&spec.outputs, out.field),
    }
}
