//! The backward walk: blocks in reverse, each from its output gradient to its input gradient, then the embedding.
//! `scratch.dx` is the gradient of the residual stream; it is added to in place, since both branches leave it as it is.
//! Legend: n tokens, d dim, q and kv widths of query and key heads, ff hidden.

use kernels::attention::attention_backward;
use kernels::embedding::{bias_backward, embed_backward, scaled};
use kernels::gemm::MatRef;
use kernels::head_norm::{Heads, head_norm_backward};
use kernels::rmsnorm::{rmsnorm_again, rmsnorm_backward};
use kernels::rope::{Turn, rope};
use kernels::swiglu::{swiglu, swiglu_backward};

use crate::forward::attention_of;
use crate::{Batch, CpuEngine};

impl CpuEngine<'_> {
    /// From `scratch.dx`, the gradient of the last block's output, to the gradient of every weight. Asks `stop` before each
    /// block; false when it said yes.
    pub(crate) fn backward(
        &mut self,
        params: &[f32],
        batch: &Batch<'_>,
        grad: &mut [f32],
        accumulate: bool,
        stop: &mut dyn FnMut() -> bool,
    ) -> bool {
        let (n, d) = (batch.len(), self.spec.dim);
        for l in (0..self.spec.layers).rev() {
            if stop() {
                return false;
            }
            if self.options.recompute {
                self.attention_forward(params, batch, l);
                self.ffn_forward(params, n, l);
            }
            self.ffn_backward(params, n, l, grad, accumulate);
            self.attention_output_backward(params, n, l, grad, accumulate);
            self.attention_input_backward(params, batch, l, grad, accumulate);
        }
        let embed = &mut grad[self.ranges.embed.clone()];
        if !self.spec.tied && !accumulate {
            embed.fill(0.0);
        }
        embed_backward(self.cpu, embed, &self.scratch.dx[..n * d], batch.inputs, d);
        true
    }

    /// `dx` becomes the gradient of the stream between attention and feed-forward block.
    fn ffn_backward(&mut self, params: &[f32], n: usize, l: usize, grad: &mut [f32], accumulate: bool) {
        let (cpu, spec, kept) = (self.cpu, &self.spec, self.kept_of(l));
        let (d, ff) = (spec.dim, spec.hidden);
        let (w, k, s) = (&self.ranges.blocks[l], &mut self.kept[kept], &mut self.scratch);
        swiglu(cpu, &mut s.wide[..n * ff], &k.gate_up[..n * 2 * ff], ff);
        let dout = branch_gradient(cpu, &s.dx[..n * d], &mut s.branch[..n * d], spec.residual_scale);
        let dout = MatRef::new(dout, n, d);
        let act = MatRef::new(&s.wide, n, ff);
        cpu.gemm(&mut grad[w.down.clone()], ff, dout.t(), act, accumulate); // [d, n] x [n, ff]
        let down = MatRef::new(&params[w.down.clone()], d, ff);
        cpu.gemm(&mut s.wide2[..n * ff], ff, dout, down, false); // [n, d] x [d, ff]
        let gate_up = &mut k.gate_up[..n * 2 * ff];
        swiglu_backward(cpu, gate_up, &s.wide2[..n * ff], ff);
        let gain = &params[w.ffn_norm.clone()];
        rmsnorm_again(cpu, &mut s.norm[..n * d], &k.middle[..n * d], &k.r_ffn[..n], gain);
        let dgu = MatRef::new(gate_up, n, 2 * ff);
        cpu.gemm(&mut grad[w.gate_up.clone()], d, dgu.t(), MatRef::new(&s.norm, n, d), accumulate); // [2ff, n] x [n, d]
        let weights = MatRef::new(&params[w.gate_up.clone()], 2 * ff, d);
        cpu.gemm(&mut s.branch[..n * d], d, dgu, weights, false); // [n, 2ff] x [2ff, d]
        let (dx, dgain) = (&mut s.dx[..n * d], &mut grad[w.ffn_norm.clone()]);
        let (middle, r) = (&k.middle[..n * d], &k.r_ffn[..n]);
        rmsnorm_backward(cpu, dx, dgain, &s.branch[..n * d], middle, r, gain, &mut s.partial, accumulate);
    }

    /// The gradient of the mixed values, into `scratch.wide2`.
    fn attention_output_backward(&mut self, params: &[f32], n: usize, l: usize, grad: &mut [f32], accumulate: bool) {
        let (cpu, spec, kept) = (self.cpu, &self.spec, self.kept_of(l));
        let (d, q) = (spec.dim, spec.q_dim());
        let (w, k, s) = (&self.ranges.blocks[l], &self.kept[kept], &mut self.scratch);
        let dout = branch_gradient(cpu, &s.dx[..n * d], &mut s.branch[..n * d], spec.residual_scale);
        if !w.o_bias.is_empty() {
            bias_backward(cpu, &mut grad[w.o_bias.clone()], dout, d, &mut s.partial, accumulate);
        }
        let dout = MatRef::new(dout, n, d);
        cpu.gemm(&mut grad[w.o.clone()], q, dout.t(), MatRef::new(&k.mixed, n, q), accumulate); // [d, n] x [n, q]
        let out = MatRef::new(&params[w.o.clone()], d, q);
        cpu.gemm(&mut s.wide2[..n * q], q, dout, out, false); // [n, d] x [d, q]
    }

    /// `dx` becomes the gradient of the block's input.
    fn attention_input_backward(&mut self, params: &[f32], batch: &Batch<'_>, l: usize, grad: &mut [f32], accumulate: bool) {
        let (cpu, spec, n) = (self.cpu, &self.spec, batch.len());
        let (d, q, qkv) = (spec.dim, spec.q_dim(), spec.qkv_dim());
        let (stream, kept) = (self.stream(l), self.kept_of(l));
        let (w, k, s) = (&self.ranges.blocks[l], &self.kept[kept], &mut self.scratch);
        let dqkv = &mut s.wide[..n * qkv];
        let shape = attention_of(spec, batch, l);
        let (mixed, lse) = (&k.mixed[..n * q], &k.lse[..n * spec.heads]);
        attention_backward(cpu, &shape, dqkv, &s.wide2[..n * q], mixed, lse, &k.qkv[..n * qkv]);
        if spec.rotates(l) {
            rope(cpu, dqkv, qkv, spec.heads + spec.kv_heads, &self.rope, 0, batch.seq, Turn::Back);
        }
        if spec.qk_norm {
            let width = q + spec.kv_dim();
            let (r_q, r_k) = k.r_heads.split_at(self.sizes.n * spec.heads);
            for (first, heads, range, r) in [(0, spec.heads, &w.q_norm, r_q), (q, spec.kv_heads, &w.k_norm, r_k)] {
                let columns = Heads { stride: qkv, first, heads };
                let (dgain, gain) = (&mut grad[range.clone()], &params[range.clone()]);
                let raw = (&k.raw_qk[..], width, first);
                head_norm_backward(cpu, dqkv, columns, dgain, raw, r, gain, &mut s.partial, accumulate);
            }
        }
        if !w.qkv_bias.is_empty() {
            bias_backward(cpu, &mut grad[w.qkv_bias.clone()], dqkv, qkv, &mut s.partial, accumulate);
        }
        let (x, r, gain) = (&self.residual[stream][..n * d], &k.r_attn[..n], &params[w.attn_norm.clone()]);
        rmsnorm_again(cpu, &mut s.norm[..n * d], x, r, gain);
        let dqkv = MatRef::new(dqkv, n, qkv);
        cpu.gemm(&mut grad[w.qkv.clone()], d, dqkv.t(), MatRef::new(&s.norm, n, d), accumulate); // [qkv, n] x [n, d]
        let weights = MatRef::new(&params[w.qkv.clone()], qkv, d);
        cpu.gemm(&mut s.branch[..n * d], d, dqkv, weights, false); // [n, qkv] x [qkv, d]
        let (dx, dgain) = (&mut s.dx[..n * d], &mut grad[w.attn_norm.clone()]);
        rmsnorm_backward(cpu, dx, dgain, &s.branch[..n * d], x, r, gain, &mut s.partial, accumulate);
    }
}

/// The gradient of a branch's output: that of the stream, times the residual scale.
fn branch_gradient<'s>(cpu: &kernels::Cpu, dx: &'s [f32], scratch: &'s mut [f32], a: f32) -> &'s [f32] {
    if a == 1.0 {
        return dx;
    }
    scaled(cpu, scratch, dx, a);
    scratch
}
