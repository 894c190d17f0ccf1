//! Rows for ids that training never saw, in an export over the full vocabulary.
//!
//! Their logits must be low for every hidden state, or the exported model computes another loss than the trained one. All of
//! them get the same row `r`, chosen to add least: `sum_t ln(1 + n exp(r h_t - lse_t))` over hidden states `h_t` of real text,
//! convex in `r`, by gradient descent from the mean row of the rarest ids, which training has pushed down all along.

use engine::{CpuEngine, Options, Shape};
use kernels::Cpu;
use model::{Layout, ModelSpec};

/// Rarest ids that are averaged for a start.
const RARE: usize = 64;
/// Steps of a descent.
const STEPS: usize = 80;
/// By how much the logits should miss what would matter, so that states that were not tried are low too. A small model that
/// has hardly been trained has states in every direction, and no row is low for all of them: then the least cost counts.
const MARGINS: [f64; 3] = [12.0, 4.0, 0.0];

/// The row, and the nats a token that the unseen ids add with it.
pub struct Silent {
    /// `[dim]`
    pub row: Vec<f32>,
    /// Measured on the windows that the row was not fitted to.
    pub cost: f64,
}

/// Hidden states of some text, and the log-sum-exp of their logits.
struct States {
    hidden: Vec<f32>,
    sums: Vec<f64>,
    d: usize,
}

impl States {
    fn of(cpu: &Cpu, spec: &ModelSpec, params: &[f32], windows: &[Vec<u32>]) -> anyhow::Result<States> {
        let seq = windows.iter().map(Vec::len).max().unwrap_or(1);
        let mut engine = CpuEngine::new(cpu, spec, Shape { rows: 1, seq }, Options::INFERENCE);
        let mut states = States { hidden: Vec::new(), sums: Vec::new(), d: spec.dim };
        for window in windows {
            let logits = engine.logits(params, window)?;
            states.sums.extend(logits.chunks_exact(spec.vocab).map(log_sum));
            states.hidden.extend_from_slice(&engine.hidden()[..window.len() * spec.dim]);
        }
        Ok(states)
    }

    fn excess<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = (&'a [f32], f64)> + 'a {
        let dot = move |h: &[f32]| h.iter().zip(row).map(|(a, b)| f64::from(*a) * b).sum::<f64>();
        self.hidden.chunks_exact(self.d).zip(&self.sums).map(move |(h, sum)| (h, dot(h) - sum))
    }

    /// Mean of `ln(1 + n exp(r h - lse))`.
    fn cost(&self, row: &[f64], n: f64) -> f64 {
        self.excess(row).map(|(_, z)| softplus(z + n.ln())).sum::<f64>() / self.sums.len().max(1) as f64
    }

    /// Slope of the cost.
    fn slope(&self, row: &[f64], n: f64) -> Vec<f64> {
        let mut slope = vec![0.0; self.d];
        for (h, z) in self.excess(row) {
            let weight = 1.0 / (1.0 + (-(z + n.ln())).exp()) / self.sums.len().max(1) as f64;
            for (s, x) in slope.iter_mut().zip(h) {
                *s += weight * f64::from(*x);
            }
        }
        slope
    }

    /// Goes down from `row`: longer steps while the cost falls, shorter ones where it does not.
    fn descend(&self, row: &mut Vec<f64>, n: f64) {
        let energy = self.hidden.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / self.sums.len().max(1) as f64;
        let (mut rate, mut cost) = (4.0 / energy.max(1e-12), self.cost(row, n));
        for _ in 0..STEPS {
            let slope = self.slope(row, n);
            let next: Vec<f64> = row.iter().zip(slope).map(|(r, s)| r - rate * s).collect();
            let there = self.cost(&next, n);
            if there < cost {
                (*row, cost, rate) = (next, there, 1.5 * rate);
            } else {
                rate *= 0.5;
            }
        }
    }
}

/// The row for each of `unseen` ids. `windows` are training ids of real text, `counts` how often each trained id occurs.
///
/// # Errors
/// Those of the engine.
pub fn row(
    cpu: &Cpu,
    spec: &ModelSpec,
    params: &[f32],
    windows: &[Vec<u32>],
    counts: &[u64],
    unseen: usize,
) -> anyhow::Result<Silent> {
    let (fitted, tried): (Vec<_>, Vec<_>) = windows.iter().cloned().enumerate().partition(|(i, _)| i % 4 != 3);
    let strip = |part: Vec<(usize, Vec<u32>)>| part.into_iter().map(|(_, w)| w).collect::<Vec<_>>();
    let fitted = States::of(cpu, spec, params, &strip(fitted))?;
    let tried = if tried.is_empty() { None } else { Some(States::of(cpu, spec, params, &strip(tried))?) };
    let n = unseen as f64;
    let mut row = rare_mean(&params[Layout::of(spec).classifier()], counts, spec.dim);
    let mut best = (f64::INFINITY, row.clone());
    for margin in MARGINS {
        fitted.descend(&mut row, n * f64::exp(margin));
        let cost = fitted.cost(&row, n);
        // a wider margin is kept where it costs nothing
        if cost + 1e-6 < best.0 {
            best = (cost, row.clone());
        }
    }
    let row: Vec<f32> = best.1.iter().map(|x| *x as f32).collect();
    let exact: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
    let cost = tried.as_ref().unwrap_or(&fitted).cost(&exact, n);
    Ok(Silent { row, cost })
}

/// `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    if x > 30.0 { x } else { x.exp().ln_1p() }
}

