//! Rows for ids that training never saw, in an export over the full vocabulary.
//!
//! Their logits must be low for every hidden state, or the exported model computes another loss than the trained one. Rare
//! ids have been pushed down for the whole run: the mean of the rarest rows, made longer, points where an unseen row should.
//! Among a few lengths, and the opposite of the mean hidden state, the row is taken that adds least to the loss.

use engine::{CpuEngine, Options, Shape};
use kernels::Cpu;
use model::{Layout, ModelSpec};

/// Tokens that the candidates are tried on.
const PROBE: usize = 128;
/// Rarest ids that are averaged.
const RARE: usize = 64;
/// Lengths that are tried.
const LENGTHS: [f32; 8] = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0];

/// The row `[dim]` for each of `unseen` ids, and the nats a token that they add to the loss. `probe` are ids of windows of
/// real text, `counts` how often each trained id occurs.
///
/// # Errors
/// Those of the engine.
pub fn row(
    cpu: &Cpu,
    spec: &ModelSpec,
    params: &[f32],
    probe: &[u32],
    counts: &[u64],
    unseen: usize,
) -> anyhow::Result<(Vec<f32>, f64)> {
    let probe = &probe[..probe.len().min(PROBE)];
    let mut engine = CpuEngine::new(cpu, spec, Shape { rows: 1, seq: probe.len() }, Options::INFERENCE);
    let logits = engine.logits(params, probe)?;
    let sums: Vec<f64> = logits.chunks_exact(spec.vocab).map(log_sum).collect();
    let hidden = engine.hidden();
    let d = spec.dim;
    let rare = rare_mean(&params[Layout::of(spec).classifier()], counts, d);
    let mean = mean_rows(hidden.chunks_exact(d), d);
    let energy: f32 = mean.iter().map(|x| x * x).sum();
    let opposite = LENGTHS.iter().map(|l| mean.iter().map(|x| -8.0 * l * x / energy.max(1e-12)).collect::<Vec<f32>>());
    let longer = LENGTHS.iter().map(|l| rare.iter().map(|x| l * x).collect::<Vec<f32>>());
    let added = |row: &[f32]| -> f64 {
        let of = |(h, sum): (&[f32], &f64)| {
            let z: f64 = h.iter().zip(row).map(|(a, b)| f64::from(a * b)).sum();
            ((z - sum).exp() * unseen as f64).ln_1p()
        };
        hidden.chunks_exact(d).zip(&sums).map(of).sum::<f64>() / sums.len() as f64
    };
    let tried = longer.chain(opposite).map(|row| (added(&row), row));
    let best = tried.filter(|(cost, _)| cost.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0));
    Ok(best.map_or_else(|| (rare.clone(), f64::NAN), |(cost, row)| (row, cost)))
}

fn log_sum(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(max) + logits.iter().map(|z| f64::from(z - max).exp()).sum::<f64>().ln()
}

fn rare_mean(rows: &[f32], counts: &[u64], d: usize) -> Vec<f32> {
    let mut ids: Vec<usize> = (0..counts.len()).collect();
    ids.sort_by_key(|&i| (counts[i], i));
    mean_rows(ids.iter().take(RARE).map(|&i| &rows[i * d..(i + 1) * d]), d)
}

fn mean_rows<'a>(rows: impl Iterator<Item = &'a [f32]>, d: usize) -> Vec<f32> {
    let (mut mean, mut n) = (vec![0.0f32; d], 0.0f32);
    for row in rows {
        n += 1.0;
        for (m, x) in mean.iter_mut().zip(row) {
            *m += x;
        }
    }
    mean.iter().map(|m| m / n.max(1.0)).collect()
}
