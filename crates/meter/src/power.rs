//! Power: meters of energy, and what a piece of work took beyond what the machine takes at rest.
//!
//! A meter counts joules of some parts of the machine since it was opened. Work is measured between two readings; the mean
//! power at rest, measured before it, is taken off. Its error is that of the means: the standard deviation of the samples at
//! rest over the root of their number, times the time of the work.

mod powermetrics;
mod rapl;

use std::time::{Duration, Instant};

pub use powermetrics::PowerMetrics;
pub use rapl::Rapl;

/// What counts energy.
pub trait PowerMeter {
    /// What it is called: `RAPL`.
    fn name(&self) -> &'static str;

    /// Parts of the machine that it tells apart: `package`, `dram`, `cpu`, `gpu`, `ane`. Which of them are parts of others is
    /// the meter's own business: `package` and `combined` are the whole.
    fn parts(&self) -> Vec<String>;

    /// Joules of each part since it was opened.
    ///
    /// # Errors
    /// In words, when it cannot be read any more.
    fn joules(&mut self) -> Result<Vec<f64>, String>;
}

/// The meter of this machine.
///
/// # Errors
/// Each meter that was looked for, why it is not to be had, and how it would be.
pub fn open(interval: Duration) -> Result<Box<dyn PowerMeter>, Vec<String>> {
    let mut tried = Vec::new();
    match Rapl::open(std::path::Path::new("/sys/class/powercap")) {
        Ok(rapl) => return Ok(Box::new(rapl)),
        Err(why) => tried.push(format!("RAPL (Linux): {why}")),
    }
    match PowerMetrics::open(interval) {
        Ok(meter) => return Ok(Box::new(meter)),
        Err(why) => tried.push(format!("powermetrics (macOS): {why}")),
    }
    Err(tried)
}

/// Mean power at rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Idle {
    /// Watts of each part.
    pub watts: Vec<f64>,
    /// Standard error of each.
    pub se: Vec<f64>,
}

/// Measures the machine at rest for `time`, sampling at `interval`.
///
/// # Errors
/// Those of the meter.
pub fn idle(meter: &mut dyn PowerMeter, time: Duration, interval: Duration) -> Result<Idle, String> {
    let (began, mut last, mut at) = (Instant::now(), meter.joules()?, Instant::now());
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); last.len()];
    while began.elapsed() < time {
        std::thread::sleep(interval.min(time));
        let (now, joules) = (Instant::now(), meter.joules()?);
        let seconds = (now - at).as_secs_f64();
        for (samples, (new, old)) in samples.iter_mut().zip(joules.iter().zip(&last)) {
            samples.push((new - old) / seconds);
        }
        (last, at) = (joules, now);
    }
    Ok(Idle { watts: samples.iter().map(|s| mean(s)).collect(), se: samples.iter().map(|s| standard_error(s)).collect() })
}

/// What a piece of work took.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// How long it ran.
    pub seconds: f64,
    /// Joules of each part, those at rest included.
    pub joules: Vec<f64>,
    /// Joules of each part beyond those at rest.
    pub beyond_idle: Vec<f64>,
    /// Standard error of these, from that of the power at rest.
    pub se: Vec<f64>,
}

impl Work {
    /// Work of `seconds` between two readings.
    pub fn between(before: &[f64], after: &[f64], seconds: f64, idle: &Idle) -> Work {
        let joules: Vec<f64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
        Work {
            seconds,
            beyond_idle: joules.iter().zip(&idle.watts).map(|(j, w)| j - w * seconds).collect(),
            se: idle.se.iter().map(|se| se * seconds).collect(),
            joules,
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// NaN of fewer than two.
fn standard_error(values: &[f64]) -> f64 {
    let (n, m) = (values.len() as f64, mean(values));
    if values.len() < 2 {
        return f64::NAN;
    }
    (values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A machine that takes 5 W, and 20 W where it works.
    struct Fake {
        opened: Instant,
    }

    impl PowerMeter for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn parts(&self) -> Vec<String> {
            vec!["package".to_owned()]
        }

        fn joules(&mut self) -> Result<Vec<f64>, String> {
            Ok(vec![5.0 * self.opened.elapsed().as_secs_f64()])
        }
    }

    #[test]
    fn what_is_taken_at_rest_is_taken_off() {
        let mut fake = Fake { opened: Instant::now() };
        let rest = idle(&mut fake, Duration::from_millis(60), Duration::from_millis(10)).unwrap();
        assert!((rest.watts[0] - 5.0).abs() < 0.3 && rest.se[0] < 0.2, "{rest:?}");
        let rest = Idle { watts: vec![5.0], se: vec![0.1] };
        let work = Work::between(&[100.0], &[300.0], 10.0, &rest);
        assert_eq!(work, Work { seconds: 10.0, joules: vec![200.0], beyond_idle: vec![150.0], se: vec![1.0] });
    }

    #[test]
    fn errors_of_means_are_those_of_the_textbook() {
        assert!((standard_error(&[1.0, 2.0, 3.0, 4.0]) - 0.6455).abs() < 1e-4);
        assert!(standard_error(&[1.0]).is_nan());
    }
}
