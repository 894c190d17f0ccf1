//! The page `docs/ane-cost.md`: every published figure with its prediction, and how good the predictions are.

use std::fmt::Write;

use mil::BuildError;

use super::fit::{Counted, predicted_program, predicted_without};
use super::profile::{PROGRAM_KNOBS, STEP_KNOBS};
use super::published::{NOT_COVERED, PROGRAMS, Part, STEPS, STORIES};
use super::{CONSTANTS, Conv, HostWork, Machine, Method, Totals, calls, step};
use crate::{KernelForm, Pipeline, PipelineOptions};

/// Relative errors, as `predicted / published - 1`.
pub(super) fn program_errors() -> Vec<f64> {
    PROGRAMS.iter().map(|t| predicted_program(&CONSTANTS, t) / t.ms - 1.0).collect()
}

/// The same of the times of whole steps.
pub(super) fn step_errors(steps: &[Counted]) -> Vec<f64> {
    let whole = steps.iter().filter(|s| s.time.part == Part::Step);
    whole.map(|s| s.predicted(&CONSTANTS) / s.time.ms - 1.0).collect()
}

/// Half of the published times of steps are predicted within this share of them.
///
/// # Errors
/// When a program of a published pipeline cannot be built.
pub fn median_step_error() -> Result<f64, BuildError> {
    Ok(median(&step_errors(&Counted::all()?)))
}

/// As [`step_errors`], each by constants that were fitted without it.
fn errors_left_out(steps: &[Counted]) -> Vec<f64> {
    let whole = steps.iter().enumerate().filter(|(_, s)| s.time.part == Part::Step);
    whole.map(|(i, s)| predicted_without(steps, i) / s.time.ms - 1.0).collect()
}

