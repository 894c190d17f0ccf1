//! A model trained over a compact vocabulary, written over the full one.

use model::TensorId;

use super::open::HfModel;
use crate::error::FormatError;

/// Elements handed on at once.
const PIECE: usize = 1 << 16;

/// Rows of ids that training never saw.
#[derive(Clone, Copy, Debug)]
pub enum Fill<'a> {
    /// The same row `[dim]` for each of them.
    Row(&'a [f32]),
    /// The rows of the model that training began with.
    Base(&'a HfModel),
}

/// How compact ids lie in the full vocabulary.
#[derive(Clone, Copy, Debug)]
pub struct VocabRows<'a> {
    /// Full id of each compact id, ascending.
    pub full_of: &'a [u32],
    /// Size of the full vocabulary.
    pub vocab: usize,
    /// The other rows.
    pub fill: Fill<'a>,
}

impl VocabRows<'_> {
    /// Checks the ids and the fill against a model of width `dim`.
    pub(super) fn check(&self, dim: usize) -> Result<(), FormatError> {
        let fail = |at: &str, found: String, why: String| Err(FormatError::inexpressible(at, found, why));
        if let Some(pair) = self.full_of.windows(2).find(|w| w[0] >= w[1]) {
            return fail("compact vocabulary", format!("{} before {}", pair[0], pair[1]), "ids must ascend".into());
        }
        if let Some(last) = self.full_of.last().filter(|id| **id as usize >= self.vocab) {
            return fail("compact vocabulary", last.to_string(), format!("the full vocabulary has {} ids", self.vocab));
        }
        match self.fill {
            Fill::Row(row) if row.len() != dim => fail("fill row", row.len().to_string(), format!("a row has {dim} values")),
            Fill::Base(base) if base.spec().vocab != self.vocab || base.spec().dim != dim => {
                let found = format!("{} rows of {}", base.spec().vocab, base.spec().dim);
                fail("base model", found, format!("{} rows of {dim} are needed", self.vocab))
            }
            _ => Ok(()),
        }
    }

    /// Hands the full matrix `id` to `emit`, piece by piece, each a number of whole rows. `compact` holds the trained rows.
    pub(super) fn expand(
        &self,
        id: TensorId,
        compact: &[f32],
        dim: usize,
        emit: &mut dyn FnMut(&[f32]) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        let mut next = 0;
        for (row, full) in compact.chunks_exact(dim).zip(self.full_of) {
            self.fill_rows(id, next..*full as usize, dim, emit)?;
            emit(row)?;
            next = *full as usize + 1;
        }
        self.fill_rows(id, next..self.vocab, dim, emit)
    }

    fn fill_rows(
        &self,
        id: TensorId,
        rows: std::ops::Range<usize>,
        dim: usize,
        emit: &mut dyn FnMut(&[f32]) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        match self.fill {
            Fill::Row(row) => rows.into_iter().try_for_each(|_| emit(row)),
            Fill::Base(base) => {
                let step = (PIECE / dim).max(1);
                let mut values = Vec::new();
                for from in rows.clone().step_by(step) {
                    let to = (from + step).min(rows.end);
                    values.resize((to - from) * dim, 0.0);
                    base.read_rows(id, from..to, &mut values)?;
                    emit(&values)?;
                }
                Ok(())
            }
        }
    }
}
