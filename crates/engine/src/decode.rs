//! Decoding with a cache of keys and values: each new token costs one pass over the weights.
//! Legend: m new tokens, d dim, q and kv widths of query and key heads, ff hidden.

mod weights;

use kernels::Cpu;
use kernels::attention::{KvCache, Query};
use kernels::embedding::{add_bias, add_to};
use kernels::head_norm::{Heads, head_norm};
use kernels::rmsnorm::rmsnorm;
use kernels::rope::{RopeTable, Turn, rope};
use kernels::stored::{Operand, Weight};
use kernels::swiglu::swiglu;
use model::ModelSpec;

use crate::EngineError;
use crate::blocks::Projection;
use crate::weights::rope_table;
use weights::Block;
pub use weights::DecodeWeights;

/// Most new tokens that one pass takes: enough that a panel of decoded weights is used often.
const CHUNK: usize = 256;

/// Buffers of one pass. Legend: m = tokens of a pass.
struct Buffers {
    /// `[m, d]`
    x: Vec<f32>,
    norm: Vec<f32>,
    branch: Vec<f32>,
    /// `[m, q + 2 kv]`
    qkv: Vec<f32>,
    /// `[m, q]`
    mixed: Vec<f32>,
    /// `[m, 2 ff]`
    gate_up: Vec<f32>,
    /// `[m, ff]`
    act: Vec<f32>,
    /// `[m, h]`
    r: Vec<f32>,
    /// `[vocab]`
    logits: Vec<f32>,
}

