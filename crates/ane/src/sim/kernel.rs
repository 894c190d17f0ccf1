//! Kernels of the simulator: a loaded program, and requests that bind surfaces to its ports.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mil::Tensor;

use super::errors::{self, INFERENCE_ERROR, NO_MEMORY};
use super::fault::Outcome;
use super::layout;
use super::prepare::Prepared;
use super::profile::SizeRule;
use super::state::Shared;
use super::surface::SimSurface;
use super::transfer;
use crate::{DeviceError, Kernel, Port, Surface};

/// A program that is compiled and loaded.
pub struct SimKernel {
    name: String,
    program: Arc<Prepared>,
    device: Arc<Shared>,
    loaded: AtomicBool,
}

/// Surfaces bound to the ports of one program.
pub struct SimRequest {
    program: Arc<Prepared>,
    inputs: Vec<SimSurface>,
    outputs: Vec<SimSurface>,
    /// Elements of the inputs, kept between evaluations; locked while one runs.
    elements: Mutex<Vec<Tensor>>,
}

impl fmt::Debug for SimKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimKernel").field("name", &self.name).field("identifier", &self.program.identifier).finish()
    }
}

impl fmt::Debug for SimRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimRequest").field("inputs", &self.inputs).field("outputs", &self.outputs).finish()
    }
}

impl SimKernel {
    pub(super) fn new(name: &str, program: Arc<Prepared>, device: Arc<Shared>) -> SimKernel {
        SimKernel { name: name.to_owned(), program, device, loaded: AtomicBool::new(true) }
    }

    /// What names the program in the cache of the device.
    pub fn identifier(&self) -> &str {
        &self.program.identifier
    }

    /// 3 while the program is loaded, 1 while it is only compiled, as the framework counts.
    pub fn state(&self) -> u32 {
        if self.loaded.load(Ordering::Acquire) { 3 } else { 1 }
    }

    /// Unloads the program; does nothing to one that is not loaded.
    pub fn unload(&self) {
        if self.loaded.swap(false, Ordering::AcqRel) {
            self.device.unload();
        }
    }

    /// Loads the program again, which is no compilation; does nothing to one that is loaded.
    ///
    /// # Errors
    /// When as many programs are loaded as may be.
    pub fn load(&self) -> Result<(), DeviceError> {
        if self.state() == 3 {
            return Ok(());
        }
        self.device.load(&self.name)?;
        if self.loaded.swap(true, Ordering::AcqRel) {
            self.device.unload(); // another thread was faster
        }
        Ok(())
    }

    /// What the numbered rules say of the program that was no reason to refuse it: place, rule, evidence.
    pub fn warnings(&self) -> &[String] {
        &self.program.warnings
    }

    /// Names of the inputs in the order in which the framework numbers them.
    pub fn framework_inputs(&self) -> Vec<&str> {
        names(&self.program.inputs, &self.program.framework_inputs)
    }

    /// Names of the outputs in the order in which the framework numbers them.
    pub fn framework_outputs(&self) -> Vec<&str> {
        names(&self.program.outputs, &self.program.framework_outputs)
    }

    /// Binds as a caller does who numbers surfaces instead of asking for the names of ports: surface i goes to port i of the
    /// framework.
    ///
    /// # Errors
    /// As [`Kernel::request`].
    pub fn request_by_number(&self, inputs: &[SimSurface], outputs: &[SimSurface]) -> Result<SimRequest, DeviceError> {
        self.count("inputs", inputs.len(), self.program.inputs.len())?;
        self.count("outputs", outputs.len(), self.program.outputs.len())?;
        let inputs = declared(inputs, &self.program.framework_inputs);
        let outputs = declared(outputs, &self.program.framework_outputs);
        self.request(&inputs, &outputs)
    }

    fn count(&self, what: &str, found: usize, expected: usize) -> Result<(), DeviceError> {
        if found == expected { Ok(()) } else { Err(self.mismatch(what.to_owned(), expected.to_string(), found.to_string())) }
    }

    fn mismatch(&self, what: String, expected: String, found: String) -> DeviceError {
        DeviceError::Mismatch { kernel: self.name.clone(), what, expected, found }
    }

    /// Whether each surface holds the data of its port; what the hardware's rules say of its size is found at evaluation.
    fn fit(&self, side: &str, surfaces: &[SimSurface], ports: &[Port]) -> Result<(), DeviceError> {
        self.count(&format!("{side}s"), surfaces.len(), ports.len())?;
        match surfaces.iter().zip(ports).find(|(s, p)| s.len() < layout::packed_bytes(p)) {
            None => Ok(()),
            Some((surface, port)) => {
                let expected = format!("at least {}", layout::packed_bytes(port));
                Err(self.mismatch(format!("bytes of {side} `{}`", port.name), expected, surface.len().to_string()))
            }
        }
    }

