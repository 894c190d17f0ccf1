//! [`Bridge`]: kernels by handle over any device. Handles are numbers that are never given twice, so one that was freed, or
//! never was, is an error and not a dangling pointer; a kernel freed while another thread evaluates it lives until that ends.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ane::{Device, Kernel, Port, Source, Surface};

use crate::error::BridgeError;
use crate::weight_name;

/// Surfaces that one evaluation can take (ane-facts 4.4).
pub const PORTS_MAX: usize = 128;
/// Handles are this far apart: as pointers they look aligned, and none is null.
const HANDLE_STEP: usize = 16;

/// A device and the kernels that callers hold.
pub struct Bridge<D: Device> {
    device: D,
    kernels: Mutex<Handles<D::Kernel>>,
    compiles: AtomicI32,
}

struct Handles<K: Kernel> {
    last: usize,
    live: HashMap<usize, Arc<Bound<K>>>,
}

/// A kernel, the surfaces of its ports, and the request over them.
struct Bound<K: Kernel> {
    kernel: K,
    request: K::Request,
    inputs: Vec<Slot<K::Surface>>,
    outputs: Vec<Slot<K::Surface>>,
    /// Whether there is no result: nothing was evaluated yet, or the last evaluation failed; locked while one runs, because a request is not re-entrant.
    failed: Mutex<bool>,
}

/// The surface of a port, and how the caller sees it: `size` bytes, its rows side by side.
struct Slot<S> {
    surface: S,
    size: usize,
    rows: usize,
    row_bytes: usize,
    row_stride: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kernels by handle: what the functions of C need, whatever the device.
pub trait Kernels {
    /// Compiles and loads `text`, makes a surface for each size, and binds them. The program counts as compiled from then on
    /// that it is loaded.
    fn compile(&self, text: &str, blobs: &[(String, Vec<u8>)], inputs: &[usize], outputs: &[usize])
    -> Result<usize, BridgeError>;

    /// Runs a kernel and waits for it.
    fn evaluate(&self, handle: usize) -> Result<(), BridgeError>;

    /// Copies `data` to the beginning of input `index`.
    fn write_input(&self, handle: usize, index: i64, data: &[u8]) -> Result<(), BridgeError>;

    /// Copies the beginning of output `index` to `data`, all of it.
    fn read_output(&self, handle: usize, index: i64, data: &mut [MaybeUninit<u8>]) -> Result<(), BridgeError>;

    /// Unloads a kernel and releases its surfaces.
    fn free(&self, handle: usize) -> Result<(), BridgeError>;

    /// Programs compiled and loaded since the last reset.
    fn compile_count(&self) -> i32;

    /// Counts from 0 again; what the device allows a process does not change.
    fn reset_compile_count(&self);
}

impl<D: Device> Bridge<D> {
    /// A bridge to `device`.
    pub fn new(device: D) -> Bridge<D> {
        let kernels = Mutex::new(Handles { last: 0, live: HashMap::new() });
        Bridge { device, kernels, compiles: AtomicI32::new(0) }
    }

    fn slots(&self, side: &'static str, ports: &[Port], sizes: &[usize]) -> Result<Vec<Slot<D::Surface>>, BridgeError> {
        if ports.len() != sizes.len() {
            return Err(BridgeError::Ports { side, expected: ports.len(), found: sizes.len() });
        }
        let side = if side == "inputs" { "input" } else { "output" };
        let slot = |(index, (port, &size))| -> Result<_, BridgeError> {
            let (rows, row_bytes) = (port_rows(port), port.shape[3] * port.element_bytes);
            if size < rows * row_bytes {
                let name = port.name.clone();
                return Err(BridgeError::PortSize { side, index, name, expected: rows * row_bytes, found: size });
            }
            let surface = self.device.surface(size.max(port.surface_bytes))?;
            Ok(Slot { surface, size, rows, row_bytes, row_stride: port.row_stride })
        };
        ports.iter().zip(sizes).enumerate().map(slot).collect()
    }

