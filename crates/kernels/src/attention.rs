//! Causal grouped-query attention, a block of queries at a time: scores never exist for more than [`QUERIES`] rows of one
//! head, so memory grows with `t`, not with `heads x t x t`. The backward pass recomputes the probabilities from the
//! log-sum-exp that the forward pass kept (Dao et al., arXiv 2205.14135).
//!
//! `o_i = sum_j p_ij v_j`, `p_ij = exp(q_i k_j / sqrt(hd) - lse_i)`, over `lo_i <= j <= i`.
//! Legend: b rows of t tokens, h heads over kv key heads, hd head width; q, k, v side by side in `qkv[b t, q + 2 kv]`.

mod cached;
mod tile;

pub use cached::{KvCache, Query};

use std::ops::Range;

use crate::Cpu;
use crate::cross_entropy::max_of;
use crate::math::{dot, exp, sum_lanes};
use crate::pool::Shareable;
use crate::simd::{LANES, multiversion};
use tile::{Strided, tile};

/// Queries of a block.
const QUERIES: usize = 32;

/// Shape of an attention and what its queries may see.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Tokens of one row.
    pub t: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Positions that a query sees, itself included (`usize::MAX`: all before it).
    pub window: usize,
    /// First position of its row that each token may see, `[b t]`: the start of its document. None: the whole row.
    pub starts: Option<&'a [u32]>,
}

impl Attention<'_> {
    fn q_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    fn stride(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// First position that query `i` of row `b` sees.
    fn lo(&self, b: usize, i: usize) -> usize {
        let start = self.starts.map_or(0, |s| s[b * self.t + i] as usize);
        start.max((i + 1).saturating_sub(self.window))
    }

    /// Floats of scratch that one task needs.
    fn scratch(&self) -> usize {
        let (t, hd) = (self.t, self.head_dim);
        4 * t * hd + 2 * QUERIES * t + 2 * QUERIES * hd
    }
}

/// Scratch floats that attention over rows of `t` tokens takes in all, on `threads` threads.
pub fn attention_scratch(t: usize, head_dim: usize, threads: usize) -> usize {
    let shape = Attention { t, heads: 1, kv_heads: 1, head_dim, window: usize::MAX, starts: None };
    shape.scratch() * threads
}

/// `o[b t, q]` and `lse[b t, h]` from rotated `qkv[b t, q + 2 kv]`.
pub fn attention(cpu: &Cpu, a: &Attention<'_>, o: &mut [f32], lse: &mut [f32], qkv: &[f32]) {
    let rows = qkv.len() / (a.t * a.stride());
    let out = Columns::new(o, a.q_dim());
    let lse = Columns::new(lse, a.heads);
    cpu.pool().run(rows * a.kv_heads, &|task| {
        let (b, kv) = (task / a.kv_heads, task % a.kv_heads);
        cpu.scratch(a.scratch(), |scratch| forward_head(cpu, a, b, kv, &out, &lse, qkv, scratch));
    });
}

/// `dqkv[b t, q + 2 kv]` from `doo[b t, q]` and what the forward pass left.
pub fn attention_backward(cpu: &Cpu, a: &Attention<'_>, dqkv: &mut [f32], doo: &[f32], o: &[f32], lse: &[f32], qkv: &[f32]) {
    let rows = qkv.len() / (a.t * a.stride());
    let out = Columns::new(dqkv, a.stride());
    cpu.pool().run(rows * a.kv_heads, &|task| {
        let (b, kv) = (task / a.kv_heads, task % a.kv_heads);
        cpu.scratch(a.scratch(), |scratch| backward_head(cpu, a, b, kv, &out, doo, o, lse, qkv, scratch));
    });
}

/// A row-major array of which each task writes its own columns.
struct Columns {
    data: Shareable<f32>,
    len: usize,
    stride: usize,
}

impl Columns {
    fn new(data: &mut [f32], stride: usize) -> Columns {
        Columns { len: data.len(), stride, data: Shareable::new(data.as_mut_ptr()) }
    }

    /// Copies `values[_, width]` into columns `col..col + width` of rows `row..`.
    #[allow(unsafe_code)]
    fn write(&self, row: usize, col: usize, width: usize, values: &[f32]) {
        for (i, v) in values.chunks_exact(width).enumerate() {
            let at = (row + i) * self.stride + col;
            assert!(at + width <= self.len, "column write out of range");
            // SAFETY: in range, and no two tasks write the same head of the same row.
            unsafe { std::ptr::copy_nonoverlapping(v.as_ptr(), self.data.get().add(at), width) };
        }
    }
}

