//! What a simulated device remembers: its counters, its budgets, the programs in its cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kernels::Cpu;
use mil::Numerics;

use super::fault::Outcome;
use super::latency::Work;
use super::numerics::numerics;
use super::prepare::Prepared;
use super::profile::Profile;
use crate::{Counters, DeviceError};

/// Shared by a device, its kernels and its surfaces.
pub struct Shared {
    pub profile: Profile,
    /// Of every program.
    pub numerics: Numerics,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    counters: Counters,
    compile_calls: u64,
    evaluate_calls: u64,
    /// Programs that a kernel still holds, by identifier.
    cache: HashMap<String, Weak<Prepared>>,
}

impl Shared {
    pub fn new(profile: Profile, cpu: Arc<Cpu>) -> Shared {
        let numerics = numerics(profile.arithmetic, profile.machine.chip, cpu);
        Shared { profile, numerics, counts: Mutex::default() }
    }

    /// A panic elsewhere leaves numbers that are still numbers.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn counters(&self) -> Counters {
        Counters { modelled: true, ..self.counts().counters }
    }

    pub fn compiles_left(&self) -> Option<u64> {
        self.profile.compile_budget.map(|budget| budget.saturating_sub(self.counters().compiles))
    }

    pub fn add_surface_bytes(&self, bytes: usize) {
        self.counts().counters.surface_bytes += bytes as u64;
    }

    pub fn remove_surface_bytes(&self, bytes: usize) {
        self.counts().counters.surface_bytes -= bytes as u64;
    }

    /// Begins a compilation of `kernel`: whether an injected fault ends it.
    pub fn begin_compile(&self, kernel: &str) -> Result<bool, DeviceError> {
        let mut counts = self.counts();
        let Counters { compiles, loaded, .. } = counts.counters;
        within(kernel, "compiled", compiles, self.profile.compile_budget)?;
        within(kernel, "loaded", loaded, self.profile.loaded_limit)?;
        counts.compile_calls += 1;
        Ok(self.profile.faults.compile_fails(counts.compile_calls))
    }

    /// The program `id`, if a kernel still holds it.
    pub fn cached(&self, id: &str) -> Option<Arc<Prepared>> {
        self.counts().cache.get(id)?.upgrade()
    }

    /// Counts a program that was compiled and loaded, or, where `was_cached`, loaded alone.
    ///
    /// # Errors
    /// When others have used up the budget meanwhile.
    pub fn finish_compile(&self, kernel: &str, prepared: &Arc<Prepared>, was_cached: bool) -> Result<(), DeviceError> {
        let latency = self.profile.latency;
        let mut counts = self.counts();
        within(kernel, "compiled", counts.counters.compiles, self.profile.compile_budget)?;
        within(kernel, "loaded", counts.counters.loaded, self.profile.loaded_limit)?;
        counts.counters.compiles += 1;
        counts.counters.loaded += 1;
        counts.counters.compile_seconds += if was_cached { latency.reload } else { latency.compile(prepared.work) };
        counts.cache.retain(|_, program| program.strong_count() > 0);
        counts.cache.insert(prepared.identifier.clone(), Arc::downgrade(prepared));
        Ok(())
    }

    /// Counts a program that is loaded again.
    pub fn load(&self, kernel: &str) -> Result<(), DeviceError> {
        let mut counts = self.counts();
        within(kernel, "loaded", counts.counters.loaded, self.profile.loaded_limit)?;
        counts.counters.loaded += 1;
        counts.counters.compile_seconds += self.profile.latency.reload;
        Ok(())
    }

    pub fn unload(&self) {
        self.counts().counters.loaded -= 1;
    }

    /// Counts a dispatch of `work` and says what becomes of it.
    pub fn begin_evaluate(&self, work: Work) -> Outcome {
        let Profile { latency, faults, .. } = &self.profile;
        let mut counts = self.counts();
        counts.evaluate_calls += 1;
        let call = counts.evaluate_calls;
        let wake = if call == 1 { latency.wake } else { 0.0 };
        counts.counters.dispatches += 1;
        counts.counters.evaluate_seconds += wake + faults.disturbed(call, latency.dispatch(work));
        faults.outcome(call)
    }
}

fn within(kernel: &str, what: &'static str, used: u64, limit: Option<u64>) -> Result<(), DeviceError> {
    match limit {
        Some(limit) if used >= limit => Err(DeviceError::Budget { kernel: kernel.into(), what, used, limit }),
        _ => Ok(()),
    }
}
