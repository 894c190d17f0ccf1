//! The seam between the walk and what computes: the parts of a block, each with the CPU as its default body. What runs
//! elsewhere overrides the parts that it takes, and may call the defaults for what it cannot do.
//!
//! Activations are row-major, a row a token. No part touches the residual stream or the gradient of a weight: the walk adds
//! branches up and forms every weight gradient itself, in f32.
//! Legend: n tokens, d dim, q and kv widths of query and key heads, ff hidden, v vocabulary.

use kernels::Cpu;
use kernels::attention::{Attention, attention, attention_backward};
use kernels::cross_entropy::{cross_entropy, cross_entropy_backward};
use kernels::embedding::add_bias;
use kernels::gemm::MatRef;
use kernels::head_norm::{Heads, head_norm};
use kernels::rmsnorm::{rmsnorm, rmsnorm_backward};
use kernels::rope::{RopeTable, Turn, rope};
use kernels::swiglu::{swiglu, swiglu_backward};
use model::{Layout, ModelSpec};
use std::ops::Range;

use crate::adapted::{self, AdapterPlan};
use crate::params::{Params, Place};
use crate::weights::{BlockRanges, Ranges};
use crate::{Batch, Options, Shape, Sizes};

mod io;

pub use io::{AttentionBackward, AttentionForward, FfnBackward, FfnForward, NormBackward};

/// What every part may read: the model, the processor, where weights lie.
pub struct Context<'a> {
    /// Threads and vector units.
    pub cpu: &'a Cpu,
    /// The model.
    pub spec: ModelSpec,
    /// Order of the weights.
    pub layout: Layout,
    /// Largest batch.
    pub shape: Shape,
    /// What is asked for.
    pub options: Options,
    /// Lengths of the buffers.
    pub sizes: Sizes,
    /// Low-rank adapters beside the weights, which are then frozen.
    pub adapter: Option<AdapterPlan>,
    pub(crate) ranges: Ranges,
    pub(crate) rope: RopeTable,
}

/// A matrix of a block that tokens are multiplied with; neighbours in the layout are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Projection {
    /// Q, K and V: `[q + 2 kv, d]`.
    Qkv,
    /// Attention output: `[d, q]`.
    O,
    /// Gate and up: `[2 ff, d]`.
    GateUp,
    /// Down: `[d, ff]`.
    Down,
}

impl Projection {
    /// `(rows, columns)` of the matrix: outputs and inputs of the product.
    pub fn shape(self, spec: &ModelSpec) -> (usize, usize) {
        match self {
            Projection::Qkv => (spec.qkv_dim(), spec.dim),
            Projection::O => (spec.dim, spec.q_dim()),
            Projection::GateUp => (2 * spec.hidden, spec.dim),
            Projection::Down => (spec.dim, spec.hidden),
        }
    }

    pub(crate) fn range(self, w: &BlockRanges) -> Range<usize> {
        match self {
            Projection::Qkv => w.qkv.clone(),
            Projection::O => w.o.clone(),
            Projection::GateUp => w.gate_up.clone(),
            Projection::Down => w.down.clone(),
        }
    }
}

/// Which RMSNorm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormAt {
    /// Before the attention of a block.
    Attention(usize),
    /// Before the feed-forward part of a block.
    Ffn(usize),
    /// Before the classifier.
    Final,
    /// Of the query heads of a block.
    Queries(usize),
    /// Of its key heads.
    Keys(usize),
}

/// The parts of the walk that may run elsewhere than on the CPU. Every default body is the CPU's.
pub trait Blocks {
    /// `y = x W^T`.  `x` `[n, in]`, `y` `[n, out]`.
    fn project(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, which: Projection, x: &[f32], y: &mut [f32]) {
        project_on_cpu(at, params, l, which, x, y);
    }

    /// `dx = dy W`.  `dy` `[n, out]`, `dx` `[n, in]`.
    fn project_back(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, which: Projection, dy: &[f32], dx: &mut [f32]) {
        project_back_on_cpu(at, params, l, which, dy, dx);
    }

