//! Where trials come from. A sampler sees finished trials and gives the next configuration; what it gives is decided upon
//! elsewhere, so no sampler can make a bad trial an incumbent.

mod cmaes;
mod grid;
mod halving;
mod local;
#[cfg(test)]
mod tests;
mod tpe;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub use halving::{Rungs, promoted};

use crate::{Config, Rng, Space};

/// The samplers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SamplerKind {
    /// Uniform in the space.
    Random,
    /// Every point of a grid, in order.
    Grid,
    /// One or two parameters of the incumbent moved: the original's.
    Local,
    /// Tree-structured Parzen estimator (Bergstra et al., 2011).
    Tpe,
    /// Covariance matrix adaptation (Hansen).
    Cmaes,
    /// Random, with complete short runs first; the best third of each rung goes on.
    Halving,
}

impl SamplerKind {
    /// Their names.
    pub const NAMES: [&'static str; 6] = ["random", "grid", "local", "tpe", "cmaes", "halving"];

    /// The sampler called `name`.
    pub fn of(name: &str) -> Option<SamplerKind> {
        use SamplerKind::*;
        let all = [Random, Grid, Local, Tpe, Cmaes, Halving];
        Self::NAMES.iter().position(|n| *n == name).and_then(|i| all.get(i).copied())
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What a sampler knows.
pub struct History<'a> {
    /// The space.
    pub space: &'a Space,
    /// Configurations with their values, in the order they began; what crashed has none.
    pub trials: &'a [(Config, Option<f64>)],
    /// Where the search stands.
    pub incumbent: &'a [f64],
    /// Makes a configuration keep its constraints.
    pub settle: &'a dyn Fn(Config) -> Config,
    /// Whether it may be run at all: memory.
    pub admits: &'a dyn Fn(&Config) -> bool,
}

impl History<'_> {
    /// Configurations with values.
    fn valued(&self) -> Vec<(Vec<f64>, f64)> {
        let all = self.trials.iter().filter_map(|(c, v)| Some((self.space.unit(c), v.filter(|v| v.is_finite())?)));
        all.collect()
    }
}

/// Tries before a space counts as used up.
const TRIES: usize = 400;

/// The next configuration: one that keeps the constraints, is admitted, and was never tried. `None`: the space is used up.
pub fn propose(kind: SamplerKind, history: &History<'_>, seed: u64) -> Option<Config> {
    let seen: HashSet<String> = history.trials.iter().map(|(c, _)| history.space.key(c)).collect();
    let mut rng = Rng::new(seed ^ (history.trials.len() as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let fresh = |config: Config| {
        let config = (history.settle)(config);
        (!seen.contains(&history.space.key(&config)) && (history.admits)(&config)).then_some(config)
    };
    if kind == SamplerKind::Grid {
        return grid::points(history.space).find_map(fresh);
    }
    for attempt in 0..TRIES {
        // where a model or a neighbourhood is used up, the whole space is left
        let config = match kind {
            _ if attempt > TRIES / 2 => history.space.random(&mut rng),
            SamplerKind::Local => local::propose(history, &mut rng),
            SamplerKind::Tpe => tpe::propose(history, &mut rng),
            SamplerKind::Cmaes => cmaes::propose(history, &mut rng),
            SamplerKind::Random | SamplerKind::Halving | SamplerKind::Grid => history.space.random(&mut rng),
        };
        if let Some(config) = fresh(config) {
            return Some(config);
        }
    }
    let finite: Option<usize> = history.space.params.iter().try_fold(1usize, |n, p| n.checked_mul(p.count()?));
    finite.filter(|n| *n <= 100_000).and_then(|_| grid::points(history.space).find_map(fresh))
}
