//! The original's perturbation: one parameter of the incumbent (in one case of four, two); a real one moves by a normal of
//! 0.15 of its range, a whole one by up to a fifth of its range, a choice is drawn anew.

use super::History;
use crate::{Config, Rng, space::Range};

/// The incumbent, moved.
pub fn propose(history: &History<'_>, rng: &mut Rng) -> Config {
    let space = history.space;
    let mut config = history.incumbent.to_vec();
    let moved = if rng.below(4) == 3 { 2 } else { 1 }.min(space.params.len());
    let mut order: Vec<usize> = (0..space.params.len()).collect();
    for i in 0..moved {
        let j = i + rng.below(order.len() - i);
        order.swap(i, j);
        let param = &space.params[order[i]];
        let value = &mut config[order[i]];
        *value = match &param.range {
            Range::Float { .. } => param.at((param.unit(*value) + 0.15 * rng.normal()).clamp(0.0, 1.0)),
            Range::Int { low, high, step, .. } => {
                let reach = ((high - low) / step / 5).max(1);
                let by = rng.below(2 * reach as usize + 1) as i64 - reach;
                param.nearest(*value + (by * step) as f64)
            }
            Range::Choice(choices) => rng.below(choices.len()) as f64,
        };
    }
    config
}