    /// What the hardware makes of the sizes of the surfaces.
    fn judge(&self, request: &SimRequest) -> Outcome {
        let profile = &self.device.profile;
        let sizes =
            |surfaces: &[SimSurface], order: &[usize]| -> Vec<usize> { order.iter().map(|&i| surfaces[i].len()).collect() };
        let inputs = sizes(&request.inputs, &self.program.framework_inputs);
        let outputs = sizes(&request.outputs, &self.program.framework_outputs);
        if inputs.iter().chain(&outputs).any(|&bytes| bytes < profile.minimum_bytes) {
            return Outcome::Fails;
        }
        let even = |sizes: &[usize]| sizes.windows(2).all(|w| w[0] == w[1]);
        match profile.size_rule {
            SizeRule::Uniform if !(even(&inputs) && even(&outputs)) => Outcome::Fails,
            SizeRule::Ascending if !(inputs.is_sorted() && outputs.iter().rev().is_sorted()) => Outcome::Zeros,
            _ => Outcome::Runs,
        }
    }

    fn run(&self, request: &SimRequest) -> Result<(), DeviceError> {
        let program = &self.program;
        let mut elements = request.elements.lock().unwrap_or_else(PoisonError::into_inner);
        for ((surface, port), tensor) in request.inputs.iter().zip(&program.inputs).zip(elements.iter_mut()) {
            surface.read(|bytes| transfer::gather(port, bytes, tensor))?;
        }
        let results = program.run(&elements).map_err(|e| errors::evaluation(&self.name, INFERENCE_ERROR, e))?;
        for ((surface, port), tensor) in request.outputs.iter().zip(&program.outputs).zip(&results) {
            surface.write(|bytes| transfer::scatter(port, tensor, bytes))?;
        }
        Ok(())
    }

    fn silence(&self, request: &SimRequest) -> Result<(), DeviceError> {
        for (surface, port) in request.outputs.iter().zip(&self.program.outputs) {
            surface.write(|bytes| layout::rows_mut(port, bytes).for_each(|row| row.fill(0)))?;
        }
        Ok(())
    }
}

fn names<'a>(ports: &'a [Port], framework: &[usize]) -> Vec<&'a str> {
    framework.iter().map(|&i| ports[i].name.as_str()).collect()
}

/// Surfaces in the order of the program, from those in the order of the framework.
fn declared(surfaces: &[SimSurface], framework: &[usize]) -> Vec<SimSurface> {
    let mut numbered: Vec<(usize, &SimSurface)> = framework.iter().copied().zip(surfaces).collect();
    numbered.sort_by_key(|(declared, _)| *declared);
    numbered.into_iter().map(|(_, surface)| surface.clone()).collect()
}

impl Drop for SimKernel {
    fn drop(&mut self) {
        self.unload();
    }
}

impl Kernel for SimKernel {
    type Surface = SimSurface;
    type Request = SimRequest;

    fn inputs(&self) -> &[Port] {
        &self.program.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.program.outputs
    }

    fn request(&self, inputs: &[SimSurface], outputs: &[SimSurface]) -> Result<SimRequest, DeviceError> {
        self.fit("input", inputs, &self.program.inputs)?;
        self.fit("output", outputs, &self.program.outputs)?;
        let elements =
            self.program.tensors().map_err(|e| self.mismatch("type of an input".into(), "elements".into(), e.to_string()))?;
        let elements = Mutex::new(elements);
        Ok(SimRequest { program: self.program.clone(), inputs: inputs.to_vec(), outputs: outputs.to_vec(), elements })
    }

    fn evaluate(&self, request: &SimRequest) -> Result<(), DeviceError> {
        if !Arc::ptr_eq(&self.program, &request.program) {
            let found = request.program.identifier.clone();
            return Err(self.mismatch("program of the request".into(), self.program.identifier.clone(), found));
        }
        if self.state() != 3 {
            return Err(errors::not_loaded(&self.name));
        }
        let injected = self.device.begin_evaluate(self.program.work);
        match if injected == Outcome::Runs { self.judge(request) } else { injected } {
            Outcome::Runs => self.run(request),
            Outcome::Zeros => self.silence(request),
            Outcome::Fails => {
                Err(errors::evaluation(&self.name, INFERENCE_ERROR, "a surface is refused, or a fault was injected"))
            }
            Outcome::NoMemory => Err(errors::evaluation(&self.name, NO_MEMORY, "no memory for the request")),
        }
    }
}
