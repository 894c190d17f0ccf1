//! The verdict over one candidate: runs paired by seed against the incumbent, in two stages.
//!
//! *Screening*, on seeds that all trials share, only drops candidates: what it lets through was chosen for its luck, so it
//! proves nothing. *Confirmation* is on seeds never used before, for the incumbent as well; only there can a candidate be
//! kept. Its looks, after 1/L, 2/L, .. of the pairs, share the level of the attempt by the spending function a (k/L)^2 (Kim
//! and DeMets, 1987), and the i-th attempt of a search has the level a_i = 6 a / (pi^2 i^2). Each look is an exact one-sided
//! paired t-test at what it may spend, so by the union bound the chance that a whole search ever keeps a candidate that is
//! no better than its incumbent is at most a, whatever proposed it and however many were tried.

use serde::{Deserialize, Serialize};

use crate::stats;

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Better than the incumbent, confirmed on fresh seeds: it is the incumbent now.
    Keep,
    /// Not better by what is worth a change.
    Revert,
    /// Neither could be shown with the runs that the study allows.
    Inconclusive,
    /// It did not come to a value.
    Crash,
}

impl Verdict {
    /// Its name.
    pub fn name(self) -> &'static str {
        ["Keep", "Revert", "Inconclusive", "Crash"][self as usize]
    }

    /// The verdict called `name`.
    pub fn of(name: &str) -> Option<Verdict> {
        [Verdict::Keep, Verdict::Revert, Verdict::Inconclusive, Verdict::Crash].into_iter().find(|v| v.name() == name)
    }

    /// The word of the original's table.
    pub fn original(self) -> &'static str {
        ["keep", "discard", "discard", "crash"][self as usize]
    }
}

/// The rules of a race; smaller values are better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Chance of a false keep that the whole search may have.
    pub alpha: f64,
    /// Smallest gain worth a change.
    pub min_effect: f64,
    /// Pairs of the screening.
    pub seeds: usize,
    /// Looks of the confirmation.
    pub looks: usize,
    /// Most pairs of the confirmation.
    pub max_pairs: usize,
}

impl Rules {
    /// Level of attempt `i`, from 1: the levels of all attempts add up to alpha.
    pub fn level(&self, attempt: usize) -> f64 {
        let i = attempt.max(1) as f64;
        self.alpha * 6.0 / (std::f64::consts::PI * i).powi(2)
    }

    /// What look `k` of the confirmation (from 1) may spend of `level`.
    pub fn spent(&self, level: f64, k: usize) -> f64 {
        let looks = self.looks.max(1) as f64;
        let share = |k: f64| (k / looks).powi(2);
        level * (share(k as f64) - share(k as f64 - 1.0))
    }

    /// Pairs at look `k`: at least 2, at most all.
    pub fn pairs_at(&self, k: usize) -> usize {
        let looks = self.looks.max(1);
        (self.max_pairs * k).div_ceil(looks).clamp(2, self.max_pairs.max(2))
    }
}

/// Stage of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// On shared seeds.
    Screening,
    /// On fresh ones.
    Confirmation,
}

/// What a race needs next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// The pair of this number, from 0, in this stage: both arms with one seed.
    Pair(Stage, usize),
    /// The number of this attempt to confirm, counted over the whole study; then [`Race::confirm`].
    Attempt,
    /// Nothing: it is decided.
    Done(Verdict),
}

/// A race of one candidate against one incumbent.
#[derive(Clone, Debug)]
pub struct Race {
    rules: Rules,
    screened: Vec<f64>,
    confirmed: Vec<f64>,
    attempt: Option<usize>,
    verdict: Option<Verdict>,
}

/// Below this chance of being worth it a candidate is given up.
const FUTILE: f64 = 0.05;

impl Race {
    /// A race by `rules`.
    pub fn new(rules: &Rules) -> Race {
        Race { rules: rules.clone(), screened: Vec::new(), confirmed: Vec::new(), attempt: None, verdict: None }
    }

    /// What to do next.
    pub fn next(&self) -> Next {
        match (self.verdict, self.attempt) {
            (Some(verdict), _) => Next::Done(verdict),
            (None, None) if self.screened.len() < self.rules.seeds.max(1) => Next::Pair(Stage::Screening, self.screened.len()),
            (None, None) => Next::Attempt,
            (None, Some(_)) => Next::Pair(Stage::Confirmation, self.confirmed.len()),
        }
    }

    /// The confirmation begins; it is the `attempt`-th of the study, from 1.
    pub fn confirm(&mut self, attempt: usize) {
        self.attempt = Some(attempt);
    }

    /// What the pair that was asked for came to. A value that is no number is a crash of its arm; with a crashed
    /// incumbent nothing can be said.
    pub fn record(&mut self, incumbent: f64, candidate: f64) {
        if !candidate.is_finite() {
            self.verdict = Some(Verdict::Crash);
        } else if !incumbent.is_finite() {
            self.verdict = Some(Verdict::Inconclusive);
        } else if self.attempt.is_none() {
            self.screened.push(incumbent - candidate);
            self.screen();
        } else {
            self.confirmed.push(incumbent - candidate);
            self.look();
        }
    }

    /// Gives up what is unlikely to be worth a change.
    fn screen(&mut self) {
        let n = self.screened.len();
        let all = n >= self.rules.seeds.max(1);
        let worse = all && stats::mean(&self.screened) <= 0.0;
        if worse || (n >= 3 && self.hopeless(&self.screened)) {
            self.verdict = Some(Verdict::Revert);
        }
    }

    /// Whether a gain of the least effect would hardly look like this.
    fn hopeless(&self, gains: &[f64]) -> bool {
        let short: Vec<f64> = gains.iter().map(|g| self.rules.min_effect - g).collect();
        stats::mean(gains) <= 0.0 && stats::paired_p(&short) < FUTILE
    }

    fn look(&mut self) {
        let (n, Some(attempt)) = (self.confirmed.len(), self.attempt) else { return };
        let looks = self.rules.looks.max(1);
        let level = self.rules.level(attempt);
        // looks that fall on the same number of pairs are one, and spend together
        let share: f64 = (1..=looks).filter(|&k| self.rules.pairs_at(k) == n).map(|k| self.rules.spent(level, k)).sum();
        if share <= 0.0 {
            return;
        }
        let better = stats::paired_p(&self.confirmed) < share;
        let worth = stats::mean(&self.confirmed) >= self.rules.min_effect;
        if better && worth {
            self.verdict = Some(Verdict::Keep);
        } else if self.hopeless(&self.confirmed) {
            self.verdict = Some(Verdict::Revert);
        } else if n >= self.rules.pairs_at(looks) {
            let (_, _, high) = stats::interval(&self.confirmed, 1.0 - 2.0 * FUTILE);
            let small = better || high < self.rules.min_effect;
            self.verdict = Some(if small { Verdict::Revert } else { Verdict::Inconclusive });
        }
    }

    /// Gains of the candidate in the confirmation, incumbent less candidate.
    pub fn confirmed(&self) -> &[f64] {
        &self.confirmed
    }

    /// Gains in the screening.
    pub fn screened(&self) -> &[f64] {
        &self.screened
    }

    /// Number of the attempt, once there is one.
    pub fn attempt(&self) -> Option<usize> {
        self.attempt
    }
}
