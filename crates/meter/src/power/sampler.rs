//! A meter that is read at an interval by a thread of its own, and whenever somebody asks. Every reading is kept.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Part, PowerMeter};

/// Joules of each part since the meter was opened, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Seconds since the sampler began.
    pub seconds: f64,
    /// Joules of each part.
    pub joules: Vec<f64>,
}

struct State {
    meter: Box<dyn PowerMeter>,
    readings: Vec<Reading>,
    failed: Option<String>,
    over: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    began: Instant,
}

/// See the module. The meter is closed when it is dropped.
pub struct Sampler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    name: String,
    parts: Vec<Part>,
    interval: Duration,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, state: &mut State) -> Result<Reading, String> {
        let joules = state.meter.joules();
        let seconds = self.began.elapsed().as_secs_f64();
        match joules {
            Ok(joules) => {
                let reading = Reading { seconds, joules };
                state.readings.push(reading.clone());
                Ok(reading)
            }
            Err(why) => {
                state.failed = Some(why.clone());
                Err(why)
            }
        }
    }
}

impl Sampler {
    /// Reads `meter` now and then every `interval`.
    ///
    /// # Errors
    /// When it cannot be read, or no thread can be started.
    pub fn start(meter: Box<dyn PowerMeter>, interval: Duration) -> Result<Sampler, String> {
        let (name, parts) = (meter.name(), meter.parts());
        let state = State { meter, readings: Vec::new(), failed: None, over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new(), began: Instant::now() });
        shared.read(&mut shared.lock())?;
        let theirs = shared.clone();
        let sample = move || {
            let mut state = theirs.lock();
            while !state.over && state.failed.is_none() {
                let (back, waited) = theirs.wake.wait_timeout(state, interval).unwrap_or_else(PoisonError::into_inner);
                state = back;
                if waited.timed_out() && !state.over {
                    // a failure ends the loop and is told to whoever reads next
                    let _ = theirs.read(&mut state);
                }
            }
        };
        let thread = thread::Builder::new().name("power".into()).spawn(sample).map_err(|e| e.to_string())?;
        Ok(Sampler { shared, thread: Some(thread), name, parts, interval })
    }

    /// Name of the meter.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Parts that it tells apart.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Time between readings.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Reads the meter now.
    ///
    /// # Errors
    /// When it cannot be read, or could not before.
    pub fn read(&self) -> Result<Reading, String> {
        let mut state = self.shared.lock();
        match &state.failed {
            Some(why) => Err(why.clone()),
            None => self.shared.read(&mut state),
        }
    }

    /// Readings from the one with this number on.
    pub fn readings(&self, from: usize) -> Vec<Reading> {
        self.shared.lock().readings.get(from..).unwrap_or_default().to_vec()
    }

    /// Mean watts of the parts that are in no other, between two readings.
    pub fn watts(&self, before: &Reading, after: &Reading) -> Option<f64> {
        let seconds = after.seconds - before.seconds;
        let outermost = self.parts.iter().enumerate().filter(|(_, p)| p.outermost);
        let joules: f64 = outermost.map(|(i, _)| after.joules[i] - before.joules[i]).sum();
        (seconds > 0.0).then(|| joules / seconds)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // it only reads a meter; that it panicked changes nothing
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// 5 W of the whole, 2 W of a part of it; gone after so many readings.
    struct Fake {
        opened: Instant,
        left: usize,
    }

    impl PowerMeter for Fake {
        fn name(&self) -> String {
            "fake".to_owned()
        }

        fn parts(&self) -> Vec<Part> {
            vec![Part::new("package", true), Part::new("core", false)]
        }

        fn joules(&mut self) -> Result<Vec<f64>, String> {
            self.left = self.left.checked_sub(1).ok_or("the meter is gone")?;
            let seconds = self.opened.elapsed().as_secs_f64();
            Ok(vec![5.0 * seconds, 2.0 * seconds])
        }
    }

    fn start(left: usize, interval: u64) -> Sampler {
        Sampler::start(Box::new(Fake { opened: Instant::now(), left }), Duration::from_millis(interval)).unwrap()
    }

    #[test]
    fn every_reading_is_kept_and_parts_of_others_are_not_added_twice() {
        let sampler = start(usize::MAX, 5);
        thread::sleep(Duration::from_millis(60));
        let last = sampler.read().unwrap();
        let all = sampler.readings(0);
        assert!(all.len() >= 4 && all.contains(&last), "{all:?}");
        assert!(all.windows(2).all(|w| w[0].seconds <= w[1].seconds && w[0].joules[0] <= w[1].joules[0]));
        let watts = sampler.watts(&all[0], &last).unwrap();
        assert!((watts - 5.0).abs() < 0.5, "{watts}");
        assert_eq!(sampler.readings(1_000_000), []);
        assert_eq!(sampler.watts(&last, &last), None);
    }

    #[test]
    fn a_meter_that_fails_is_told_to_whoever_asks_and_what_was_read_stays() {
        let sampler = start(3, 5);
        thread::sleep(Duration::from_millis(100));
        assert_eq!(sampler.read(), Err("the meter is gone".to_owned()));
        assert_eq!(sampler.readings(0).len(), 3);
        assert!(Sampler::start(Box::new(Fake { opened: Instant::now(), left: 0 }), Duration::from_secs(1)).is_err());
    }

    #[test]
    fn the_end_does_not_wait_for_the_interval() {
        let began = Instant::now();
        drop(start(usize::MAX, 60_000));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
