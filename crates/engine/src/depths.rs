//! Losses by depth: what the model's own final norm and classifier make of the residual stream after each block (the logit
//! lens), in one forward pass.
//!
//! ```text
//! loss_l = cross-entropy(classifier(final_norm(x_l + 1)), targets)        x_l + 1: the stream after block l
//! ```
//!
//! The pass is that of every other loss: the last of them is the model's loss, bit for bit.

use kernels::Cpu;
use kernels::rmsnorm::rmsnorm;

use crate::blocks::{Blocks, Context, NormAt};
use crate::params::Params;
use crate::side_by_side::sum;
use crate::walk::Buffers;
use crate::{Base, Batch, EngineError, LossSum, Probe, Walk};

impl<B: Blocks> Walk<'_, B> {
    /// What is counted of a batch after each block: of `parts` equally large parts of its rows, into
    /// `counted[l * parts + part]`; false when `stop`, asked before each block, said yes. Token losses are then those of the
    /// whole model. `batch` is what the walk was opened for.
    pub(crate) fn count_by_depth(
        &mut self,
        params: Params<'_>,
        batch: &Batch<'_>,
        counted: &mut [LossSum],
        stop: &mut dyn FnMut() -> bool,
    ) -> bool {
        let (at, blocks, objective) = (&self.at, &mut self.blocks, self.objective);
        let parts = counted.len() / at.spec.layers;
        let part = Batch { rows: batch.rows / parts, ..*batch };
        let n = part.len();
        let part = Batch {
            inputs: &batch.inputs[..n],
            targets: &batch.targets[..n],
            starts: batch.starts.map(|starts| &starts[..n]),
            ..part
        };
        let counted = &mut counted.chunks_exact_mut(parts);
        self.buffers.forward_by_depth(blocks, at, params, batch, stop, &mut |buffers, blocks| {
            buffers.classify(blocks, at, params, batch, objective);
            let losses = buffers.scratch.losses.chunks_exact(n);
            for (counted, losses) in counted.next().unwrap_or_default().iter_mut().zip(losses) {
                *counted = sum(objective, &part, losses);
            }
        })
    }
}

impl<B: Blocks> Walk<'_, B> {
    /// Losses after each block at both points of `probe` beside the adapter `params`, one pass after the other, into
    /// `losses[l]`; false when `stop` said yes. Token losses are then those of the model at the first point.
    ///
    /// # Errors
    /// When the batch does not fit the buffers or the vocabulary.
    pub fn losses_by_depth(
        &mut self,
        base: Base<'_>,
        params: &[f32],
        batch: &Batch<'_>,
        probe: &Probe<'_>,
        (cpu, losses): (&Cpu, &mut [[LossSum; 2]]),
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<bool, EngineError> {
        let (mut a, mut b) = (vec![0.0; params.len()], vec![0.0; params.len()]);
        probe.form_all(cpu, 0, params, [&mut a, &mut b]);
        let mut counted = vec![LossSum::default(); losses.len()];
        for (i, point) in [(1, &b), (0, &a)] {
            let params = Params { base, adapter: point };
            self.at.check(params, batch)?;
            if !self.count_by_depth(params, batch, &mut counted, stop) {
                return Ok(false);
            }
            losses.iter_mut().zip(&counted).for_each(|(losses, counted)| losses[i] = *counted);
        }
        Ok(true)
    }
}

impl Buffers {
    /// As [`Buffers::forward`], calling `after` when the normed output of a block is in `scratch.norm`, block by block.
    fn forward_by_depth<B: Blocks>(
        &mut self,
        blocks: &mut B,
        at: &Context<'_>,
        params: Params<'_>,
        batch: &Batch<'_>,
        stop: &mut dyn FnMut() -> bool,
        after: &mut dyn FnMut(&mut Buffers, &mut B),
    ) -> bool {
        let (n, d, last) = (batch.len(), at.spec.dim, at.spec.layers - 1);
        params.base.gather(at.cpu, &mut self.residual[0][..n * d], at.ranges.embed.clone(), batch.inputs, d);
        for l in 0..at.spec.layers {
            if stop() {
                return false;
            }
            self.block_forward(blocks, at, params, batch, l);
            let (x, s) = (&self.residual[at.stream(l + 1)][..n * d], &mut self.scratch);
            if l < last {
                // after the last block it is there
                rmsnorm(at.cpu, &mut s.norm[..n * d], &mut s.r_final[..n], x, at.gain(params, NormAt::Final), at.spec.norm_eps);
            }
            blocks.final_norm(at, params, x, &mut s.norm[..n * d]);
            after(self, blocks);
        }
        true
    }
}
