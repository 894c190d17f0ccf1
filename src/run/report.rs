//! What a run says at its end: the efficiency report, and the JSON object of `train --json`.

use std::fmt::Write;
use std::time::Duration;

use kernels::ceilings;
use model::{Layout, ModelSpec, flops_per_token};
use serde_json::{Value, json};
use train::trainer::Outcome;

use crate::config::TrainConfig;
use crate::out;

/// What was foreseen before the run.
#[derive(Clone, Copy, Debug)]
pub struct Predicted {
    /// Peak memory.
    pub bytes: u64,
}

/// Time that the machine's peak is measured for.
const PEAK_TIME: Duration = Duration::from_millis(400);

/// Steps, time and its shares, speed against the measured peak, memory against what was foreseen: text and JSON.
pub fn efficiency(
    outcome: &Outcome,
    spec: &ModelSpec,
    config: &TrainConfig,
    cpu: &kernels::Cpu,
    predicted: Predicted,
) -> (String, Value) {
    let t = &outcome.timings;
    let seconds = |d: Duration| d.as_secs_f64();
    let tokens = t.tokens as f64;
    let train = (t.counted as usize * config.batch_size * config.accumulate * config.seq_len) as f64
        * flops_per_token(spec, config.seq_len).train;
    let sustained = train / seconds(t.steps).max(1e-9) / 1e9;
    let peak = ceilings::fma_gflops(cpu, PEAK_TIME);
    let total = seconds(t.gradient + t.optimizer + t.evaluation + t.saving + t.sampling).max(1e-9);
    let actual = meter::peak_rss_bytes();
    let shares = [
        ("forward, backward", t.gradient - t.data.min(t.gradient)),
        ("reading data", t.data),
        ("optimizer", t.optimizer),
        ("evaluation", t.evaluation),
        ("checkpoints", t.saving),
        ("samples", t.sampling),
    ];
    let per_step = 1e3 * seconds(t.steps) / t.counted.max(1) as f64;
    let speed = tokens / seconds(t.steps).max(1e-9);
    let mut text = String::from("Efficiency\n");
    let mut row = |name: &str, value: String| {
        // writing to a String cannot fail
        let _ = writeln!(text, "  {name:18} {value}");
    };
    row("steps", format!("{} in {:.1} s, {per_step:.1} ms each, {} tokens/s", t.counted, seconds(t.steps), out::count(speed)));
    for (name, time) in shares {
        row(name, format!("{:6.2} s  {:4.1}%", seconds(time), 100.0 * seconds(time) / total));
    }
    row("sustained", format!("{sustained:.0} GFLOP/s, {:.0}% of the measured peak of {peak:.0}", 100.0 * sustained / peak));
    let memory = actual.map_or_else(|| "unknown".to_owned(), out::bytes);
    let beyond = actual.is_some_and(|a| a as f64 > 1.1 * predicted.bytes as f64);
    let remark = if beyond { ": more than a tenth beyond what was foreseen" } else { "" };
    row("peak memory", format!("{memory}, foreseen {}{remark}", out::bytes(predicted.bytes)));
    let record = json!({
        "steps": t.counted, "ms_per_step": per_step, "tokens_per_second": speed,
        "seconds": shares.iter().map(|(n, d)| ((*n).to_owned(), json!(seconds(*d)))).collect::<serde_json::Map<_, _>>(),
        "sustained_gflops": sustained, "peak_gflops": peak,
        "peak_rss_bytes": actual, "predicted_bytes": predicted.bytes,
    });
    (text, record)
}

/// The object that `train --json` prints.
pub fn summary(outcome: &Outcome, spec: &ModelSpec, config: &TrainConfig, run_dir: &str) -> Value {
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
        "checkpoint": outcome.checkpoint.as_ref().map(|c| format!("{run_dir}/{c}")),
        "run_dir": run_dir,
        "seed": config.seed,
        "device": config.device.name(),
        "method": config.method.name(),
    })
}
