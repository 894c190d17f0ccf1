//! Attention of new tokens over the keys and values of all before them, for decoding and for prompts in pieces.
//!
//! A task takes one key head, a few new tokens, and all query heads that read it: their rows are one left matrix, so that
//! keys and values are read once. Keys lie in blocks of 32 positions, transposed: scores come in vectors of positions, from
//! memory that is read along.
//! Legend: m new tokens after `len` old ones, h heads over kv key heads, hd head width, g = h / kv.

use crate::Cpu;
use crate::pool::Shareable;

use super::forward::softmax_row;
use super::tile::{Strided, tile};
use super::{Columns, QUERIES};

/// Fewer new numbers than this are stored by the calling thread: waking the others would take longer.
const ALONE: usize = 16 << 10;

/// Rows of a task that are few: one new token, or two.
const FEW: usize = 16;

/// Positions of a block of keys.
const WIDTH: usize = 32;

/// Keys and values of one block.
pub struct KvCache {
    kv_heads: usize,
    head_dim: usize,
    capacity: usize,
    /// `[kv, capacity / 32, hd, 32]`, the capacity in whole blocks
    keys: Vec<f32>,
    /// `[kv, capacity, hd]`
    values: Vec<f32>,
}

/// What new tokens see.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Query heads.
    pub heads: usize,
    /// Tokens in the cache before the new ones.
    pub len: usize,
    /// Positions that a query sees, itself included (`usize::MAX`: all before it).
    pub window: usize,
}

impl KvCache {
    /// An empty cache for `capacity` tokens.
    pub fn new(kv_heads: usize, head_dim: usize, capacity: usize) -> KvCache {
        KvCache {
            kv_heads,
            head_dim,
            capacity,
            keys: vec![0.0; kv_heads * head_dim * capacity.next_multiple_of(WIDTH)],
            values: vec![0.0; kv_heads * capacity * head_dim],
        }
    }

    /// Scratch floats that a task of [`KvCache::attend`] takes, for `heads` query heads.
    pub fn scratch(&self, heads: usize) -> usize {
        let rows = rows_of_block(heads / self.kv_heads);
        rows * (self.capacity + 2 * self.head_dim)
    }

    /// Takes keys and values of new tokens, `qkv[m, q + 2 kv]`, at positions `len..`.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn store(&mut self, cpu: &Cpu, len: usize, heads: usize, qkv: &[f32]) {
        let (hd, capacity) = (self.head_dim, self.capacity);
        let width = (heads + 2 * self.kv_heads) * hd;
        assert!(len + qkv.len() / width <= capacity, "the cache of keys and values is full");
        let (keys, values) = (&mut self.keys, &mut self.values);
        let kv_heads = self.kv_heads;
        let take = |head: usize, keys: &mut [f32], values: &mut [f32]| {
            let (k, v) = ((heads + head) * hd, (heads + kv_heads + head) * hd);
            for (row, at) in qkv.chunks_exact(width).zip(len..) {
                for (channel, x) in row[k..k + hd].iter().enumerate() {
                    keys[(at / WIDTH * hd + channel) * WIDTH + at % WIDTH] = *x;
                }
                values[at * hd..(at + 1) * hd].copy_from_slice(&row[v..v + hd]);
            }
        };
        let of_head = hd * capacity.next_multiple_of(WIDTH);
        if qkv.len() < ALONE {
            let heads = keys.chunks_exact_mut(of_head).zip(values.chunks_exact_mut(capacity * hd));
            heads.enumerate().for_each(|(head, (keys, values))| take(head, keys, values));
        } else {
            cpu.pool().chunks_mut2((keys, of_head), (values, capacity * hd), take);
        }
    }

    /// `out[m, q] = softmax(q k^T / sqrt(hd)) v` for new tokens whose keys and values are stored.
    ///
    /// # Panics
    /// When `out` and `qkv` are not of the same tokens, or the cache does not hold them.
    pub fn attend(&self, cpu: &Cpu, query: Query, out: &mut [f32], qkv: &[f32]) {
        let (q, width) = (query.heads * self.head_dim, (query.heads + 2 * self.kv_heads) * self.head_dim);
        let m = qkv.len() / width;
        assert!(out.len() == m * q && query.len + m <= self.capacity, "attention over other tokens than are stored");
        let out = Columns { len: out.len(), stride: q, data: Shareable::new(out.as_mut_ptr()) };
        let tokens = tokens_of_block(query.heads / self.kv_heads);
        let blocks = m.div_ceil(tokens);
        cpu.pool().run(blocks * self.kv_heads, &|task| {
            // late blocks see most: they begin first
            let (block, head) = (blocks - 1 - task / self.kv_heads, task % self.kv_heads);
            let block = block * tokens..((block + 1) * tokens).min(m);
            cpu.scratch(self.scratch(query.heads), |scratch| self.block(cpu, query, head, block, &out, qkv, scratch));
        });
    }

    /// One key head, the new tokens `block`.
    #[allow(clippy::too_many_arguments)]
    fn block(
        &self,
        cpu: &Cpu,
        query: Query,
        head: usize,
        block: std::ops::Range<usize>,
        out: &Columns,
        qkv: &[f32],
        scratch: &mut [f32],
    ) {
        let (hd, isa, group) = (self.head_dim, cpu.isa(), query.heads / self.kv_heads);
        let width = (query.heads + 2 * self.kv_heads) * hd;
        let rows = block.len() * group;
        let (q, rest) = scratch.split_at_mut(rows * hd);
        let (o, s) = rest.split_at_mut(rows * hd);
        for (q, token) in q.chunks_exact_mut(group * hd).zip(block.clone()) {
            q.copy_from_slice(&qkv[token * width + head * group * hd..][..group * hd]);
        }
        let lo = |token: usize| (query.len + token + 1).saturating_sub(query.window);
        let keys = lo(block.start) / WIDTH * WIDTH..query.len + block.end;
        let n = keys.len();
        let width = self.capacity.next_multiple_of(WIDTH) * hd;
        let of_head = &self.keys[head * width..(head + 1) * width];
        let k = &of_head[keys.start * hd..];
        let v = &self.values[(head * self.capacity + keys.start) * hd..];
        let q = Strided { data: q, row: hd, col: 1 };
        for (first, k) in (0..n).step_by(WIDTH).zip(k.chunks_exact(WIDTH * hd)) {
            let columns = WIDTH.min(n - first);
            if rows <= FEW {
                let at = (keys.start + first) * hd;
                fetch(&of_head[(at + WIDTH * hd).min(of_head.len())..(at + 2 * WIDTH * hd).min(of_head.len())]);
                fetch(&v[first * hd..(first + columns) * hd]);
            }
            tile(isa, &mut s[first..rows * n], n, q, k, WIDTH, rows, columns, hd, false); // [rows, hd] x [hd, 32]
        }
        let scale = 1.0 / (hd as f32).sqrt();
        for (row, s) in s.chunks_exact_mut(n).take(rows).enumerate() {
            let token = block.start + row / group;
            softmax_row(isa, s, lo(token) - keys.start, query.len + token + 1 - keys.start, scale);
        }
        let p = Strided { data: &s[..rows * n], row: n, col: 1 };
        tile(isa, &mut o[..rows * hd], hd, p, v, hd, rows, hd, n, false); // [rows, n] x [n, hd]
        for (o, token) in o.chunks_exact(group * hd).zip(block) {
            out.write(token, head * group * hd, group * hd, o);
        }
    }
}

