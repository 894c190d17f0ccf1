//! The page `docs/ane-cost.md`: every published figure with its prediction, and how good the predictions are.

use std::fmt::Write;

use super::fit::{predicted_part, predicted_program, predicted_without};
use super::profile::{PROGRAM_KNOBS, STEP_KNOBS};
use super::published::{NOT_COVERED, PROGRAMS, Part, STEPS, STORIES};
use super::{CONSTANTS, Conv, HostWork, Machine, Method, calls, step};
use crate::Pipeline;

/// Relative errors, as `predicted / published - 1`.
pub(super) fn program_errors() -> Vec<f64> {
    PROGRAMS.iter().map(|t| predicted_program(&CONSTANTS, t) / t.ms - 1.0).collect()
}

/// The same of the times of whole steps.
pub(super) fn step_errors() -> Vec<f64> {
    STEPS.iter().filter(|t| t.part == Part::Step).map(|t| predicted_part(&CONSTANTS, t) / t.ms - 1.0).collect()
}

/// The same, each by constants that were fitted without it.
fn errors_left_out() -> Vec<f64> {
    let steps = STEPS.iter().enumerate().filter(|(_, t)| t.part == Part::Step);
    steps.filter_map(|(i, t)| predicted_without(i).map(|predicted| predicted / t.ms - 1.0)).collect()
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
pub fn page() -> String {
    let mut text = INTRODUCTION.to_owned();
    let parts = [write_quality, write_constants, write_steps, write_programs, write_missing, write_chips];
    let written = parts.into_iter().try_for_each(|part| part(&mut text));
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    text
}

fn write_quality(text: &mut String) -> std::fmt::Result {
    let (steps, programs) = (step_errors(), program_errors());
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
        100.0 * median(&errors_left_out()),
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

fn write_steps(text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n## Steps\n\nMilliseconds over one window, without the update of the weights.\n")?;
    writeln!(
        text,
        "| machine | model | pipeline | of | published | source | predicted | error |\n|---|---|---|---|---|---|---|---|"
    )?;
    for time in STEPS {
        let predicted = predicted_part(&CONSTANTS, time);
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

fn write_chips(text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n## Predicted for stories110m\n\nMilliseconds a step over 256 tokens, kernels of the published systems.\n")?;
    let names: Vec<&str> = Pipeline::ALL.iter().map(|p| p.name()).collect();
    writeln!(text, "| machine | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()))?;
    for machine in Machine::all() {
        write!(text, "| {machine} |")?;
        for pipeline in Pipeline::ALL {
            let spec = STORIES.spec(Some(pipeline));
            let host = HostWork::of(Some(pipeline), &spec, STORIES.seq, Method::Backprop);
            let predicted = step(&CONSTANTS, machine, &calls(pipeline, &spec, STORIES.seq, false), &host, false);
            write!(text, " {:.0} |", predicted.total_ms())?;
        }
        writeln!(text)?;
    }
    Ok(())
}
