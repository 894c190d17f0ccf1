//! Rotary position embedding, split-halves layout: pair `i` of a head is `(x[i], x[i + hd/2])`, rotated by
//! `position * frequency_i` (Su et al., arXiv 2104.09864). The backward pass is the rotation by the opposite angle.
//! A scale of the table multiplies both passes.
//! Legend: n tokens, h heads, hd head width.

use crate::Cpu;
use crate::simd::multiversion;

/// Cosines and sines of every position, times a scale: `[positions, hd/2]` each.
#[derive(Clone, Debug)]
pub struct RopeTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// Table for positions `0..positions`, from radians per position of each pair; `scale` lengthens what is rotated (1 but
    /// for YaRN). Angles are rounded to f32 as transformers has them, for a model was trained with those.
    pub fn new(frequencies: &[f32], scale: f32, positions: usize) -> RopeTable {
        let mut table = RopeTable { half: frequencies.len(), cos: Vec::new(), sin: Vec::new() };
        for p in 0..positions {
            let angles = frequencies.iter().map(|f| f64::from(p as f32 * f));
            table.cos.extend(angles.clone().map(|a| a.cos() as f32 * scale));
            table.sin.extend(angles.map(|a| a.sin() as f32 * scale));
        }
        table
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }

    fn row(&self, position: usize) -> (&[f32], &[f32]) {
        let at = position * self.half..(position + 1) * self.half;
        (&self.cos[at.clone()], &self.sin[at])
    }
}

/// Which way to rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Forward pass.
    Forward,
    /// Backward pass: the transpose.
    Back,
}

/// Rotates the first `heads` heads of each row of `x[n, stride]` in place; row `t` is at position
/// `first + t % seq`.
#[allow(clippy::too_many_arguments)]
pub fn rope(cpu: &Cpu, x: &mut [f32], stride: usize, heads: usize, table: &RopeTable, first: usize, seq: usize, turn: Turn) {
    const ROWS: usize = 16;
    cpu.pool().chunks_mut(x, ROWS * stride, |i, rows| {
        for (j, row) in rows.chunks_exact_mut(stride).enumerate() {
            let (cos, sin) = table.row(first + (i * ROWS + j) % seq);
            let sign = if turn == Turn::Forward { 1.0 } else { -1.0 };
            rotate(cpu.isa(), &mut row[..heads * 2 * table.half], cos, sin, sign);
        }
    });
}

multiversion! {
    fn rotate(row: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        for head in row.chunks_exact_mut(2 * half) {
            let (a, b) = head.split_at_mut(half);
            for i in 0..half {
                let (x, y, s) = (a[i], b[i], sign * sin[i]);
                a[i] = x * cos[i] - y * s;
                b[i] = y * cos[i] + x * s;
            }
        }
    }
}
