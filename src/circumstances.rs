//! What a measurement was made under: one at a time on a machine, with the load and the heat that there were, and what speaks
//! against it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
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
/// Seconds of processors below which other work cannot be told from the grain of the clock.
const TELLING: f64 = 1.0;
/// How much longer than half of the steps a tenth of them may take.
const SPREAD: f64 = 1.25;

/// Set for what a measurement of this program runs (`power -- COMMAND`): its lock is held for it already.
pub const MEASURED: &str = "AUTOANE_MEASURED";

/// A measurement that is being made. No other one of this program begins on this machine until it is dropped.
pub struct Measuring {
    /// Locked where nothing else may be measured meanwhile; without a lock it is only looked at.
    lock: Option<File>,
    exclusive: bool,
    beside: bool,
    busy: Option<f64>,
    load: Option<f64>,
    began: Option<Work>,
}

/// Seconds of processors so far: of all work, of this process, and all that there were.
#[derive(Clone, Copy)]
struct Work {
    busy: f64,
    own: f64,
    all: f64,
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
        Measuring::alone_in(open(&cache_dir()), out)
    }

    /// The same for a measurement of another process, whose work is not this one's.
    pub fn of_command(out: Out) -> Measuring {
        Measuring { began: None, ..Measuring::alone(out) }
    }

    fn alone_in(lock: Option<File>, out: Out) -> Measuring {
        if let Some(file) = lock.as_ref().filter(|f| taken(f.try_lock())) {
            out.say("another measurement is being made on this machine: waiting for its end");
            // a lock that cannot be had is seen in what disturbs the measurement
            let _ = file.lock();
        }
        let busy = meter::busy_share(LOOK);
        Measuring { lock, exclusive: true, beside: false, busy, load: load(), began: Work::so_far() }
    }

    /// A run that is timed on the way. It waits for nobody; a measurement at the same time is a disturbance. One that is
    /// `exclusive`, because two at once slow each other down out of proportion, is itself a measurement to others.
    pub fn of_run(exclusive: bool) -> Measuring {
        Measuring::of_run_in(open(&cache_dir()), exclusive)
    }

    fn of_run_in(lock: Option<File>, exclusive: bool) -> Measuring {
        let beside = lock.as_ref().is_some_and(|file| if exclusive { taken(file.try_lock()) } else { is_held(file) });
        Measuring { lock, exclusive, beside, busy: None, load: load(), began: Work::so_far() }
    }

    /// The end of the measurement of steps that took `seconds` each.
    pub fn end(&self, seconds: &[f64]) -> Circumstances {
        let percentiles = percentiles(seconds);
        let thermal = meter::thermal();
        let mut disturbed = Vec::new();
        if self.beside || !self.exclusive && self.lock.as_ref().is_some_and(is_held) {
            disturbed.push("another measurement was being made at the same time".to_owned());
        }
        if let Some(busy) = self.busy.filter(|b| *b > BUSY) {
            disturbed.push(format!("{:.0}% of the processors were busy before it began", 100.0 * busy));
        }
        let others = self.began.zip(Work::so_far()).and_then(|(before, now)| now.of_others_since(before));
        if let Some(others) = others.filter(|share| *share > BUSY) {
            disturbed.push(format!("{:.0}% of the processors were busy with other work meanwhile", 100.0 * others));
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

impl Work {
    fn so_far() -> Option<Work> {
        let [busy, all] = meter::busy_seconds()?;
        Some(Work { busy, own: meter::cpu_seconds()?, all })
    }

    /// Share of the processors that worked for others since `before`; none where that was too short to tell.
    fn of_others_since(self, before: Work) -> Option<f64> {
        let [busy, own, all] = [self.busy - before.busy, self.own - before.own, self.all - before.all];
        (all >= TELLING).then(|| (busy - own).max(0.0) / all)
    }
}

/// The file of the lock; none for what a measurement runs, and where it cannot be had.
fn open(folder: &Path) -> Option<File> {
    if std::env::var_os(MEASURED).is_some() {
        return None;
    }
    fs::create_dir_all(folder).ok()?;
    OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK)).ok()
}

fn taken(tried: Result<(), TryLockError>) -> bool {
    matches!(tried, Err(TryLockError::WouldBlock))
}

/// Whether a measurement holds the lock. Looking is no measurement: those that look do not disturb each other.
fn is_held(file: &File) -> bool {
    let tried = file.try_lock_shared();
    if tried.is_ok() {
        let _ = file.unlock();
    }
    taken(tried)
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
    /// Says what speaks against it, a line each.
    ///
    /// # Errors
    /// Those of the output.
    pub fn say(&self, out: Out) -> anyhow::Result<()> {
        self.disturbed.iter().try_for_each(|why| out.line(format!("disturbed: {why}: do not compare it with others")))
    }

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
        Measuring { lock: None, exclusive: true, beside: false, busy: Some(0.01), load: None, began: None }
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

    fn is_beside(measuring: &Measuring) -> bool {
        measuring.end(&[]).disturbed.iter().any(|why| why.contains("another measurement"))
    }

    #[test]
    fn two_measurements_at_once_are_seen_and_runs_that_only_look_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let run = |exclusive| Measuring::of_run_in(open(dir.path()), exclusive);
        let (looks, looks_too) = (run(false), run(false));
        assert!(!is_beside(&looks) && !is_beside(&looks_too));
        let device = run(true);
        assert!(!is_beside(&device), "those who look are no measurement");
        assert!(is_beside(&looks), "one that began meanwhile");
        assert!(is_beside(&run(true)) && is_beside(&run(false)));
        drop(device);
        assert!(!is_beside(&run(true)) && !is_beside(&run(false)));
    }

    #[test]
    fn a_measurement_waits_for_the_end_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let out = Out::new(false, true, false);
        let first = Measuring::alone_in(open(dir.path()), out);
        let (begins, begun) = std::sync::mpsc::channel();
        let folder = dir.path().to_owned();
        let second = std::thread::spawn(move || {
            let measuring = Measuring::alone_in(open(&folder), out);
            begins.send(()).unwrap();
            assert!(!is_beside(&measuring));
        });
        assert!(begun.recv_timeout(Duration::from_millis(600)).is_err(), "it began beside the first");
        drop(first);
        begun.recv_timeout(Duration::from_secs(60)).unwrap();
        second.join().unwrap();
    }

    #[test]
    fn other_work_is_what_the_machine_did_beyond_this_process() {
        let at = |busy: f64, own: f64, all: f64| Work { busy, own, all };
        let before = at(100.0, 1.0, 400.0);
        assert_eq!(at(108.0, 5.0, 420.0).of_others_since(before), Some(0.2));
        assert_eq!(at(103.0, 5.0, 420.0).of_others_since(before), Some(0.0), "the grain of the clock");
        assert_eq!(at(100.5, 1.0, 400.5).of_others_since(before), None);
    }
}
