//! Learning rate over a run: warm-up, then a shape that anneals over whichever budget binds.
//!
//! With `p` the progress of the run in `[0, 1]`, `pw` the progress at which the warm-up ends and
//! `u = (p - pw) / (1 - pw)`:
//!
//! ```text
//! warm-up   lr = peak * w                       w = share of the warm-up that is over when the step ends
//! cosine    lr = peak * (r + (1 - r) * (1 + cos(pi u)) / 2)                 r = min_lr_ratio
//! linear    lr = peak * (r + (1 - r) * (1 - u))
//! wsd       lr = peak until p = 0.8, then down to r over the last 20%: linearly, or as 1 - sqrt(x)
//!           (Hägele et al., arXiv 2405.18392: the latter ends lower)
//! constant  lr = peak
//! ```
//!
//! It is a total function: no budget, an empty one, and a warm-up longer than the run all have a finite answer.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Shape of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Half a cosine.
    Cosine,
    /// Warm-up, stable, decay.
    Wsd(Cooldown),
    /// A straight line.
    Linear,
    /// No decay.
    Constant,
}

/// How a WSD schedule comes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cooldown {
    /// A straight line.
    Linear,
    /// `1 - sqrt(x)`: fast at first.
    OneMinusSqrt,
}

impl FromStr for Shape {
    type Err = TrainError;

    fn from_str(text: &str) -> Result<Shape, TrainError> {
        match text {
            "cosine" => Ok(Shape::Cosine),
            "wsd" => Ok(Shape::Wsd(Cooldown::OneMinusSqrt)),
            "wsd-linear" => Ok(Shape::Wsd(Cooldown::Linear)),
            "linear" => Ok(Shape::Linear),
            "constant" => Ok(Shape::Constant),
            _ => Err(TrainError::Parse {
                what: "schedule",
                found: text.into(),
                expected: "cosine, wsd, wsd-linear, linear or constant",
            }),
        }
    }
}

/// Length of the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Warmup {
    /// Share of the budget that binds; nothing without a budget.
    Fraction(f64),
    /// Optimizer steps.
    Steps(u64),
    /// Wall time.
    Time(Duration),
}

/// Where a run stands just before a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Steps made so far: the step to come has number `step + 1`.
    pub step: u64,
    /// Wall time since the run began, earlier sessions included.
    pub elapsed: Duration,
    /// Expected length of a step; zero before the first.
    pub step_time: Duration,
    /// Share of the binding budget that is used, in `[0, 1]`.
    pub progress: f64,
    /// The same when the step to come is over, as far as can be foreseen.
    pub after: f64,
}

/// A learning rate for every point of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Highest learning rate.
    pub peak: f32,
    /// Shape after the warm-up.
    pub shape: Shape,
    /// Length of the warm-up.
    pub warmup: Warmup,
    /// Learning rate at the end, as a share of the peak.
    pub min_lr_ratio: f64,
}

/// Share of a run that a WSD schedule cools down over.
const COOLDOWN: f64 = 0.2;
/// Least factor of a timed warm-up: the length of the very first step is unknown, and a step at rate 0 would be wasted.
const LEAST_WARM: f64 = 0.01;

enum Phase {
    /// This share of the warm-up is over when the step ends.
    Warming(f64),
    /// The warm-up ended at this progress.
    Annealing { from: f64 },
}

impl Schedule {
    /// Learning rate of the step to come at `point`: finite, between 0 and the peak (for `min_lr_ratio` in `[0, 1]`).
    pub fn lr(&self, point: &Point) -> f32 {
        let factor = match self.phase(point) {
            Phase::Warming(share) => unit(share),
            Phase::Annealing { from } => self.decay(unit(point.progress), unit(from)),
        };
        (f64::from(self.peak) * factor) as f32
    }

    /// In a run of steady pace `progress / step` is constant, which tells where a warm-up of so many steps, or of so much
    /// time, lies on a budget that is counted in something else.
    fn phase(&self, point: &Point) -> Phase {
        match self.warmup {
            Warmup::Fraction(f) if point.progress < f && point.after > 0.0 => Phase::Warming((point.after / f).max(LEAST_WARM)),
            Warmup::Fraction(from) => Phase::Annealing { from },
            Warmup::Steps(steps) if point.step < steps => Phase::Warming((point.step + 1) as f64 / steps as f64),
            Warmup::Steps(steps) => Phase::Annealing { from: share(steps as f64, point.step as f64) * point.progress },
            Warmup::Time(time) if point.elapsed < time => {
                let end = point.elapsed.saturating_add(point.step_time);
                Phase::Warming(share(end.as_secs_f64(), time.as_secs_f64()).max(LEAST_WARM))
            }
            Warmup::Time(time) => {
                Phase::Annealing { from: share(time.as_secs_f64(), point.elapsed.as_secs_f64()) * point.progress }
            }
        }
    }

