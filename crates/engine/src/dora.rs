//! Weight-decomposed adapters (DoRA: Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", arXiv 2402.09353):
//! `y = g (W x + s B A x)`, `g = m / |V|`, `V = W + s B A`, with the length `|V|` of each row of `V`, an output, and a trained
//! length `m` in its place. In the backward pass `|V|` is a constant (section 4.3), as it is in peft; biases come after.
//!
//! With `u = V x` and `du = g dy`, the gradients of `A`, `B` and `x` are those of an adapter beside the weights with `du` for
//! `dy`, and `dm = sum_n dy u / |V|`. The lengths need no copy of `W`:
//! `|V_j|^2 = |W_j|^2 + 2 s B_j (A W_j^T) + s^2 B_j (A A^T) B_j^T`.
//! Legend: n tokens, r rank.

use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use kernels::Cpu;
use kernels::gemm::MatRef;

use crate::Base;
use crate::adapted::{AdapterPlan, Pair, scale};
use crate::blocks::Projection;

/// The rows of all matrices that are adapted, in the order of the adapter's layout.
#[derive(Default)]
struct Rows {
    /// The adapter that they were computed for.
    of: Vec<f32>,
    /// `|W_j|^2`
    squares: Vec<f64>,
    /// `|V_j|`
    lengths: Vec<f32>,
    /// `m_j / |V_j|`
    gains: Vec<f32>,
    /// `[out, r]`
    product: Vec<f32>,
}

/// Lengths of rows, and what they are applied in.
#[derive(Default)]
pub(crate) struct Magnitudes {
    rows: RwLock<Rows>,
    /// A gradient with the gains on it.
    wide: Mutex<Vec<f32>>,
}

impl Magnitudes {
    /// Floats of scratch for a pair and `n` tokens, beyond `[n, r]`.
    pub fn scratch(pair: &Pair, n: usize, rank: usize) -> usize {
        pair.out * (n + rank)
    }

    fn rows(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// `y = g y` for the columns of a pair; rows of `y` are `width` long.
    pub fn scale(&self, pair: &Pair, y: &mut [f32], width: usize) {
        let rows = self.rows();
        let Some(gains) = rows.gains.get(pair.rows.clone()) else { return };
        for row in y.chunks_exact_mut(width) {
            row[pair.first..pair.first + pair.out].iter_mut().zip(gains).for_each(|(y, g)| *y *= g);
        }
    }
}

impl AdapterPlan {
    /// Computes the lengths of rows with the adapter `values` on `base`, where there are any; what is computed already stays.
    pub fn renew(&self, cpu: &Cpu, base: Base<'_>, values: &[f32]) {
        let Some(magnitudes) = &self.magnitudes else { return };
        let mut rows = magnitudes.rows.write().unwrap_or_else(PoisonError::into_inner);
        let rows = &mut *rows;
        if rows.of == values {
            return;
        }
        values.clone_into(&mut rows.of);
        let total = self.every_pair().map(|p| p.rows.end).max().unwrap_or(0);
        let first = rows.squares.is_empty();
        rows.squares.resize(total, 0.0);
        rows.lengths.resize(total, 0.0);
        rows.gains.resize(total, 0.0);
        for pair in self.every_pair() {
            self.renew_pair(cpu, base, values, pair, rows, first);
        }
    }

    fn renew_pair(&self, cpu: &Cpu, base: Base<'_>, values: &[f32], pair: &Pair, rows: &mut Rows, first: bool) {
        let (r, s, out, inner) = (self.spec().rank, f64::from(self.spec().scale()), pair.out, pair.inner);
        rows.product.resize((out * r + r * r).max(rows.product.len()), 0.0);
        let (product, gram) = rows.product.split_at_mut(out * r);
        let (a, b) = (MatRef::new(&values[pair.a.clone()], r, inner), &values[pair.b.clone()]);
        let squares = &mut rows.squares[pair.rows.clone()];
        base.matrix(cpu, pair.weight.clone(), |w| {
            if first {
                let square = |row: &[f32]| row.iter().map(|&w| f64::from(w) * f64::from(w)).sum();
                squares.iter_mut().zip(w.chunks_exact(inner)).for_each(|(to, row)| *to = square(row));
            }
            cpu.gemm(product, r, MatRef::new(w, out, inner), a.t(), false); // [out, in] x [in, r]
        });
        cpu.gemm(gram, r, a, a.t(), false); // [r, in] x [in, r]
        for j in 0..out {
            let b = &b[j * r..(j + 1) * r];
            let dot = |x: &[f32]| b.iter().zip(x).map(|(b, x)| f64::from(*b) * f64::from(*x)).sum::<f64>();
            let own: f64 = b.iter().zip(gram.chunks_exact(r)).map(|(b, row)| f64::from(*b) * dot(row)).sum();
            let square = squares[j] + 2.0 * s * dot(&product[j * r..(j + 1) * r]) + s * s * own;
            let length = square.max(0.0).sqrt().max(f64::from(f32::MIN_POSITIVE)) as f32;
            rows.lengths[pair.rows.start + j] = length;
            rows.gains[pair.rows.start + j] = values[pair.m.start + j] / length;
        }
    }

