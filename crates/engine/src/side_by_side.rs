//! Several adapters over one batch in one pass of the frozen base (MP-LoRA, of "MobiZO: Enabling Efficient LLM Fine-Tuning at
//! the Edge via Inference Engines", arXiv 2409.15520): the rows of the batch stand once for each adapter, the base multiplies
//! all of them at once, and each part has its own `B A x`.

use crate::blocks::Blocks;
use crate::objective::answers;
use crate::params::Params;
use crate::{Base, Batch, EngineError, LossSum, Objective, Walk};

/// The rows of a batch, once for each adapter, and the adapters one after another.
#[derive(Default)]
pub(crate) struct SideBySide {
    pub adapters: Vec<f32>,
    inputs: Vec<u32>,
    targets: Vec<u32>,
    starts: Vec<u32>,
}

impl SideBySide {
    /// What the walk counts of `batch` with each of the `parts` adapters in `self.adapters`, into `counted`; false when `stop`,
    /// asked before each block, said yes.
    ///
    /// # Errors
    /// When the rows do not fit the buffers of the walk, or ids its vocabulary.
    pub fn count<B: Blocks>(
        &mut self,
        walk: &mut Walk<'_, B>,
        base: Base<'_>,
        batch: &Batch<'_>,
        counted: &mut [LossSum],
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<bool, EngineError> {
        let (all, params) = self.repeated(base, batch, counted.len());
        walk.at.check_parts(params, &all, counted.len())?;
        if !walk.buffers.forward(&mut walk.blocks, &walk.at, params, &all, stop) {
            return Ok(false);
        }
        walk.buffers.classify(&mut walk.blocks, &walk.at, params, &all, walk.objective);
        for (counted, losses) in counted.iter_mut().zip(walk.buffers.scratch.losses.chunks_exact(batch.len())) {
            *counted = sum(walk.objective, batch, losses);
        }
        Ok(true)
    }

    /// The same after each block, into `counted[l * parts + part]`.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn count_by_depth<B: Blocks>(
        &mut self,
        walk: &mut Walk<'_, B>,
        base: Base<'_>,
        batch: &Batch<'_>,
        counted: &mut [LossSum],
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<bool, EngineError> {
        let parts = counted.len() / walk.at.spec.layers;
        let (all, params) = self.repeated(base, batch, parts);
        walk.at.check_parts(params, &all, parts)?;
        Ok(walk.count_by_depth(params, &all, counted, stop))
    }

    fn repeated<'s>(&'s mut self, base: Base<'s>, batch: &Batch<'_>, parts: usize) -> (Batch<'s>, Params<'s>) {
        repeat(&mut self.inputs, batch.inputs, parts);
        repeat(&mut self.targets, batch.targets, parts);
        repeat(&mut self.starts, batch.starts.unwrap_or_default(), parts);
        let all = Batch {
            rows: batch.rows * parts,
            seq: batch.seq,
            inputs: &self.inputs,
            targets: &self.targets,
            starts: batch.starts.map(|_| &*self.starts),
        };
        (all, Params { base, adapter: &self.adapters })
    }
}

fn repeat(to: &mut Vec<u32>, values: &[u32], times: usize) {
    to.clear();
    (0..times).for_each(|_| to.extend_from_slice(values));
}

/// The sum over one part of what its tokens count.
pub(crate) fn sum(objective: Objective, batch: &Batch<'_>, counts: &[f32]) -> LossSum {
    match objective {
        Objective::Loss | Objective::Accuracy => {
            LossSum { sum: counts.iter().map(|&c| f64::from(c)).sum(), tokens: batch.predicted() }
        }
        // every token of an answer counts what the answer counts
        Objective::ExactMatch => answers(batch).fold(LossSum::default(), |mut total, answer| {
            total += LossSum { sum: f64::from(counts[answer.start]), tokens: 1 };
            total
        }),
    }
}
