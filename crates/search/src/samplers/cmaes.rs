//! CMA-ES (Hansen's tutorial, arXiv:1604.00772) in the unit cube, replayed from the trials: generations of
//! 4 + floor(3 ln n) trials in the order they began. Numbers are normal around the mean, and folded back at the walls.

use super::History;
use crate::{Config, Rng};

/// Draws the next candidate from the distribution that the trials so far lead to.
pub fn propose(history: &History<'_>, rng: &mut Rng) -> Config {
    let n = history.space.params.len();
    let size = 4 + (3.0 * (n.max(1) as f64).ln()) as usize;
    let known = history.valued();
    let mut state = Cma::new(n);
    for generation in known.chunks_exact(size) {
        state.update(generation);
    }
    history.space.at(&state.draw(rng).into_iter().map(folded).collect::<Vec<_>>())
}

/// Back into [0, 1], as by mirrors.
fn folded(u: f64) -> f64 {
    let v = u.rem_euclid(2.0);
    if v > 1.0 { 2.0 - v } else { v }
}

struct Cma {
    n: usize,
    mean: Vec<f64>,
    sigma: f64,
    c: Vec<Vec<f64>>,
    path_c: Vec<f64>,
    path_s: Vec<f64>,
    generations: u32,
}

impl Cma {
    fn new(n: usize) -> Cma {
        let c = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        Cma { n, mean: vec![0.5; n], sigma: 0.25, c, path_c: vec![0.0; n], path_s: vec![0.0; n], generations: 0 }
    }

    fn draw(&self, rng: &mut Rng) -> Vec<f64> {
        let z: Vec<f64> = (0..self.n).map(|_| rng.normal()).collect();
        let l = cholesky(&self.c);
        let row = |i: usize| (0..=i).map(|j| l[i][j] * z[j]).sum::<f64>();
        (0..self.n).map(|i| self.mean[i] + self.sigma * row(i)).collect()
    }

    /// One generation: mean, step size, covariance.
    fn update(&mut self, generation: &[(Vec<f64>, f64)]) {
        let (n, mut sorted) = (self.n as f64, generation.to_vec());
        sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mu = (sorted.len() / 2).max(1);
        let raw: Vec<f64> = (0..mu).map(|i| (mu as f64 + 0.5).ln() - ((i + 1) as f64).ln()).collect();
        let total: f64 = raw.iter().sum();
        let weights: Vec<f64> = raw.iter().map(|w| w / total).collect();
        let effective = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
        let steps: Vec<Vec<f64>> = sorted[..mu].iter().map(|(x, _)| self.step_to(x)).collect();
        let mean_step: Vec<f64> = (0..self.n).map(|i| weights.iter().zip(&steps).map(|(w, s)| w * s[i]).sum()).collect();
        for (m, s) in self.mean.iter_mut().zip(&mean_step) {
            *m = (*m + self.sigma * s).clamp(0.0, 1.0);
        }
        let cs = (effective + 2.0) / (n + effective + 5.0);
        let damping = 1.0 + 2.0 * (((effective - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + cs;
        let white = solve_lower(&cholesky(&self.c), &mean_step);
        for (p, w) in self.path_s.iter_mut().zip(&white) {
            *p = (1.0 - cs) * *p + (cs * (2.0 - cs) * effective).sqrt() * w;
        }
        self.generations += 1;
        let length = self.path_s.iter().map(|p| p * p).sum::<f64>().sqrt();
        let expected = n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));
        self.sigma = (self.sigma * (cs / damping * (length / expected - 1.0)).exp()).clamp(1e-3, 0.5);
        let decay = (1.0 - (1.0 - cs).powi(2 * self.generations as i32)).sqrt();
        let steady = f64::from(u8::from(length / decay < (1.4 + 2.0 / (n + 1.0)) * expected));
        self.adapt(&weights, &steps, &mean_step, effective, steady);
    }

    fn step_to(&self, x: &[f64]) -> Vec<f64> {
        x.iter().zip(&self.mean).map(|(x, m)| (x - m) / self.sigma).collect()
    }

    fn adapt(&mut self, weights: &[f64], steps: &[Vec<f64>], mean_step: &[f64], effective: f64, steady: f64) {
        let n = self.n as f64;
        let cc = (4.0 + effective / n) / (n + 4.0 + 2.0 * effective / n);
        let c1 = 2.0 / ((n + 1.3).powi(2) + effective);
        let cmu = (2.0 * (effective - 2.0 + 1.0 / effective) / ((n + 2.0).powi(2) + effective)).clamp(0.0, 1.0 - c1);
        for (p, s) in self.path_c.iter_mut().zip(mean_step) {
            *p = (1.0 - cc) * *p + steady * (cc * (2.0 - cc) * effective).sqrt() * s;
        }
        for i in 0..self.n {
            for j in 0..self.n {
                let rank_mu: f64 = weights.iter().zip(steps).map(|(w, s)| w * s[i] * s[j]).sum();
                let rank_one = self.path_c[i] * self.path_c[j] + (1.0 - steady) * cc * (2.0 - cc) * self.c[i][j];
                self.c[i][j] = (1.0 - c1 - cmu) * self.c[i][j] + c1 * rank_one + cmu * rank_mu;
            }
        }
    }
}

/// Lower factor of a symmetric matrix; a pivot that rounding made too small is lifted.
fn cholesky(c: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = c.len();
    let mut l = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| l[i][k] * l[j][k]).sum();
            l[i][j] = if i == j { (c[i][i] - dot).max(1e-12).sqrt() } else { (c[i][j] - dot) / l[j][j] };
        }
    }
    l
}

fn solve_lower(l: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let mut x = vec![0.0; b.len()];
    for i in 0..b.len() {
        let dot: f64 = (0..i).map(|k| l[i][k] * x[k]).sum();
        x[i] = (b[i] - dot) / l[i][i];
    }
    x
}
