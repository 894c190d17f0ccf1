//! Token embedding and the column sums of bias gradients.
//! Legend: n tokens, d width, v vocabulary.

use crate::Cpu;
use crate::rmsnorm::{add_scaled, sum_partials};

const ROWS: usize = 64;

/// `y[n, d]` = rows `ids[n]` of `table[v, d]`.
pub fn embed(cpu: &Cpu, y: &mut [f32], table: &[f32], ids: &[u32], d: usize) {
    cpu.pool().chunks_mut(y, ROWS * d, |i, y| {
        for (row, id) in y.chunks_exact_mut(d).zip(&ids[i * ROWS..]) {
            let at = *id as usize * d;
            row.copy_from_slice(&table[at..at + d]);
        }
    });
}

/// `dtable[ids[t]] += dy[t]` for every token, in token order. Serial: it is a few megabytes of traffic, and the order of
/// additions to a row must not depend on threads.
pub fn embed_backward(cpu: &Cpu, dtable: &mut [f32], dy: &[f32], ids: &[u32], d: usize) {
    for (row, id) in dy.chunks_exact(d).zip(ids) {
        let at = *id as usize * d;
        add_scaled(cpu.isa(), &mut dtable[at..at + d], row, 1.0);
    }
}

/// `x[n, d] += bias[d]`.
pub fn add_bias(cpu: &Cpu, x: &mut [f32], bias: &[f32], stride: usize) {
    cpu.pool().chunks_mut(x, ROWS * stride, |_, rows| {
        for row in rows.chunks_exact_mut(stride) {
            add_scaled(cpu.isa(), &mut row[..bias.len()], bias, 1.0);
        }
    });
}

/// `dbias[d] (+)= sum_t dy[t, ..d]`, where rows of `dy` are `stride` apart; `partial` is scratch of
/// [`bias_partials`]`(n) * d` floats.
pub fn bias_backward(cpu: &Cpu, dbias: &mut [f32], dy: &[f32], stride: usize, partial: &mut [f32], accumulate: bool) {
    let d = dbias.len();
    let used = bias_partials(dy.len() / stride) * d;
    cpu.pool().chunks_mut(&mut partial[..used], d, |i, sum| {
        sum.fill(0.0);
        for row in dy[i * ROWS * stride..].chunks_exact(stride).take(ROWS) {
            add_scaled(cpu.isa(), sum, &row[..d], 1.0);
        }
    });
    sum_partials(dbias, &partial[..used], accumulate);
}

/// Number of partial sums that [`bias_backward`] keeps for `n` rows.
pub fn bias_partials(n: usize) -> usize {
    n.div_ceil(ROWS)
}

/// `y[n] = a * x[n]`.
pub fn scaled(cpu: &Cpu, y: &mut [f32], x: &[f32], a: f32) {
    const CHUNK: usize = 1 << 14;
    cpu.pool().chunks_mut(y, CHUNK, |i, y| {
        for (y, x) in y.iter_mut().zip(&x[i * CHUNK..]) {
            *y = a * x;
        }
    });
}

/// `y[n] = x[n] + a * b[n]`.
pub fn add_to(cpu: &Cpu, y: &mut [f32], x: &[f32], b: &[f32], a: f32) {
    const CHUNK: usize = 1 << 14;
    cpu.pool().chunks_mut(y, CHUNK, |i, y| {
        let part = i * CHUNK..i * CHUNK + y.len();
        y.copy_from_slice(&x[part.clone()]);
        add_scaled(cpu.isa(), y, &b[part], a);
    });
}
