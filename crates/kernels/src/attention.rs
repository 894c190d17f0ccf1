//! Causal grouped-query attention, a block of queries at a time: scores never exist for more than [`QUERIES`] rows of one
//! head, so memory grows with `t`, not with `heads x t x t`. The backward pass recomputes the probabilities from the
//! log-sum-exp that the forward pass kept, a block of [`KEYS`] keys at a time (Dao et al., arXiv 2205.14135).
//!
//! `o_i = sum_j p_ij v_j`, `p_ij = exp(q_i k_j / sqrt(hd) - lse_i)`, over `lo_i <= j <= i`.
//!
//! Operands that are read many times are copied once into the order in which they are read: rows of `qkv` are a power of
//! two or nearly so apart, and a cache keeps few lines at such distances.
//! Legend: b rows of t tokens, h heads over kv key heads, hd head width; q, k, v side by side in `qkv[b t, q + 2 kv]`.

mod backward;
mod cached;
mod forward;
mod pack;
mod tile;

pub use cached::{KvCache, Query};

use std::ops::Range;

use crate::Cpu;
use crate::pool::Shareable;
use crate::simd::LANES;

/// Queries of a block.
const QUERIES: usize = 32;
/// Keys of a block: with the head width 64 their vectors fill most of a first-level cache.
const KEYS: usize = 128;
/// Keys of a panel of transposed keys; divides [`KEYS`].
const PANEL: usize = 32;

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
        let (t, hd) = (self.t.next_multiple_of(PANEL), self.head_dim);
        let forward = 2 * t * hd + QUERIES * (apart(t) + 2 * hd + 2);
        let backward = 5 * t * hd + QUERIES * (2 * apart(KEYS) + 3 * hd + 1);
        forward.max(backward)
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
        cpu.scratch(a.scratch(), |scratch| forward::head(cpu, a, b, kv, &out, &lse, qkv, scratch));
    });
}

/// `dqkv[b t, q + 2 kv]` from `doo[b t, q]` and what the forward pass left.
pub fn attention_backward(cpu: &Cpu, a: &Attention<'_>, dqkv: &mut [f32], doo: &[f32], o: &[f32], lse: &[f32], qkv: &[f32]) {
    let rows = qkv.len() / (a.t * a.stride());
    let out = Columns::new(dqkv, a.stride());
    let known = backward::Known { doo, o, lse, qkv };
    cpu.pool().run(rows * a.kv_heads, &|task| {
        let (b, kv) = (task / a.kv_heads, task % a.kv_heads);
        cpu.scratch(a.scratch(), |scratch| backward::head(cpu, a, b, kv, &out, known, scratch));
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

/// The keys that a block of queries sees, and a few before them: whole panels are quicker than a remainder.
fn visible(a: &Attention<'_>, b: usize, block: &Range<usize>) -> Range<usize> {
    let lo = block.clone().map(|i| a.lo(b, i)).min().unwrap_or(0);
    lo / PANEL * PANEL..block.end
}

/// Distance of rows of `n` floats: an odd number of cache lines, so that columns do not meet in one place of a cache.
fn apart(n: usize) -> usize {
    (n.div_ceil(LANES) | 1) * LANES
}

#[cfg(test)]
mod tests;
