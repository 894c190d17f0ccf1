//! Where a step runs: the CPU, the Neural Engine, or its simulator.

use ane::sim::{Arithmetic, Profile, Simulator};
use ane::{Device, DeviceEngine, PipelineOptions};
use engine::{Adapting, CpuEngine, Engine};
use kernels::Cpu;
use model::ModelSpec;

use super::{Wired, engine_shape};
use crate::config::{self, AneNumerics, TrainConfig};
use crate::exit::{self, Exit};

/// The engine that the configuration asks for.
///
/// # Errors
/// 69 where there is no such device.
pub fn engine<'a>(config: &TrainConfig, wired: &Wired, cpu: &'a Cpu) -> anyhow::Result<Box<dyn Engine + 'a>> {
    let (shape, options) = engine_shape(config);
    match config.device {
        config::Device::Cpu => {
            let walk = CpuEngine::new(cpu, &wired.spec, shape, options);
            Ok(match &wired.adapter {
                Some(adapter) => Box::new(Adapting::new(walk, adapter.base.clone(), &adapter.spec)),
                None => Box::new(walk),
            })
        }
        config::Device::AneSim => Ok(Box::new(on_device(config, wired, cpu, simulator(config, cpu)?))),
        config::Device::Ane => {
            let device = ane_macos::open().map_err(|error| Exit::new(exit::UNAVAILABLE, error.to_string()))?;
            let mut engine = on_device(config, wired, cpu, device);
            // the device of this machine has been seen by nobody who wrote this program: each kernel is tried beside the simulator
            engine.walk_mut().blocks_mut().check_with(reference(cpu)?);
            Ok(Box::new(engine))
        }
    }
}

/// Bytes of the surfaces of a run: nothing is compiled or allocated to know them.
pub fn surface_bytes(config: &TrainConfig, spec: &ModelSpec) -> u64 {
    if config.device == config::Device::Cpu {
        return 0;
    }
    ane::planned_surface_bytes(spec, config.seq_len, &pipeline(config))
}

fn on_device<'a, D: Device>(config: &TrainConfig, wired: &Wired, cpu: &'a Cpu, device: D) -> DeviceEngine<'a, D> {
    let (shape, options) = engine_shape(config);
    let engine = DeviceEngine::new(cpu, &wired.spec, shape, options, device, pipeline(config));
    match &wired.adapter {
        Some(adapter) => engine.adapted(adapter.base.clone(), &adapter.spec),
        None => engine,
    }
}

/// What kernels on this machine's own engine are compared with: a simulator of its chip, without the limits of a process.
fn reference(cpu: &Cpu) -> anyhow::Result<Simulator> {
    let chip = ane_macos::info().ok().and_then(|info| info.chip()).unwrap_or_default();
    let profile: Profile = chip.to_string().parse().map_err(exit::usage)?;
    Ok(Simulator::new(Profile { compile_budget: None, loaded_limit: None, ..profile }, cpu.pool().threads()))
}

/// The simulated device that the configuration asks for.
fn simulator(config: &TrainConfig, cpu: &Cpu) -> anyhow::Result<Simulator> {
    let mut profile: Profile = config.ane_chip.parse().map_err(exit::usage)?;
    profile.arithmetic = match config.ane_numerics {
        AneNumerics::Exact => Arithmetic::Exact,
        AneNumerics::Ane => Arithmetic::Engine,
    };
    Ok(Simulator::new(profile, cpu.pool().threads()))
}

/// The pipeline that the configuration asks for.
fn pipeline(config: &TrainConfig) -> PipelineOptions {
    PipelineOptions {
        pipeline: config.pipeline,
        kernels: config.ane_kernels,
        weights: config.ane_weights,
        layers_per_program: config.ane_layers,
        int8: config.ane_int8,
    }
}
