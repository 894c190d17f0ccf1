//! `autoane bench`: a training step, or decoding, against the machine's measured ceilings, and where its time goes; or what
//! a step on the Neural Engine would cost.

mod decode;
mod estimator;
mod kernels_of_step;
mod pipeline;
mod report;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use engine::{Batch, CpuEngine};
use kernels::ceilings;
use kernels::gemm::Cpu;
use kernels::noise::Philox;
use model::{Layout, ModelSpec};
use train::gradient::{Gradient, global_norm};
use train::optimizer::Optimizer;

use crate::circumstances::Measuring;
use crate::cli::BenchArgs;
use crate::config::{ModelChoice, OptimizerKind, TrainConfig};
use crate::out::Out;
use crate::{exit, model_file, wire};

/// Time that each ceiling is measured for.
const CEILING: Duration = Duration::from_millis(500);
/// Steps that are measured at least.
const LEAST_STEPS: usize = 3;
/// Small enough that the weights stay what they are.
const LEARNING_RATE: f32 = 1e-6;
/// Stream of the random tokens.
const TOKENS: u64 = 0x746f_6b65_6e73;

/// What is measured.
struct Job {
    name: String,
    spec: ModelSpec,
    config: TrainConfig,
}

/// Times of the parts of a step in seconds, one entry a step.
#[derive(Default)]
struct Times {
    gradient: Vec<f64>,
    norm: Vec<f64>,
    optimizer: Vec<f64>,
    step: Vec<f64>,
}

/// Measures.
pub fn run(args: &BenchArgs, out: Out) -> anyhow::Result<()> {
    if args.decode {
        return decode::run(args, out);
    }
    let cpu = args.machine.cpu()?;
    let job = job(args, out)?;
    if let Some(methods) = &args.estimator {
        return estimator::run(&job, methods, args, &cpu, out);
    }
    if let Some(options) = args.pipeline.options() {
        return pipeline::run(&job, &options, args.chip, out);
    }
    let measuring = Measuring::alone(out);
    let predicted = wire::check_memory(&job.config, &job.spec, &cpu, out)?;
    let layout = Layout::of(&job.spec);
    let mut params = engine::init(&job.spec, &layout, 0);
    let mut grad = vec![0.0; layout.len()];
    let tokens = random_tokens(job.config.batch_size * job.config.seq_len + 1, job.spec.vocab);
    out.work_begins();
    let times = measure_steps(&job, &cpu, &mut params, &mut grad, &tokens, args.max_time, out)?;
    let steps = times.step.len() as u64 + 1;
    out.work_ends(Some(steps), Some(steps * (tokens.len() - 1) as u64));
    // read before the ceilings are measured: their arrays are no part of a step
    let peak = meter::peak_rss_bytes();
    out.detail("measuring what the machine can do");
    let found = ceilings::measure(&cpu, CEILING);
    let rows = kernels_of_step::measure(&job, &cpu, &params, &mut grad, &tokens, args.max_time / 4, out);
    let circumstances = measuring.end(&times.step);
    report::show(
        &report::Measured { job: &job, ceilings: found, times, rows, predicted, peak, circumstances },
        args.submit_file.as_deref(),
        out,
    )
}

fn job(args: &BenchArgs, out: Out) -> anyhow::Result<Job> {
    let (name, spec, seq, batch) = match ModelChoice::of(&args.model)? {
        ModelChoice::Auto => return Err(exit::usage("`auto` needs data to choose by; name a preset (`autoane models`)")),
        ModelChoice::Preset(p) => (p.name.to_owned(), p.spec, p.seq_len, p.batch_size),
        ModelChoice::Shape(path) | ModelChoice::Path(path) => of_folder(&path, out)?,
    };
    let spec = args.vocab_size.map_or_else(|| spec.clone(), |vocab| spec.with_vocab(vocab));
    spec.validate()?;
    let optimizer = OptimizerKind::parse(&args.optimizer).map_err(exit::usage)?;
    let config = TrainConfig {
        model: args.model.clone(),
        seq_len: args.seq_len.unwrap_or(seq),
        batch_size: args.batch_size.unwrap_or(batch),
        optimizer,
        momentum: if optimizer == OptimizerKind::Muon { 0.95 } else { 0.0 },
        recompute: args.recompute,
        threads: args.machine.threads,
        ..TrainConfig::default()
    };
    Ok(Job { name, spec, config })
}

fn of_folder(path: &Path, out: Out) -> anyhow::Result<(String, ModelSpec, usize, usize)> {
    let model = model_file::open(path, out)?;
    let defaults = TrainConfig::default();
    let trained = model.trained.as_ref().map_or(defaults.seq_len, |t| t.config.seq_len);
    let seq = trained.min(model.spec().context);
    Ok((path.display().to_string(), model.spec().clone(), seq, defaults.batch_size))
}

fn random_tokens(n: usize, vocab: usize) -> Vec<u32> {
    let noise = Philox::new(0, TOKENS);
    (0..n as u64).map(|i| ((f64::from(noise.uniform(i)) * vocab as f64) as usize).min(vocab - 1) as u32).collect()
}

/// Training steps on the same batch until `time` is over; the first one, which touches fresh memory, is not counted.
fn measure_steps(
    job: &Job,
    cpu: &Cpu,
    params: &mut [f32],
    grad: &mut [f32],
    tokens: &[u32],
    time: Duration,
    out: Out,
) -> anyhow::Result<Times> {
    let (shape, options) = wire::engine_shape(&job.config);
    let mut engine = CpuEngine::new(cpu, &job.spec, shape, options);
    let mut optimizer = Optimizer::new(wire::optimizer(&job.config), &Layout::of(&job.spec), job.config.weight_decay);
    let n = shape.rows * shape.seq;
    let batch = Batch { rows: shape.rows, seq: shape.seq, inputs: &tokens[..n], targets: &tokens[1..], starts: None };
    let mut times = Times::default();
    let mut progress = out.progress("training steps", time.as_millis() as u64);
    let mut began = Instant::now();
    for step in 0.. {
        let start = Instant::now();
        let loss = engine.loss_and_grad(&*params, &batch, grad, false).context("training step")?;
        let after_gradient = Instant::now();
        let norm = global_norm(cpu, grad) / loss.tokens as f64;
        let after_norm = Instant::now();
        let scale = (train::gradient::clip_factor(norm, 1.0) / loss.tokens as f64) as f32;
        optimizer.step(cpu, params, &Gradient::Dense { values: grad, scale }, LEARNING_RATE);
        if step == 0 {
            began = Instant::now();
            continue;
        }
        times.gradient.push((after_gradient - start).as_secs_f64());
        times.norm.push((after_norm - after_gradient).as_secs_f64());
        times.optimizer.push(after_norm.elapsed().as_secs_f64());
        times.step.push(start.elapsed().as_secs_f64());
        progress.update(began.elapsed().min(time).as_millis() as u64, format!("{step} steps"));
        if step >= LEAST_STEPS && began.elapsed() >= time {
            break;
        }
    }
    Ok(times)
}

/// The middle of `values`, 0 of none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[middle],
        _ => 0.5 * (sorted[middle - 1] + sorted[middle]),
    }
}
