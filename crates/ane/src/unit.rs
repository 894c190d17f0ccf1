//! [`Unit`]: one kernel of a pipeline on a device, for every layer: compiled, its surfaces allocated, its weights in place,
//! its requests bound.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

pub use crate::kernels::weights::Model;

use crate::kernels::weights;
use crate::staging::{self, Copier, Rows, Seen};
use crate::{Baked, Device, DeviceError, Kernel, KernelSpec, Packed, Source, Surface};

/// Programs that do not bake weights, by their text: compiled once however many units and layers share them.
pub type Compiled<D> = HashMap<String, Rc<<D as Device>::Kernel>>;

/// Time and bytes of the copies.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    pub staged_bytes: u64,
    pub read_bytes: u64,
    pub dispatches: u64,
    pub flops: f64,
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
    slots: Vec<Slot<D>>,
}

impl<D: Device> Unit<D> {
    pub fn new(spec: KernelSpec) -> Unit<D> {
        Unit { spec, off: None, slots: Vec::new() }
    }

    /// Whether each layer has input surfaces or a program of its own.
    pub fn per_layer(&self) -> bool {
        self.spec.bakes_weights() || self.spec.stages_weights()
    }

    /// Programs that are compiled for new weights.
    pub fn programs(&self, layers: usize) -> u64 {
        if self.spec.bakes_weights() { layers as u64 } else { 0 }
    }

    /// Brings the unit up to date with the weights: compiled where they are baked in, written where they are data.
    pub fn refresh(
        &mut self,
        device: &D,
        compiled: &mut Compiled<D>,
        model: &Model<'_>,
        layers: usize,
        copier: &mut Copier,
        costs: &mut Costs,
    ) -> Result<(), Failure> {
        let count = if self.per_layer() { layers } else { 1 };
        if self.spec.bakes_weights() {
            // what is loaded goes before its successors come: a process may hold only so many
            self.slots.clear();
        }
        for layer in self.slots.len()..count {
            let slot = self.open(device, compiled, model, layer)?;
            self.slots.push(slot);
        }
        if self.spec.stages_weights() {
            let began = Instant::now();
            for layer in 0..count {
                costs.staged_bytes += self.stage_weights(model, layer, copier)?;
            }
            costs.stage_seconds += began.elapsed().as_secs_f64();
        }
        Ok(())
    }

    fn open(&self, device: &D, compiled: &mut Compiled<D>, model: &Model<'_>, layer: usize) -> Result<Slot<D>, Failure> {
        let text = self.spec.program.to_string();
        let kernel = match compiled.get(&text).filter(|_| !self.spec.bakes_weights()) {
            Some(kernel) => kernel.clone(),
            None => {
                let kernel = Rc::new(self.compile(device, &text, model, layer)?);
                if !self.spec.bakes_weights() {
                    compiled.insert(text, kernel.clone());
                }
                kernel
            }
        };
        let surfaces = |ports: &[crate::Port]| -> Result<Vec<_>, DeviceError> {
            ports.iter().map(|p| device.surface(p.surface_bytes)).collect()
        };
        let inputs = surfaces(kernel.inputs())?;
        // outputs are read before the next dispatch: layers share them
        let outputs = match self.slots.first().filter(|_| !self.spec.bakes_weights()) {
            Some(slot) => slot.outputs.clone(),
            None => surfaces(kernel.outputs())?,
        };
        let request = kernel.request(&inputs, &outputs)?;
        let baked = |(_, what): &(String, Baked)| what.is_weight() && staging::largest(model.of(*what, layer)) > 0.0;
        let weights_alive = !self.spec.bakes_weights() || self.spec.baked.iter().any(baked);
        Ok(Slot { kernel, inputs, outputs, request, weights_alive })
    }

    fn compile(&self, device: &D, text: &str, model: &Model<'_>, layer: usize) -> Result<D::Kernel, DeviceError> {
        let fill = |(path, what): &(String, Baked)| (path.clone(), weights::file(*what, model, layer));
        let blobs: Vec<(String, Vec<u8>)> = self.spec.baked.iter().map(fill).collect();
        device.compile(&Source { name: self.spec.name, text, blobs: &blobs })
    }

    /// Writes the weights of a layer; gives the bytes written.
    fn stage_weights(&mut self, model: &Model<'_>, layer: usize, copier: &mut Copier) -> Result<u64, DeviceError> {
        let slot = &mut self.slots[layer];
        let (mut bytes, mut alive) = (0, false);
        for ((packed, surface), port) in self.spec.inputs.iter().zip(&slot.inputs).zip(slot.kernel.inputs()) {
            let fields: Vec<_> = packed.fields.iter().filter_map(|f| Some((f, f.holds?))).collect();
            if fields.is_empty() {
                continue;
            }
            surface.write(|memory| {
                for (field, what) in fields {
                    let matrix = model.of(what, layer);
                    alive |= matrix.iter().any(|v| *v != 0.0);
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

    /// One dispatch: inputs written, program run, outputs read.
    pub fn run(
        &self,
        layer: usize,
        ins: &[In<'_>],
        outs: &[Out],
        to: &mut [To<'_>],
        copier: &mut Copier,
        costs: &mut Costs,
    ) -> Result<(), Failure> {
        let slot = &self.slots[if self.per_layer() { layer } else { 0 }];
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
        self.inspect(slot, outs, seen.alive && slot.weights_alive && !dead)?;
        for out in outs {
            self.fetch(slot, out, if out.gradient { 1.0 / scale } else { 1.0 }, to, copier, costs)?;
        }
        costs.read_seconds += began.elapsed().as_secs_f64();
        Ok(())
    }

    /// Looks at the outputs before any is copied: what is refused leaves the walk's buffers as they were.
    fn inspect(&self, slot: &Slot<D>, outs: &[Out], must_live: bool) -> Result<(), Failure> {
        let mut seen = Seen::default();
        for (i, field) in outs.iter().filter_map(|o| find(&self.spec.outputs, o.field)) {
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
        let slot_of = |unit: &Unit<D>| if unit.per_layer() { layer } else { 0 };
        let (from, to) = (&self.slots[slot_of(self)], &next.slots[slot_of(next)]);
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
        let Some((i, field)) = find(&self.spec.outputs, out.field) else { return Ok(()) };
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
