//! Tree-structured Parzen estimator: the best tenth of the trials (at most 25) and the rest each as a mixture of Gaussians
//! a parameter, truncated to the unit interval, with a uniform part; of 24 draws from the first, the one whose density ratio
//! is greatest. The first ten trials are random. (Bergstra et al., 2011; bandwidths from the distances of neighbours.)

use super::History;
use crate::{Config, Rng, space::Range, stats};

/// Random trials at the beginning.
const STARTUP: usize = 10;
/// Draws of which the best is taken.
const DRAWS: usize = 24;

/// The next configuration.
pub fn propose(history: &History<'_>, rng: &mut Rng) -> Config {
    let mut known = history.valued();
    if known.len() < STARTUP {
        return history.space.random(rng);
    }
    known.sort_by(|a, b| a.1.total_cmp(&b.1));
    let good = known.len().div_ceil(10).min(25);
    let dims = 0..history.space.params.len();
    let value = |i: usize| {
        let column = |part: &[(Vec<f64>, f64)]| part.iter().map(|(u, _)| u[i]).collect::<Vec<_>>();
        let (best, rest) = (Parzen::of(column(&known[..good])), Parzen::of(column(&known[good..])));
        (best, rest, matches!(history.space.params[i].range, Range::Choice(_)))
    };
    let models: Vec<(Parzen, Parzen, bool)> = dims.map(value).collect();
    let mut pick = |(i, (best, rest, choice)): (usize, &(Parzen, Parzen, bool))| {
        let param = &history.space.params[i];
        let draw = |rng: &mut Rng| if *choice { best.draw_cell(param.count().unwrap_or(1), rng) } else { best.draw(rng) };
        let score = |u: f64| best.density(u).ln() - rest.density(u).ln();
        let drawn = (0..DRAWS).map(|_| draw(rng)).map(|u| (u, score(u)));
        param.at(drawn.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0.5, |(u, _)| u))
    };
    models.iter().enumerate().map(&mut pick).collect()
}

/// A mixture on [0, 1].
struct Parzen {
    centres: Vec<(f64, f64)>,
}

impl Parzen {
    fn of(mut points: Vec<f64>) -> Parzen {
        points.sort_by(f64::total_cmp);
        let least = 1.0 / (points.len() as f64 + 1.0).min(100.0);
        let width = |i: usize| {
            let left = points[i] - if i > 0 { points[i - 1] } else { 0.0 };
            let right = if i + 1 < points.len() { points[i + 1] } else { 1.0 } - points[i];
            left.max(right).clamp(least, 1.0)
        };
        Parzen { centres: (0..points.len()).map(|i| (points[i], width(i))).collect() }
    }

    fn draw(&self, rng: &mut Rng) -> f64 {
        let k = rng.below(self.centres.len() + 1);
        let Some(&(centre, width)) = self.centres.get(k) else { return rng.uniform() };
        let inside = (0..64).map(|_| centre + width * rng.normal()).find(|u| (0.0..=1.0).contains(u));
        inside.unwrap_or(centre)
    }

    /// A choice of `n`: what the trials had, or with the prior's share any.
    fn draw_cell(&self, n: usize, rng: &mut Rng) -> f64 {
        let k = rng.below(self.centres.len() + 1);
        self.centres.get(k).map_or_else(|| (rng.below(n) as f64 + 0.5) / n as f64, |(c, _)| *c)
    }

    fn density(&self, u: f64) -> f64 {
        let normal = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let mass = |c: f64, w: f64| stats::normal_tail(-c / w) - stats::normal_tail((1.0 - c) / w);
        let one = |&(c, w): &(f64, f64)| normal((u - c) / w) / w / mass(c, w).max(1e-12);
        (1.0 + self.centres.iter().map(one).sum::<f64>()) / (self.centres.len() as f64 + 1.0)
    }
}