    fn bound(&self, handle: usize) -> Result<Arc<Bound<D::Kernel>>, BridgeError> {
        lock(&self.kernels).live.get(&handle).cloned().ok_or(BridgeError::Handle)
    }
}

impl<D: Device> Kernels for Bridge<D> {
    fn compile(
        &self,
        text: &str,
        blobs: &[(String, Vec<u8>)],
        inputs: &[usize],
        outputs: &[usize],
    ) -> Result<usize, BridgeError> {
        blobs.iter().try_for_each(|(name, _)| weight_name::check(name))?;
        let kernel = self.device.compile(&Source { name: "kernel", text, blobs })?;
        self.compiles.fetch_add(1, Ordering::Relaxed);
        let inputs = self.slots("inputs", kernel.inputs(), inputs)?;
        let outputs = self.slots("outputs", kernel.outputs(), outputs)?;
        let request = kernel.request(&surfaces(&inputs), &surfaces(&outputs))?;
        let bound = Arc::new(Bound { kernel, request, inputs, outputs, failed: Mutex::new(true) });
        let mut kernels = lock(&self.kernels);
        kernels.last += HANDLE_STEP;
        let handle = kernels.last;
        kernels.live.insert(handle, bound);
        Ok(handle)
    }

    fn evaluate(&self, handle: usize) -> Result<(), BridgeError> {
        let bound = self.bound(handle)?;
        let mut failed = lock(&bound.failed);
        *failed = true; // also where the device panics
        bound.kernel.evaluate(&bound.request)?;
        *failed = false;
        Ok(())
    }

    fn write_input(&self, handle: usize, index: i64, data: &[u8]) -> Result<(), BridgeError> {
        let bound = self.bound(handle)?;
        let slot = slot("input", &bound.inputs, index, data.len())?;
        let _one_at_a_time = lock(&bound.failed);
        Ok(slot.surface.write(|bytes| slot.scatter(bytes, data))?)
    }

    fn read_output(&self, handle: usize, index: i64, data: &mut [MaybeUninit<u8>]) -> Result<(), BridgeError> {
        let bound = self.bound(handle)?;
        let slot = slot("output", &bound.outputs, index, data.len())?;
        // held while the bytes are copied: an evaluation may not come between
        let failed = lock(&bound.failed);
        if *failed {
            return Err(BridgeError::NoResult);
        }
        Ok(slot.surface.read(|bytes| slot.gather(bytes, data))?)
    }

    fn free(&self, handle: usize) -> Result<(), BridgeError> {
        let bound = lock(&self.kernels).live.remove(&handle);
        bound.map(drop).ok_or(BridgeError::Handle)
    }

    fn compile_count(&self) -> i32 {
        self.compiles.load(Ordering::Relaxed)
    }

    fn reset_compile_count(&self) {
        self.compiles.store(0, Ordering::Relaxed);
    }
}

fn surfaces<S: Clone>(slots: &[Slot<S>]) -> Vec<S> {
    slots.iter().map(|s| s.surface.clone()).collect()
}

fn port_rows(port: &Port) -> usize {
    port.shape[..3].iter().product()
}

/// The slot at `index`, if it holds `bytes` bytes.
fn slot<'a, S>(side: &'static str, slots: &'a [Slot<S>], index: i64, bytes: usize) -> Result<&'a Slot<S>, BridgeError> {
    let at = usize::try_from(index).ok().filter(|&i| i < slots.len());
    let index = at.ok_or(BridgeError::Index { side, index, count: slots.len() })?;
    let size = slots[index].size;
    if bytes > size { Err(BridgeError::Bounds { side, index, bytes, size }) } else { Ok(&slots[index]) }
}

impl<S: Surface> Slot<S> {
    fn is_dense(&self) -> bool {
        self.row_bytes == self.row_stride
    }

    /// Writes rows that lie side by side to where the device has them; what is beyond the last row goes nowhere.
    fn scatter(&self, surface: &mut [u8], data: &[u8]) {
        if self.is_dense() {
            return surface[..data.len()].copy_from_slice(data);
        }
        for (row, part) in surface.chunks_mut(self.row_stride).zip(data.chunks(self.row_bytes)).take(self.rows) {
            row[..part.len()].copy_from_slice(part);
        }
    }

    /// The reverse of [`Slot::scatter`]; zeros beyond the last row.
    fn gather(&self, surface: &[u8], data: &mut [MaybeUninit<u8>]) {
        if self.is_dense() {
            data.write_copy_of_slice(&surface[..data.len()]);
            return;
        }
        let filled = data.len().min(self.rows * self.row_bytes);
        let (data, beyond) = data.split_at_mut(filled);
        beyond.fill(MaybeUninit::new(0));
        for (row, part) in surface.chunks(self.row_stride).zip(data.chunks_mut(self.row_bytes.max(1))) {
            part.write_copy_of_slice(&row[..part.len()]);
        }
    }
}
