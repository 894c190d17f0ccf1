//! The forward walk: embedding, blocks, final norm.
//! Legend: n tokens, d dim, q and kv widths of query and key heads, ff hidden.

use kernels::attention::{Attention, attention};
use kernels::embedding::{add_bias, embed};
use kernels::gemm::MatRef;
use kernels::head_norm::{Heads, head_norm};
use kernels::rmsnorm::{add_rmsnorm, rmsnorm};
use kernels::rope::{Turn, rope};
use kernels::swiglu::swiglu;

use crate::{Batch, CpuEngine};

impl CpuEngine<'_> {
    /// Runs all blocks; the output of the final norm is left in `scratch.norm`. Asks `stop` before each block; false when it
    /// said yes.
    pub(crate) fn forward(&mut self, params: &[f32], batch: &Batch<'_>, stop: &mut dyn FnMut() -> bool) -> bool {
        let (n, d) = (batch.len(), self.spec.dim);
        let table = &params[self.ranges.embed.clone()];
        embed(self.cpu, &mut self.residual[0][..n * d], table, batch.inputs, d);
        for l in 0..self.spec.layers {
            if stop() {
                return false;
            }
            self.attention_forward(params, batch, l);
            self.ffn_forward(params, n, l);
            self.leave_block(params, n, l);
        }
        true
    }

    /// Index of the residual stream that block `l` reads.
    pub(crate) fn stream(&self, l: usize) -> usize {
        if self.options.gradient { l } else { l % 2 }
    }

    /// Index of the kept activations of block `l`.
    pub(crate) fn kept_of(&self, l: usize) -> usize {
        if self.kept.len() > 1 { l } else { 0 }
    }

    /// `middle = x + a Wo attention(norm(x))`, and the norm before the feed-forward block.
    pub(crate) fn attention_forward(&mut self, params: &[f32], batch: &Batch<'_>, l: usize) {
        let (cpu, spec, n) = (self.cpu, &self.spec, batch.len());
        let (d, q, qkv) = (spec.dim, spec.q_dim(), spec.qkv_dim());
        let (stream, kept) = (self.stream(l), self.kept_of(l));
        let (w, k, s) = (&self.ranges.blocks[l], &mut self.kept[kept], &mut self.scratch);
        let x = &self.residual[stream][..n * d];
        rmsnorm(cpu, &mut s.norm[..n * d], &mut k.r_attn[..n], x, &params[w.attn_norm.clone()], spec.norm_eps);
        let weights = MatRef::new(&params[w.qkv.clone()], qkv, d);
        cpu.gemm(&mut k.qkv[..n * qkv], qkv, MatRef::new(&s.norm, n, d), weights.t(), false); // [n, d] x [d, qkv]
        if !w.qkv_bias.is_empty() {
            add_bias(cpu, &mut k.qkv[..n * qkv], &params[w.qkv_bias.clone()], qkv);
        }
        if spec.qk_norm {
            let width = q + spec.kv_dim();
            for (raw, row) in k.raw_qk.chunks_exact_mut(width).zip(k.qkv[..n * qkv].chunks_exact(qkv)) {
                raw.copy_from_slice(&row[..width]);
            }
            let (r_q, r_k) = k.r_heads.split_at_mut(self.sizes.n * spec.heads);
            let q_heads = Heads { stride: qkv, first: 0, heads: spec.heads };
            let k_heads = Heads { stride: qkv, first: q, heads: spec.kv_heads };
            head_norm(cpu, &mut k.qkv[..n * qkv], q_heads, &mut r_q[..n * spec.heads], &params[w.q_norm.clone()], spec.norm_eps);
            head_norm(
                cpu,
                &mut k.qkv[..n * qkv],
                k_heads,
                &mut r_k[..n * spec.kv_heads],
                &params[w.k_norm.clone()],
                spec.norm_eps,
            );
        }
        if spec.rotates(l) {
            rope(cpu, &mut k.qkv[..n * qkv], qkv, spec.heads + spec.kv_heads, &self.rope, 0, batch.seq, Turn::Forward);
        }
        let shape = attention_of(spec, batch, l);
        attention(cpu, &shape, &mut k.mixed[..n * q], &mut k.lse[..n * spec.heads], &k.qkv[..n * qkv]);
        let out = MatRef::new(&params[w.o.clone()], d, q);
        cpu.gemm(&mut s.branch[..n * d], d, MatRef::new(&k.mixed, n, q), out.t(), false); // [n, q] x [q, d]
        if !w.o_bias.is_empty() {
            add_bias(cpu, &mut s.branch[..n * d], &params[w.o_bias.clone()], d);
        }
        let (middle, norm, r) = (&mut k.middle[..n * d], &mut s.norm[..n * d], &mut k.r_ffn[..n]);
        let gain = &params[w.ffn_norm.clone()];
        add_rmsnorm(cpu, middle, norm, r, x, &s.branch[..n * d], spec.residual_scale, gain, spec.norm_eps);
    }

    /// Gate, up and their product, from the norm that [`Self::attention_forward`] left; the product is in `scratch.wide`.
    pub(crate) fn ffn_forward(&mut self, params: &[f32], n: usize, l: usize) {
        let (d, ff, kept) = (self.spec.dim, self.spec.hidden, self.kept_of(l));
        let (w, k, s) = (&self.ranges.blocks[l], &mut self.kept[kept], &mut self.scratch);
        let weights = MatRef::new(&params[w.gate_up.clone()], 2 * ff, d);
        self.cpu.gemm(&mut k.gate_up[..n * 2 * ff], 2 * ff, MatRef::new(&s.norm, n, d), weights.t(), false); // [n, d] x [d, 2ff]
        swiglu(self.cpu, &mut s.wide[..n * ff], &k.gate_up[..n * 2 * ff], ff);
    }

    /// `x = middle + a Wdown act` into the next residual stream, and the norm that follows it.
    fn leave_block(&mut self, params: &[f32], n: usize, l: usize) {
        let (d, ff) = (self.spec.dim, self.spec.hidden);
        let (next, kept) = (self.stream(l + 1), self.kept_of(l));
        let (w, k, s) = (&self.ranges.blocks[l], &self.kept[kept], &mut self.scratch);
        let down = MatRef::new(&params[w.down.clone()], d, ff);
        self.cpu.gemm(&mut s.branch[..n * d], d, MatRef::new(&s.wide, n, ff), down.t(), false); // [n, ff] x [ff, d]
        let gain = &params[self.ranges.final_norm.clone()];
        let (x, norm, r) = (&mut self.residual[next][..n * d], &mut s.norm[..n * d], &mut s.r_final[..n]);
        let (middle, branch) = (&k.middle[..n * d], &s.branch[..n * d]);
        if l + 1 == self.spec.layers {
            add_rmsnorm(self.cpu, x, norm, r, middle, branch, self.spec.residual_scale, gain, self.spec.norm_eps);
        } else {
            kernels::embedding::add_to(self.cpu, x, middle, branch, self.spec.residual_scale);
        }
    }
}

/// The attention of block `l` over `batch`.
pub(crate) fn attention_of<'b>(spec: &model::ModelSpec, batch: &Batch<'b>, l: usize) -> Attention<'b> {
    Attention {
        t: batch.seq,
        heads: spec.heads,
        kv_heads: spec.kv_heads,
        head_dim: spec.head_dim,
        window: spec.window_of(l),
        starts: batch.starts,
    }
}