/// The middle one of the magnitudes.
pub(super) fn median(errors: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

const INTRODUCTION: &str = "# What a step on the Neural Engine costs

Made by a test from the tables of the crate `ane` (`cost/published.rs`, `cost/profile.rs`); do not edit. `AUTOANE_WRITE_DOCS=1 cargo test -p ane
the_page` writes it anew. No time here was measured by us: the figures are other people's, of their programs on their machines, and the predictions
say what this program's model makes of the same work.

A dispatch takes `floor + sum over products of max(flops / arithmetic, weights in the program / weight stream) + activations / surfaces + weights
packed into a surface / packed`. In a stack of layers weights of up to 1.05 MB a layer do not stream. Beside the dispatches the host copies
activations, multiplies matrices and passes over elements; the counts follow from the kernels and from what a pipeline leaves to the host
(`cost/host.rs`), the rates are constants of the chip. Nothing overlaps in the model.
";

/// The page.
///
/// # Errors
/// When a program of a published pipeline cannot be built.
pub fn page() -> Result<String, BuildError> {
    let steps = Counted::all()?;
    let mut text = INTRODUCTION.to_owned();
    let written = write_quality(&mut text, &steps)
        .and_then(|()| write_constants(&mut text))
        .and_then(|()| write_steps(&mut text, &steps))
        .and_then(|()| write_programs(&mut text))
        .and_then(|()| write_missing(&mut text));
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    text += &savings()?;
    for form in [KernelForm::Original, KernelForm::Fused] {
        text += &chips(form)?;
    }
    Ok(text)
}

/// Dispatches and copies of a step over the model of the published counts, in both sets of kernels.
fn savings() -> Result<String, BuildError> {
    let mut text = String::from(
        "\n## What the default kernels save\n\nstories110m over 256 tokens, published kernels and then ours: dispatches and \
         megabytes of activations a step.\n\n| pipeline | dispatches | written | read |\n|---|---|---|---|\n",
    );
    for pipeline in Pipeline::ALL {
        let of = |kernels| -> Result<Totals, BuildError> {
            let options = PipelineOptions { kernels, ..PipelineOptions::of(pipeline) };
            Ok(Totals::of(&calls(&options, &STORIES.spec(Some(pipeline)), STORIES.seq)?))
        };
        let (theirs, ours) = (of(KernelForm::Original)?, of(KernelForm::Fused)?);
        let mb = |of: fn(&Totals) -> f64| format!("{:.1} to {:.1}", of(&theirs) / 1e6, of(&ours) / 1e6);
        let (written, read) = (mb(|t| t.written_bytes), mb(|t| t.read_bytes));
        text += &format!("| {pipeline} | {} to {} | {written} | {read} |\n", theirs.dispatches, ours.dispatches);
    }
    Ok(text)
}

fn write_quality(text: &mut String, steps: &[Counted]) -> std::fmt::Result {
    let left_out = errors_left_out(steps);
    let (steps, programs) = (step_errors(steps), program_errors());
    let parts = STEPS.len() - steps.len();
    writeln!(text, "\n## How good it is\n")?;
    writeln!(
        text,
        "Half of the {} times of steps are predicted within {:.0} %, with {} constants fitted to them and to {parts} times of parts of steps; half of the \
         {} times of single programs within {:.0} %, with {} constants. When each time of a step is predicted by constants that were fitted without it, half \
         are within {:.0} %. A chip with one or two figures is hardly tested by them: there the constant of its host follows the figure. Figures of the same thing differ by up to 30 % between sources (`auto`, matmul-only: 77.6 and 104.4 ms).",
        steps.len(),
        100.0 * median(&steps),
        STEP_KNOBS.len(),
        programs.len(),
        100.0 * median(&programs),
        PROGRAM_KNOBS.len(),
        100.0 * median(&left_out),
    )
}

fn write_constants(text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n## Constants\n\n| constant | value | from |\n|---|---|---|")?;
    let mut constants = CONSTANTS;
    for (knobs, from) in [(PROGRAM_KNOBS.as_slice(), "single programs"), (STEP_KNOBS.as_slice(), "steps")] {
        for (name, knob) in knobs {
            writeln!(text, "| {name} | {:.3} | fitted to {from} |", knob(&mut constants))?;
        }
    }
    for (name, rates) in [("M1", CONSTANTS.m1), ("M2", CONSTANTS.m2), ("M5", CONSTANTS.m5)] {
        writeln!(
            text,
            "| engine of {name}: floor, arithmetic, weight stream, surfaces | {} ms, {} TFLOP/s, {} GB/s, {} GB/s | published, not fitted |",
            rates.floor_ms, rates.tflops, rates.stream_gbs, rates.surface_gbs
        )?;
    }
    Ok(())
}

fn write_steps(text: &mut String, steps: &[Counted]) -> std::fmt::Result {
    writeln!(text, "\n## Steps\n\nMilliseconds over one window, without the update of the weights.\n")?;
    writeln!(
        text,
        "| machine | model | pipeline | of | published | source | predicted | error |\n|---|---|---|---|---|---|---|---|"
    )?;
    for counted in steps {
        let (time, predicted) = (counted.time, counted.predicted(&CONSTANTS));
        let pipeline = time.pipeline.map_or("CPU", Pipeline::name);
        let form = if time.parameters { ", weights as parameters" } else { "" };
        let part = match (time.part, time.method) {
            (Part::Step, Method::Backprop) => "step".to_owned(),
            (Part::Step, Method::Forwards(n)) => format!("{n} forward passes"),
            (Part::Engine, _) => "dispatches".to_owned(),
            (Part::Copies, _) => "copies".to_owned(),
        };
        writeln!(
            text,
            "| {} | {} | {pipeline}{form} | {part} | {} | {} | {predicted:.1} | {:+.0} % |",
            time.machine,
            time.model.name,
            time.ms,
            time.source,
            100.0 * (predicted / time.ms - 1.0)
        )?;
    }
    Ok(())
}

/// `128 x 512 ch, 64`
fn described(conv: &Conv) -> String {
    let layers = if conv.layers > 1 { format!("{} x ", conv.layers) } else { String::new() };
    let channels =
        if conv.inputs == conv.outputs { conv.inputs.to_string() } else { format!("{} to {}", conv.inputs, conv.outputs) };
    let window = if conv.window > 1 { format!(", {0} x {0}", conv.window) } else { String::new() };
    format!("{layers}{channels}{window}{}", if conv.packed { ", weights packed" } else { "" })
}

fn write_programs(text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n## Programs of convolutions\n")?;
    writeln!(
        text,
        "| machine | channels | positions | published, ms | source | predicted | error |\n|---|---|---|---|---|---|---|"
    )?;
    for time in PROGRAMS {
        let predicted = predicted_program(&CONSTANTS, time);
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {predicted:.3} | {:+.0} % |",
            time.machine,
            described(&time.conv),
            time.conv.positions,
            time.ms,
            time.source,
            100.0 * (predicted / time.ms - 1.0)
        )?;
    }
    Ok(())
}

fn write_missing(text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n## Published and not covered\n\n| figure | why |\n|---|---|")?;
    NOT_COVERED.iter().try_for_each(|(figure, why)| writeln!(text, "| {figure} | {why} |"))
}

fn chips(form: KernelForm) -> Result<String, BuildError> {
    let (what, names) = match form {
        KernelForm::Original => ("of the published systems", "original"),
        KernelForm::Fused => ("of this program", "fused"),
    };
    let pipelines: Vec<&str> = Pipeline::ALL.iter().map(|p| p.name()).collect();
    let mut text = format!(
        "\n## Predicted for stories110m, kernels {what} (`--ane-kernels {names}`)\n\nMilliseconds a step over 256 tokens.\n\n| machine | {} |\n|---|{}\n",
        pipelines.join(" | "),
        "---|".repeat(pipelines.len())
    );
    let work = Pipeline::ALL.map(|pipeline| {
        let (spec, options) = (STORIES.spec(Some(pipeline)), PipelineOptions { kernels: form, ..PipelineOptions::of(pipeline) });
        let host = HostWork::of(Some(pipeline), &spec, STORIES.seq, Method::Backprop);
        calls(&options, &spec, STORIES.seq).map(|calls| (calls, host))
    });
    let work = work.into_iter().collect::<Result<Vec<_>, _>>()?;
    for machine in Machine::all() {
        let times = work.iter().map(|(calls, host)| step(&CONSTANTS, machine, calls, host, false).total_ms());
        let cells: Vec<String> = times.map(|ms| format!("{ms:.0}")).collect();
        text += &format!("| {machine} | {} |\n", cells.join(" | "));
    }
    Ok(text)
}
