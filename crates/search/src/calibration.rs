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
            detectable: detectable(sigma_paired, rules, POWER),
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

/// Smallest true gain that is kept with chance `power` at the first attempt, for paired differences of deviation `sigma`:
/// the last look alone must reject with that chance (the earlier ones only help), by the t-quantile of its own share.
pub fn detectable(sigma: f64, rules: &Rules, power: f64) -> f64 {
    let n = rules.pairs_at(rules.looks) as f64;
    let last = rules.spent(rules.level(1), rules.looks.max(1));
    let missed = (1.0 - power) * (1.0 - DROPPED);
    (stats::t_upper(last, n - 1.0) + stats::t_upper(missed, n - 1.0)) * sigma / n.sqrt()
}
