//! The backward walk: blocks in reverse, each from its output gradient to its input gradient, then the embedding.
//! `scratch.dx` is the gradient of the residual stream; it is added to in place, since both branches leave it as it is.
//! Legend: n tokens, d dim, q and kv widths of query and key heads, ff hidden.

use kernels::embedding::{bias_backward, embed_backward, scaled};
use kernels::head_norm::{Heads, head_norm_backward};
use kernels::rmsnorm::rmsnorm_again;
use kernels::swiglu::swiglu;

use crate::Batch;
use crate::blocks::{AttentionBackward, Blocks, Context, FfnBackward, NormAt, NormBackward, Projection};
use crate::gradient::Gradient;
use crate::params::Params;
use crate::walk::Buffers;

impl Buffers {
    /// From `scratch.dx`, the gradient of the last block's output, to the gradient of every weight. Asks `stop` before each
    /// block; false when it said yes.
    pub fn backward<B: Blocks>(
        &mut self,
        blocks: &mut B,
        at: &Context<'_>,
        params: Params<'_>,
        batch: &Batch<'_>,
        to: &mut Gradient<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> bool {
        let (n, d) = (batch.len(), at.spec.dim);
        for l in (0..at.spec.layers).rev() {
            if stop() {
                return false;
            }
            if at.options.recompute {
                self.attention_forward(blocks, at, params, batch, l);
                self.ffn_forward(blocks, at, params, n, l, false);
            }
            self.lend_gates(at, l);
            if at.gates_again() {
                self.gates_forward(blocks, at, params, n, l);
            }
            self.ffn_backward(blocks, at, params, n, l, to);
            self.lend_gates(at, l);
            self.attention_backward(blocks, at, params, batch, l, to);
            self.projections_backward(blocks, at, params, n, l, to);
        }
        if at.adapter.is_some() {
            return true;
        }
        let embed = &mut to.grad[at.ranges.embed.clone()];
        if !at.spec.tied && !to.accumulate {
            embed.fill(0.0);
        }
        embed_backward(at.cpu, embed, &self.scratch.dx[..n * d], batch.inputs, d);
        true
    }

    /// Gate and up again, from the stream between attention and feed-forward part.
    fn gates_forward<B: Blocks>(&mut self, blocks: &mut B, at: &Context<'_>, params: Params<'_>, n: usize, l: usize) {
        let (k, d) = (&self.kept[at.kept_of(l)], at.spec.dim);
        let norm = &mut self.scratch.norm[..n * d];
        rmsnorm_again(at.cpu, norm, &k.middle[..n * d], &k.r_ffn[..n], at.gain(params, NormAt::Ffn(l)));
        self.ffn_forward(blocks, at, params, n, l, false);
    }

    /// `dx` becomes the gradient of the stream between attention and feed-forward part.
    fn ffn_backward<B: Blocks>(
        &mut self,
        blocks: &mut B,
        at: &Context<'_>,
        params: Params<'_>,
        n: usize,
        l: usize,
        to: &mut Gradient<'_>,
    ) {
        let (cpu, spec, d, ff) = (at.cpu, &at.spec, at.spec.dim, at.spec.hidden);
        let (k, s) = (&mut self.kept[at.kept_of(l)], &mut self.scratch);
        let gate_up = &mut k.gate_up[..n * 2 * ff];
        swiglu(cpu, &mut s.wide[..n * ff], gate_up, ff);
        let dout = branch_gradient(cpu, &s.dx[..n * d], &mut s.branch[..n * d], spec.residual_scale);
        to.weight(at, params, (l, Projection::Down), dout, &s.wide[..n * ff]);
        // the norm is computed again below, into the buffer that the gradient of the branch leaves
        let (dact, dnorm) = (&mut s.wide2[..n * ff], &mut s.norm[..n * d]);
        blocks.ffn_back(at, params, l, FfnBackward { dout, gate_up, dact, dnorm });
        let (middle, r) = (&k.middle[..n * d], &k.r_ffn[..n]);
        rmsnorm_again(cpu, &mut s.branch[..n * d], middle, r, at.gain(params, NormAt::Ffn(l)));
        to.weight(at, params, (l, Projection::GateUp), &k.gate_up[..n * 2 * ff], &s.branch[..n * d]);
        let accumulate = to.accumulate;
        let io = NormBackward {
            dx: &mut s.dx[..n * d],
            dgain: to.gain(at, NormAt::Ffn(l), &mut s.dgain),
            dnorm: &s.norm[..n * d],
            x: middle,
            r,
            partial: &mut s.partial,
            accumulate,
        };
        blocks.norm_back(at, params, NormAt::Ffn(l), io);
    }

    /// The gradient of queries, keys and values before their rotation, into `scratch.wide`.
    fn attention_backward<B: Blocks>(
        &mut self,
        blocks: &mut B,
        at: &Context<'_>,
        params: Params<'_>,
        batch: &Batch<'_>,
        l: usize,
        to: &mut Gradient<'_>,
    ) {
        let (cpu, spec, n) = (at.cpu, &at.spec, batch.len());
        let (d, q, qkv) = (spec.dim, spec.q_dim(), spec.qkv_dim());
        let (w, k, s) = (&at.ranges.blocks[l], &mut self.kept[at.kept_of(l)], &mut self.scratch);
        let dout = branch_gradient(cpu, &s.dx[..n * d], &mut s.branch[..n * d], spec.residual_scale);
        if !w.o_bias.is_empty() && at.adapter.is_none() {
            bias_backward(cpu, &mut to.grad[w.o_bias.clone()], dout, d, &mut s.partial, to.accumulate);
        }
        let mixed = &mut k.mixed[..n * q];
        to.weight(at, params, (l, Projection::O), dout, mixed);
        let io = AttentionBackward {
            dout,
            qkv: &k.qkv[..n * qkv],
            mixed,
            lse: &mut k.lse[..n * spec.heads],
            dmixed: &mut s.wide2[..n * q],
            dqkv: &mut s.wide[..n * qkv],
        };
        blocks.attention_back(at, params, batch, l, io);
    }

    /// From `scratch.wide` on: `dx` becomes the gradient of the block's input.
    fn projections_backward<B: Blocks>(
        &mut self,
        blocks: &mut B,
        at: &Context<'_>,
        params: Params<'_>,
        n: usize,
        l: usize,
        to: &mut Gradient<'_>,
    ) {
        let (cpu, spec) = (at.cpu, &at.spec);
        let (d, qkv) = (spec.dim, spec.qkv_dim());
        if spec.qk_norm {
            self.head_norms_backward(at, params, n, l, to);
        }
        let (w, k, s) = (&at.ranges.blocks[l], &self.kept[at.kept_of(l)], &mut self.scratch);
        let dqkv = &s.wide[..n * qkv];
        if !w.qkv_bias.is_empty() && at.adapter.is_none() {
            bias_backward(cpu, &mut to.grad[w.qkv_bias.clone()], dqkv, qkv, &mut s.partial, to.accumulate);
        }
        let (x, r) = (&self.residual[at.stream(l)][..n * d], &k.r_attn[..n]);
        rmsnorm_again(cpu, &mut s.norm[..n * d], x, r, at.gain(params, NormAt::Attention(l)));
        to.weight(at, params, (l, Projection::Qkv), dqkv, &s.norm[..n * d]);
        blocks.project_back(at, params, l, Projection::Qkv, dqkv, &mut s.branch[..n * d]);
        let accumulate = to.accumulate;
        let io = NormBackward {
            dx: &mut s.dx[..n * d],
            dgain: to.gain(at, NormAt::Attention(l), &mut s.dgain),
            dnorm: &s.branch[..n * d],
            x,
            r,
            partial: &mut s.partial,
            accumulate,
        };
        blocks.norm_back(at, params, NormAt::Attention(l), io);
    }

    /// Back through the norms of query and key heads, in place.
    fn head_norms_backward(&mut self, at: &Context<'_>, params: Params<'_>, n: usize, l: usize, to: &mut Gradient<'_>) {
        let spec = &at.spec;
        let (q, stride) = (spec.q_dim(), spec.qkv_dim());
        let (k, s) = (&self.kept[at.kept_of(l)], &mut self.scratch);
        let dqkv = &mut s.wide[..n * stride];
        let width = q + spec.kv_dim();
        let (r_q, r_k) = k.r_heads.split_at(at.sizes.n * spec.heads);
        let accumulate = to.accumulate;
        for (first, heads, which, r) in [(0, spec.heads, NormAt::Queries(l), r_q), (q, spec.kv_heads, NormAt::Keys(l), r_k)] {
            let columns = Heads { stride, first, heads };
            let (dgain, gain) = (to.gain(at, which, &mut s.dgain), at.gain(params, which));
            let raw = (&k.raw_qk[..], width, first);
            head_norm_backward(at.cpu, dqkv, columns, dgain, raw, r, gain, &mut s.partial, accumulate);
        }
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
