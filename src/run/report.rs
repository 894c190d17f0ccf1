//! What a run says at its end: the efficiency report, and the JSON object of `train --json`.

use std::fmt::Write;
use std::time::Duration;

use engine::DeviceReport;
use kernels::ceilings;
use model::{Layout, ModelSpec, flops_per_token};
use serde_json::{Value, json};
use train::trainer::Outcome;

use crate::circumstances::Circumstances;
use crate::config::{Method, TrainConfig};
use crate::out;

/// What was foreseen before the run.
#[derive(Clone, Copy, Debug)]
pub struct Predicted {
    /// Peak memory.
    pub bytes: u64,
}

/// What only a run on a device spends time on.
const TO_DEVICE: &str = "weights to device";
/// Time that the machine's peak is measured for.
const PEAK_TIME: Duration = Duration::from_millis(400);

/// Steps, time and its shares, speed against the measured peak, memory against what was foreseen: text and JSON.
pub fn efficiency(
    outcome: &Outcome,
    spec: &ModelSpec,
    config: &TrainConfig,
    cpu: &kernels::Cpu,
    predicted: Predicted,
    circumstances: &Circumstances,
) -> (String, Value) {
    let t = &outcome.timings;
    let seconds = |d: Duration| d.as_secs_f64();
    let tokens = t.tokens as f64;
    let train = (t.counted as usize * config.batch_size * config.accumulate * config.seq_len) as f64 * flops_of(spec, config);
    let sustained = train / seconds(t.steps).max(1e-9) / 1e9;
    let peak = ceilings::fma_gflops(cpu, PEAK_TIME);
    let total = seconds(t.refresh + t.gradient + t.optimizer + t.evaluation + t.saving + t.sampling).max(1e-9);
    let actual = meter::peak_rss_bytes();
    let shares = [
        (TO_DEVICE, t.refresh),
        ("forward, backward", t.gradient - t.data.min(t.gradient)),
        ("reading data", t.data),
        ("optimizer", t.optimizer),
        ("evaluation", t.evaluation),
        ("checkpoints", t.saving),
        ("samples", t.sampling),
    ];
    let device = outcome.device.as_ref();
    let per_step = 1e3 * seconds(t.steps) / t.counted.max(1) as f64;
    let speed = tokens / seconds(t.steps).max(1e-9);
    let mut text = String::from("Efficiency\n");
    let mut row = |name: &str, value: String| {
        // writing to a String cannot fail
        let _ = writeln!(text, "  {name:18} {value}");
    };
    row("steps", format!("{} in {:.1} s, {per_step:.1} ms each, {} tokens/s", t.counted, seconds(t.steps), out::count(speed)));
    circumstances.percentiles.iter().for_each(|p| row("of ten steps", of_ten(p)));
    circumstances.disturbed.iter().for_each(|why| row("disturbed", why.clone()));
    for (name, time) in shares.into_iter().filter(|(name, time)| device.is_some() || *name != TO_DEVICE && !time.is_zero()) {
        row(name, format!("{:6.2} s  {:4.1}%", seconds(time), 100.0 * seconds(time) / total));
    }
    row("sustained", format!("{sustained:.0} GFLOP/s, {:.0}% of the measured peak of {peak:.0}", 100.0 * sustained / peak));
    let memory = actual.map_or_else(|| "unknown".to_owned(), out::bytes);
    let beyond = actual.is_some_and(|a| a as f64 > 1.1 * predicted.bytes as f64);
    let remark = if beyond { ": more than a tenth beyond what was foreseen" } else { "" };
    row("peak memory", format!("{memory}, foreseen {}{remark}", out::bytes(predicted.bytes)));
    if let Some(device) = device {
        text += &device_lines(device, seconds(t.gradient + t.refresh));
    }
    let record = json!({
        "device": device.map(|d| device_record(d, seconds(t.gradient + t.refresh))),
        "steps": t.counted, "ms_per_step": per_step, "tokens_per_second": speed,
        "seconds": shares.iter().map(|(n, d)| ((*n).to_owned(), json!(seconds(*d)))).collect::<serde_json::Map<_, _>>(),
        "sustained_gflops": sustained, "peak_gflops": peak,
        "peak_rss_bytes": actual, "rss_of_files_bytes": meter::rss_of_files(), "predicted_bytes": predicted.bytes, "circumstances": circumstances.json(),
    });
    (text, record)
}

/// Seconds that a tenth, half and nine tenths of the steps took.
fn of_ten(seconds: &[f64; 3]) -> String {
    let [one, five, nine] = seconds.map(|s| 1e3 * s);
    format!("one within {one:.1} ms, five within {five:.1} ms, nine within {nine:.1} ms")
}