    /// Norm, projections, rotation, attention, output projection.
    fn attention(&mut self, at: &Context<'_>, params: Params<'_>, batch: &Batch<'_>, l: usize, io: AttentionForward<'_>) {
        attention_on_cpu(self, at, params, batch, l, io);
    }

    /// Back through output projection, attention and rotation.
    fn attention_back(&mut self, at: &Context<'_>, params: Params<'_>, batch: &Batch<'_>, l: usize, io: AttentionBackward<'_>) {
        attention_back_on_cpu(self, at, params, batch, l, io);
    }

    /// Gate, up, their product, down.
    fn ffn(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, io: FfnForward<'_>) {
        ffn_on_cpu(self, at, params, l, io);
    }

    /// Back through down, the product, gate and up.
    fn ffn_back(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, io: FfnBackward<'_>) {
        ffn_back_on_cpu(self, at, params, l, io);
    }

    /// Back through an RMSNorm.
    fn norm_back(&mut self, at: &Context<'_>, params: Params<'_>, which: NormAt, io: NormBackward<'_>) {
        norm_back_on_cpu(at, params, which, io);
    }

    /// The norm before the classifier, again from the stream `x` `[n, d]`: only where it is not the CPU's, whose result
    /// `norm` `[n, d]` holds already.
    fn final_norm(&mut self, _at: &Context<'_>, _params: Params<'_>, _x: &[f32], _norm: &mut [f32]) {}

    /// Logits of some tokens.  `x` `[m, d]`, `logits` `[m, v]`.
    fn classify(&mut self, at: &Context<'_>, params: Params<'_>, x: &[f32], logits: &mut [f32]) {
        classify_on_cpu(at, params, x, logits);
    }

    /// Losses `[m]`; where `gradient`, `logits` `[m, v]` become their gradient.
    fn cross_entropy(&mut self, at: &Context<'_>, losses: &mut [f32], logits: &mut [f32], targets: &[u32], gradient: bool) {
        cross_entropy_on_cpu(at, losses, logits, targets, gradient);
    }
}

/// Every part on the CPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnCpu;

impl Blocks for OnCpu {}

/// Default body of [`Blocks::project`].
pub fn project_on_cpu(at: &Context<'_>, params: Params<'_>, l: usize, which: Projection, x: &[f32], y: &mut [f32]) {
    let (_, inner) = which.shape(&at.spec);
    let x_rows = MatRef::new(x, x.len() / inner, inner);
    params.base.product(at.cpu, which.range(&at.ranges.blocks[l]), inner, (x_rows, false), y); // [n, in] x [in, out]
    at.add_adapter(params, l, which, x, y);
}

/// Default body of [`Blocks::project_back`].
pub fn project_back_on_cpu(at: &Context<'_>, params: Params<'_>, l: usize, which: Projection, dy: &[f32], dx: &mut [f32]) {
    let (out, inner) = which.shape(&at.spec);
    at.through_gains(l, which, dy, |dy| {
        let rows = MatRef::new(dy, dy.len() / out, out);
        params.base.product(at.cpu, which.range(&at.ranges.blocks[l]), inner, (rows, true), dx); // [n, out] x [out, in]
        at.add_adapter_back(params, l, which, dy, dx);
    });
}

/// Default body of [`Blocks::attention`].
pub fn attention_on_cpu<B: Blocks + ?Sized>(
    blocks: &mut B,
    at: &Context<'_>,
    params: Params<'_>,
    batch: &Batch<'_>,
    l: usize,
    io: AttentionForward<'_>,
) {
    let (cpu, spec, w) = (at.cpu, &at.spec, &at.ranges.blocks[l]);
    rmsnorm(cpu, io.norm, io.r, io.x, at.gain(params, NormAt::Attention(l)), spec.norm_eps);
    blocks.project(at, params, l, Projection::Qkv, io.norm, io.qkv);
    if !w.qkv_bias.is_empty() {
        add_bias(cpu, io.qkv, params.base.vector(w.qkv_bias.clone()), spec.qkv_dim());
    }
    if spec.qk_norm {
        norm_heads(at, params, l, io.qkv, io.raw_qk, io.r_heads);
    }
    if spec.rotates(l) {
        at.rotate(io.qkv, batch.seq, Turn::Forward);
    }
    attention(cpu, &attention_of(spec, batch, l), io.mixed, io.lse, io.qkv);
    blocks.project(at, params, l, Projection::O, io.mixed, io.out);
    if !w.o_bias.is_empty() {
        add_bias(cpu, io.out, params.base.vector(w.o_bias.clone()), spec.dim);
    }
}

