//! A model trained over a compact vocabulary, seen over the full one.

use std::ops::Range;

use model::TensorId;

use crate::error::FormatError;
use crate::opened::Model;
use crate::source::Source;

/// Rows of ids that training never saw.
#[derive(Clone, Copy, Debug)]
pub enum Fill<'a> {
    /// The same row `[dim]` for each of them.
    Row(&'a [f32]),
    /// The rows of the model that training began with.
    Base(&'a Model),
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
    pub(crate) fn check(&self, dim: usize) -> Result<(), FormatError> {
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

    /// Rows `rows` of the full matrix `id`, of width `dim`, into `out`; `compact` gives the trained ones.
    pub(crate) fn read(
        &self,
        id: TensorId,
        rows: Range<usize>,
        compact: &Source,
        dim: usize,
        out: &mut [f32],
    ) -> Result<(), FormatError> {
        let mut at = rows.start;
        let mut next = self.full_of.partition_point(|full| (*full as usize) < at);
        while at < rows.end {
            let trained = self.full_of[next..].iter().zip(at..rows.end).take_while(|(full, row)| **full as usize == *row).count();
            let n = match self.full_of.get(next) {
                _ if trained > 0 => trained,
                Some(full) => (*full as usize).min(rows.end) - at,
                None => rows.end - at,
            };
            let out = &mut out[(at - rows.start) * dim..][..n * dim];
            match self.fill {
                _ if trained > 0 => compact(id, next..next + n, out)?,
                Fill::Row(row) => out.chunks_exact_mut(dim).for_each(|o| o.copy_from_slice(row)),
                Fill::Base(base) => base.read_rows(id, at..at + n, out)?,
            }
            next += trained;
            at += n;
        }
        Ok(())
    }
}
