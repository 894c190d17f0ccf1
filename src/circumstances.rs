//! What a measurement was made under: one at a time on a machine, with the load and the heat that there were, and what speaks
//! against it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::time::Duration;

use meter::Thermal;
use serde_json::{Value as Json, json};

use crate::corpus::cache_dir;
use crate::out::Out;

/// Name of the lock in the cache.
const LOCK: &str = "measuring.lock";
/// For how long other work is looked for.
const LOOK: Duration = Duration::from_millis(200);
/// Share of the processors that may be busy with other work.
const BUSY: f64 = 0.1;
/// How much longer than half of the steps a tenth of them may take.
const SPREAD: f64 = 1.25;

/// A measurement that is being made. No other one of this program begins on this machine until it is dropped.
pub struct Measuring {
    _lock: Option<File>,
    beside: bool,
    busy: Option<f64>,
    load: Option<f64>,
}

/// The same when it is over.
pub struct Circumstances {
    /// Seconds that a tenth, half and nine tenths of the steps took at most; none without steps.
    pub percentiles: Option<[f64; 3]>,
    /// Why it should not be compared with others.
    pub disturbed: Vec<String>,
    load: [Option<f64>; 2],
    thermal: Option<Thermal>,
}

impl Measuring {
    /// Waits until no other measurement is being made.
    pub fn alone(out: Out) -> Measuring {
        let lock = open();
        if let Some(file) = lock.as_ref().filter(|f| matches!(f.try_lock(), Err(TryLockError::WouldBlock))) {
            out.say("another measurement is being made on this machine: waiting for its end");
            // a lock that cannot be had is seen in what disturbs the measurement
            let _ = file.lock();
        }
        Measuring { _lock: lock, beside: false, busy: meter::busy_share(LOOK), load: load() }
    }

    /// A run that is timed on the way. It waits for nobody; where it is `exclusive`, because two at once slow each other down
    /// out of proportion, a measurement at the same time is a disturbance.
    pub fn of_run(exclusive: bool) -> Measuring {
        let lock = if exclusive { open() } else { None };
        let beside = lock.as_ref().is_some_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        Measuring { _lock: lock, beside, busy: None, load: load() }
    }

    /// The end of the measurement of steps that took `seconds` each.
    pub fn end(&self, seconds: &[f64]) -> Circumstances {
        let percentiles = percentiles(seconds);
        let thermal = meter::thermal();
        let mut disturbed = Vec::new();
        if self.beside {
            disturbed.push("another measurement was being made at the same time".to_owned());
        }
        if let Some(busy) = self.busy.filter(|b| *b > BUSY) {
            disturbed.push(format!("{:.0}% of the processors were busy before it began", 100.0 * busy));
        }
        if let Some([_, half, most]) = percentiles.filter(|[_, half, most]| *most > SPREAD * half) {
            disturbed.push(format!("a tenth of the steps took {:.2} times as long as half of them, or longer", most / half));
        }
        if let Some(level) = thermal.and_then(|t| t.level).filter(|level| *level != "nominal") {
            disturbed.push(format!("the machine is hot: {level}"));
        }
        Circumstances { percentiles, disturbed, load: [self.load, load()], thermal }
    }
}

fn open() -> Option<File> {
    let folder = cache_dir();
    fs::create_dir_all(&folder).ok()?;
    OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK)).ok()
}

fn load() -> Option<f64> {
    meter::load_average().map(|l| l[0])
}

/// Values that a tenth, half and nine tenths of `values` do not exceed.
fn percentiles(values: &[f64]) -> Option<[f64; 3]> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| sorted.get((share * (sorted.len().max(1) - 1) as f64).round() as usize).copied();
    Some([at(0.1)?, at(0.5)?, at(0.9)?])
}

impl Circumstances {
    /// The same for programs, in milliseconds.
    pub fn json(&self) -> Json {
        let ms = |i: usize| self.percentiles.map(|p| 1e3 * p[i]);
        json!({
            "percentiles_ms": { "p10": ms(0), "p50": ms(1), "p90": ms(2) },
            "load_average": self.load,
            "celsius": self.thermal.and_then(|t| t.celsius),
            "thermal_level": self.thermal.and_then(|t| t.level),
            "disturbed": self.disturbed,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn quiet() -> Measuring {
        Measuring { _lock: None, beside: false, busy: Some(0.01), load: None }
    }

    #[test]
    fn percentiles_are_of_what_there_is() {
        assert_eq!(percentiles(&[]), None);
        assert_eq!(percentiles(&[3.0]), Some([3.0; 3]));
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(percentiles(&values), Some([10.0, 50.0, 90.0]));
    }

    #[test]
    fn what_disturbs_is_said_and_a_quiet_measurement_is_not_flagged() {
        let even = [0.1; 20];
        let reasons = |measuring: &Measuring, steps: &[f64]| {
            let found = measuring.end(steps).disturbed;
            found.into_iter().filter(|r| !r.contains("hot")).count()
        };
        assert_eq!(reasons(&quiet(), &even), 0);
        assert_eq!(reasons(&Measuring { beside: true, ..quiet() }, &even), 1);
        assert_eq!(reasons(&Measuring { busy: Some(0.6), ..quiet() }, &even), 1);
        let mut uneven = even.to_vec();
        uneven[..4].fill(0.2);
        assert_eq!(reasons(&quiet(), &uneven), 1);
    }
}
