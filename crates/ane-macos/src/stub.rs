//! Systems without a Neural Engine: the same names, and no way to make a value of them.

use ane::{Counters, Device, DeviceError, Kernel, Port, Source, Surface};

use crate::Info;

const REASON: &str = "no Neural Engine on this system: the simulator is used with --device ane-sim";

/// Opens the Neural Engine.
///
/// # Errors
/// Always: there is none on this system.
pub fn open() -> Result<Hardware, DeviceError> {
    Err(DeviceError::Unavailable(REASON.to_owned()))
}

/// What the framework says about the engine.
///
/// # Errors
/// Always: there is none on this system.
pub fn info() -> Result<Info, DeviceError> {
    Err(DeviceError::Unavailable(REASON.to_owned()))
}

/// The device.
#[derive(Clone, Debug)]
pub enum Hardware {}

/// A loaded program.
#[derive(Debug)]
pub enum Loaded {}

/// A surface.
#[derive(Clone, Debug)]
pub enum Memory {}

/// Surfaces bound to ports.
#[derive(Debug)]
pub enum Binding {}

impl Surface for Memory {
    fn len(&self) -> usize {
        match *self {}
    }

    fn read<R>(&self, _: impl FnOnce(&[u8]) -> R) -> Result<R, DeviceError> {
        match *self {}
    }

    fn write<R>(&self, _: impl FnOnce(&mut [u8]) -> R) -> Result<R, DeviceError> {
        match *self {}
    }
}

impl Kernel for Loaded {
    type Surface = Memory;
    type Request = Binding;

    fn inputs(&self) -> &[Port] {
        match *self {}
    }

    fn outputs(&self) -> &[Port] {
        match *self {}
    }

    fn request(&self, _: &[Memory], _: &[Memory]) -> Result<Binding, DeviceError> {
        match *self {}
    }

    fn evaluate(&self, _: &Binding) -> Result<(), DeviceError> {
        match *self {}
    }
}

impl Device for Hardware {
    type Surface = Memory;
    type Kernel = Loaded;

    fn describe(&self) -> String {
        match *self {}
    }

    fn compile(&self, _: &Source<'_>) -> Result<Loaded, DeviceError> {
        match *self {}
    }

    fn surface(&self, _: usize) -> Result<Memory, DeviceError> {
        match *self {}
    }

    fn counters(&self) -> Counters {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn opening_says_that_there_is_none_and_names_the_simulator() {
        let error = open().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("no Neural Engine on this system") && error.contains("--device ane-sim"), "{error}");
        assert_eq!(info().unwrap_err().to_string(), error);
    }
}
