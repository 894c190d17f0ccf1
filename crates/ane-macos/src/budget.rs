//! How many programs a process compiles, and how fast after failures.
//!
//! The framework leaks with each program: after about 119 it fails without a word. 110 is the limit here, as in other
//! programs that drive it. A process may hold 128 programs loaded. A failed compilation makes the system restart its
//! compiler, so that a burst of them slows everybody: after three in a row the next waits.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ane::DeviceError;

/// Programs that a process compiles.
pub const COMPILES: u64 = 110;
/// Failures in a row that make a burst.
const BURST: u32 = 3;
/// Between the last failure of a burst and the next attempt.
const PAUSE: Duration = Duration::from_secs(15);

/// Counts of a process.
#[derive(Debug, Default)]
struct Used {
    compiled: u64,
    failures: u32,
    last_failure: Option<Instant>,
}

/// The budget of a process.
#[derive(Debug)]
pub struct Budget {
    used: Mutex<Used>,
}

/// One program's share: given back when it is dropped before the program was [`Ticket::loaded`].
#[derive(Debug)]
pub struct Ticket {
    budget: &'static Budget,
    loaded: bool,
}

impl Budget {
    /// Nothing is used.
    pub const fn new() -> Budget {
        Budget { used: Mutex::new(Used { compiled: 0, failures: 0, last_failure: None }) }
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Programs that may still be compiled.
    pub fn left(&self) -> u64 {
        COMPILES.saturating_sub(self.used().compiled)
    }

    /// A share for `kernel`.
    ///
    /// # Errors
    /// [`DeviceError::Budget`] when there is none left.
    pub fn reserve(&'static self, kernel: &str) -> Result<Ticket, DeviceError> {
        let mut used = self.used();
        if used.compiled >= COMPILES {
            let (kernel, used) = (kernel.to_owned(), used.compiled);
            return Err(DeviceError::Budget { kernel, what: "compiled", used, limit: COMPILES });
        }
        used.compiled += 1;
        Ok(Ticket { budget: self, loaded: false })
    }

    /// How long to wait at `now` before the next compilation.
    pub fn pause(&self, now: Instant) -> Duration {
        let used = self.used();
        match used.last_failure {
            Some(last) if used.failures >= BURST => (last + PAUSE).saturating_duration_since(now),
            _ => Duration::ZERO,
        }
    }

    /// Says how the compilation that ended at `now` ended.
    pub fn ended(&self, now: Instant, well: bool) {
        let mut used = self.used();
        used.failures = if well { 0 } else { used.failures.saturating_add(1) };
        used.last_failure = if well { None } else { Some(now) };
    }
}

impl Ticket {
    /// The program is loaded: its share stays taken, for the leak stays.
    pub fn loaded(mut self) {
        self.loaded = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.loaded {
            let mut used = self.budget.used();
            used.compiled = used.compiled.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn budget() -> &'static Budget {
        Box::leak(Box::new(Budget::new()))
    }

    #[test]
    fn a_program_that_was_loaded_is_counted_for_good_and_a_failed_one_is_not() {
        let budget = budget();
        drop(budget.reserve("a"));
        assert_eq!(budget.left(), COMPILES);
        budget.reserve("a").unwrap().loaded();
        assert_eq!(budget.left(), COMPILES - 1);
    }

    #[test]
    fn recompiling_ends_at_the_limit_with_an_error_that_says_so() {
        let budget = budget();
        for _ in 0..COMPILES {
            budget.reserve("static").unwrap().loaded();
        }
        let error = budget.reserve("static").map(|_| ()).unwrap_err();
        assert_eq!(error, DeviceError::Budget { kernel: "static".into(), what: "compiled", used: 110, limit: 110 });
    }

    #[test]
    fn three_failures_in_a_row_make_the_next_wait() {
        let (budget, start) = (budget(), Instant::now());
        for _ in 0..2 {
            budget.ended(start, false);
        }
        assert_eq!(budget.pause(start), Duration::ZERO);
        budget.ended(start, false);
        assert_eq!(budget.pause(start + Duration::from_secs(5)), Duration::from_secs(10));
        assert_eq!(budget.pause(start + Duration::from_secs(16)), Duration::ZERO);
        budget.ended(start, true);
        assert_eq!(budget.pause(start), Duration::ZERO);
    }
}