/// Asks for memory ahead of its use: with few queries nothing else hides how long that takes.
#[inline]
#[allow(unsafe_code)]
fn fetch(memory: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in memory.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch changes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = memory;
}

/// New tokens of a task.
fn tokens_of_block(group: usize) -> usize {
    (QUERIES / group).max(1)
}

/// Rows of a task: query heads of its tokens.
fn rows_of_block(group: usize) -> usize {
    tokens_of_block(group) * group
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::attention::{Attention, attention};

    /// Fed in pieces, with a window and without, it is the attention of the whole.
    #[test]
    fn pieces_are_the_whole() {
        let (heads, kv_heads, hd, t) = (6, 2, 12, 75);
        let width = (heads + 2 * kv_heads) * hd;
        let qkv: Vec<f32> = (0..t * width).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 300.0).collect();
        for (isa, window) in [(Isa::best(), usize::MAX), (Isa::best(), 9), (Isa::Scalar, 30), (Isa::Avx2, 20)] {
            let cpu = Cpu::with_isa(2, isa);
            let (mut whole, mut lse) = (vec![0.0; t * heads * hd], vec![0.0; t * heads]);
            let shape = Attention { t, heads, kv_heads, head_dim: hd, window, starts: None };
            attention(&cpu, &shape, &mut whole, &mut lse, &qkv);
            let mut cache = KvCache::new(kv_heads, hd, t + 3);
            let mut len = 0;
            for m in [1, 40, 1, 2, 31] {
                let (new, mut out) = (&qkv[len * width..(len + m) * width], vec![f32::NAN; m * heads * hd]);
                cache.store(&cpu, len, heads, new);
                cache.attend(&cpu, Query { heads, len, window }, &mut out, new);
                for (a, b) in out.iter().zip(&whole[len * heads * hd..]) {
                    assert!((a - b).abs() < 1e-5, "{isa:?}, window {window}, after {len}: {a} {b}");
                }
                len += m;
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        let qkv: Vec<f32> = (0..50 * 80).map(|i| ((i * 31 % 101) as f32 - 50.0) / 20.0).collect();
        let run = |threads| {
            let (cpu, mut cache, mut out) = (Cpu::new(threads), KvCache::new(1, 16, 50), vec![0.0; 50 * 48]);
            cache.store(&cpu, 0, 3, &qkv);
            cache.attend(&cpu, Query { heads: 3, len: 0, window: 40 }, &mut out, &qkv);
            out
        };
        assert_eq!(run(1), run(3));
    }
}
