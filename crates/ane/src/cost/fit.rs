//! Fits the constants to the published times: first those of single programs, then those of steps, by moving one constant
//! at a time while that makes the robust sum of squared logarithms of predicted over published smaller.

use mil::BuildError;

use super::predict::{conv_ms, step};
use super::profile::{Knob, PROGRAM_KNOBS, STEP_KNOBS};
use super::published::{PROGRAMS, Part, ProgramTime, STEPS, StepTime};
use super::{Call, Constants, HostWork, Step};

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

/// A published time of a step with the work that it is a time of.
pub(super) struct Counted {
    pub time: &'static StepTime,
    calls: Vec<Call>,
    host: HostWork,
}

impl Counted {
    /// Every published time of a step.
    pub(super) fn all() -> Result<Vec<Counted>, BuildError> {
        STEPS.iter().map(|time| time.work().map(|(calls, host)| Counted { time, calls, host })).collect()
    }

    /// The predicted step.
    pub(super) fn step(&self, constants: &Constants) -> Step {
        step(constants, self.time.machine, &self.calls, &self.host, false)
    }

    /// Predicted milliseconds of what the time is of.
    pub(super) fn predicted(&self, constants: &Constants) -> f64 {
        let predicted = self.step(constants);
        match self.time.part {
            Part::Step => predicted.total_ms(),
            Part::Engine => predicted.engine_ms,
            Part::Copies => predicted.copy_ms,
        }
    }
}

fn loss(errors: impl Iterator<Item = f64>) -> f64 {
    errors.map(|ratio| 2.0 * SOFT * SOFT * ((1.0 + (ratio.ln() / SOFT).powi(2)).sqrt() - 1.0)).sum()
}

fn program_loss(constants: &Constants) -> f64 {
    loss(PROGRAMS.iter().map(|t| predicted_program(constants, t) / t.ms))
}

/// The loss of all steps but the one at `left_out`, if there is one.
fn step_loss(steps: &[Counted], constants: &Constants, left_out: Option<usize>) -> f64 {
    let kept = steps.iter().enumerate().filter(|(i, _)| Some(*i) != left_out);
    loss(kept.map(|(_, s)| s.predicted(constants) / s.time.ms))
}

/// Predicted milliseconds of `steps[left_out]` by constants that were fitted without it.
pub(super) fn predicted_without(steps: &[Counted], left_out: usize) -> f64 {
    let fitted = descend(super::CONSTANTS, &STEP_KNOBS, |c| step_loss(steps, c, Some(left_out)));
    steps[left_out].predicted(&fitted)
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
///
/// # Errors
/// When a program of a published pipeline cannot be built.
pub fn fit(start: Constants) -> Result<Fit, BuildError> {
    let steps = Counted::all()?;
    let programs = descend(start, &PROGRAM_KNOBS, program_loss);
    let mut constants = descend(programs, &STEP_KNOBS, |c| step_loss(&steps, c, None));
    let fitted = PROGRAM_KNOBS.iter().chain(&STEP_KNOBS).map(|(name, knob)| (*name, *knob(&mut constants))).collect();
    Ok(Fit { constants, fitted })
}
