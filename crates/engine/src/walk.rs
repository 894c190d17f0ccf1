//! [`Walk`]: buffers of one model and batch shape, and what can be asked of them.

use kernels::Cpu;
use model::{AdapterSpec, Layout, ModelSpec};

use crate::adapted::AdapterPlan;
use crate::blocks::{Blocks, Context, OnCpu};
use crate::gradient::Gradient;
use crate::params::Params;
use crate::probe::Probing;
use crate::weights::{Ranges, rope_table};
use crate::{Batch, EngineError, LossSum, Objective, Sizes};

/// Largest batch that an engine takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Windows.
    pub rows: usize,
    /// Tokens a window.
    pub seq: usize,
}

/// What an engine must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether gradients will be asked for.
    pub gradient: bool,
    /// Keep only the input of each block and compute the block again in the backward pass.
    pub recompute: bool,
}

impl Options {
    /// Losses and logits only.
    pub const INFERENCE: Options = Options { gradient: false, recompute: false };
    /// Training, with every activation kept.
    pub const TRAINING: Options = Options { gradient: true, recompute: false };
}

/// Activations of one block. Legend: n tokens.
pub(crate) struct Kept {
    /// `[n]`
    pub r_attn: Vec<f32>,
    /// `[n, q + 2 kv]`, rotated
    pub qkv: Vec<f32>,
    /// `[n, q + kv]` before the head norms
    pub raw_qk: Vec<f32>,
    /// `[n, h + kv heads]`
    pub r_heads: Vec<f32>,
    /// `[n, q]`
    pub mixed: Vec<f32>,
    /// `[n, h]`
    pub lse: Vec<f32>,
    /// `[n, d]`: the residual stream between attention and feed-forward
    pub middle: Vec<f32>,
    /// `[n]`
    pub r_ffn: Vec<f32>,
    /// `[n, 2 ff]`
    pub gate_up: Vec<f32>,
}

impl Kept {
    fn new(s: &Sizes) -> Kept {
        let zeros = |n| vec![0.0; n];
        let (norms, heads) = s.norm_lens();
        Kept {
            r_attn: zeros(norms),
            qkv: zeros(s.qkv),
            raw_qk: zeros(s.raw_qk),
            r_heads: zeros(heads),
            mixed: zeros(s.mixed),
            lse: zeros(s.head_lens()),
            middle: zeros(s.residual),
            r_ffn: zeros(norms),
            gate_up: zeros(s.gate_up),
        }
    }
}

/// Buffers that no block owns.
pub(crate) struct Scratch {
    /// `[n, d]`: output of a norm
    pub norm: Vec<f32>,
    /// `[n, d]`: output of a branch, or the gradient of a norm's output
    pub branch: Vec<f32>,
    /// `[n, d]`: gradient of the residual stream
    pub dx: Vec<f32>,
    /// `[n, max(ff, q + 2 kv)]`
    pub wide: Vec<f32>,
    /// `[n, max(ff, q + 2 kv)]`
    pub wide2: Vec<f32>,
    pub partial: Vec<f32>,
    pub logits: Vec<f32>,
    /// `[n]`
    pub r_final: Vec<f32>,
    /// `[max(d, head_dim)]`: gradients of frozen gains, which nobody reads
    pub dgain: Vec<f32>,
    /// `[n]`
    pub losses: Vec<f32>,
    /// Whether the target of each token is the most likely one `[n]`; not known after a backward pass.
    pub hits: Vec<bool>,
}

impl Scratch {
    fn new(s: &Sizes) -> Scratch {
        let zeros = |n| vec![0.0; n];
        Scratch {
            norm: zeros(s.row),
            branch: zeros(s.row),
            dx: zeros(if s.partial > 0 { s.row } else { 0 }),
            wide: zeros(s.wide),
            wide2: zeros(if s.partial > 0 { s.wide } else { 0 }),
            partial: zeros(s.partial),
            logits: zeros(s.logits),
            r_final: zeros(s.n),
            dgain: zeros(s.gain),
            losses: zeros(s.n),
            hits: vec![false; s.n],
        }
    }
}

/// Buffers of the walk.
pub(crate) struct Buffers {
    /// Input of each block and the output of the last; two that take turns when no gradient is wanted.
    pub residual: Vec<Vec<f32>>,
    pub kept: Vec<Kept>,
    pub scratch: Scratch,
}

impl Buffers {
    pub fn new(sizes: &Sizes) -> Buffers {
        Buffers {
            residual: (0..sizes.residuals()).map(|_| vec![0.0; sizes.residual]).collect(),
            kept: (0..sizes.kept).map(|_| Kept::new(sizes)).collect(),
            scratch: Scratch::new(sizes),
        }
    }
}

