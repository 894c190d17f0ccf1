//! What the noise of a study is, measured before anything is searched: whether equal runs are equal, the deviation over
//! seeds, the correlation of paired runs, and from these the smallest effect that the study can detect and the gain that a
//! search without statistics would report from noise alone.

use serde::{Deserialize, Serialize};

use crate::race::Rules;
use crate::stats;

/// What calibration found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Whether the same seed twice gave the same value to the bit.
    pub identical: bool,
    /// Both values.
    pub twice: [f64; 2],
    /// Values of the baseline over the seeds.
    pub baseline: Vec<f64>,
    /// Values of the baseline with one thing changed a little, over the same seeds.
    pub tweaked: Vec<f64>,
    /// What was changed.
    pub tweak: String,
    /// Standard deviation over seeds.
    pub sigma: f64,
    /// Correlation of baseline and tweak over seeds.
    pub correlation: f64,
    /// Standard deviation of a paired difference.
    pub sigma_paired: f64,
    /// Smallest gain that the first candidate to be confirmed has a chance of `power` to be kept with.
    pub detectable: f64,
    /// That chance.
    pub power: f64,
    /// Gain that the best of as many single runs as the study has trials would show under pure noise.
    pub greedy_gain: f64,
    /// Tokens a second of the baseline.
    pub tokens_per_second: f64,
    /// Seconds of a run of the baseline.
    pub seconds: f64,
}

impl Calibration {
    /// From the values over the seeds and the first seed's second run. `trials`: of the study.
    pub fn of(twice: [f64; 2], baseline: &[f64], tweaked: &[f64], rules: &Rules, trials: usize) -> Calibration {
        let gains: Vec<f64> = baseline.iter().zip(tweaked).map(|(a, b)| a - b).collect();
        let sigma = stats::deviation(baseline);
        let sigma_paired = stats::deviation(&gains);
        Calibration {
            identical: twice[0].to_bits() == twice[1].to_bits(),
            twice,
            baseline: baseline.to_vec(),
            tweaked: tweaked.to_vec(),
            tweak: String::new(),
            sigma,
            correlation: stats::correlation(baseline, tweaked),
            sigma_paired,
            detectable: detectable(sigma_paired, gains.len() as f64 - 1.0, rules, POWER),
            power: POWER,
            greedy_gain: sigma * stats::expected_best(trials),
            tokens_per_second: 0.0,
            seconds: 0.0,
        }
    }
}

/// The power that the smallest detectable effect is stated for.
pub const POWER: f64 = 0.8;

/// Share of the misses that is left to the screening and to giving up early.
const DROPPED: f64 = 0.4;

/// Runs of the baseline, and of its tweak: fewer say nothing of a deviation.
pub fn runs(rules: &Rules) -> usize {
    rules.seeds.max(3)
}

/// Smallest true gain that is kept with chance `power` at the first attempt, for paired differences whose deviation was estimated
/// as `sigma` with `degrees` of freedom. The last look alone must reject with that chance (the earlier ones only help), by the
/// t-quantile of its own share: a gain of k sigma / sqrt(n) is missed with the chance that t exceeds k s - t_last, on average
/// over what the estimate may be, s^2 = chi^2 / degrees. A deviation from few runs may be far too small, and k allows for that.
pub fn detectable(sigma: f64, degrees: f64, rules: &Rules, power: f64) -> f64 {
    let n = rules.pairs_at(rules.looks) as f64;
    let last = stats::t_upper(rules.spent(rules.level(1), rules.looks.max(1)), n - 1.0);
    let allowed = (1.0 - power) * (1.0 - DROPPED);
    let estimates = estimates(degrees);
    let missed = |k: f64| estimates.iter().map(|(s, weight)| weight * stats::t_tail(k * s - last, n - 1.0)).sum::<f64>();
    let (mut low, mut high) = (0.0, 2.0 * (last + stats::t_upper(allowed, n - 1.0)));
    while missed(high) > allowed && high < LARGEST {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..40 {
        let mid = 0.5 * (low + high);
        if missed(mid) > allowed { low = mid } else { high = mid }
    }
    high * sigma / n.sqrt()
}

/// Beyond any ratio of a gain to its error that is looked for.
const LARGEST: f64 = 1e9;

/// What an estimate of a deviation of 1 may be, with its chance: by the density of chi, s^(d-1) exp(-d s^2 / 2).
fn estimates(degrees: f64) -> Vec<(f64, f64)> {
    let d = degrees.max(1.0);
    let width = 4.0 / d.sqrt();
    let at = |i: usize| 1.0 + width * (i as f64 / 100.0 - 1.0);
    let log = |s: f64| (d - 1.0) * s.ln() - 0.5 * d * (s * s - 1.0);
    let all: Vec<(f64, f64)> = (0..=200).map(at).filter(|s| *s > 0.0).map(|s| (s, log(s).exp())).collect();
    let sum: f64 = all.iter().map(|e| e.1).sum();
    all.into_iter().map(|(s, weight)| (s, weight / sum)).collect()
}
