//! [`Export`]: the weights that a writer asks for, row by row, as the written model shall have them.

use std::ops::Range;

use model::{Layout, ModelSpec, Part, Role, TensorId, TensorInfo};

use crate::error::FormatError;
use crate::names;
use crate::opened::{Model, RowOrder, stored_shape};
use crate::rows::VocabRows;

/// Elements that a writer asks for at once, nearly.
pub(crate) const PIECE: usize = 1 << 16;

/// Where the values of weights come from: fills the slice with the given rows of a weight (a vector is one row), as f32.
pub type Source<'a> = dyn Fn(TensorId, Range<usize>, &mut [f32]) -> Result<(), FormatError> + 'a;

/// The weights of `layout` as a [`Source`].
pub fn flat<'a>(
    weights: &'a [f32],
    layout: &'a Layout,
) -> impl Fn(TensorId, Range<usize>, &mut [f32]) -> Result<(), FormatError> + 'a {
    move |id, rows, out| {
        let values = layout.get(id).filter(|t| rows.end <= t.shape[0]).and_then(|t| {
            let (cols, all) = (t.shape[1], weights.get(t.range.clone())?);
            all.get(rows.start * cols..rows.end * cols).filter(|v| v.len() == out.len())
        });
        match values {
            Some(values) => out.copy_from_slice(values),
            None => {
                let found = format!("rows {} to {} of {} values together", rows.start, rows.end, out.len());
                return Err(FormatError::inexpressible(names::hf(id), found, "the source does not have them"));
            }
        }
        Ok(())
    }
}

impl Model {
    /// Its weights as a [`Source`].
    pub fn source(&self) -> impl Fn(TensorId, Range<usize>, &mut [f32]) -> Result<(), FormatError> + '_ {
        |id, rows, out| self.read_rows(id, rows, out)
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the weights' file.
    pub bytes: u64,
    /// The residual scale was not 1 and is now inside O and down: the file's weights are not bit for bit those of the source.
    pub folded: bool,
    /// What a program that reads the format will do otherwise, for people.
    pub notes: Vec<String>,
}

/// The model to be written: over the full vocabulary, with the residual scale folded into O (with its bias) and down, for no
/// other program knows one.
pub(crate) struct Export<'a> {
    spec: &'a ModelSpec,
    source: &'a Source<'a>,
    rows: Option<VocabRows<'a>>,
}

impl<'a> Export<'a> {
    /// `full` is the model over the full vocabulary; `rows` says how a source over a compact one is expanded.
    ///
    /// # Errors
    /// `Inexpressible` when the vocabulary map does not fit the model.
    pub fn new(full: &'a ModelSpec, source: &'a Source<'a>, rows: Option<VocabRows<'a>>) -> Result<Export<'a>, FormatError> {
        full.validate().map_err(|e| FormatError::inexpressible(e.field, e.found, e.expected))?;
        if let Some(rows) = &rows {
            rows.check(full.dim)?;
            if rows.vocab != full.vocab {
                let why = format!("the model has {} ids", full.vocab);
                return Err(FormatError::inexpressible("compact vocabulary", rows.vocab.to_string(), why));
            }
        }
        Ok(Export { spec: full, source, rows })
    }

    /// Rows `rows` of `t`, one of the full model's weights.
    pub fn read(&self, t: &TensorInfo, rows: Range<usize>, out: &mut [f32]) -> Result<(), FormatError> {
        match &self.rows {
            Some(map) if t.role == Role::Embedding => map.read(t.id, rows, self.source, self.spec.dim, out)?,
            _ => (self.source)(t.id, rows, out)?,
        }
        if self.folds() && matches!(t.id, TensorId::Layer(_, Part::O | Part::OBias | Part::Down)) {
            out.iter_mut().for_each(|v| *v *= self.spec.residual_scale);
        }
        Ok(())
    }

    /// All rows of `t` in their order, in pieces of whole rows.
    pub fn pieces(&self, t: &TensorInfo, emit: &mut dyn FnMut(&[f32]) -> Result<(), FormatError>) -> Result<(), FormatError> {
        let [rows, cols] = t.shape;
        let step = (PIECE / cols).max(1);
        let mut values = Vec::new();
        for from in (0..rows).step_by(step) {
            let to = (from + step).min(rows);
            values.resize((to - from) * cols, 0.0);
            self.read(t, from..to, &mut values)?;
            emit(&values)?;
        }
        Ok(())
    }

    /// The same with the rows in the order of a file.
    pub fn pieces_in(
        &self,
        t: &TensorInfo,
        order: RowOrder,
        emit: &mut dyn FnMut(&[f32]) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        let RowOrder::Interleaved { head_dim } = order else { return self.pieces(t, emit) };
        // the rows of a head only change places among themselves; those of a bias are its entries
        let [rows, cols] = stored_shape(t, order);
        let (mut ours, mut theirs) = (vec![0.0; head_dim * cols], vec![0.0; head_dim * cols]);
        for from in (0..rows).step_by(head_dim) {
            if t.shape == [rows, cols] {
                self.read(t, from..from + head_dim, &mut ours)?;
            } else {
                let mut all = vec![0.0; rows];
                self.read(t, 0..1, &mut all)?;
                ours.copy_from_slice(&all[from..from + head_dim]);
            }
            for (r, row) in theirs.chunks_exact_mut(cols).enumerate() {
                row.copy_from_slice(&ours[order.ours(r) * cols..][..cols]);
            }
            emit(&theirs)?;
        }
        Ok(())
    }

    /// Whether the residual scale changes weights, so that the file's are not bit for bit those of the source.
    pub fn folds(&self) -> bool {
        self.spec.residual_scale != 1.0
    }
}