fn log_sum(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(max) + logits.iter().map(|z| f64::from(z - max).exp()).sum::<f64>().ln()
}

fn rare_mean(rows: &[f32], counts: &[u64], d: usize) -> Vec<f64> {
    let mut ids: Vec<usize> = (0..counts.len()).collect();
    ids.sort_by_key(|&i| (counts[i], i));
    ids.truncate(RARE);
    let mut mean = vec![0.0; d];
    for &i in &ids {
        for (m, x) in mean.iter_mut().zip(&rows[i * d..(i + 1) * d]) {
            *m += f64::from(*x) / ids.len() as f64;
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Nats that 400 unseen ids add to a model of `dim` over 90 ids whose embedding is `scale` times the initial one.
    fn cost(dim: usize, tied: bool, bias: f32) -> f64 {
        let small = model::preset("stories-1m").unwrap().spec;
        let spec = ModelSpec { dim, layers: 2, heads: 2, kv_heads: 1, head_dim: 8, hidden: 24, vocab: 90, tied, ..small };
        let (cpu, layout) = (Cpu::new(1), Layout::of(&spec));
        let mut params = engine::init(&spec, &layout, 3);
        // what training does first: hidden states share a direction, since every text has the same frequent words
        for row in params[layout.range(model::TensorId::Embed)].chunks_exact_mut(dim) {
            row[0] += bias;
        }
        let window = |w: u32| (0..24).map(|i| (i * i + 7 * w + i * w) % 90).collect::<Vec<u32>>();
        let windows: Vec<Vec<u32>> = (0..48).map(window).collect();
        row(&cpu, &spec, &params, &windows, &[5; 90], 400).unwrap().cost
    }

    #[test]
    fn unseen_ids_add_nothing_where_hidden_states_share_a_direction() {
        for (dim, tied) in [(16, true), (32, false), (64, true)] {
            let cost = cost(dim, tied, 0.2);
            assert!(cost < 1e-4, "dim {dim}: {cost} nats a token");
        }
    }

    #[test]
    fn an_untrained_model_pays_no_more_than_for_a_row_of_zeros() {
        let zeros = f64::ln(1.0 + 400.0 / 90.0);
        assert!(cost(16, true, 0.0) < zeros + 0.05);
    }
}
