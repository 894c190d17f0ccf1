//! Every combination: all values of whole numbers and choices (at most 5, evenly, of a longer range), 5 of a real range.

use crate::{Config, Space, space::Range};

/// Most values of a parameter that is not a choice.
const POINTS: usize = 5;

/// All points, the last parameter fastest.
pub fn points(space: &Space) -> impl Iterator<Item = Config> + '_ {
    let axes: Vec<Vec<f64>> = space.params.iter().map(axis).collect();
    let total = axes.iter().try_fold(1usize, |n, a| n.checked_mul(a.len())).unwrap_or(usize::MAX);
    (0..total).map(move |mut index| {
        let mut config: Config = axes
            .iter()
            .rev()
            .map(|axis| {
                let value = axis[index % axis.len()];
                index /= axis.len();
                value
            })
            .collect();
        config.reverse();
        config
    })
}

fn axis(param: &crate::Param) -> Vec<f64> {
    if let Range::Choice(choices) = &param.range {
        return (0..choices.len()).map(|i| i as f64).collect();
    }
    let n = param.count().unwrap_or(POINTS).clamp(1, POINTS);
    let ends = |i: usize| if n == 1 { 0.5 } else { i as f64 / (n - 1) as f64 };
    let mut values: Vec<f64> = (0..n).map(|i| param.at(ends(i))).collect();
    values.dedup();
    values
}
