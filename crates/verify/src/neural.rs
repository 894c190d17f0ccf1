//! Claims about the Neural Engine: on its simulator, and on the hardware where there is one.

use ane::kernels::weights::Model;
use ane::probe::{every_kernel, probe};
use ane::sim::{Profile, Simulator};
use ane::{BlockShape, DeviceEngine, Pipeline, PipelineOptions};
use engine::{CpuEngine, Engine, Options, Shape};
use model::{Layout, ModelSpec, Rope};

use crate::device::Told;
use crate::subject::{SEQ, Tricky};
use crate::{Broken, Found, Outcome, Row, Tamper, World, so, within};

pub const CLAIMS: &[Row] = &[
    (
        "neural/programs",
        "every kernel's program says the same after printing and parsing, in both dialects, and passes the checker",
        "none",
        programs,
    ),
    (
        "neural/kernels",
        "every kernel of every pipeline computes the same under the strictest reading of the hardware",
        "0.02 of the largest",
        kernels,
    ),
    (
        "neural/pipelines",
        "losses and gradients of every pipeline are the CPU's, with grouped keys, another theta and a residual scale",
        "1e-2",
        pipelines,
    ),
    ("neural/faults", "whatever the device fails to do is computed on the CPU, and said", "1e-2", faults),
    (
        "neural/hardware",
        "every kernel computes on this Mac's Neural Engine what it computes on the simulator",
        "0.02 of the largest",
        hardware,
    ),
];

fn small() -> (ModelSpec, Layout, Vec<f32>) {
    let spec = Tricky::new().spec;
    let layout = Layout::of(&spec);
    let params = engine::init(&spec, &layout, 1);
    (spec, layout, params)
}

fn programs(world: &World<'_>) -> Found {
    let cases = every_kernel(&BlockShape::of(&small().0, SEQ)).map_err(Broken::of)?;
    let (mut checked, mut wrong) = (0, Vec::new());
    for case in &cases {
        for dialect in [mil::Dialect::Ios18, mil::Dialect::Ios16] {
            // eight bits cannot be said in the older one
            if dialect == mil::Dialect::Ios16 && case.name.contains("int8") {
                continue;
            }
            let text = case.spec.program.clone().in_dialect(dialect).to_string();
            let printed = if world.broken(Tamper::Printed) { text.replacen("fp16", "fp32", 1) } else { text.clone() };
            let parsed = mil::parse(&printed);
            let again = parsed.as_ref().is_ok_and(|p| p.to_string() == text && mil::check(p).is_ok());
            checked += 1;
            if !again {
                wrong.push(case.name.clone());
            }
        }
    }
    so(wrong.is_empty(), format!("{checked} programs; wrong: {wrong:?}"))
}

fn unlimited(words: &str) -> Result<Profile, Broken> {
    Ok(Profile { compile_budget: None, loaded_limit: None, ..words.parse().map_err(Broken::of)? })
}

fn kernels(world: &World<'_>) -> Found {
    let (spec, layout, params) = small();
    let cases = every_kernel(&BlockShape::of(&spec, SEQ)).map_err(Broken::of)?;
    let threads = world.cpu.pool().threads();
    let device = Told { device: Simulator::new(unlimited("m4,strict")?, threads), tamper: world.tamper };
    let reference = Simulator::new(unlimited("m4")?, threads);
    let report = probe(&device, &reference, &cases, &Model { spec: &spec, layout: &layout, params: &params, seq: SEQ });
    so(report.all_passed(), format!("{} of {} kernels", report.passed().count(), report.kernels.len()))
}

/// Loss and gradient of a pipeline on a simulator, and what was said.
fn on_device(world: &World<'_>, options: PipelineOptions, chip: &str) -> Result<(f64, Vec<f32>, usize), Broken> {
    let model = Tricky::new();
    let simulator = Simulator::new(chip.parse().map_err(Broken::of)?, world.cpu.pool().threads());
    let device = Told { device: simulator, tamper: world.tamper };
    let mut spec = model.spec.clone();
    match world.tamper {
        Some(Tamper::Theta) => spec.rope = Rope::plain(1e4),
        Some(Tamper::Residual) => spec.residual_scale = 1.0,
        _ => {}
    }
    let mut engine = DeviceEngine::new(world.cpu, &spec, Shape { rows: 2, seq: SEQ }, Options::TRAINING, device, options);
    engine.refresh(&model.params);
    let mut grad = vec![0.0; model.layout.len()];
    let stop = &mut || false;
    let loss = engine.loss_and_grad_unless(&model.params, &model.batch(), &mut grad, false, stop).map_err(Broken::of)?;
    Ok((loss.unwrap_or_default().mean(), grad, engine.notes().len()))
}

fn on_cpu(world: &World<'_>) -> Result<(f64, Vec<f32>), Broken> {
    let model = Tricky::new();
    let mut engine = CpuEngine::new(world.cpu, &model.spec, Shape { rows: 2, seq: SEQ }, Options::TRAINING);
    let mut grad = vec![0.0; model.layout.len()];
    let loss = engine.loss_and_grad(&model.params, &model.batch(), &mut grad, false).map_err(Broken::of)?;
    Ok((loss.mean(), grad))
}

/// Norm of the difference over that of `b`.
fn relative(a: &[f32], b: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied())
}

fn pipelines(world: &World<'_>) -> Found {
    let (loss, grad) = on_cpu(world)?;
    let (mut worst, mut said) = ((0f64, Pipeline::Static), 0);
    for pipeline in Pipeline::ALL {
        let (found, gradient, notes) = on_device(world, PipelineOptions::of(pipeline), "m4")?;
        let off = relative(&gradient, &grad).max((found - loss).abs());
        if off > worst.0 || off.is_nan() {
            worst = (off, pipeline);
        }
        said += notes;
    }
    if said > 0 {
        return Ok(Outcome::Failed(format!("{said} complaints of the device")));
    }
    within(worst.0, 1e-2, &format!("worst in {}:", worst.1))
}

fn faults(world: &World<'_>) -> Found {
    let (loss, grad) = on_cpu(world)?;
    let mut worst = 0f64;
    for fault in ["m4,compile=2", "m4,evaluate=3", "m4,zeros=2", "m4,memory=4"] {
        let (found, gradient, notes) = on_device(world, PipelineOptions::of(Pipeline::Dynamic), fault)?;
        if notes == 0 {
            return Ok(Outcome::Failed(format!("{fault}: nothing was said")));
        }
        worst = worst.max(relative(&gradient, &grad)).max((found - loss).abs());
    }
    within(worst, 1e-2, "four kinds of failure, off by")
}

fn hardware(world: &World<'_>) -> Found {
    let device = match ane_macos::open() {
        Ok(device) => device,
        Err(why) => return Ok(Outcome::Skipped(why.to_string())),
    };
    let (spec, layout, params) = small();
    let cases = every_kernel(&BlockShape::of(&spec, SEQ)).map_err(Broken::of)?;
    let chip = ane_macos::info().ok().and_then(|info| info.chip()).unwrap_or_default();
    let reference = Simulator::new(unlimited(&chip.to_string())?, world.cpu.pool().threads());
    let report = probe(&device, &reference, &cases, &Model { spec: &spec, layout: &layout, params: &params, seq: SEQ });
    so(report.all_passed(), format!("{} of {} kernels on {}", report.passed().count(), report.kernels.len(), report.device))
}