/// The keys that a block of queries sees, and a few before them: whole vectors are quicker than a remainder.
fn visible(a: &Attention<'_>, b: usize, block: &Range<usize>) -> Range<usize> {
    let lo = block.clone().map(|i| a.lo(b, i)).min().unwrap_or(0);
    lo / LANES * LANES..block.end
}

#[allow(clippy::too_many_arguments)]
fn forward_head(
    cpu: &Cpu,
    a: &Attention<'_>,
    b: usize,
    kv: usize,
    out: &Columns,
    lse: &Columns,
    qkv: &[f32],
    scratch: &mut [f32],
) {
    let (t, hd, stride, isa) = (a.t, a.head_dim, a.stride(), cpu.isa());
    let scale = 1.0 / (hd as f32).sqrt();
    let group = a.heads / a.kv_heads;
    let first = b * t;
    let row = &qkv[first * stride..(first + t) * stride];
    let (kt, rest) = scratch.split_at_mut(t * hd);
    let (s, rest) = rest.split_at_mut(QUERIES * t);
    let (o, rest) = rest.split_at_mut(QUERIES * hd);
    let k = &row[a.q_dim() + kv * hd..];
    let v = &row[a.q_dim() + (a.kv_heads + kv) * hd..];
    transpose(isa, kt, k, stride, t);
    for h in kv * group..(kv + 1) * group {
        for start in (0..t).step_by(QUERIES) {
            let block = start..(start + QUERIES).min(t);
            let (m, keys) = (block.len(), visible(a, b, &block));
            let n = keys.len();
            let q = Strided { data: &row[start * stride + h * hd..], row: stride, col: 1 };
            tile(isa, &mut s[..m * n], n, q, &kt[keys.start..], t, m, n, hd, false);
            for (r, i) in block.clone().enumerate() {
                let seen = a.lo(b, i) - keys.start..i + 1 - keys.start;
                rest[r] = softmax_row(isa, &mut s[r * n..(r + 1) * n], seen.start, seen.end, scale);
            }
            let p = Strided { data: &s[..m * n], row: n, col: 1 };
            tile(isa, &mut o[..m * hd], hd, p, &v[keys.start * stride..], stride, m, hd, n, false);
            out.write(first + start, h * hd, hd, &o[..m * hd]);
            lse.write(first + start, h, 1, &rest[..m]);
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn backward_head(
    cpu: &Cpu,
    a: &Attention<'_>,
    b: usize,
    kv: usize,
    out: &Columns,
    doo: &[f32],
    o: &[f32],
    lse: &[f32],
    qkv: &[f32],
    scratch: &mut [f32],
) {
    let (t, hd, stride, isa) = (a.t, a.head_dim, a.stride(), cpu.isa());
    let (group, first, scale) = (a.heads / a.kv_heads, b * t, 1.0 / (hd as f32).sqrt());
    let row = &qkv[first * stride..(first + t) * stride];
    let (k, v) = (&row[a.q_dim() + kv * hd..], &row[a.q_dim() + (a.kv_heads + kv) * hd..]);
    let (kt, rest) = scratch.split_at_mut(t * hd);
    let (vt, rest) = rest.split_at_mut(t * hd);
    let (dk, rest) = rest.split_at_mut(t * hd);
    let (dv, rest) = rest.split_at_mut(t * hd);
    let (s, rest) = rest.split_at_mut(QUERIES * t);
    let (ds, rest) = rest.split_at_mut(QUERIES * t);
    let dq = &mut rest[..QUERIES * hd];
    transpose(isa, kt, k, stride, t);
    transpose(isa, vt, v, stride, t);
    dk.fill(0.0);
    dv.fill(0.0);
    for h in kv * group..(kv + 1) * group {
        for start in (0..t).step_by(QUERIES) {
            let block = start..(start + QUERIES).min(t);
            let (m, keys) = (block.len(), visible(a, b, &block));
            let n = keys.len();
            let at = (first + start) * a.q_dim() + h * hd;
            let q = Strided { data: &row[start * stride + h * hd..], row: stride, col: 1 };
            let dout = Strided { data: &doo[at..], row: a.q_dim(), col: 1 };
            tile(isa, &mut s[..m * n], n, q, &kt[keys.start..], t, m, n, hd, false);
            tile(isa, &mut ds[..m * n], n, dout, &vt[keys.start..], t, m, n, hd, false);
            for (r, i) in block.clone().enumerate() {
                let seen = a.lo(b, i) - keys.start..i + 1 - keys.start;
                let (lse, at) = (lse[(first + i) * a.heads + h], at + r * a.q_dim());
                let cells = r * n..(r + 1) * n;
                let (dout, o) = (&doo[at..at + hd], &o[at..at + hd]);
                softmax_backward_row(isa, &mut s[cells.clone()], &mut ds[cells], seen.start, seen.end, scale, lse, dout, o);
            }
            let (p_t, ds_t) = (Strided { data: &s[..m * n], row: 1, col: n }, Strided { data: &ds[..m * n], row: 1, col: n });
            let at_keys = keys.start * hd..keys.end * hd;
            tile(isa, &mut dv[at_keys.clone()], hd, p_t, &doo[at..], a.q_dim(), n, hd, m, true);
            tile(isa, &mut dk[at_keys], hd, ds_t, q.data, stride, n, hd, m, true);
            let ds_n = Strided { data: &ds[..m * n], row: n, col: 1 };
            tile(isa, &mut dq[..m * hd], hd, ds_n, &k[keys.start * stride..], stride, m, hd, n, false);
            out.write(first + start, h * hd, hd, &dq[..m * hd]);
        }
    }
    out.write(first, a.q_dim() + kv * hd, hd, dk);
    out.write(first, a.q_dim() + (a.kv_heads + kv) * hd, hd, dv);
}

multiversion! {
    /// `out[hd, t]` from `x[t, hd]` with rows `stride` apart; `hd = out.len() / t`.
    fn transpose(out: &mut [f32], x: &[f32], stride: usize, t: usize) {
        let hd = out.len() / t;
        for j in 0..t {
            for (c, x) in x[j * stride..j * stride + hd].iter().enumerate() {
                out[c * t + j] = *x;
            }
        }
    }
}

multiversion! {
    /// Scores of one query become probabilities over `lo..hi`, zero elsewhere; returns the log-sum-exp.
    fn softmax_row(s: &mut [f32], lo: usize, hi: usize, scale: f32) -> f32 {
        // the lowest number outside, up to a whole vector: it becomes e^-87, which changes no sum of a row whose largest is 1
        let end = hi.next_multiple_of(LANES).min(s.len());
        let (before, row) = s.split_at_mut(lo);
        before.fill(0.0);
        row[end - lo..].fill(0.0);
        row[hi - lo..end - lo].fill(f32::MIN);
        let s = &mut row[..end - lo];
        let max = max_of(s) * scale;
        let mut acc = [0.0f32; LANES];
        let (chunks, tail) = s.as_chunks_mut::<LANES>();
        for chunk in chunks {
            for l in 0..LANES {
                chunk[l] = exp(chunk[l] * scale - max);
                acc[l] += chunk[l];
            }
        }
        for (l, z) in tail.iter_mut().enumerate() {
            *z = exp(*z * scale - max);
            acc[l] += *z;
        }
        let sum = sum_lanes(acc);
        let inverse = 1.0 / sum;
        for z in &mut *s {
            *z *= inverse;
        }
        s[hi - lo..].fill(0.0);
        max + (f64::from(sum)).ln() as f32
    }
}

multiversion! {
    /// Scores become probabilities, and `ds = doo v` becomes the gradient of the scores (times `scale`, for q and k).
    fn softmax_backward_row(
        s: &mut [f32], ds: &mut [f32], lo: usize, hi: usize, scale: f32, lse: f32, doo: &[f32], o: &[f32],
    ) {
        let delta = dot::<FMA>(doo, o);
        // whole vectors; what lies outside is overwritten
        let end = hi.next_multiple_of(LANES).min(s.len());
        for (s, ds) in s[lo..end].iter_mut().zip(&mut ds[lo..end]) {
            let p = exp(*s * scale - lse);
            *s = p;
            *ds = p * (*ds - delta) * scale;
        }
        for x in [s, ds] {
            x[..lo].fill(0.0);
            x[hi..].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests;
