//! The simulator: a [`Device`] in software. It reads the text of a program as the compiler would, refuses what its
//! [`Profile`] refuses, and interprets the rest over surfaces laid out as the hardware's.
//!
//! What it computes is the interpreter's, its times are a model's ([`Latency`]), and its faults are those that it was told
//! to have ([`Faults`]); all three are functions of the profile and of the calls made.

mod errors;
mod fault;
mod identity;
mod kernel;
mod latency;
mod layout;
mod numerics;
mod options;
mod prepare;
mod profile;
mod state;
mod surface;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod transfer;
mod work;

use std::sync::Arc;

pub use fault::{Faults, Outcome, SPIKE_SECONDS, When};
pub use identity::identifier;
pub use kernel::{SimKernel, SimRequest};
pub use latency::{Latency, Work};
pub(crate) use layout::surface_sizes;
pub use numerics::Arithmetic;
pub use profile::{PortOrder, Profile, SizeRule};
pub use surface::SimSurface;

use crate::{Counters, Device, DeviceError, Source};
use kernels::Cpu;
use prepare::Prepared;
use state::Shared;

/// A simulated device. A clone is the same device.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
}

impl Simulator {
    /// Opens a device of `profile`, whose matrix products run on `threads` threads.
    pub fn new(profile: Profile, threads: usize) -> Simulator {
        Simulator::on(profile, Arc::new(Cpu::new(threads)))
    }

    /// Opens a device of `profile`, whose matrix products run on `cpu`.
    pub fn on(profile: Profile, cpu: Arc<Cpu>) -> Simulator {
        Simulator { shared: Arc::new(Shared::new(profile, cpu)) }
    }

    /// What is simulated.
    pub fn profile(&self) -> &Profile {
        &self.shared.profile
    }
}

impl Device for Simulator {
    type Surface = SimSurface;
    type Kernel = SimKernel;

    fn describe(&self) -> String {
        let Profile { machine, strict, .. } = self.shared.profile;
        format!("simulator of the Neural Engine of {machine}{}", if strict { ", strict" } else { "" })
    }

    fn compile(&self, source: &Source<'_>) -> Result<SimKernel, DeviceError> {
        let shared = &self.shared;
        if shared.begin_compile(source.name)? {
            return Err(errors::compilation_failure(source.name, "injected fault"));
        }
        let id = identifier(source.text, source.blobs);
        let cached = shared.cached(&id);
        let was_cached = cached.is_some();
        let prepared = match cached {
            Some(prepared) => prepared,
            None => Arc::new(Prepared::new(source, id, shared)?),
        };
        shared.finish_compile(source.name, &prepared, was_cached)?;
        Ok(SimKernel::new(source.name, prepared, shared.clone()))
    }

    fn surface(&self, bytes: usize) -> Result<SimSurface, DeviceError> {
        SimSurface::new(&self.shared, bytes)
    }

    fn compiles_left(&self) -> Option<u64> {
        self.shared.compiles_left()
    }

    fn peak_flops(&self) -> Option<f64> {
        Some(self.shared.profile.latency.peak)
    }

    fn counters(&self) -> Counters {
        self.shared.counters()
    }
}
