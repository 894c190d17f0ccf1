//! How long a run lasts: steps, tokens and wall time, whichever binds first, also across resumes.
//!
//! Progress is the largest of the used shares. The clock is an argument: whoever trains hands in the time since this
//! session began (monotonic), and the time of earlier sessions is part of the [`Spent`] that a checkpoint carries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::schedule::Point;

/// Limits of a run; a run without any goes on until it is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Optimizer steps.
    pub steps: Option<u64>,
    /// Tokens seen in training.
    pub tokens: Option<u64>,
    /// Wall time.
    pub time: Option<Duration>,
}

/// What a run has used since it began. Part of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Optimizer steps.
    pub steps: u64,
    /// Tokens seen in training.
    pub tokens: u64,
    /// Wall seconds over all sessions.
    pub seconds: f64,
    /// Moving average of the seconds of a step; 0 before the first.
    pub step_seconds: f64,
}

/// Which limit ends the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// The number of steps.
    Steps,
    /// The number of tokens.
    Tokens,
    /// The wall clock.
    Time,
    /// None is set.
    Nothing,
}

/// Weight of the newest step in the moving average.
const NEWEST: f64 = 0.1;

/// Meters a run against its limits.
#[derive(Clone, Debug)]
pub struct Budget {
    limits: Limits,
    spent: Spent,
    /// Seconds of earlier sessions.
    before: f64,
    tokens_per_step: u64,
}