    /// Sets the lengths in `values` to those that the rows have, so that the adapter changes nothing while its `B` is zero.
    pub fn start_magnitudes(&self, cpu: &Cpu, base: Base<'_>, values: &mut [f32]) {
        self.renew(cpu, base, values);
        let Some(magnitudes) = &self.magnitudes else { return };
        let rows = magnitudes.rows();
        for pair in self.every_pair() {
            values[pair.m.clone()].copy_from_slice(&rows.lengths[pair.rows.clone()]);
        }
    }

    /// Calls `f` with the gradient `dy` `[n, width]` of a projection's output, times the gains.
    pub(crate) fn through_gains(&self, (l, which): (usize, Projection), dy: &[f32], width: usize, f: impl FnOnce(&[f32])) {
        let Some(magnitudes) = self.magnitudes.as_ref().filter(|_| !self.pairs(l, which).is_empty()) else { return f(dy) };
        let mut wide = magnitudes.wide.lock().unwrap_or_else(PoisonError::into_inner);
        if wide.len() < dy.len() {
            wide.resize(dy.len(), 0.0);
        }
        let scaled = &mut wide[..dy.len()];
        scaled.copy_from_slice(dy);
        self.pairs(l, which).iter().for_each(|pair| magnitudes.scale(pair, scaled, width));
        f(scaled);
    }

    /// The gradients of `A`, `B` and `m` of one matrix.
    pub(crate) fn decomposed_gradient(
        &self,
        cpu: &Cpu,
        (base, values): (Base<'_>, &[f32]),
        (pair, scratch): (&Pair, &mut [f32]),
        (dy, width): (&[f32], usize),
        x: &[f32],
        (grad, accumulate): (&mut [f32], bool),
    ) {
        let Some(magnitudes) = &self.magnitudes else { return };
        let rows = magnitudes.rows();
        let (lengths, gains) = (&rows.lengths[pair.rows.clone()], &rows.gains[pair.rows.clone()]);
        let (n, r, out, inner) = (dy.len() / width, self.spec().rank, pair.out, pair.inner);
        let (t, rest) = scratch.split_at_mut(n * r);
        let (tall, u) = rest.split_at_mut(out * r);
        let u = &mut u[..n * out];
        let (x, columns) = (MatRef::new(x, n, inner), MatRef::strided(&dy[pair.first..], n, out, width));
        let (a, b) = (MatRef::new(&values[pair.a.clone()], r, inner), &values[pair.b.clone()]);
        cpu.gemm(t, r, x, a.t(), false); // [n, in] x [in, r]
        scale(t, self.spec().scale());
        base.matrix(cpu, pair.weight.clone(), |w| {
            cpu.gemm(u, out, x, MatRef::new(w, out, inner).t(), false); // [n, in] x [in, out]
        });
        cpu.gemm(u, out, MatRef::new(t, n, r), MatRef::new(b, out, r).t(), true); // [n, r] x [r, out]
        let dm = &mut tall[..out];
        dm.fill(0.0);
        for (dy, u) in dy.chunks_exact(width).zip(u.chunks_exact(out)) {
            dm.iter_mut().zip(&dy[pair.first..]).zip(u).for_each(|((dm, dy), u)| *dm += dy * u);
        }
        let add = |to: &mut f32, value: f32| *to = if accumulate { *to + value } else { value };
        let grads = grad[pair.m.clone()].iter_mut().zip(dm).zip(lengths);
        grads.for_each(|((to, dm), length)| add(to, *dm / length));
        cpu.gemm(tall, r, columns.t(), MatRef::new(t, n, r), false); // [out, n] x [n, r]
        let grads = grad[pair.b.clone()].chunks_exact_mut(r).zip(tall.chunks_exact(r)).zip(gains);
        grads.for_each(|((to, row), g)| to.iter_mut().zip(row).for_each(|(to, v)| add(to, g * v)));
        let rows = tall.chunks_exact_mut(r).zip(b.chunks_exact(r)).zip(gains);
        rows.for_each(|((to, b), g)| to.iter_mut().zip(b).for_each(|(to, b)| *to = g * b));
        cpu.gemm(t, r, columns, MatRef::new(tall, out, r), false); // [n, out] x [out, r]
        scale(t, self.spec().scale());
        cpu.gemm(&mut grad[pair.a.clone()], inner, MatRef::new(t, n, r).t(), x, accumulate); // [r, n] x [n, in]
    }
}
