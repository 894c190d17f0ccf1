//! Fits the constants to the published times: first those of single programs, then those of steps, by moving one constant
//! at a time while that makes the robust sum of squared logarithms of predicted over published smaller.

use super::predict::{conv_ms, step};
use super::profile::{Knob, PROGRAM_KNOBS, STEP_KNOBS};
use super::published::{PROGRAMS, Part, ProgramTime, STEPS, StepTime};
use super::{Constants, HostWork, Step, calls};

/// Relative error from which on a figure pulls linearly, not quadratically.
const SOFT: f64 = 0.1;
/// Smallest factor by which a constant is moved.
const FINEST: f64 = 1e-4;

/// What a fit found.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The constants.
    pub constants: Constants,
    /// Name and value of each constant that was fitted.
    pub fitted: Vec<(&'static str, f64)>,
}

/// Predicted milliseconds of a published program.
pub(super) fn predicted_program(constants: &Constants, time: &ProgramTime) -> f64 {
    conv_ms(constants, time.machine, &time.conv)
}

/// Predicted step of a published one.
pub(super) fn predicted_step(constants: &Constants, time: &StepTime) -> Step {
    let (spec, seq) = (time.model.spec(time.pipeline), time.model.seq);
    let mut calls = time.pipeline.map_or_else(Vec::new, |p| calls(p, &spec, seq, time.parameters));
    if let super::Method::Forwards(n) = time.method {
        calls.iter_mut().for_each(|c| c.dispatches *= n);
    }
    step(constants, time.machine, &calls, &HostWork::of(time.pipeline, &spec, seq, time.method), false)
}

/// Predicted milliseconds of what `time` is of.
pub(super) fn predicted_part(constants: &Constants, time: &StepTime) -> f64 {
    let predicted = predicted_step(constants, time);
    match time.part {
        Part::Step => predicted.total_ms(),
        Part::Engine => predicted.engine_ms,
        Part::Copies => predicted.copy_ms,
    }
}

fn loss(errors: impl Iterator<Item = f64>) -> f64 {
    errors.map(|ratio| 2.0 * SOFT * SOFT * ((1.0 + (ratio.ln() / SOFT).powi(2)).sqrt() - 1.0)).sum()
}

pub(super) fn program_loss(constants: &Constants) -> f64 {
    loss(PROGRAMS.iter().map(|t| predicted_program(constants, t) / t.ms))
}

pub(super) fn step_loss(constants: &Constants) -> f64 {
    step_loss_without(constants, usize::MAX)
}

fn step_loss_without(constants: &Constants, left_out: usize) -> f64 {
    let kept = STEPS.iter().enumerate().filter(|(i, _)| *i != left_out);
    loss(kept.map(|(_, t)| predicted_part(constants, t) / t.ms))
}

/// Predicted milliseconds of step figure `left_out` by constants that were fitted without it.
pub(super) fn predicted_without(left_out: usize) -> Option<f64> {
    let fitted = descend(super::CONSTANTS, &STEP_KNOBS, |c| step_loss_without(c, left_out));
    STEPS.get(left_out).map(|time| predicted_part(&fitted, time))
}

/// Moves each knob up and down by a factor, keeps what helps, and halves the factor when nothing does.
fn descend(mut constants: Constants, knobs: &[Knob], loss: impl Fn(&Constants) -> f64) -> Constants {
    let (mut best, mut width) = (loss(&constants), 0.25);
    while width > FINEST {
        let before = best;
        for (_, knob) in knobs {
            for factor in [1.0 + width, 1.0 / (1.0 + width)] {
                let mut moved = constants;
                *knob(&mut moved) *= factor;
                let now = loss(&moved);
                if now < best {
                    (constants, best) = (moved, now);
                }
            }
        }
        if before - best < 1e-9 {
            width /= 2.0;
        }
    }
    constants
}

/// The constants that fit the published times best, searched for from `start`.
pub fn fit(start: Constants) -> Fit {
    let programs = descend(start, &PROGRAM_KNOBS, program_loss);
    let mut constants = descend(programs, &STEP_KNOBS, step_loss);
    let fitted = PROGRAM_KNOBS.iter().chain(&STEP_KNOBS).map(|(name, knob)| (*name, *knob(&mut constants))).collect();
    Fit { constants, fitted }
}
