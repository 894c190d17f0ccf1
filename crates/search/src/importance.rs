//! How much of the variance over trials goes with each parameter alone: the correlation ratio over quarters of its range,
//! less what chance gives, at least 0. A guide for the eye over few trials, no test.

use crate::{Config, Space};

/// One share in [0, 1] for each parameter; 0 where fewer than 8 trials are known.
pub fn importance(space: &Space, trials: &[(Config, f64)]) -> Vec<f64> {
    let values: Vec<f64> = trials.iter().map(|(_, v)| *v).filter(|v| v.is_finite()).collect();
    if values.len() < 8 {
        return vec![0.0; space.params.len()];
    }
    let mean = crate::stats::mean(&values);
    let total: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let share = |i: usize| {
        let bins = space.params[i].count().unwrap_or(4).min(4);
        let mut sums = vec![(0.0, 0usize); bins];
        for (config, value) in trials.iter().filter(|(_, v)| v.is_finite()) {
            let bin = ((space.params[i].unit(config[i]) * bins as f64) as usize).min(bins - 1);
            sums[bin] = (sums[bin].0 + value, sums[bin].1 + 1);
        }
        let used = sums.iter().filter(|(_, n)| *n > 0);
        let between: f64 = used.clone().map(|(s, n)| *n as f64 * (s / *n as f64 - mean).powi(2)).sum();
        let by_chance = (used.count() as f64 - 1.0) / (values.len() as f64 - 1.0);
        if total > 0.0 { (between / total - by_chance).max(0.0) } else { 0.0 }
    };
    (0..space.params.len()).map(share).collect()
}
