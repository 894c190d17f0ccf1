//! Goodness: a loss of every adapted matrix by itself, and the gradient of its adapter from it, in forward passes alone (Hinton,
//! "The Forward-Forward Algorithm: Some Preliminary Investigations", arXiv 2212.13345).
//!
//! ```text
//! y = W x + s B A x        g_i = |y_i|^2 / (out c)                      the goodness of token i
//! loss = mean_i softplus(1 - g_i) over real text + mean_i softplus(g_i - 1) over corrupted text
//! dy_i = -sigmoid(1 - g_i) 2 y_i / (out c), or sigmoid(g_i - 1) 2 y_i / (out c), over the number of such tokens
//! ```
//!
//! From dy on, the gradient of A and B is that of backpropagation, with x as it came: nothing goes back to another matrix. The
//! unit `c` is the mean of `y^2 / out` of the frozen base alone, over real text once and for all: so the threshold of the paper is
//! 1 for every matrix of every model. A token of corrupted text counts where something at or before it is corrupted: before that, its text is real.
//! Legend: n tokens.

use kernels::Cpu;
use model::{AdapterForm, Layout};

use crate::adapted::AdapterPlan;
use crate::blocks::{AttentionForward, Blocks, Context, FfnForward, OnCpu, Projection, attention_on_cpu, ffn_on_cpu};
use crate::params::Params;
use crate::{Base, Batch, EngineError, LossSum, Walk};

/// What two forward passes found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Goodness {
    /// The loss of the model on the real text.
    pub loss: LossSum,
    /// Mean over the matrices of what their adapters make small; `2 ln 2` where real and corrupted text are as good as the unit.
    pub local: f64,
}

/// The blocks of a walk, whose adapted matrices are judged one by one.
struct Judging<'j, B> {
    inner: &'j mut B,
    task: Task<'j>,
    /// The gradient of a projection's output, `[n, out]`.
    dy: &'j mut Vec<f32>,
    /// `[n]`
    losses: Vec<f32>,
    /// Matrices seen so far.
    seen: usize,
}

enum Task<'j> {
    /// The units.
    Measure(&'j mut [f32]),
    /// The gradient, and the sum of losses over matrices.
    Learn { units: &'j [f32], real: bool, weights: &'j [f32], grad: &'j mut [f32], accumulate: bool, sum: &'j mut f64 },
}

impl<B: Blocks> Blocks for Judging<'_, B> {
    fn project(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, which: Projection, x: &[f32], y: &mut [f32]) {
        self.inner.project(at, params, l, which, x, y);
        if let Some(plan) = &at.adapter {
            self.judge(at.cpu, plan, params, (l, which), x, (y, which.shape(&at.spec).0));
        }
    }

    fn attention(&mut self, at: &Context<'_>, params: Params<'_>, batch: &Batch<'_>, l: usize, io: AttentionForward<'_>) {
        if at.has_adapter(l, Projection::Qkv) || at.has_adapter(l, Projection::O) {
            attention_on_cpu(self, at, params, batch, l, io);
        } else {
            self.inner.attention(at, params, batch, l, io);
        }
    }

    fn ffn(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, io: FfnForward<'_>) {
        if at.has_adapter(l, Projection::GateUp) || at.has_adapter(l, Projection::Down) {
            ffn_on_cpu(self, at, params, l, io);
        } else {
            self.inner.ffn(at, params, l, io);
        }
    }

    fn final_norm(&mut self, at: &Context<'_>, params: Params<'_>, x: &[f32], norm: &mut [f32]) {
        self.inner.final_norm(at, params, x, norm);
    }
}

impl<B> Judging<'_, B> {
    /// Looks at the output `y` `[n, width]` of a projection of `x`.
    fn judge(
        &mut self,
        cpu: &Cpu,
        plan: &AdapterPlan,
        params: Params<'_>,
        of: (usize, Projection),
        x: &[f32],
        (y, width): (&[f32], usize),
    ) {
        let n = y.len() / width;
        self.dy.resize(self.dy.len().max(y.len()), 0.0);
        let first = self.seen;
        for (columns, i) in plan.outputs(of.0, of.1).zip(first..) {
            self.seen = i + 1;
            let part = |row: &[f32]| row[columns.clone()].iter().map(|y| y * y).sum::<f32>() / columns.len() as f32;
            match &mut self.task {
                Task::Measure(units) => {
                    let sum: f64 = y.chunks_exact(width).map(|row| f64::from(part(row))).sum();
                    // a matrix of zeros has no unit
                    units[i] = if sum > 0.0 { (sum / n as f64) as f32 } else { 1.0 };
                }
                Task::Learn { units, real, weights, sum, .. } => {
                    let (unit, real, weights) = (units[i], *real, *weights);
                    let (dy, losses) = (&mut self.dy[..y.len()], &mut self.losses[..n]);
                    cpu.pool().chunks_mut2((dy, width), (losses, 1), |t, dy, loss| {
                        let row = &y[t * width..(t + 1) * width];
                        // how far on the wrong side of the threshold
                        let wrong = if real { 1.0 - part(row) / unit } else { part(row) / unit - 1.0 };
                        loss[0] = weights[t] * softplus(wrong);
                        let slope = weights[t] * sigmoid(wrong) * 2.0 / (columns.len() as f32 * unit);
                        let slope = if real { -slope } else { slope };
                        dy[columns.clone()].iter_mut().zip(&row[columns.clone()]).for_each(|(dy, y)| *dy = slope * y);
                    });
                    **sum += losses.iter().map(|loss| f64::from(*loss)).sum::<f64>();
                }
            }
        }
        if let Task::Learn { grad, accumulate, .. } = &mut self.task {
            plan.gradient(cpu, params.adapter, of, (&self.dy[..y.len()], width), x, (&mut **grad, *accumulate));
        }
    }
}