impl Buffers {
    /// Gives block `l` the one buffer for gate and up, which lies with block 0 otherwise, or takes it back.
    pub fn lend_gates(&mut self, at: &Context<'_>, l: usize) {
        if at.gates_again() && l > 0 {
            let (first, rest) = self.kept.split_at_mut(1);
            std::mem::swap(&mut first[0].gate_up, &mut rest[l - 1].gate_up);
        }
    }
}

impl Context<'_> {
    /// Index of the residual stream that block `l` reads.
    pub(crate) fn stream(&self, l: usize) -> usize {
        if self.options.gradient { l } else { l % 2 }
    }

    /// Whether gate and up of a block are computed again in its backward pass.
    pub(crate) fn gates_again(&self) -> bool {
        self.sizes.gates < self.sizes.kept
    }

    /// Index of the kept activations of block `l`.
    pub(crate) fn kept_of(&self, l: usize) -> usize {
        if self.sizes.kept > 1 { l } else { 0 }
    }
}

/// A transformer, f32, for batches of up to a given shape, whose blocks run where `B` says.
pub struct Walk<'a, B> {
    pub(crate) at: Context<'a>,
    pub(crate) buffers: Buffers,
    /// Made when it is first needed.
    pub(crate) probing: Option<Box<Probing>>,
    /// What [`Walk::score`] and the losses beside the weights are.
    pub(crate) objective: Objective,
    pub(crate) blocks: B,
}

/// Every block on the CPU.
pub type CpuEngine<'a> = Walk<'a, OnCpu>;

impl<'a> CpuEngine<'a> {
    /// Allocates the buffers for batches of up to `shape`; `spec` must be valid.
    pub fn new(cpu: &'a Cpu, spec: &ModelSpec, shape: Shape, options: Options) -> CpuEngine<'a> {
        Walk::with_blocks(cpu, spec, shape, options, OnCpu)
    }
}

impl<'a, B: Blocks> Walk<'a, B> {
    /// As [`CpuEngine::new`], with blocks that run elsewhere.
    pub fn with_blocks(cpu: &'a Cpu, spec: &ModelSpec, shape: Shape, options: Options, blocks: B) -> Walk<'a, B> {
        let layout = Layout::of(spec);
        let sizes = Sizes::of(spec, shape, options, cpu.pool().threads());
        cpu.reserve_scratch(kernels::attention::attention_scratch(shape.seq, spec.head_dim, 1));
        let buffers = Buffers::new(&sizes);
        let (ranges, rope) = (Ranges::of(spec, &layout), rope_table(spec, shape.seq));
        let at = Context { cpu, spec: spec.clone(), layout, shape, options, sizes, adapter: None, ranges, rope };
        Walk { at, buffers, blocks, probing: None, objective: Objective::Loss }
    }

    /// The same walk with low-rank adapters: the weights of the model are frozen, gradients are those of the adapters.
    pub fn adapted(mut self, adapter: &AdapterSpec) -> Walk<'a, B> {
        self.at.adapter = Some(AdapterPlan::new(&self.at.spec, adapter, self.at.sizes.n));
        self
    }

    /// The same walk with gate and up, half of what a block keeps for its backward pass, computed again there.
    pub fn sparing(mut self) -> Walk<'a, B> {
        if self.at.sizes.kept > 1 {
            self.at.sizes = self.at.sizes.sparing();
            self.buffers.kept.iter_mut().skip(1).for_each(|k| k.gate_up = Vec::new());
        }
        self
    }

    /// Where the blocks run.
    pub fn blocks(&self) -> &B {
        &self.blocks
    }

    /// Where the blocks run.
    pub fn blocks_mut(&mut self) -> &mut B {
        &mut self.blocks
    }

    /// What every block may read, and where the blocks run.
    pub fn split(&mut self) -> (&Context<'a>, &mut B) {
        (&self.at, &mut self.blocks)
    }

