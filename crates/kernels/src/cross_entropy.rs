//! Softmax cross-entropy over rows of logits, in the log-sum-exp form: `loss = max + ln sum exp(z - max) - z_y`.
//! The gradient of the loss sum replaces the logits: `softmax(z) - onehot(y)`.
//! Legend: n rows, v vocabulary.

use crate::Cpu;
use crate::math::{exp, sum_lanes};
use crate::simd::{LANES, multiversion};

/// Target of a row without loss: its loss and gradient are 0.
pub const IGNORE: u32 = u32::MAX;

/// `loss[n]` of `logits[n, v]`, rows `stride` apart, against `targets[n]`. The logits become the gradient of the loss sum.
pub fn cross_entropy_backward(cpu: &Cpu, loss: &mut [f32], logits: &mut [f32], targets: &[u32], v: usize) {
    cpu.pool().chunks_mut2((loss, 1), (logits, v), |i, loss, row| {
        if targets[i] == IGNORE {
            loss[0] = 0.0;
            row.fill(0.0);
            return;
        }
        let y = targets[i] as usize;
        let logit = row[y];
        let (max, sum) = exp_row(cpu.isa(), row);
        loss[0] = (sum.ln() + f64::from(max) - f64::from(logit)) as f32;
        scale_row(cpu.isa(), row, (1.0 / sum) as f32);
        row[y] -= 1.0;
    });
}

/// `loss[n]` of `logits[n, v]` against `targets[n]`, without the gradient. The logits become `exp(z - max)`.
pub fn cross_entropy(cpu: &Cpu, loss: &mut [f32], logits: &mut [f32], targets: &[u32], v: usize) {
    cpu.pool().chunks_mut2((loss, 1), (logits, v), |i, loss, row| {
        if targets[i] == IGNORE {
            loss[0] = 0.0;
            return;
        }
        let logit = row[targets[i] as usize];
        let (max, sum) = exp_row(cpu.isa(), row);
        loss[0] = (sum.ln() + f64::from(max) - f64::from(logit)) as f32;
    });
}

multiversion! {
    /// Turns a row into `exp(z - max)`; returns the maximum and the sum.
    fn exp_row(row: &mut [f32]) -> (f32, f64) {
        let max = max_of(row);
        let mut total = 0.0f64;
        // sums of at most 1024 f32 values, then f64: the error stays below 1e-6 for any vocabulary
        for block in row.chunks_mut(1024) {
            let mut acc = [0.0f32; LANES];
            let (chunks, tail) = block.as_chunks_mut::<LANES>();
            for chunk in chunks {
                for l in 0..LANES {
                    let e = exp(chunk[l] - max);
                    chunk[l] = e;
                    acc[l] += e;
                }
            }
            for (l, z) in tail.iter_mut().enumerate() {
                *z = exp(*z - max);
                acc[l] += *z;
            }
            total += f64::from(sum_lanes(acc));
        }
        (max, total)
    }
}

/// Largest value; NaN where there is one, so that a broken row cannot pass for a good one.
#[inline(always)]
pub(crate) fn max_of(row: &[f32]) -> f32 {
    let mut acc = [f32::NEG_INFINITY; LANES];
    let mut poison = [0.0f32; LANES];
    let (chunks, tail) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for l in 0..LANES {
            acc[l] = if chunk[l] > acc[l] { chunk[l] } else { acc[l] };
            poison[l] += chunk[l] * 0.0;
        }
    }
    for (l, &z) in tail.iter().enumerate() {
        acc[l] = if z > acc[l] { z } else { acc[l] };
        poison[l] += z * 0.0;
    }
    acc.iter().fold(f32::NEG_INFINITY, |m, &z| if z > m { z } else { m }) + sum_lanes(poison)
}

multiversion! {
    fn scale_row(row: &mut [f32], a: f32) {
        for z in row {
            *z *= a;
        }
    }
}

/// What is known of a row's loss while its logits come a piece at a time.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    max: f32,
    sum: f64,
    target: f32,
}

impl Running {
    /// Before the first piece.
    pub const START: Running = Running { max: f32::NEG_INFINITY, sum: 0.0, target: 0.0 };

    /// Whether the target is the most likely id.
    pub fn is_hit(&self) -> bool {
        self.target >= self.max
    }

    /// The loss after the last piece.
    pub fn loss(&self) -> f32 {
        (self.sum.ln() + f64::from(self.max) - f64::from(self.target)) as f32
    }
}

/// Takes logits `first .. first + width` of every row, `logits[n, width]`, into `rows[n]`. The logits are used up.
pub fn cross_entropy_piece(cpu: &Cpu, rows: &mut [Running], logits: &mut [f32], targets: &[u32], first: usize, width: usize) {
    cpu.pool().chunks_mut2((rows, 1), (logits, width), |i, row, logits| {
        let (row, target) = (&mut row[0], targets[i]);
        if target == IGNORE {
            return;
        }
        if let Some(logit) = (target as usize).checked_sub(first).and_then(|at| logits.get(at)) {
            row.target = *logit;
        }
        let (max, sum) = exp_row(cpu.isa(), logits);
        let scale = |m: f32, to: f32| f64::from(m - to).exp();
        // NaN wins: a broken row cannot pass for a good one
        let both = if row.max > max || row.max.is_nan() { row.max } else { max };
        row.sum = if row.sum == 0.0 { sum } else { row.sum * scale(row.max, both) + sum * scale(max, both) };
        row.max = both;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole() {
        let (cpu, v) = (Cpu::new(2), 777);
        let logits: Vec<f32> = (0..3 * v).map(|i| ((i * 7919) % 1013) as f32 / 40.0 - 12.0).collect();
        let targets = [5, IGNORE, 776];
        let mut whole = [0.0; 3];
        cross_entropy(&cpu, &mut whole, &mut logits.clone(), &targets, v);
        for width in [1, 100, 776, 777] {
            let mut rows = [Running::START; 3];
            for first in (0..v).step_by(width) {
                let end = v.min(first + width);
                let mut piece: Vec<f32> = logits.chunks(v).flat_map(|row| row[first..end].to_vec()).collect();
                cross_entropy_piece(&cpu, &mut rows, &mut piece, &targets, first, end - first);
            }
            for i in [0, 2] {
                assert!((rows[i].loss() - whole[i]).abs() < 1e-5, "{width}: {} {}", rows[i].loss(), whole[i]);
            }
        }
        let mut rows = [Running::START; 1];
        cross_entropy_piece(&cpu, &mut rows, &mut [f32::NAN, 1.0], &[1], 0, 2);
        cross_entropy_piece(&cpu, &mut rows, &mut [3.0, 1.0], &[1], 2, 2);
        assert!(rows[0].loss().is_nan());
    }
}
