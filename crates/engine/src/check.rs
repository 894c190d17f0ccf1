//! Whether weights and a batch are what a walk was opened for.

use model::Layout;

use crate::blocks::Context;
use crate::params::Params;
use crate::{Batch, EngineError, Shape};

impl Context<'_> {
    pub(crate) fn trained(&self) -> &Layout {
        self.adapter.as_ref().map_or(&self.layout, |a| a.layout())
    }

    pub(crate) fn check(&self, params: Params<'_>, batch: &Batch<'_>) -> Result<(), EngineError> {
        self.check_parts(params, batch, 1)
    }

    /// As [`Self::check`], with an adapter for each of `parts` parts of the rows.
    pub(crate) fn check_parts(&self, params: Params<'_>, batch: &Batch<'_>, parts: usize) -> Result<(), EngineError> {
        let length =
            |what, found, expected| if found == expected { Ok(()) } else { Err(EngineError::Length { what, found, expected }) };
        length("parameters", params.base.len(), self.layout.len())?;
        length("adapter", params.adapter.len(), self.adapter.as_ref().map_or(0, |a| parts * a.layout().len()))?;
        if batch.len() > self.shape.rows * self.shape.seq || batch.seq > self.shape.seq || batch.is_empty() {
            let Shape { rows: max_rows, seq: max_seq } = self.shape;
            return Err(EngineError::Shape { rows: batch.rows, seq: batch.seq, max_rows, max_seq });
        }
        length("inputs", batch.inputs.len(), batch.len())?;
        length("targets", batch.targets.len(), batch.len())?;
        if let Some(starts) = batch.starts {
            length("starts", starts.len(), batch.len())?;
        }
        let vocab = self.spec.vocab;
        let unknown = |(_, id): &(usize, &u32)| **id as usize >= vocab;
        let targets = batch.targets.iter().map(|t| if *t == crate::IGNORE { &0 } else { t });
        match batch.inputs.iter().enumerate().find(unknown).or_else(|| targets.enumerate().find(unknown)) {
            Some((at, &id)) => Err(EngineError::Token { id, at, vocab }),
            None => Ok(()),
        }
    }
}
