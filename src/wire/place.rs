//! Where a step runs: the CPU, the Neural Engine, or its simulator.

use ane::probe::{Checks, KernelProbe};
use ane::sim::{Arithmetic, Profile, Simulator, SizeRule};
use ane::{Device, DeviceEngine, PipelineOptions};
use engine::{Adapting, BaseWeights, CpuEngine, Engine, Shape};
use kernels::Cpu;
use model::ModelSpec;

use super::{Wired, engine_shape, estimator};
use crate::config::{self, AneNumerics, AneProbe, TrainConfig};
use crate::corpus::cache_dir;
use crate::exit::{self, Exit};
use crate::probes::{self, Probes, SIMULATOR};

/// The engine that the configuration asks for.
///
/// # Errors
/// 69 where there is no such device.
pub fn engine<'a>(config: &TrainConfig, wired: &Wired, cpu: &'a Cpu) -> anyhow::Result<Box<dyn Engine + 'a>> {
    let (shape, options) = engine_shape(config);
    match config.device {
        config::Device::Cpu => {
            let shape = Shape { rows: shape.rows * estimator::side_by_side(config), ..shape };
            let walk = CpuEngine::new(cpu, &wired.spec, shape, options);
            Ok(match &wired.adapter {
                Some(adapter) => Box::new(Adapting::new(walk.sparing(), adapter.base.clone(), &adapter.spec)),
                None => Box::new(walk),
            })
        }
        config::Device::AneSim => Ok(Box::new(on_device(config, wired, cpu, simulator(config, cpu)?)?)),
        config::Device::Ane => {
            let device = ane_macos::open().map_err(|error| Exit::new(exit::UNAVAILABLE, error.to_string()))?;
            Ok(Box::new(on_device(config, wired, cpu, device)?))
        }
    }
}

/// Bytes of the surfaces of a run: nothing is compiled or allocated to know them.
pub fn surface_bytes(config: &TrainConfig, spec: &ModelSpec) -> u64 {
    let profile = match config.device {
        config::Device::Cpu => return 0,
        config::Device::AneSim => config.ane_chip.parse().unwrap_or_default(),
        // as crates/ane-macos sizes them: equally large on a side, and not too small
        config::Device::Ane => Profile { minimum_bytes: 48 << 10, size_rule: SizeRule::Uniform, ..Profile::default() },
    };
    ane::planned_surface_bytes(spec, config.seq_len, &pipeline(config), &profile)
}

fn on_device<'a, D: Device>(config: &TrainConfig, wired: &Wired, cpu: &'a Cpu, device: D) -> anyhow::Result<DeviceEngine<'a, D>> {
    let (shape, options) = engine_shape(config);
    let mut engine = DeviceEngine::new(cpu, &wired.spec, shape, options, device, pipeline(config));
    // hardware has been seen by nobody who wrote this program
    let unseen = config.device == config::Device::Ane && config.ane_probe == AneProbe::Hardware;
    if unseen || config.ane_probe == AneProbe::Always {
        engine.walk_mut().blocks_mut().check_with(checks(config, cpu)?);
    }
    Ok(match &wired.adapter {
        Some(adapter) => {
            let BaseWeights::Flat(base) = &adapter.base else { return Err(anyhow::anyhow!("a device takes weights in f32")) };
            engine.adapted(base.clone(), &adapter.spec)
        }
        None => engine,
    })
}

/// Trials of kernels beside the simulator, but for those that the cache knows the outcome of.
fn checks(config: &TrainConfig, cpu: &Cpu) -> anyhow::Result<Checks> {
    let (mut probes, _) = Probes::open(&cache_dir());
    let machine = match (config.device, ane_macos::info()) {
        (config::Device::Ane, Ok(info)) => probes::machine(&info),
        _ => format!("{SIMULATOR} {}", config.ane_chip),
    };
    let label = ane::probe::label(&pipeline(config));
    let record = probes.get(&machine).cloned().unwrap_or_default();
    let of = label.clone();
    Ok(Checks {
        known: Box::new(move |name, digest| record.verdict(&of, name, digest)),
        found: Box::new(move |name, digest, verdict| {
            let probe = KernelProbe { name: format!("{label}/{name}"), verdict: verdict.clone() };
            // a cache that cannot be written costs the same trial again
            let _ = probes.keep(&machine, digest, probe);
        }),
        ..Checks::new(reference(cpu)?)
    })
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