    fn decay(&self, progress: f64, from: f64) -> f64 {
        let u = share(progress - from, 1.0 - from);
        let x = unit((progress - (1.0 - COOLDOWN)) / COOLDOWN);
        let height = match self.shape {
            Shape::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * u).cos()),
            Shape::Linear => 1.0 - u,
            Shape::Wsd(Cooldown::Linear) => 1.0 - x,
            Shape::Wsd(Cooldown::OneMinusSqrt) => 1.0 - x.sqrt(),
            Shape::Constant => 1.0,
        };
        let floor = unit(self.min_lr_ratio);
        floor + (1.0 - floor) * height
    }
}

/// `part / whole` in `[0, 1]`; of nothing it is 0.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { unit(part / whole) } else { 0.0 }
}

/// Into `[0, 1]`; NaN is 0.
fn unit(x: f64) -> f64 {
    if x > 0.0 { x.min(1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [Shape; 5] =
        [Shape::Cosine, Shape::Linear, Shape::Constant, Shape::Wsd(Cooldown::Linear), Shape::Wsd(Cooldown::OneMinusSqrt)];

    fn schedule(shape: Shape, warmup: Warmup) -> Schedule {
        Schedule { peak: 1e-3, shape, warmup, min_lr_ratio: 0.1 }
    }

    /// Step `step` (from 0) of a run of `total` steps of one second.
    fn point(step: u64, total: u64) -> Point {
        let share = |s: u64| if total == 0 { 1.0 } else { (s as f64 / total as f64).min(1.0) };
        Point {
            step,
            elapsed: Duration::from_secs(step),
            step_time: Duration::from_secs(u64::from(step > 0)),
            progress: share(step),
            after: share(step + 1),
        }
    }

    #[test]
    fn cosine_is_the_textbook_formula_step_by_step() {
        let s = schedule(Shape::Cosine, Warmup::Steps(10));
        for step in 0..100 {
            let expected = if step < 10 {
                1e-3 * (step + 1) as f64 / 10.0
            } else {
                let ratio = (step - 10) as f64 / 90.0;
                1e-4 + 0.5 * (1.0 + (std::f64::consts::PI * ratio).cos()) * 9e-4
            };
            let got = f64::from(s.lr(&point(step, 100)));
            assert!((got - expected).abs() < 1e-9, "step {step}: {got} {expected}");
        }
    }

    #[test]
    fn the_same_warmup_in_steps_time_and_share_is_the_same_curve() {
        for shape in SHAPES {
            for step in 1..100 {
                let lr = |warmup| schedule(shape, warmup).lr(&point(step, 100));
                let steps = lr(Warmup::Steps(20));
                assert!((steps - lr(Warmup::Time(Duration::from_secs(20)))).abs() < 1e-8, "{shape:?} {step}");
                assert!((steps - lr(Warmup::Fraction(0.2))).abs() < 1e-8, "{shape:?} {step}");
            }
        }
    }

    #[test]
    fn every_edge_has_a_finite_answer() {
        let times = [Duration::ZERO, Duration::from_secs(5), Duration::from_secs(1 << 40)];
        let mut warmups: Vec<Warmup> = times.map(Warmup::Time).into();
        warmups.extend([0, 1, 5, 6, u64::MAX].map(Warmup::Steps));
        warmups.extend([0.0, 0.05, 1.0, 2.0, -1.0, f64::NAN, f64::INFINITY].map(Warmup::Fraction));
        for shape in SHAPES {
            for &warmup in &warmups {
                for total in [0, 1, 5, u64::MAX] {
                    for step in [0, 1, 4, 5, 6, 1000] {
                        let lr = schedule(shape, warmup).lr(&point(step, total));
                        assert!((0.0..=1e-3).contains(&lr), "{shape:?} {warmup:?} step {step} of {total}: {lr}");
                    }
                }
            }
        }
    }

    #[test]
    fn strange_points_are_defined_too() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 7.0] {
            let p = Point { progress: value, after: value, ..Point::default() };
            for shape in SHAPES {
                let lr = schedule(shape, Warmup::Fraction(0.05)).lr(&p);
                assert!((0.0..=1e-3).contains(&lr), "{shape:?} {value}: {lr}");
            }
        }
    }

    #[test]
    fn a_warmup_longer_than_the_run_keeps_rising() {
        let s = schedule(Shape::Cosine, Warmup::Steps(1000));
        let rates: Vec<f32> = (0..10).map(|i| s.lr(&point(i, 10))).collect();
        assert!(rates.windows(2).all(|w| w[0] < w[1]), "{rates:?}");
        assert!(rates[9] <= 1.01e-5);
    }

    #[test]
    fn wsd_is_flat_and_then_falls_to_the_floor() {
        for form in [Cooldown::Linear, Cooldown::OneMinusSqrt] {
            let s = schedule(Shape::Wsd(form), Warmup::Steps(0));
            assert_eq!(s.lr(&point(0, 1000)), 1e-3);
            assert_eq!(s.lr(&point(799, 1000)), 1e-3);
            assert!(s.lr(&point(900, 1000)) < 6e-4);
            assert!(s.lr(&point(999, 1000)) < 1.1e-4);
            assert!((s.lr(&point(1000, 1000)) - 1e-4).abs() < 1e-9);
        }
    }

    #[test]
    fn names_parse() {
        assert!(matches!("cosine".parse(), Ok(Shape::Cosine)));
        assert!("cosin".parse::<Shape>().is_err());
    }
}