/// What ran beside the CPU: counts, bytes, and how the time of `gradient` seconds of forward and backward passes, and of what
/// they wait for, divides.
fn device_lines(d: &DeviceReport, gradient: f64) -> String {
    let mut text = format!("{}\n", d.device);
    let share = |seconds: f64| 100.0 * seconds / gradient.max(1e-9);
    let cpu = (gradient - d.stage_seconds - d.evaluate_seconds - d.read_seconds - d.compile_seconds).max(0.0);
    let mut row = |name: &str, value: String| {
        // writing to a String cannot fail
        let _ = writeln!(text, "  {name:18} {value}");
    };
    row("programs", format!("{} compiled in {:.2} s", d.compiles, d.compile_seconds));
    row("dispatches", format!("{}, {} in surfaces", d.dispatches, out::bytes(d.surface_bytes)));
    row("staged, read", format!("{}, {}", out::bytes(d.staged_bytes), out::bytes(d.read_bytes)));
    let times = [
        ("compile", d.compile_seconds),
        ("staging", d.stage_seconds),
        ("evaluate", d.evaluate_seconds),
        ("read back", d.read_seconds),
        ("cpu", cpu),
    ];
    for (name, seconds) in times {
        row(name, format!("{seconds:6.2} s  {:4.1}%", share(seconds)));
    }
    let (busy, whose) = match d.modelled {
        Some((compile, evaluate)) => {
            row("latency model", format!("{compile:.2} s compiling, {evaluate:.3} s evaluating"));
            (evaluate, " by the latency model")
        }
        None => (d.evaluate_seconds, ""),
    };
    let sustained = d.flops / busy.max(1e-9) / 1e12;
    let of_peak = d
        .peak_flops
        .map_or_else(String::new, |p| format!(", {:.1}% of the chip's {:.1}", 100.0 * sustained * 1e12 / p, p / 1e12));
    row("device", format!("{sustained:.2} TFLOP/s while it evaluates{whose}{of_peak}"));
    text
}

fn device_record(d: &DeviceReport, gradient: f64) -> Value {
    json!({
        "name": d.device, "compiles": d.compiles, "dispatches": d.dispatches, "surface_bytes": d.surface_bytes,
        "staged_bytes": d.staged_bytes, "read_bytes": d.read_bytes, "flops": d.flops, "peak_flops": d.peak_flops,
        "seconds": { "compile": d.compile_seconds, "staging": d.stage_seconds, "evaluate": d.evaluate_seconds,
            "read_back": d.read_seconds, "gradient": gradient, "modelled_compile": d.modelled.map(|m| m.0), "modelled_evaluate": d.modelled.map(|m| m.1) },
    })
}

/// Floating-point operations of a step for each of its tokens.
pub fn flops_of(spec: &ModelSpec, config: &TrainConfig) -> f64 {
    let flops = flops_per_token(spec, config.seq_len);
    match config.method {
        Method::Backprop => flops.train,
        // real and corrupted text
        Method::Ff => 2.0 * flops.forward,
        // one pass more than there are directions, at the weights themselves
        Method::Fzoo | Method::ZoMuon => flops.forward * (config.zo_directions + 1) as f64,
        Method::Agzo => flops.forward * (1 + config.zo_directions.next_multiple_of(2)) as f64,
        // many directions once in an interval, else one
        Method::Pgap => flops.forward * (2.0 + 2.0 * (config.zo_directions - 1) as f64 / config.zo_interval as f64),
        Method::Hizoo => flops.forward * 3.0,
        // a classifier after each block
        Method::Dszo => {
            let classifiers = 2.0 * (spec.dim * spec.vocab) as f64 * (spec.layers - 1) as f64;
            2.0 * config.zo_directions as f64 * (flops.forward + classifiers)
        }
        _ => flops.forward * 2.0 * config.zo_directions as f64,
    }
}

/// The object that `train --json` prints.
pub fn summary(outcome: &Outcome, spec: &ModelSpec, config: &TrainConfig, run_dir: &str) -> Value {
    let mut summary = common(outcome, spec, config, run_dir);
    if let (Some([tokens, answers]), Value::Object(fields)) = (outcome.evaluation.and_then(|e| e.errors), &mut summary) {
        for (name, missed) in [("val_accuracy", tokens), ("val_exact_match", answers)] {
            fields.insert(name.to_owned(), json!(1.0 - missed.value));
            fields.insert(format!("{name}_se"), json!(missed.se).as_f64().into());
        }
    }
    if let (Some(forward), Value::Object(fields)) = (outcome.forward, &mut summary) {
        fields.insert("forward_ms".to_owned(), json!(1e3 * forward.as_secs_f64()));
    }
    summary
}

fn common(outcome: &Outcome, spec: &ModelSpec, config: &TrainConfig, run_dir: &str) -> Value {
    let t = &outcome.timings;
    let steps = t.steps.as_secs_f64();
    let tokens = t.tokens as f64;
    json!({
        "status": outcome.end.status(),
        "val_loss": outcome.evaluation.map(|e| e.loss.value),
        "val_loss_se": outcome.evaluation.map(|e| e.loss.se),
        "val_bpb": outcome.evaluation.and_then(|e| e.bpb).map(|b| b.value),
        "val_bpb_se": outcome.evaluation.and_then(|e| e.bpb).map(|b| b.se),
        "best_val_loss": outcome.best.map(|e| e.loss.value),
        "best_val_loss_se": outcome.best.map(|e| e.loss.se),
        "train_loss": outcome.train_loss.map(|l| l.value),
        "train_loss_se": outcome.train_loss.map(|l| l.se).filter(|se| se.is_finite()),
        "steps": outcome.spent.steps,
        "tokens": outcome.spent.tokens,
        "tokens_per_second": (t.counted > 0).then_some(tokens / steps),
        "ms_per_step": (t.counted > 0).then_some(1e3 * steps / t.counted as f64),
        "seconds": outcome.spent.seconds,
        "params": Layout::of(spec).len(),
        "peak_rss_bytes": meter::peak_rss_bytes(),
        "rss_of_files_bytes": meter::rss_of_files(),
        "checkpoint": outcome.checkpoint.as_ref().map(|c| format!("{run_dir}/{c}")),
        "run_dir": run_dir,
        "seed": config.seed,
        "device": config.device.name(),
        "method": config.method.name(),
    })
}
