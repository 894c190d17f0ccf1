//! The device over `AppleNeuralEngine.framework`, which is private: classes are found by name, every truth value and error
//! is read, exceptions become errors.
//!
//! A program goes through descriptor, model, files in the temporary folder, compilation (unless the system has it), loading;
//! ports are bound by name; a request holds the surfaces. None of this could be run where it was written: it follows
//! published descriptions of the framework.

#![allow(unsafe_code)]

mod attributes;
mod classes;
mod exception;
mod memory;
mod program;

use std::sync::{Arc, Mutex, PoisonError};

use ane::{Counters, Device, DeviceError, Source, Stage};
use classes::Classes;
pub use memory::Memory;
use objc2::sel;
pub use program::{Binding, Loaded};

use crate::Info;
use crate::budget::Budget;

/// What this process has compiled.
static BUDGET: Budget = Budget::new();

/// The Neural Engine of this Mac. A clone is the same device.
#[derive(Clone)]
pub struct Hardware {
    shared: Arc<Shared>,
}

/// What a device and all that came from it share.
struct Shared {
    classes: Classes,
    counters: Mutex<Counters>,
}

impl Shared {
    fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Opens the Neural Engine, and raises the priority of the calling thread, which is to evaluate: at background priority the
/// engine was measured to take twice as long.
///
/// # Errors
/// [`DeviceError::Unavailable`] when there is no engine, or the framework is not as it was.
pub fn open() -> Result<Hardware, DeviceError> {
    let classes = classes::classes()?;
    if classes.number(sel!(hasANE)) == Some(0) {
        return Err(DeviceError::Unavailable("this Mac has no Neural Engine, or does not show it to this process".to_owned()));
    }
    // SAFETY: a class of the system's list, and no relative priority. A refusal costs speed alone.
    let _ = unsafe { libc::pthread_set_qos_class_self_np(libc::qos_class_t::QOS_CLASS_USER_INITIATED, 0) };
    Ok(Hardware { shared: Arc::new(Shared { classes, counters: Mutex::default() }) })
}

/// What the framework says about the engine.
///
/// # Errors
/// [`DeviceError::Unavailable`] when the framework cannot be used.
pub fn info() -> Result<Info, DeviceError> {
    let classes = classes::classes()?;
    Ok(Info {
        model: system_text(c"hw.model"),
        build: system_text(c"kern.osversion"),
        architecture: classes.text(sel!(aneArchitectureType)),
        cores: classes.number(sel!(numANECores)),
        engines: classes.number(sel!(numANEs)),
        present: classes.number(sel!(hasANE)).map(|n| n != 0),
        virtual_machine: classes.number(sel!(isVirtualMachine)).map(|n| n != 0),
    })
}

fn system_text(name: &std::ffi::CStr) -> Option<String> {
    let mut text = [0u8; 128];
    let mut size = text.len();
    // SAFETY: `text` has room for the `size` bytes of the answer.
    let status = unsafe { libc::sysctlbyname(name.as_ptr(), text.as_mut_ptr().cast(), &mut size, std::ptr::null_mut(), 0) };
    let text = std::ffi::CStr::from_bytes_until_nul(&text).ok()?;
    (status == 0).then(|| text.to_string_lossy().into_owned())
}

fn failed(kernel: &str, stage: Stage, domain: &str, code: i64, text: String) -> DeviceError {
    DeviceError::Failed { kernel: kernel.to_owned(), stage, domain: domain.to_owned(), code, text }
}

impl Device for Hardware {
    type Surface = Memory;
    type Kernel = Loaded;

    fn describe(&self) -> String {
        info().map_or_else(|_| "Neural Engine".to_owned(), |info| info.to_string())
    }

    fn compile(&self, source: &Source<'_>) -> Result<Loaded, DeviceError> {
        program::load(&self.shared, source)
    }

    fn surface(&self, bytes: usize) -> Result<Memory, DeviceError> {
        Memory::new(&self.shared, bytes)
    }

    fn compiles_left(&self) -> Option<u64> {
        Some(BUDGET.left())
    }

    fn peak_flops(&self) -> Option<f64> {
        info().ok()?.peak_flops()
    }

    fn dialect(&self) -> mil::Dialect {
        info().map_or(mil::Dialect::Ios18, |info| info.dialect())
    }

    fn counters(&self) -> Counters {
        *self.shared.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
