//! Power: meters of energy, and what a piece of work took beyond what the machine takes at rest.
//!
//! A meter counts joules of some parts of the machine since it was opened. A [`Sampler`] reads it at an interval, so that
//! counters which begin anew are followed and every reading is kept. Work is measured between two readings; the mean power at
//! rest, measured before it, is taken off. Its error is that of the means: the standard deviation of the samples at rest over
//! the root of their number, times the time of the work.

#[cfg_attr(not(target_os = "macos"), allow(dead_code))]
mod ioreport;
#[cfg(unix)]
mod library;
mod nvml;
mod powermetrics;
mod rapl;
mod sampler;

use std::path::Path;
use std::time::Duration;

pub use nvml::Nvml;
pub use powermetrics::PowerMetrics;
pub use rapl::Rapl;
pub use sampler::{Reading, Sampler};

/// A part of the machine that a meter tells from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `package-0`, `dram`, `cpu`, `gpu`, `ane`, ...
    pub name: String,
    /// Whether it is in no other part: these add up to what the meter sees of the machine.
    pub outermost: bool,
}

impl Part {
    /// A part that is in no other, or in one.
    pub fn new(name: impl Into<String>, outermost: bool) -> Part {
        Part { name: name.into(), outermost }
    }
}

/// What counts energy.
pub trait PowerMeter: Send {
    /// What it is called: `RAPL`.
    fn name(&self) -> String;

    /// Parts of the machine that it tells apart.
    fn parts(&self) -> Vec<Part>;

    /// Joules of each part since it was opened.
    ///
    /// # Errors
    /// In words, when it cannot be read any more.
    fn joules(&mut self) -> Result<Vec<f64>, String>;
}

/// The meters of this machine, as one. `sys` is where Linux shows devices, `/sys`.
///
/// # Errors
/// Each meter that was looked for, why it is not to be had, and how it would be.
pub fn open(sys: &Path, interval: Duration) -> Result<Box<dyn PowerMeter>, Vec<String>> {
    type Found = Result<Box<dyn PowerMeter>, String>;
    fn boxed<M: PowerMeter + 'static>(meter: Result<M, String>) -> Found {
        meter.map(|m| Box::new(m) as Box<dyn PowerMeter>)
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let mut take = |what: &str, meter: Found| match meter {
        Ok(meter) => {
            found.push(meter);
            true
        }
        Err(why) => {
            missing.push(format!("{what}: {why}"));
            false
        }
    };
    take("RAPL (processors of Intel and AMD, Linux)", boxed(Rapl::open(&sys.join("class/powercap"))));
    take("NVML (GPUs of NVIDIA)", boxed(Nvml::open()));
    if !take("IOReport (macOS, without root)", ioreport::open()) {
        take("powermetrics (macOS, root)", boxed(PowerMetrics::open(interval)));
    }
    match found.len() {
        0 => Err(missing),
        1 => found.pop().ok_or(missing),
        _ => Ok(Box::new(Together(found))),
    }
}

/// Several meters, none of which sees what another sees.
struct Together(Vec<Box<dyn PowerMeter>>);

impl PowerMeter for Together {
    fn name(&self) -> String {
        self.0.iter().map(|m| m.name()).collect::<Vec<_>>().join(", ")
    }

    fn parts(&self) -> Vec<Part> {
        self.0.iter().flat_map(|m| m.parts()).collect()
    }

    fn joules(&mut self) -> Result<Vec<f64>, String> {
        let all: Result<Vec<_>, _> = self.0.iter_mut().map(|m| m.joules()).collect();
        Ok(all?.concat())
    }
}

/// Mean power at rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Idle {
    /// For how long it was measured, in seconds.
    pub seconds: f64,
    /// Watts of each part.
    pub watts: Vec<f64>,
    /// Standard error of each; NaN of fewer than two samples.
    pub se: Vec<f64>,
}

impl Idle {
    /// That of `readings` at rest, one after another. The mean is that of the whole time; its error comes from the samples.
    pub fn of(readings: &[Reading]) -> Idle {
        let (Some(first), Some(last)) = (readings.first(), readings.last()) else {
            return Idle { seconds: 0.0, watts: Vec::new(), se: Vec::new() };
        };
        let seconds = last.seconds - first.seconds;
        let watts = |a: &Reading, b: &Reading, part: usize| (b.joules[part] - a.joules[part]) / (b.seconds - a.seconds);
        let apart = |pair: &&[Reading]| pair[1].seconds > pair[0].seconds;
        let samples = |part| readings.windows(2).filter(apart).map(|p| watts(&p[0], &p[1], part)).collect::<Vec<_>>();
        Idle {
            seconds,
            watts: (0..first.joules.len()).map(|part| watts(first, last, part)).collect(),
            se: (0..first.joules.len()).map(|part| standard_error(&samples(part))).collect(),
        }
    }
}

/// What a piece of work took.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// How long it ran.
    pub seconds: f64,
    /// Joules of each part, those at rest included.
    pub joules: Vec<f64>,
    /// Joules of each part beyond those at rest: (P - P at rest) t.
    pub beyond_idle: Vec<f64>,
    /// Standard error of these, from that of the power at rest.
    pub se: Vec<f64>,
}

impl Work {
    /// Work between two readings.
    pub fn between(before: &Reading, after: &Reading, idle: &Idle) -> Work {
        let seconds = after.seconds - before.seconds;
        let joules: Vec<f64> = after.joules.iter().zip(&before.joules).map(|(a, b)| a - b).collect();
        Work {
            seconds,
            beyond_idle: joules.iter().zip(&idle.watts).map(|(j, w)| j - w * seconds).collect(),
            se: idle.se.iter().map(|se| se * seconds).collect(),
            joules,
        }
    }
}

/// NaN of fewer than two.
fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return f64::NAN;
    }
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
}

#[cfg(test)]
mod tests;