/// One sequence that grows token by token.
pub struct Decoder<'a> {
    cpu: &'a Cpu,
    spec: ModelSpec,
    weights: &'a DecodeWeights<'a>,
    rope: RopeTable,
    caches: Vec<KvCache>,
    buffers: Buffers,
    operand: Operand,
    len: usize,
    capacity: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder for up to `capacity` tokens over weights that were read for `spec`.
    pub fn new(cpu: &'a Cpu, spec: &ModelSpec, weights: &'a DecodeWeights<'a>, capacity: usize) -> Decoder<'a> {
        let (d, q, ff, m) = (spec.dim, spec.q_dim(), spec.hidden, capacity.min(CHUNK));
        let zeros = |n: usize| vec![0.0; n];
        let cache = || KvCache::new(spec.kv_heads, spec.head_dim, capacity);
        cpu.reserve_scratch(cache().scratch(spec.heads));
        Decoder {
            cpu,
            rope: rope_table(spec, capacity),
            caches: (0..spec.layers).map(|_| cache()).collect(),
            buffers: Buffers {
                x: zeros(m * d),
                norm: zeros(m * d),
                branch: zeros(m * d),
                qkv: zeros(m * spec.qkv_dim()),
                mixed: zeros(m * q),
                gate_up: zeros(m * 2 * ff),
                act: zeros(m * ff),
                r: zeros(m * spec.heads),
                logits: zeros(spec.vocab),
            },
            operand: Operand::new(d.max(q).max(ff), weights.are_encoded()),
            weights,
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

    /// Forgets all but the first `len` tokens; nothing happens when there are no more than that.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forgets everything fed so far.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends `tokens` and returns the logits `[vocab]` after the last of them.
    ///
    /// # Errors
    /// When there are no tokens, too many for the cache, or an id is not in the vocabulary.
    pub fn feed(&mut self, tokens: &[u32]) -> Result<&[f32], EngineError> {
        if tokens.is_empty() || tokens.len() > self.room() {
            return Err(EngineError::Shape { rows: 1, seq: tokens.len(), max_rows: 1, max_seq: self.room() });
        }
        let vocab = self.spec.vocab;
        if let Some((at, &id)) = tokens.iter().enumerate().find(|(_, id)| **id as usize >= vocab) {
            return Err(EngineError::Token { id, at, vocab });
        }
        for chunk in tokens.chunks(CHUNK) {
            self.pass(chunk);
            self.len += chunk.len();
        }
        let last = (tokens.len() - 1) % CHUNK;
        self.classify(last);
        Ok(&self.buffers.logits)
    }

    fn pass(&mut self, tokens: &[u32]) {
        let (m, d) = (tokens.len(), self.spec.dim);
        let weights = self.weights;
        weights.embed.matrix().gather(self.cpu, &mut self.buffers.x[..m * d], tokens);
        for (l, w) in weights.blocks.iter().enumerate() {
            self.project(w, l, m);
            self.attend(l, m);
            self.finish_block(w, l, m);
        }
    }

    /// Q, K and V of the new tokens, normed and, where the block rotates, rotated.
    fn project(&mut self, w: &Block<'_>, l: usize, m: usize) {
        let (cpu, spec, b) = (self.cpu, &self.spec, &mut self.buffers);
        let (d, q, qkv) = (spec.dim, spec.q_dim(), spec.qkv_dim());
        rmsnorm(cpu, &mut b.norm[..m * d], &mut b.r[..m], &b.x[..m * d], &w.attn_norm, spec.norm_eps);
        let rows = &mut b.qkv[..m * qkv];
        self.operand.product(cpu, rows, &b.norm[..m * d], &w.qkv.each_ref().map(Weight::matrix)); // [m, d] x [d, qkv]
        self.weights.beside(cpu, (l, Projection::Qkv), &b.norm[..m * d], rows, qkv);
        if !w.qkv_bias.is_empty() {
            add_bias(cpu, rows, &w.qkv_bias, qkv);
        }
        if spec.qk_norm {
            for (first, heads, gain) in [(0, spec.heads, &w.q_norm), (q, spec.kv_heads, &w.k_norm)] {
                let columns = Heads { stride: qkv, first, heads };
                head_norm(cpu, rows, columns, &mut b.r[..m * heads], gain, spec.norm_eps);
            }
        }
        if spec.rotates(l) {
            rope(cpu, rows, qkv, spec.heads + spec.kv_heads, &self.rope, self.len, self.capacity, Turn::Forward);
        }
    }

    /// Stores the new keys and values, and mixes what each new token sees.
    fn attend(&mut self, l: usize, m: usize) {
        let (cpu, spec, b, cache) = (self.cpu, &self.spec, &mut self.buffers, &mut self.caches[l]);
        let qkv = &b.qkv[..m * spec.qkv_dim()];
        cache.store(cpu, self.len, spec.heads, qkv);
        let query = Query { heads: spec.heads, len: self.len, window: spec.window_of(l) };
        cache.attend(cpu, query, &mut b.mixed[..m * spec.q_dim()], qkv);
    }

    /// Output projection and feed-forward block, each added to the stream.
    fn finish_block(&mut self, w: &Block<'_>, l: usize, m: usize) {
        let (cpu, spec, b, operand) = (self.cpu, &self.spec, &mut self.buffers, &mut self.operand);
        let (d, q, ff) = (spec.dim, spec.q_dim(), spec.hidden);
        operand.product(cpu, &mut b.branch[..m * d], &b.mixed[..m * q], &[w.o.matrix()]); // [m, q] x [q, d]
        self.weights.beside(cpu, (l, Projection::O), &b.mixed[..m * q], &mut b.branch[..m * d], d);
        if !w.o_bias.is_empty() {
            add_bias(cpu, &mut b.branch[..m * d], &w.o_bias, d);
        }
        add_to(cpu, &mut b.norm[..m * d], &b.x[..m * d], &b.branch[..m * d], spec.residual_scale);
        std::mem::swap(&mut b.x, &mut b.norm);
        rmsnorm(cpu, &mut b.norm[..m * d], &mut b.r[..m], &b.x[..m * d], &w.ffn_norm, spec.norm_eps);
        let gate_up = &mut b.gate_up[..m * 2 * ff];
        operand.product(cpu, gate_up, &b.norm[..m * d], &w.gate_up.each_ref().map(Weight::matrix)); // [m, d] x [d, 2ff]
        self.weights.beside(cpu, (l, Projection::GateUp), &b.norm[..m * d], gate_up, 2 * ff);
        swiglu(cpu, &mut b.act[..m * ff], gate_up, ff);
        operand.product(cpu, &mut b.branch[..m * d], &b.act[..m * ff], &[w.down.matrix()]); // [m, ff] x [ff, d]
        self.weights.beside(cpu, (l, Projection::Down), &b.act[..m * ff], &mut b.branch[..m * d], d);
        add_to(cpu, &mut b.norm[..m * d], &b.x[..m * d], &b.branch[..m * d], spec.residual_scale);
        std::mem::swap(&mut b.x, &mut b.norm);
    }

    /// Logits of new token `i` of the last pass.
    fn classify(&mut self, i: usize) {
        let (spec, b, d) = (&self.spec, &mut self.buffers, self.spec.dim);
        let x = &b.x[i * d..(i + 1) * d];
        rmsnorm(self.cpu, &mut b.norm[..d], &mut b.r[..1], x, &self.weights.final_norm, spec.norm_eps);
        let weights = [self.weights.classifier()];
        self.operand.product(self.cpu, &mut b.logits, &b.norm[..d], &weights); // [1, d] x [d, v]
    }
}