impl Budget {
    /// A budget for a run of which `spent` is already used (default for a new one). `tokens_per_step` is what a step is
    /// expected to see.
    pub fn new(limits: Limits, spent: Spent, tokens_per_step: u64) -> Budget {
        let whole = |s: f64| if s.is_finite() && s > 0.0 { s } else { 0.0 };
        let spent = Spent { seconds: whole(spent.seconds), step_seconds: whole(spent.step_seconds), ..spent };
        Budget { limits, spent, before: spent.seconds, tokens_per_step }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is used, as of the last step recorded.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// The state for a checkpoint that is taken `session` after this session began.
    pub fn spent_at(&self, session: Duration) -> Spent {
        Spent { seconds: self.seconds(session), ..self.spent }
    }

    /// Seconds since the run began, earlier sessions included.
    pub fn seconds(&self, session: Duration) -> f64 {
        self.before + session.as_secs_f64()
    }

    /// Where the run stands if another step is within the budget, `None` if it is over.
    ///
    /// A step is within a wall-clock budget when at least half of it is: runs end as near to the limit as whole steps allow.
    pub fn next(&self, session: Duration) -> Option<Point> {
        let seconds = self.seconds(session);
        let over = self.limits.steps.is_some_and(|n| self.spent.steps >= n)
            || self.limits.tokens.is_some_and(|n| self.spent.tokens >= n)
            || self.limits.time.is_some_and(|t| seconds + 0.5 * self.spent.step_seconds >= t.as_secs_f64());
        (!over).then(|| Point {
            step: self.spent.steps,
            elapsed: duration(seconds),
            step_time: duration(self.spent.step_seconds),
            progress: self.share(self.spent.steps, self.spent.tokens, seconds).0,
            after: self
                .share(
                    self.spent.steps + 1,
                    self.spent.tokens.saturating_add(self.tokens_per_step),
                    seconds + self.spent.step_seconds,
                )
                .0,
        })
    }

    /// Accounts for a finished step: the tokens it saw, its own wall time, and the time since this session began.
    pub fn record(&mut self, tokens: u64, step: Duration, session: Duration) {
        let took = step.as_secs_f64();
        let known = self.spent.step_seconds;
        self.spent.steps += 1;
        self.spent.tokens = self.spent.tokens.saturating_add(tokens);
        self.spent.seconds = self.seconds(session);
        self.spent.step_seconds = if known > 0.0 { known + NEWEST * (took - known) } else { took };
    }

    /// Share of the binding budget that is used, in `[0, 1]`; 0 without limits.
    pub fn progress(&self, session: Duration) -> f64 {
        self.share(self.spent.steps, self.spent.tokens, self.seconds(session)).0
    }

    /// The limit that is nearest, as shares go.
    pub fn binding(&self, session: Duration) -> Binding {
        self.share(self.spent.steps, self.spent.tokens, self.seconds(session)).1
    }

    /// Wall seconds left at the present pace; `None` without limits or before anything is known.
    pub fn seconds_left(&self, session: Duration) -> Option<f64> {
        let seconds = self.seconds(session);
        let (progress, binding) = self.share(self.spent.steps, self.spent.tokens, seconds);
        match binding {
            Binding::Nothing => None,
            Binding::Time => self.limits.time.map(|t| (t.as_secs_f64() - seconds).max(0.0)),
            _ => (progress > 0.0).then(|| seconds * (1.0 - progress) / progress),
        }
    }

    /// The largest share and whose it is; at equal shares (the start) steps before tokens before time.
    fn share(&self, steps: u64, tokens: u64, seconds: f64) -> (f64, Binding) {
        let of = |used: f64, limit: f64| if used < limit { used / limit } else { 1.0 };
        let shares = [
            (self.limits.steps.map(|n| of(steps as f64, n as f64)), Binding::Steps),
            (self.limits.tokens.map(|n| of(tokens as f64, n as f64)), Binding::Tokens),
            (self.limits.time.map(|t| of(seconds, t.as_secs_f64())), Binding::Time),
        ];
        let mut best = (0.0, Binding::Nothing);
        for (share, binding) in shares {
            if let Some(share) = share
                && (best.1 == Binding::Nothing || share > best.0)
            {
                best = (share, binding);
            }
        }
        best
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Runs until the budget ends, a step taking `step`; returns the session time.
    fn drain(budget: &mut Budget, step: Duration) -> Duration {
        let mut now = Duration::ZERO;
        while budget.next(now).is_some() {
            now += step;
            budget.record(100, step, now);
            assert!(budget.spent().steps < 10_000);
        }
        now
    }

    fn new(limits: Limits) -> Budget {
        Budget::new(limits, Spent::default(), 100)
    }

    #[test]
    fn the_limit_that_is_reached_first_ends_the_run() {
        let limits = Limits { steps: Some(50), tokens: Some(3000), time: Some(40 * SECOND) };
        let mut budget = new(limits);
        drain(&mut budget, SECOND);
        assert_eq!((budget.spent().steps, budget.spent().tokens), (30, 3000));
        assert_eq!(budget.binding(30 * SECOND), Binding::Tokens);
        assert_eq!(budget.progress(30 * SECOND), 1.0);
    }

    #[test]
    fn an_empty_budget_makes_no_step_and_none_never_ends() {
        for limits in [
            Limits { steps: Some(0), ..Limits::default() },
            Limits { tokens: Some(0), ..Limits::default() },
            Limits { time: Some(Duration::ZERO), ..Limits::default() },
        ] {
            let budget = new(limits);
            assert!(budget.next(Duration::ZERO).is_none());
            assert_eq!(budget.progress(Duration::ZERO), 1.0);
        }
        let budget = new(Limits::default());
        assert_eq!(budget.next(1000 * SECOND).unwrap().progress, 0.0);
        assert_eq!(budget.seconds_left(SECOND), None);
    }

    #[test]
    fn a_clock_budget_overruns_by_at_most_half_a_step() {
        for (step, steps) in [(400, 25), (1000, 10), (3000, 3), (3900, 3), (4100, 2)] {
            let mut budget = new(Limits { time: Some(10 * SECOND), ..Limits::default() });
            let step = Duration::from_millis(step);
            let end = drain(&mut budget, step);
            assert_eq!(budget.spent().steps, steps, "{step:?}");
            assert!(end <= 10 * SECOND + step / 2, "{step:?} {end:?}");
        }
    }

    #[test]
    fn a_resume_goes_on_where_the_run_was() {
        let limits = Limits { steps: Some(20), tokens: None, time: Some(100 * SECOND) };
        let mut whole = new(limits);
        let mut points = Vec::new();
        let mut now = Duration::ZERO;
        while let Some(point) = whole.next(now) {
            points.push(point);
            now += SECOND;
            whole.record(100, SECOND, now);
        }
        let mut budget = new(limits);
        let mut again = Vec::new();
        for _session in 0..5 {
            let state = serde_json::to_string(&budget.spent()).unwrap();
            budget = Budget::new(limits, serde_json::from_str(&state).unwrap(), 100);
            for i in 0..4 {
                again.push(budget.next(i * SECOND).unwrap());
                budget.record(100, SECOND, (i + 1) * SECOND);
            }
        }
        assert_eq!(points, again);
        assert!(budget.next(4 * SECOND).is_none());
        assert_eq!(budget.spent(), whole.spent());
    }

    #[test]
    fn a_longer_budget_after_the_end_trains_on() {
        let spent = Spent { steps: 10, tokens: 1000, seconds: 10.0, step_seconds: 1.0 };
        let budget = Budget::new(Limits { steps: Some(15), ..Limits::default() }, spent, 100);
        let point = budget.next(Duration::ZERO).unwrap();
        assert_eq!((point.step, point.elapsed), (10, 10 * SECOND));
        assert!((point.progress - 10.0 / 15.0).abs() < 1e-12 && (point.after - 11.0 / 15.0).abs() < 1e-12);
        assert!((budget.seconds_left(Duration::ZERO).unwrap() - 5.0).abs() < 1e-9);
    }

    #[test]
    fn damaged_state_is_harmless() {
        let spent = Spent { steps: 1, tokens: u64::MAX, seconds: f64::NAN, step_seconds: -1.0 };
        let mut budget = Budget::new(Limits { time: Some(SECOND), ..Limits::default() }, spent, 100);
        assert!(budget.next(Duration::ZERO).is_some());
        budget.record(u64::MAX, SECOND, SECOND);
        assert!(budget.next(SECOND).is_none());
    }
}