    /// What every block may read.
    pub fn context(&self) -> &Context<'a> {
        &self.at
    }

    /// The model.
    pub fn spec(&self) -> &ModelSpec {
        &self.at.spec
    }

    /// Order of the weights of the model.
    pub fn layout(&self) -> &Layout {
        &self.at.layout
    }

    /// Order of the weights that gradients are given for: the model's, or its adapter's.
    pub fn trained(&self) -> &Layout {
        self.at.trained()
    }

    /// Loss of a batch.
    ///
    /// # Errors
    /// When the batch does not fit the buffers or the vocabulary.
    pub fn loss<'p>(&mut self, params: impl Into<Params<'p>>, batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        self.count(params.into(), batch, Objective::Loss)
    }

    /// As [`Walk::loss`], of what [`Walk::set_objective`] said; token losses are then what each token counts.
    ///
    /// # Errors
    /// As [`Walk::loss`].
    pub fn score<'p>(&mut self, params: impl Into<Params<'p>>, batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        self.count(params.into(), batch, self.objective)
    }

    fn count(&mut self, params: Params<'_>, batch: &Batch<'_>, objective: Objective) -> Result<LossSum, EngineError> {
        self.at.check(params, batch)?;
        self.buffers.forward(&mut self.blocks, &self.at, params, batch, &mut || false);
        Ok(self.buffers.classify(&mut self.blocks, &self.at, params, batch, objective))
    }

    /// What [`Walk::score`] and the losses beside the weights are from now on.
    pub fn set_objective(&mut self, objective: Objective) {
        self.objective = objective;
    }

    /// As [`Walk::loss`], every block on the CPU whatever the walk's own are.
    ///
    /// # Errors
    /// As [`Walk::loss`].
    pub fn loss_on_cpu<'p>(&mut self, params: impl Into<Params<'p>>, batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        let params = params.into();
        self.at.check(params, batch)?;
        self.buffers.forward(&mut OnCpu, &self.at, params, batch, &mut || false);
        Ok(self.buffers.classify(&mut OnCpu, &self.at, params, batch, Objective::Loss))
    }

    /// Loss of a batch, and the gradient of its *sum* into `grad` (added to it when `accumulate`).
    ///
    /// # Errors
    /// When the batch does not fit the buffers or the vocabulary, or the engine was opened without gradients.
    pub fn loss_and_grad<'p>(
        &mut self,
        params: impl Into<Params<'p>>,
        batch: &Batch<'_>,
        grad: &mut [f32],
        accumulate: bool,
    ) -> Result<LossSum, EngineError> {
        // what never asks to stop always has a loss
        self.loss_and_grad_unless(params, batch, grad, accumulate, &mut || false).map(Option::unwrap_or_default)
    }

    /// As [`Walk::loss_and_grad`], asking `stop` before each block, forward and backward: none when it said yes. What
    /// is then in `grad` means nothing.
    ///
    /// # Errors
    /// As [`Walk::loss_and_grad`].
    pub fn loss_and_grad_unless<'p>(
        &mut self,
        params: impl Into<Params<'p>>,
        batch: &Batch<'_>,
        grad: &mut [f32],
        accumulate: bool,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<LossSum>, EngineError> {
        let (at, blocks, params) = (&self.at, &mut self.blocks, params.into());
        at.check(params, batch)?;
        let trained = at.trained().len();
        if grad.len() != trained || !at.options.gradient {
            let expected = if at.options.gradient { trained } else { 0 };
            return Err(EngineError::Length { what: "gradient", found: grad.len(), expected });
        }
        if !self.buffers.forward(blocks, at, params, batch, stop) || stop() {
            return Ok(None);
        }
        let mut to = Gradient { grad, accumulate };
        let loss = self.buffers.classify_backward(blocks, at, params, batch, &mut to);
        Ok(self.buffers.backward(blocks, at, params, batch, &mut to, stop).then_some(loss))
    }

    /// Logits of one window: `[tokens, vocab]`.
    ///
    /// # Errors
    /// When the window does not fit the buffers or the vocabulary.
    pub fn logits<'p>(&mut self, params: impl Into<Params<'p>>, tokens: &[u32]) -> Result<Vec<f32>, EngineError> {
        let batch = Batch { rows: 1, seq: tokens.len(), inputs: tokens, targets: tokens, starts: None };
        let params = params.into();
        self.at.check(params, &batch)?;
        self.buffers.forward(&mut self.blocks, &self.at, params, &batch, &mut || false);
        let (d, v) = (self.at.spec.dim, self.at.spec.vocab);
        let mut logits = vec![0.0; tokens.len() * v];
        self.blocks.classify(&self.at, params, &self.buffers.scratch.norm[..tokens.len() * d], &mut logits);
        Ok(logits)
    }

    /// The normed output of the last block for the last batch, `[tokens, dim]`: what the classifier reads. Only after
    /// [`Walk::loss`] and [`Walk::logits`].
    pub fn hidden(&self) -> &[f32] {
        &self.buffers.scratch.norm
    }

    /// Whether the target of each token of the last batch is the most likely one; false where there was none. Only after
    /// [`Walk::loss`], [`Walk::score`] and the losses beside the weights.
    pub fn token_hits(&self) -> &[bool] {
        &self.buffers.scratch.hits
    }

    /// Cross-entropy of each token of the last batch, 0 where there was no target.
    pub fn token_losses(&self) -> &[f32] {
        &self.buffers.scratch.losses
    }
}
