//! `bench --pipeline`: what a step on the Neural Engine would cost, predicted by the cost model. Nothing is measured.

use ane::PipelineOptions;
use ane::cost::{self, CONSTANTS, Call, Constants, HostWork, Machine, Method, Step, Totals};
use mil::BuildError;
use serde_json::json;

use super::Job;
use crate::exit;
use crate::out::{self, Out};

/// The kernels of a pipeline over a job's window, with their sums and the predicted step.
struct Predicted {
    calls: Vec<Call>,
    totals: Totals,
    step: Step,
    /// Milliseconds to compile at the start, and at each update of the weights.
    compile_ms: [f64; 2],
    /// Milliseconds to write the weights that are data at each update.
    stage_ms: f64,
}

fn predict(job: &Job, options: &PipelineOptions, machine: Machine) -> Result<Predicted, BuildError> {
    let calls = cost::calls(options, &job.spec, job.config.seq_len)?;
    let host = HostWork::of(Some(options.pipeline), &job.spec, job.config.seq_len, Method::Backprop);
    let totals = Totals::of(&calls);
    let compile = |only_baked: bool| -> f64 {
        let counted = calls.iter().filter(|c| c.bakes_weights || !only_baked);
        counted.fold(0.0, |sum, c| sum + c.programs as f64 * Constants::compile_ms(machine, c.bakes_weights))
    };
    let compile_ms = [compile(false), compile(true)];
    let stage_ms = totals.staged_bytes / (CONSTANTS.copy_gbs * CONSTANTS.host(machine)) / 1e6;
    let step = cost::step(&CONSTANTS, machine, &calls, &host, options.int8);
    Ok(Predicted { calls, totals, step, compile_ms, stage_ms })
}

/// Prints the kernels, their sums and the prediction.
pub(super) fn run(job: &Job, options: &PipelineOptions, machine: Machine, out: Out) -> anyhow::Result<()> {
    let failed = |e: BuildError| exit::usage(format!("{} over {} tokens: {e}", job.name, job.config.seq_len));
    let mut predicted = predict(job, options, machine).map_err(failed)?;
    let when = if options.pipeline.freezes_base() { "once" } else { "at each update" };
    if options.pipeline.freezes_base() {
        // its base does not change: an update is the adapter's
        (predicted.totals.compiles_of_update, predicted.compile_ms[1]) = (0, 0.0);
    }
    let (totals, step) = (&predicted.totals, &predicted.step);
    let error = cost::median_step_error()?;
    let params = out::count(model::Layout::of(&job.spec).len() as f64);
    let says = [
        ("model", format!("{}, {params} parameters, vocabulary {}, {} tokens", job.name, job.spec.vocab, job.config.seq_len)),
        ("pipeline", format!("{}, for {machine}: predicted, nothing here was measured", options.pipeline)),
        ("step", format!("{} dispatches, {:.1} GFLOP on the engine", totals.dispatches, totals.flops / 1e9)),
        ("copies", format!("{} written, {} read a step", bytes(totals.written_bytes), bytes(totals.read_bytes))),
        ("weights", format!("{} staged {when}, {:.0} ms", bytes(totals.staged_bytes), predicted.stage_ms)),
        (
            "compiles",
            format!(
                "{} at the start, {:.1} s; {} at each update, {:.1} s",
                totals.compiles,
                predicted.compile_ms[0] / 1e3,
                totals.compiles_of_update,
                predicted.compile_ms[1] / 1e3
            ),
        ),
        ("surfaces", bytes(totals.surface_bytes)),
        (
            "time",
            format!(
                "{:.1} ms a step and window: dispatches {:.1}, copies {:.1}, matrix products of the host {:.1}, its other passes {:.1}",
                step.total_ms(),
                step.engine_ms,
                step.copy_ms,
                step.gemm_ms,
                step.element_ms
            ),
        ),
        (
            "error",
            format!(
                "half of the published times of steps are within {:.0}% of what the model predicts (docs/ane-cost.md)",
                100.0 * error
            ),
        ),
    ];
    for (name, value) in &says {
        out.line(format!("{name:<10}{value}"))?;
    }
    out.line("")?;
    let rows: Vec<Vec<String>> = predicted.calls.iter().map(row).collect();
    out.table(&["kernel", "dispatches", "programs", "in, MB", "out, MB", "weights, MB", "GFLOP"], &rows)?;
    out.json(&as_json(job, options, machine, &predicted, error))
}

fn bytes(count: f64) -> String {
    out::bytes(count as u64)
}

fn row(call: &Call) -> Vec<String> {
    let mb = |bytes: f64| format!("{:.2}", bytes / 1e6);
    let weights = call.baked_bytes + call.packed_bytes + call.parameter_bytes;
    let (dispatches, programs) = (call.dispatches.to_string(), call.programs.to_string());
    let gflop = format!("{:.3}", call.flops / 1e9);
    vec![call.name.clone(), dispatches, programs, mb(call.written_bytes), mb(call.read_bytes), mb(weights), gflop]
}

fn as_json(job: &Job, options: &PipelineOptions, machine: Machine, predicted: &Predicted, error: f64) -> serde_json::Value {
    let Predicted { calls, totals, step, compile_ms, stage_ms } = predicted;
    let kernels: Vec<_> = calls
        .iter()
        .map(|c| {
            json!({ "name": c.name, "dispatches": c.dispatches, "programs": c.programs, "written_bytes": c.written_bytes,
                "read_bytes": c.read_bytes, "baked_bytes": c.baked_bytes, "packed_bytes": c.packed_bytes,
                "parameter_bytes": c.parameter_bytes, "flops": c.flops })
        })
        .collect();
    json!({
        "model": job.name, "seq_len": job.config.seq_len, "pipeline": options.pipeline.name(), "chip": machine.name(), "predicted": true,
        "dispatches": totals.dispatches, "written_bytes": totals.written_bytes, "read_bytes": totals.read_bytes,
        "staged_bytes": totals.staged_bytes, "surface_bytes": totals.surface_bytes, "compiles": totals.compiles,
        "compiles_of_update": totals.compiles_of_update, "flops": totals.flops, "ms_per_step": step.total_ms(),
        "dispatch_ms": step.engine_ms, "copy_ms": step.copy_ms, "gemm_ms": step.gemm_ms, "element_ms": step.element_ms,
        "compile_ms": compile_ms[0], "compile_ms_of_update": compile_ms[1], "stage_ms": stage_ms,
        "median_error": error, "kernels": kernels,
    })
}
