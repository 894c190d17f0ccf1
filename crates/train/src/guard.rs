//! What to do when a loss or a gradient is not finite: the decision only; whoever trains carries it out.
//!
//! A bad step rolls the run back to its last good state and skips the batch. Losing the same ground again and again is
//! divergence: after [`Guard::LIMIT`] rollbacks without getting past the step that failed, the run gives up. A good step
//! *before* that point does not count as recovery, else a run that always breaks at the same place would go on for ever.

use serde::{Deserialize, Serialize};

/// What was not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NonFinite {
    /// The loss of the batch.
    Loss,
    /// The norm of its gradient.
    Gradient,
}

/// One bad step: enough to make it happen again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The optimizer step that could not be made, numbered from 1.
    pub step: u64,
    /// Position of the loader before the batch.
    pub cursor: u64,
    /// What was not finite.
    pub what: NonFinite,
    /// Loss of the batch.
    #[serde(with = "crate::number")]
    pub loss: f64,
    /// Norm of the gradient.
    #[serde(with = "crate::number")]
    pub grad_norm: f64,
}

/// What to do with the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// All is finite: update the weights.
    Proceed,
    /// Restore the last good state and go on with the batch after this one.
    RollBack(Incident),
    /// Write the evidence and end with code 75.
    GiveUp(Incident),
}

/// Counts rollbacks. Part of the run's state, so that a resume does not forgive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    limit: u32,
    consecutive: u32,
    total: u32,
    /// Furthest step that failed since the last recovery.
    frontier: u64,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard::new(Guard::LIMIT)
    }
}

impl Guard {
    /// Rollbacks in a row that are tried before giving up.
    pub const LIMIT: u32 = 3;

    /// A guard that allows `limit` rollbacks in a row.
    pub fn new(limit: u32) -> Guard {
        Guard { limit, consecutive: 0, total: 0, frontier: 0 }
    }

    /// Judges step `step` (numbered from 1) on the batch at `cursor`, before its update.
    pub fn judge(&mut self, step: u64, cursor: u64, loss: f64, grad_norm: f64) -> Verdict {
        let what = match (loss.is_finite(), grad_norm.is_finite()) {
            (true, true) => {
                if step > self.frontier {
                    self.consecutive = 0;
                }
                return Verdict::Proceed;
            }
            (false, _) => NonFinite::Loss,
            (true, false) => NonFinite::Gradient,
        };
        let incident = Incident { step, cursor, what, loss, grad_norm };
        self.frontier = self.frontier.max(step);
        if self.consecutive == self.limit {
            return Verdict::GiveUp(incident);
        }
        self.consecutive += 1;
        self.total += 1;
        Verdict::RollBack(incident)
    }

    /// Rollbacks since the run began.
    pub fn rollbacks(&self) -> u32 {
        self.total
    }

    /// Rollbacks since the run last got past a failing step.
    pub fn consecutive(&self) -> u32 {
        self.consecutive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    #[test]
    fn finite_steps_proceed() {
        let mut guard = Guard::default();
        assert_eq!(guard.judge(1, 0, 3.0, 1.0), Verdict::Proceed);
        assert_eq!(guard.rollbacks(), 0);
    }

    #[test]
    fn the_fourth_failure_in_a_row_gives_up() {
        let mut guard = Guard::default();
        for i in 0..3 {
            assert!(matches!(guard.judge(10, i, NAN, 1.0), Verdict::RollBack(Incident { what: NonFinite::Loss, .. })));
        }
        let last = guard.judge(10, 3, 2.0, f64::INFINITY);
        assert!(matches!(last, Verdict::GiveUp(Incident { what: NonFinite::Gradient, cursor: 3, .. })));
    }

    #[test]
    fn good_steps_before_the_failing_one_do_not_forgive() {
        let mut guard = Guard::default();
        for round in 0..3 {
            assert!(matches!(guard.judge(10, round, NAN, NAN), Verdict::RollBack(_)));
            for step in 5..10 {
                assert_eq!(guard.judge(step, 0, 1.0, 1.0), Verdict::Proceed);
            }
        }
        assert!(matches!(guard.judge(10, 9, NAN, NAN), Verdict::GiveUp(_)));
    }

    #[test]
    fn getting_past_the_failing_step_forgives() {
        let mut guard = Guard::default();
        for step in [10, 20, 30, 40, 50] {
            assert!(matches!(guard.judge(step, 0, NAN, 1.0), Verdict::RollBack(_)));
            assert_eq!(guard.judge(step, 1, 1.0, 1.0), Verdict::Proceed);
            assert_eq!(guard.judge(step + 1, 2, 1.0, 1.0), Verdict::Proceed);
            assert_eq!(guard.consecutive(), 0);
        }
        assert_eq!(guard.rollbacks(), 5);
    }

    #[test]
    fn state_survives_json() {
        let mut guard = Guard::default();
        let _ = guard.judge(3, 0, NAN, 1.0);
        let text = serde_json::to_string(&guard).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Guard>(&text).ok(), Some(guard));
    }
}
