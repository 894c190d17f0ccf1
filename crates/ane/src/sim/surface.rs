//! Surfaces of the simulator: shared bytes behind a lock.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::errors;
use super::state::Shared;
use crate::{DeviceError, Surface};

/// Memory that simulated programs read and write. A clone is the same memory.
///
/// Locked while a closure of [`Surface::read`] or [`Surface::write`] runs: that closure must not lock the same surface.
#[derive(Clone)]
pub struct SimSurface(Arc<Memory>);

struct Memory {
    bytes: RwLock<Vec<u8>>,
    len: usize,
    device: Arc<Shared>,
}

impl SimSurface {
    /// `bytes` bytes of zeros, counted by `device` as long as they live.
    pub(super) fn new(device: &Arc<Shared>, bytes: usize) -> Result<SimSurface, DeviceError> {
        let limit = device.profile.surface_limit;
        if bytes > limit {
            return Err(errors::no_surface(bytes, &format!("the device can address {limit}")));
        }
        let mut memory = Vec::new();
        memory.try_reserve_exact(bytes).map_err(|e| errors::no_surface(bytes, &e.to_string()))?;
        memory.resize(bytes, 0);
        device.add_surface_bytes(bytes);
        Ok(SimSurface(Arc::new(Memory { bytes: RwLock::new(memory), len: bytes, device: device.clone() })))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.device.remove_surface_bytes(self.len);
    }
}

impl fmt::Debug for SimSurface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimSurface({} bytes)", self.0.len)
    }
}

/// A lock that a panic poisoned is taken all the same: bytes have no state that could be broken.
impl Surface for SimSurface {
    fn len(&self) -> usize {
        self.0.len
    }

    fn read<R>(&self, f: impl FnOnce(&[u8]) -> R) -> Result<R, DeviceError> {
        Ok(f(&self.0.bytes.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn write<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> Result<R, DeviceError> {
        Ok(f(&mut self.0.bytes.write().unwrap_or_else(PoisonError::into_inner)))
    }
}
