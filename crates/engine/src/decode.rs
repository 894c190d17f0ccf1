//! Decoding with a cache of keys and values: each new token costs one pass over the weights.
//! Legend: m new tokens, d dim, q and kv widths of query and key heads, ff hidden.

use kernels::Cpu;
use kernels::embedding::{add_bias, add_to, embed};
use kernels::gemm::MatRef;
use kernels::head_norm::{Heads, head_norm};
use kernels::rmsnorm::rmsnorm;
use kernels::rope::{RopeTable, Turn, rope};
use kernels::swiglu::swiglu;
use model::{Layout, ModelSpec};

use crate::EngineError;
use crate::weights::{BlockRanges, Ranges, rope_table};

/// New tokens that one pass takes.
const CHUNK: usize = 64;

/// Keys and values of one block: `[capacity, kv]` each.
struct Cache {
    k: Vec<f32>,
    v: Vec<f32>,
}

/// Buffers of one pass. Legend: m = [`CHUNK`].
struct Buffers {
    x: Vec<f32>,
    norm: Vec<f32>,
    branch: Vec<f32>,
    qkv: Vec<f32>,
    mixed: Vec<f32>,
    gate_up: Vec<f32>,
    act: Vec<f32>,
    r: Vec<f32>,
    scores: Vec<f32>,
    logits: Vec<f32>,
}