/// RMSNorm of every query and key head of `qkv` `[n, q + 2 kv]` in place; `raw` keeps what they were.
fn norm_heads(at: &Context<'_>, params: Params<'_>, l: usize, qkv: &mut [f32], raw: &mut [f32], r: (&mut [f32], &mut [f32])) {
    let spec = &at.spec;
    let (q, stride) = (spec.q_dim(), spec.qkv_dim());
    let width = q + spec.kv_dim();
    for (raw, row) in raw.chunks_exact_mut(width).zip(qkv.chunks_exact(stride)) {
        raw.copy_from_slice(&row[..width]);
    }
    let (queries, keys) = (Heads { stride, first: 0, heads: spec.heads }, Heads { stride, first: q, heads: spec.kv_heads });
    head_norm(at.cpu, qkv, queries, r.0, at.gain(params, NormAt::Queries(l)), spec.norm_eps);
    head_norm(at.cpu, qkv, keys, r.1, at.gain(params, NormAt::Keys(l)), spec.norm_eps);
}

/// Default body of [`Blocks::attention_back`].
pub fn attention_back_on_cpu<B: Blocks + ?Sized>(
    blocks: &mut B,
    at: &Context<'_>,
    params: Params<'_>,
    batch: &Batch<'_>,
    l: usize,
    io: AttentionBackward<'_>,
) {
    let spec = &at.spec;
    blocks.project_back(at, params, l, Projection::O, io.dout, io.dmixed);
    attention_backward(at.cpu, &attention_of(spec, batch, l), io.dqkv, io.dmixed, io.mixed, io.lse, io.qkv);
    if spec.rotates(l) {
        at.rotate(io.dqkv, batch.seq, Turn::Back);
    }
}

/// Default body of [`Blocks::ffn`].
pub fn ffn_on_cpu<B: Blocks + ?Sized>(blocks: &mut B, at: &Context<'_>, params: Params<'_>, l: usize, io: FfnForward<'_>) {
    blocks.project(at, params, l, Projection::GateUp, io.norm, io.gate_up);
    if let Some(out) = io.out {
        swiglu(at.cpu, io.act, io.gate_up, at.spec.hidden);
        blocks.project(at, params, l, Projection::Down, io.act, out);
    }
}

/// Default body of [`Blocks::ffn_back`].
pub fn ffn_back_on_cpu<B: Blocks + ?Sized>(blocks: &mut B, at: &Context<'_>, params: Params<'_>, l: usize, io: FfnBackward<'_>) {
    blocks.project_back(at, params, l, Projection::Down, io.dout, io.dact);
    swiglu_backward(at.cpu, io.gate_up, io.dact, at.spec.hidden);
    blocks.project_back(at, params, l, Projection::GateUp, io.gate_up, io.dnorm);
}

/// Default body of [`Blocks::norm_back`].
pub fn norm_back_on_cpu(at: &Context<'_>, params: Params<'_>, which: NormAt, io: NormBackward<'_>) {
    let gain = at.gain(params, which);
    rmsnorm_backward(at.cpu, io.dx, io.dgain, io.dnorm, io.x, io.r, gain, io.partial, io.accumulate);
}

/// Default body of [`Blocks::classify`].
pub fn classify_on_cpu(at: &Context<'_>, params: Params<'_>, x: &[f32], logits: &mut [f32]) {
    let d = at.spec.dim;
    let x = MatRef::new(x, x.len() / d, d);
    params.base.product(at.cpu, at.ranges.classifier.clone(), d, (x, false), logits); // [m, d] x [d, v]
}

