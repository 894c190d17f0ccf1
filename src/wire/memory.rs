//! How much memory a run will take, and what would take less.

use engine::Shape;
use kernels::Cpu;
use model::{Layout, ModelSpec};

use super::{adapter, engine_shape, estimator, optimizer, place};
use crate::config::{Device, LoraForm, Method, OptimizerKind, TrainConfig};
use crate::exit::Exit;
use crate::out::Out;

/// Bytes that a run will hold at its peak beyond what the process holds now, the base of an adapter among it.
pub fn planned_bytes(config: &TrainConfig, spec: &ModelSpec, cpu: &Cpu) -> u64 {
    let (shape, options) = engine_shape(config);
    let shape = Shape { rows: shape.rows * estimator::side_by_side(config), ..shape };
    let layout = Layout::of(spec);
    let sizes = engine::Sizes::of(spec, shape, options, cpu.pool().threads());
    let sizes = if config.lora && config.device == Device::Cpu { sizes.sparing() } else { sizes };
    let zeroth = config.method.is_zeroth_order();
    let floats = if config.lora {
        // the base is mapped; a copy where it is multiplied out; the adapter and its gradient
        let trained = Layout::of_adapter(spec, &adapter::adapter_spec(config));
        let copies = usize::from(config.lora_form == LoraForm::Merged);
        // from losses: the adapter at every point of a pass instead of a gradient
        let arrays = if zeroth { 1 + estimator::side_by_side(config).max(2) + estimator::arrays(config) } else { 2 };
        // what matrices of the base are decoded into
        let decoded = if config.lora_form == LoraForm::Merged { 0 } else { engine::Frozen::scratch(spec) };
        // a gradient with the gains on it, and a product again
        let decoded = decoded + if config.lora_form == LoraForm::Dora { 2 * sizes.gate_up } else { 0 };
        // the gradient of the widest output
        let judged = if config.method == Method::Ff { sizes.wide.max(sizes.gate_up) } else { 0 };
        judged + copies * layout.len() + decoded + arrays * trained.len() + optimizer(config).bytes(&trained) / 4
    } else if zeroth {
        let beside = optimizer(config).bytes(&layout) + engine::probing_bytes(&layout, spec.dim, &sizes);
        (1 + estimator::arrays(config)) * layout.len() + beside / 4
    } else {
        2 * layout.len() + optimizer(config).bytes(&layout) / 4
    };
    (4 * floats + sizes.bytes() + Cpu::PACK_BYTES_MAX) as u64 + place::surface_bytes(config, spec)
}

/// Bytes of surfaces, all wired, up to which training on the engine of a Mac with 16 GB was seen to gain anything.
const MANY_SURFACES: u64 = 220_000_000;

/// Warns where a frozen base stays on the disk for want of memory: every pass reads it again.
pub fn check_base(adapter: &super::Adapter, predicted: u64, out: Out) {
    let engine::BaseWeights::Stored(base) = &adapter.base else { return };
    let (base, total) = (base.bytes() as u64, meter::total_memory().unwrap_or(u64::MAX));
    if base.saturating_add(predicted) > total {
        let [base, total] = [base, total].map(crate::out::bytes);
        out.warn(format!(
            "the base takes {base}, and this machine has {total} for it and all else: it will be read from the disk in every pass"
        ));
    }
}

/// Refuses a run that cannot fit, and names the cheapest fixes with what they would need.
///
/// # Errors
/// 1, with the fixes.
pub fn check_memory(config: &TrainConfig, spec: &ModelSpec, cpu: &Cpu, out: Out) -> anyhow::Result<u64> {
    let surfaces = place::surface_bytes(config, spec);
    if surfaces > MANY_SURFACES {
        let (surfaces, many) = (crate::out::bytes(surfaces), crate::out::bytes(MANY_SURFACES));
        let next = "--pipeline matmul-only, --ane-weights parameters or a smaller model needs less";
        out.warn(format!("{surfaces} of surfaces: beyond about {many} a Mac of 16 GB was slower than on its CPU; {next}"));
    }
    let held = meter::rss_bytes().unwrap_or(0);
    let needed = held + planned_bytes(config, spec, cpu);
    // pages of files are among what is held, and among what is available
    let files = meter::rss_of_files().unwrap_or(0).min(held);
    let available = meter::available_memory().map(|a| a.saturating_add(held - files));
    let Some(available) = available.filter(|a| needed - files > *a) else { return Ok(needed) };
    let half = (config.batch_size / 2).max(1);
    let fixes = [
        ("--recompute".to_owned(), TrainConfig { recompute: true, ..config.clone() }),
        (
            format!("--batch-size {half} --accumulate {}", config.accumulate * config.batch_size.div_ceil(half)),
            TrainConfig { batch_size: half, ..config.clone() },
        ),
        (
            format!("--recompute --batch-size 1 --accumulate {}", config.accumulate * config.batch_size),
            TrainConfig { recompute: true, batch_size: 1, ..config.clone() },
        ),
        ("--optimizer sgd".to_owned(), TrainConfig { optimizer: OptimizerKind::Sgd, momentum: 0.0, ..config.clone() }),
    ];
    let mut message = format!(
        "this run needs {}, and {} are available; what would need less:",
        crate::out::bytes(needed),
        crate::out::bytes(available)
    );
    for (flags, fix) in fixes {
        let bytes = held + planned_bytes(&fix, spec, cpu);
        let fits = if bytes - files <= available { "fits" } else { "still too much" };
        message += &format!("\n  {flags}: {} ({fits})", crate::out::bytes(bytes));
    }
    message += "\n  or a smaller model: `autoane models`";
    Err(Exit::new(1, message).into())
}
