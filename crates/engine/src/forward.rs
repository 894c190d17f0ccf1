//! The forward walk: embedding, blocks, final norm.
//! Legend: n tokens, d dim, q and kv widths of query and key heads, ff hidden.

use kernels::embedding::add_to;
use kernels::rmsnorm::add_rmsnorm;

use crate::Batch;
use crate::blocks::{AttentionForward, Blocks, Context, FfnForward, NormAt};
use crate::params::Params;
use crate::walk::Buffers;

impl Buffers {
    /// Runs all blocks; the output of the final norm is left in `scratch.norm`. Asks `stop` before each block; false when it
    /// said yes.
    pub fn forward<B: Blocks>(
        &mut self,
        blocks: &mut B,
        at: &Context<'_>,
        params: Params<'_>,
        batch: &Batch<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> bool {
        let (n, d) = (batch.len(), at.spec.dim);
        params.base.gather(at.cpu, &mut self.residual[0][..n * d], at.ranges.embed.clone(), batch.inputs, d);
        for l in 0..at.spec.layers {
            if stop() {
                return false;
            }
            self.block_forward(blocks, at, params, batch, l);
        }
        let x = &self.residual[at.stream(at.spec.layers)][..n * d];
        blocks.final_norm(at, params, x, &mut self.scratch.norm[..n * d]);
        true
    }

    /// Block `l`, from one residual stream to the next.
    pub fn block_forward<B: Blocks>(
        &mut self,
        blocks: &mut B,
        at: &Context<'_>,
        params: Params<'_>,
        batch: &Batch<'_>,
        l: usize,
    ) {
        self.attention_forward(blocks, at, params, batch, l);
        self.lend_gates(at, l);
        self.ffn_forward(blocks, at, params, batch.len(), l, true);
        self.lend_gates(at, l);
        self.leave_block(at, params, batch.len(), l);
    }

    /// `middle = x + a attention(norm(x))`, and the norm before the feed-forward part.
    pub fn attention_forward<B: Blocks>(
        &mut self,
        blocks: &mut B,
        at: &Context<'_>,
        params: Params<'_>,
        batch: &Batch<'_>,
        l: usize,
    ) {
        let (spec, n) = (&at.spec, batch.len());
        let (d, q, qkv) = (spec.dim, spec.q_dim(), spec.qkv_dim());
        let (k, s) = (&mut self.kept[at.kept_of(l)], &mut self.scratch);
        let x = &self.residual[at.stream(l)][..n * d];
        let heads = if spec.qk_norm { (n * spec.heads, n * spec.kv_heads) } else { (0, 0) };
        let (r_q, r_k) = k.r_heads.split_at_mut(if spec.qk_norm { at.sizes.n * spec.heads } else { 0 });
        let io = AttentionForward {
            x,
            norm: &mut s.norm[..n * d],
            r: &mut k.r_attn[..n],
            qkv: &mut k.qkv[..n * qkv],
            raw_qk: &mut k.raw_qk,
            r_heads: (&mut r_q[..heads.0], &mut r_k[..heads.1]),
            mixed: &mut k.mixed[..n * q],
            lse: &mut k.lse[..n * spec.heads],
            out: &mut s.branch[..n * d],
        };
        blocks.attention(at, params, batch, l, io);
        let (middle, norm, r) = (&mut k.middle[..n * d], &mut s.norm[..n * d], &mut k.r_ffn[..n]);
        let gain = at.gain(params, NormAt::Ffn(l));
        add_rmsnorm(at.cpu, middle, norm, r, x, &s.branch[..n * d], spec.residual_scale, gain, spec.norm_eps);
    }

    /// The feed-forward part, from the norm that [`Self::attention_forward`] left; its branch is in `scratch.branch` where
    /// `out`.
    pub fn ffn_forward<B: Blocks>(
        &mut self,
        blocks: &mut B,
        at: &Context<'_>,
        params: Params<'_>,
        n: usize,
        l: usize,
        out: bool,
    ) {
        let (d, ff) = (at.spec.dim, at.spec.hidden);
        let (k, s) = (&mut self.kept[at.kept_of(l)], &mut self.scratch);
        let io = FfnForward {
            x: &k.middle[..n * d],
            norm: &s.norm[..n * d],
            gate_up: &mut k.gate_up[..n * 2 * ff],
            act: &mut s.wide[..n * ff],
            out: out.then_some(&mut s.branch[..n * d]),
        };
        blocks.ffn(at, params, l, io);
    }

    /// `x = middle + a branch` into the next residual stream, and after the last block the final norm.
    fn leave_block(&mut self, at: &Context<'_>, params: Params<'_>, n: usize, l: usize) {
        let (d, a) = (at.spec.dim, at.spec.residual_scale);
        let (k, s) = (&self.kept[at.kept_of(l)], &mut self.scratch);
        let gain = at.gain(params, NormAt::Final);
        let x = &mut self.residual[at.stream(l + 1)][..n * d];
        let (middle, branch, norm) = (&k.middle[..n * d], &s.branch[..n * d], &mut s.norm[..n * d]);
        if l + 1 == at.spec.layers {
            add_rmsnorm(at.cpu, x, norm, &mut s.r_final[..n], middle, branch, a, gain, at.spec.norm_eps);
        } else {
            add_to(at.cpu, x, middle, branch, a);
        }
    }
}