/// `ln(1 + e^x)`.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Of each token, its weight in the mean over those that something at or before them is corrupted for; all of them weigh
/// `total` together.
fn corrupted_weights(batch: &Batch<'_>, corrupted: &[u32], total: f32) -> Vec<f32> {
    let mut counts = vec![false; batch.len()];
    for i in 0..batch.len() {
        let (window, start) = (i / batch.seq * batch.seq, batch.starts.map_or(0, |starts| starts[i] as usize));
        let before = i > window + start && counts[i - 1];
        counts[i] = before || batch.inputs[i] != corrupted[i];
    }
    let counted = counts.iter().filter(|c| **c).count().max(1) as f32;
    counts.iter().map(|c| if *c { total / counted } else { 0.0 }).collect()
}

impl<B: Blocks> Walk<'_, B> {
    /// The unit of every adapted matrix, in the order of a pass: what the base alone makes of `batch`, on the CPU.
    ///
    /// # Errors
    /// When the batch does not fit the buffers or the vocabulary, or there is no adapter beside the base alone.
    pub fn goodness_units(&mut self, base: Base<'_>, batch: &Batch<'_>) -> Result<Vec<f32>, EngineError> {
        let layout = self.judged()?;
        let (zeros, mut units) = (vec![0.0; layout.len()], vec![0.0; layout.tensors().len() / 2]);
        let params = Params { base, adapter: &zeros };
        self.at.check(params, batch)?;
        let task = Task::Measure(&mut units);
        let mut judging = Judging { inner: &mut OnCpu, task, dy: &mut Vec::new(), losses: Vec::new(), seen: 0 };
        self.buffers.forward(&mut judging, &self.at, params, batch, &mut || false);
        Ok(units)
    }

    /// Two forward passes: over `batch`, and over the same windows with `corrupted` for inputs. The gradient of the local losses
    /// goes into `grad` (added to it when `accumulate`), times the tokens of the batch that carry loss, so that the mean over batches
    /// is taken as everywhere. None when `stop`, asked before each block, said yes.
    ///
    /// # Errors
    /// As [`Walk::goodness_units`], and for units or a gradient of another length.
    pub fn forward_forward(
        &mut self,
        params: Params<'_>,
        (batch, corrupted): (&Batch<'_>, &[u32]),
        units: &[f32],
        (grad, accumulate): (&mut [f32], bool),
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Goodness>, EngineError> {
        let layout = self.judged()?;
        for (what, found, expected) in
            [("gradient", grad.len(), layout.len()), ("units", units.len(), layout.tensors().len() / 2)]
        {
            if found != expected {
                return Err(EngineError::Length { what, found, expected });
            }
        }
        let fake = Batch { inputs: corrupted, ..*batch };
        self.at.check(params, batch)?;
        self.at.check(params, &fake)?;
        let (n, total) = (batch.len(), batch.predicted() as f32);
        let (mut dy, mut sum, mut found) = (Vec::new(), 0.0, Goodness::default());
        for (real, batch, weights) in
            [(true, batch, vec![total / n as f32; n]), (false, &fake, corrupted_weights(batch, corrupted, total))]
        {
            let (grad, accumulate) = (&mut *grad, accumulate || !real);
            let task = Task::Learn { units, real, weights: &weights, grad, accumulate, sum: &mut sum };
            let mut judging = Judging { inner: &mut self.blocks, task, dy: &mut dy, losses: vec![0.0; n], seen: 0 };
            if !self.buffers.forward(&mut judging, &self.at, params, batch, stop) {
                return Ok(None);
            }
            if real {
                found.loss = self.buffers.classify(&mut self.blocks, &self.at, params, batch, self.objective);
            }
        }
        found.local = sum / (units.len() as f64 * f64::from(total.max(1.0)));
        Ok(Some(found))
    }

    /// The layout of an adapter that can be judged: beside the base, and without gains of norms, which have no goodness.
    fn judged(&self) -> Result<&Layout, EngineError> {
        let beside = |plan: &&AdapterPlan| plan.spec().form == AdapterForm::Split && !plan.spec().norms;
        let plan = self.at.adapter.as_ref().filter(beside);
        plan.map(AdapterPlan::layout).ok_or(EngineError::AdapterAlone { what: "goodness" })
    }
}
