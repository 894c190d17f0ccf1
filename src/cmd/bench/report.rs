//! What `bench` says: the step, the machine, the kernels.

use std::path::Path;

use kernels::ceilings::Ceilings;
use model::{Layout, flops_per_token};
use serde_json::{Value as Json, json};

use super::kernels_of_step::{Row, Work};
use super::{Job, Times, median};
use crate::circumstances::Circumstances;
use crate::config::OptimizerKind;
use crate::exit::{self, Exit};
use crate::out::{self, Out};

/// Everything that was measured.
pub(super) struct Measured<'a> {
    pub job: &'a Job,
    pub ceilings: Ceilings,
    pub times: Times,
    pub rows: Vec<Row>,
    /// Peak memory foreseen, in bytes.
    pub predicted: u64,
    /// Peak memory of the steps, in bytes.
    pub peak: Option<u64>,
    /// What it was measured under.
    pub circumstances: Circumstances,
}

/// One line of the table of kernels.
struct Line {
    name: String,
    calls: usize,
    /// Seconds in a step.
    seconds: f64,
    /// 1e9 operations or bytes a second, and which.
    rate: Option<(f64, &'static str)>,
    /// Share of the machine's ceiling.
    of_ceiling: Option<f64>,
}

/// Prints all of it; with `submit` it goes into that file too.
pub(super) fn show(m: &Measured<'_>, submit: Option<&Path>, out: Out) -> anyhow::Result<()> {
    let (config, c, lines) = (&m.job.config, &m.ceilings, lines(m));
    let figures = Figures::of(m, &lines);
    let Figures { tokens, step, best, gflops, params, kernels } = figures;
    let peak = m.peak.map_or_else(|| "unknown".to_owned(), out::bytes);
    let spread = m
        .circumstances
        .percentiles
        .map_or_else(String::new, |[low, _, high]| format!("{:.1} to {:.1} ms eight tenths, ", 1e3 * low, 1e3 * high));
    let says = [
        ("model", format!("{}, {} parameters, vocabulary {}", m.job.name, out::count(params as f64), m.job.spec.vocab)),
        ("machine", format!("{} threads, {}", c.threads, c.isa.name())),
        ("peak", format!("{:.0} GFLOP/s, {:.1} GB/s read, {:.1} GB/s triad", c.fma_gflops, c.read_gbps, c.triad_gbps)),
        ("step", format!("{} windows of {} tokens, {}", config.batch_size, config.seq_len, config.optimizer.name())),
        ("time", format!("{:.1} ms median, {spread}{:.1} ms best of {}", 1e3 * step, 1e3 * best, m.times.step.len())),
        ("speed", format!("{} tokens/s, {gflops:.1} GFLOP/s, {:.0}% of the peak", out::count(tokens / step), share(gflops, c))),
        ("memory", format!("{peak} at the peak, foreseen {}", out::bytes(m.predicted))),
    ];
    for (name, value) in &says {
        out.line(format!("{name:<9}{value}"))?;
    }
    m.circumstances.say(out)?;
    out.line("")?;
    out.table(
        &["kernel", "calls", "ms", "of step", "rate", "of ceiling"],
        &lines.iter().map(|l| cells(l, step)).collect::<Vec<_>>(),
    )?;
    out.line(format!("\nkernels by themselves {:.1} ms, the step {:.1} ms", 1e3 * kernels, 1e3 * step))?;
    let record = record(m, &lines, &figures);
    if let Some(path) = submit {
        let text = format!("{:#}\n", submission(&record));
        std::fs::write(path, text)
            .map_err(|e| Exit::new(exit::CANNOT_WRITE, format!("{}: cannot write: {e}", path.display())))?;
        out.say(format!("{}: this machine's figures; nothing was sent", path.display()));
    }
    out.json(&record)
}

/// What is derived from what was measured.
struct Figures {
    /// Of a step.
    tokens: f64,
    /// Median and best seconds of a step.
    step: f64,
    best: f64,
    gflops: f64,
    params: usize,
    /// Seconds of a step's kernels by themselves.
    kernels: f64,
}

impl Figures {
    fn of(m: &Measured<'_>, lines: &[Line]) -> Figures {
        let config = &m.job.config;
        let (tokens, step) = ((config.batch_size * config.seq_len) as f64, median(&m.times.step));
        Figures {
            tokens,
            step,
            best: m.times.step.iter().copied().fold(f64::INFINITY, f64::min),
            gflops: tokens * flops_per_token(&m.job.spec, config.seq_len).train / step / 1e9,
            params: Layout::of(&m.job.spec).len(),
            kernels: lines.iter().map(|l| l.seconds).sum(),
        }
    }
}

/// The same for programs.
fn record(m: &Measured<'_>, lines: &[Line], figures: &Figures) -> Json {
    let (config, c) = (&m.job.config, &m.ceilings);
    let Figures { tokens, step, best, gflops, params, kernels } = *figures;
    json!({
        "model": m.job.name,
        "params": params,
        "vocab": m.job.spec.vocab,
        "seq_len": config.seq_len,
        "batch_size": config.batch_size,
        "optimizer": config.optimizer.name(),
        "recompute": config.recompute,
        "threads": c.threads,
        "isa": c.isa.name(),
        "ceilings": { "gflops": c.fma_gflops, "read_gbps": c.read_gbps, "triad_gbps": c.triad_gbps },
        "steps": m.times.step.len(),
        "ms_per_step": 1e3 * step,
        "best_ms_per_step": 1e3 * best,
        "phases_ms": phases(&m.times),
        "tokens_per_second": tokens / step,
        "gflops": gflops,
        "of_peak": gflops / c.fma_gflops,
        "predicted_bytes": m.predicted,
        "peak_rss_bytes": m.peak,
        "kernels": lines.iter().map(|l| to_json(l, step)).collect::<Vec<_>>(),
        "kernels_ms": 1e3 * kernels,
        "circumstances": m.circumstances.json(),
    })
}

/// The figures that machines are compared by, with what the machine is; no name of a person, a host or a path.
fn submission(record: &Json) -> Json {
    let kept = [
        "params",
        "vocab",
        "seq_len",
        "batch_size",
        "optimizer",
        "threads",
        "isa",
        "ceilings",
        "steps",
        "ms_per_step",
        "best_ms_per_step",
        "phases_ms",
        "tokens_per_second",
        "of_peak",
        "peak_rss_bytes",
        "circumstances",
    ];
    let figures: serde_json::Map<String, Json> = kept.iter().map(|k| ((*k).to_owned(), record[*k].clone())).collect();
    let name = record["model"].as_str().unwrap_or_default();
    json!({
        "schema_version": 1,
        "program": { "version": env!("CARGO_PKG_VERSION"), "commit": env!("AUTOANE_BUILD_COMMIT") },
        "system": {
            "os": std::env::consts::OS, "arch": std::env::consts::ARCH, "cpu": meter::cpu_name(),
            "logical_cpus": meter::logical_cpus(), "memory_bytes": meter::total_memory(),
        },
        "model": if model::preset(name).is_some() { name } else { "a model of the user" },
        "figures": figures,
    })
}

fn share(gflops: f64, ceilings: &Ceilings) -> f64 {
    100.0 * gflops / ceilings.fma_gflops
}

fn phases(times: &Times) -> Json {
    let ms = |values: &[f64]| 1e3 * median(values);
    json!({ "forward_backward": ms(&times.gradient), "norm": ms(&times.norm), "optimizer": ms(&times.optimizer) })
}

/// The kernels and what follows them in a step, the longest first.
fn lines(m: &Measured<'_>) -> Vec<Line> {
    let params = 4.0 * Layout::of(&m.job.spec).len() as f64;
    // AdamW reads weight, gradient and two moments and writes three of them; Muon mostly multiplies
    let update = match m.job.config.optimizer {
        OptimizerKind::Adamw => Some(Work::Bytes(7.0 * params)),
        OptimizerKind::Sgd => Some(Work::Bytes(3.0 * params)),
        OptimizerKind::Muon => None,
    };
    let line = |name: &str, calls: usize, seconds: f64, work: Option<Work>| {
        let (rate, of_ceiling) = match work {
            Some(Work::Flops(f)) => (Some((f / seconds / 1e9, "GFLOP/s")), Some(f / seconds / 1e9 / m.ceilings.fma_gflops)),
            Some(Work::Bytes(b)) => (Some((b / seconds / 1e9, "GB/s")), Some(b / seconds / 1e9 / m.ceilings.triad_gbps)),
            None => (None, None),
        };
        Line { name: name.to_owned(), calls, seconds: seconds * calls as f64, rate, of_ceiling }
    };
    let mut lines: Vec<Line> = m.rows.iter().map(|r| line(&r.name, r.calls, r.seconds, Some(r.work))).collect();
    lines.push(line("gradient norm", 1, median(&m.times.norm), Some(Work::Bytes(params))));
    lines.push(line("optimizer", 1, median(&m.times.optimizer), update));
    lines.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    lines
}

fn cells(line: &Line, step: f64) -> Vec<String> {
    vec![
        line.name.clone(),
        line.calls.to_string(),
        format!("{:.2}", 1e3 * line.seconds),
        format!("{:.1}%", 100.0 * line.seconds / step),
        line.rate.map_or_else(|| "-".to_owned(), |(rate, unit)| format!("{rate:.1} {unit}")),
        line.of_ceiling.map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", 100.0 * share)),
    ]
}

fn to_json(line: &Line, step: f64) -> Json {
    let of = |unit: &str| line.rate.filter(|(_, u)| *u == unit).map(|(rate, _)| rate);
    json!({
        "name": line.name,
        "calls": line.calls,
        "ms": 1e3 * line.seconds,
        "share": line.seconds / step,
        "gflops": of("GFLOP/s"),
        "gbps": of("GB/s"),
        "of_ceiling": line.of_ceiling,
    })
}