/// One sequence that grows token by token.
pub struct Decoder<'a> {
    cpu: &'a Cpu,
    spec: ModelSpec,
    ranges: Ranges,
    rope: RopeTable,
    caches: Vec<Cache>,
    buffers: Buffers,
    len: usize,
    capacity: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder for up to `capacity` tokens; `spec` must be valid.
    pub fn new(cpu: &'a Cpu, spec: &ModelSpec, capacity: usize) -> Decoder<'a> {
        let (d, q, kv, ff) = (spec.dim, spec.q_dim(), spec.kv_dim(), spec.hidden);
        let zeros = |n: usize| vec![0.0; n];
        Decoder {
            cpu,
            ranges: Ranges::of(spec, &Layout::of(spec)),
            rope: rope_table(spec, capacity),
            caches: (0..spec.layers).map(|_| Cache { k: zeros(capacity * kv), v: zeros(capacity * kv) }).collect(),
            buffers: Buffers {
                x: zeros(CHUNK * d),
                norm: zeros(CHUNK * d),
                branch: zeros(CHUNK * d),
                qkv: zeros(CHUNK * spec.qkv_dim()),
                mixed: zeros(CHUNK * q),
                gate_up: zeros(CHUNK * 2 * ff),
                act: zeros(CHUNK * ff),
                r: zeros(CHUNK * spec.heads),
                scores: zeros(CHUNK * spec.heads * capacity),
                logits: zeros(spec.vocab),
            },
            spec: spec.clone(),
            len: 0,
            capacity,
        }
    }

    /// Tokens in the cache.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been fed yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens that still fit.
    pub fn room(&self) -> usize {
        self.capacity - self.len
    }

    /// Forgets everything fed so far.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends `tokens` and returns the logits `[vocab]` after the last of them.
    ///
    /// # Errors
    /// When there are no tokens, too many for the cache, or an id is not in the vocabulary.
    pub fn feed(&mut self, params: &[f32], tokens: &[u32]) -> Result<&[f32], EngineError> {
        if tokens.is_empty() || tokens.len() > self.room() {
            return Err(EngineError::Shape { rows: 1, seq: tokens.len(), max_rows: 1, max_seq: self.room() });
        }
        let vocab = self.spec.vocab;
        if let Some((at, &id)) = tokens.iter().enumerate().find(|(_, id)| **id as usize >= vocab) {
            return Err(EngineError::Token { id, at, vocab });
        }
        for chunk in tokens.chunks(CHUNK) {
            self.pass(params, chunk);
            self.len += chunk.len();
        }
        let last = (tokens.len() - 1) % CHUNK;
        self.classify(params, last);
        Ok(&self.buffers.logits)
    }

    fn pass(&mut self, params: &[f32], tokens: &[u32]) {
        let (m, d) = (tokens.len(), self.spec.dim);
        embed(self.cpu, &mut self.buffers.x[..m * d], &params[self.ranges.embed.clone()], tokens, d);
        for l in 0..self.spec.layers {
            let w = self.ranges.blocks[l].clone();
            self.project(params, &w, l, m);
            self.attend(l, m);
            self.finish_block(params, &w, m);
        }
    }

    /// Q, K and V of the new tokens, normed and, where the block rotates, rotated.
    fn project(&mut self, params: &[f32], w: &BlockRanges, l: usize, m: usize) {
        let (cpu, spec, b) = (self.cpu, &self.spec, &mut self.buffers);
        let (d, q, qkv) = (spec.dim, spec.q_dim(), spec.qkv_dim());
        let gain = &params[w.attn_norm.clone()];
        rmsnorm(cpu, &mut b.norm[..m * d], &mut b.r[..m], &b.x[..m * d], gain, spec.norm_eps);
        let weights = MatRef::new(&params[w.qkv.clone()], qkv, d);
        let rows = &mut b.qkv[..m * qkv];
        cpu.gemm(rows, qkv, MatRef::new(&b.norm, m, d), weights.t(), false); // [m, d] x [d, qkv]
        if !w.qkv_bias.is_empty() {
            add_bias(cpu, rows, &params[w.qkv_bias.clone()], qkv);
        }
        if spec.qk_norm {
            for (first, heads, range) in [(0, spec.heads, &w.q_norm), (q, spec.kv_heads, &w.k_norm)] {
                let columns = Heads { stride: qkv, first, heads };
                head_norm(cpu, rows, columns, &mut b.r[..m * heads], &params[range.clone()], spec.norm_eps);
            }
        }
        if spec.rotates(l) {
            rope(cpu, rows, qkv, spec.heads + spec.kv_heads, &self.rope, self.len, self.capacity, Turn::Forward);
        }
    }

    /// Stores the new keys and values, and mixes what each new token sees.
    fn attend(&mut self, l: usize, m: usize) {
        let (spec, b, cache) = (&self.spec, &mut self.buffers, &mut self.caches[l]);
        let (q, kv, qkv, hd) = (spec.q_dim(), spec.kv_dim(), spec.qkv_dim(), spec.head_dim);
        for (row, at) in b.qkv.chunks_exact(qkv).zip(self.len..self.len + m) {
            cache.k[at * kv..(at + 1) * kv].copy_from_slice(&row[q..q + kv]);
            cache.v[at * kv..(at + 1) * kv].copy_from_slice(&row[q + kv..]);
        }
        let (len, capacity, window) = (self.len, self.capacity, spec.window_of(l));
        let (queries, cache, group) = (&b.qkv, &*cache, spec.group());
        let mixed = &mut b.mixed[..m * q];
        let scores = &mut b.scores[..m * spec.heads * capacity];
        self.cpu.pool().chunks_mut2((mixed, hd), (scores, capacity), |task, out, scores| {
            let (i, h) = (task / spec.heads, task % spec.heads);
            let query = &queries[i * qkv + h * hd..][..hd];
            let seen = (len + i + 1).saturating_sub(window)..len + i + 1;
            let column = h / group * hd;
            mix(
                out,
                &mut scores[..seen.len()],
                query,
                &cache.k[seen.start * kv + column..],
                &cache.v[seen.start * kv + column..],
                kv,
            );
        });
    }

    /// Output projection and feed-forward block, each added to the stream.
    fn finish_block(&mut self, params: &[f32], w: &BlockRanges, m: usize) {
        let (cpu, spec, b) = (self.cpu, &self.spec, &mut self.buffers);
        let (d, q, ff) = (spec.dim, spec.q_dim(), spec.hidden);
        let out = MatRef::new(&params[w.o.clone()], d, q);
        cpu.gemm(&mut b.branch[..m * d], d, MatRef::new(&b.mixed, m, q), out.t(), false); // [m, q] x [q, d]
        if !w.o_bias.is_empty() {
            add_bias(cpu, &mut b.branch[..m * d], &params[w.o_bias.clone()], d);
        }
        add_to(cpu, &mut b.norm[..m * d], &b.x[..m * d], &b.branch[..m * d], spec.residual_scale);
        std::mem::swap(&mut b.x, &mut b.norm);
        let gain = &params[w.ffn_norm.clone()];
        rmsnorm(cpu, &mut b.norm[..m * d], &mut b.r[..m], &b.x[..m * d], gain, spec.norm_eps);
        let weights = MatRef::new(&params[w.gate_up.clone()], 2 * ff, d);
        cpu.gemm(&mut b.gate_up[..m * 2 * ff], 2 * ff, MatRef::new(&b.norm, m, d), weights.t(), false); // [m, d] x [d, 2ff]
        swiglu(cpu, &mut b.act[..m * ff], &b.gate_up[..m * 2 * ff], ff);
        let down = MatRef::new(&params[w.down.clone()], d, ff);
        cpu.gemm(&mut b.branch[..m * d], d, MatRef::new(&b.act, m, ff), down.t(), false); // [m, ff] x [ff, d]
        add_to(cpu, &mut b.norm[..m * d], &b.x[..m * d], &b.branch[..m * d], spec.residual_scale);
        std::mem::swap(&mut b.x, &mut b.norm);
    }

    /// Logits of new token `i` of the last pass.
    fn classify(&mut self, params: &[f32], i: usize) {
        let (spec, b) = (&self.spec, &mut self.buffers);
        let (d, v) = (spec.dim, spec.vocab);
        let gain = &params[self.ranges.final_norm.clone()];
        rmsnorm(self.cpu, &mut b.norm[..d], &mut b.r[..1], &b.x[i * d..(i + 1) * d], gain, spec.norm_eps);
        let weights = MatRef::new(&params[self.ranges.classifier.clone()], v, d);
        self.cpu.gemm(&mut b.logits, v, MatRef::new(&b.norm, 1, d), weights.t(), false); // [1, d] x [d, v]
    }
}

/// `out[hd] = softmax(query k / sqrt(hd)) v`; rows of `k` and `v` are `stride` apart.
fn mix(out: &mut [f32], scores: &mut [f32], query: &[f32], k: &[f32], v: &[f32], stride: usize) {
    let hd = query.len();
    let scale = 1.0 / (hd as f32).sqrt();
    let mut max = f32::NEG_INFINITY;
    for (s, k) in scores.iter_mut().zip(k.chunks(stride)) {
        *s = query.iter().zip(k).map(|(a, b)| a * b).sum::<f32>() * scale;
        max = max.max(*s);
    }
    let mut sum = 0.0;
    out.fill(0.0);
    for (s, v) in scores.iter().zip(v.chunks(stride)) {
        let p = kernels::math::exp(s - max);
        sum += p;
        for (o, v) in out.iter_mut().zip(v) {
            *o += p * v;
        }
    }
    for o in out {
        *o /= sum;
    }
}