/// Default body of [`Blocks::cross_entropy`].
pub fn cross_entropy_on_cpu(at: &Context<'_>, losses: &mut [f32], logits: &mut [f32], targets: &[u32], gradient: bool) {
    if gradient {
        cross_entropy_backward(at.cpu, losses, logits, targets, at.spec.vocab);
    } else {
        cross_entropy(at.cpu, losses, logits, targets, at.spec.vocab);
    }
}

impl Context<'_> {
    /// Rotates queries and keys of whole windows of `seq` tokens, `[n, q + 2 kv]`, or turns them back.
    pub fn rotate(&self, qkv: &mut [f32], seq: usize, turn: Turn) {
        let heads = self.spec.heads + self.spec.kv_heads;
        rope(self.cpu, qkv, self.spec.qkv_dim(), heads, &self.rope, 0, seq, turn);
    }

    /// Whether a projection has adapters: then its product is not all there is to it.
    pub fn has_adapter(&self, l: usize, which: Projection) -> bool {
        self.adapter.as_ref().is_some_and(|plan| plan.adapts(l, which))
    }

    /// What the adapters of a projection add to its product `y` `[n, out]` with `x` `[n, in]`.
    pub fn add_adapter(&self, params: Params<'_>, l: usize, which: Projection, x: &[f32], y: &mut [f32]) {
        if let Some(plan) = self.adapter.as_ref().filter(|_| !x.is_empty()) {
            plan.add(self.cpu, params.adapter, (l, which), x, y, which.shape(&self.spec).0);
        }
    }

    /// Calls `f` with the gradient `dy` `[n, out]` of a projection, before what an adapter does to whole rows of its matrix.
    fn through_gains(&self, l: usize, which: Projection, dy: &[f32], f: impl FnOnce(&[f32])) {
        match &self.adapter {
            Some(plan) => plan.through_gains((l, which), dy, which.shape(&self.spec).0, f),
            None => f(dy),
        }
    }

    /// What they add to the gradient `dx` `[n, in]` of its input.
    pub fn add_adapter_back(&self, params: Params<'_>, l: usize, which: Projection, dy: &[f32], dx: &mut [f32]) {
        if let Some(plan) = self.adapter.as_ref().filter(|_| !dy.is_empty()) {
            plan.add_back(self.cpu, params.adapter, (l, which), dy, which.shape(&self.spec).0, dx);
        }
    }

    /// The gain of a norm.
    pub fn gain<'p>(&self, params: Params<'p>, which: NormAt) -> &'p [f32] {
        params.at(&adapted::place(self.adapter.as_ref(), which, self.gain_of_model(which)))
    }

    /// Where the gradient of a gain goes; none where it is frozen.
    pub(crate) fn gain_gradient(&self, which: NormAt) -> Option<Range<usize>> {
        match adapted::place(self.adapter.as_ref(), which, self.gain_of_model(which)) {
            Place::Adapter(range) => Some(range),
            Place::Base(range) => self.adapter.is_none().then_some(range),
        }
    }

    fn gain_of_model(&self, which: NormAt) -> Range<usize> {
        match which {
            NormAt::Attention(l) => self.ranges.blocks[l].attn_norm.clone(),
            NormAt::Ffn(l) => self.ranges.blocks[l].ffn_norm.clone(),
            NormAt::Final => self.ranges.final_norm.clone(),
            NormAt::Queries(l) => self.ranges.blocks[l].q_norm.clone(),
            NormAt::Keys(l) => self.ranges.blocks[l].k_norm.clone(),
        }
    }
}

/// The attention of block `l` over `batch`.
pub fn attention_of<'b>(spec: &ModelSpec, batch: &Batch<'b>, l: usize) -> Attention<'b> {
    Attention {
        t: batch.seq,
        heads: spec.heads,
        kv_heads: spec.kv_heads,
        head_dim: spec.head_dim,
        window: spec.window_of(l),
        starts: batch.starts,
    }
}
