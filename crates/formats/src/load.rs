//! The weights of a [`Model`] into the flat array of a layout, or as they are stored.
//!
//! Files are read in pieces, not mapped: mapped pages would count as resident memory beside the array. What stays as it is
//! stored is mapped (`mapped.rs`).

use std::ops::Range;

use model::{Layout, TensorId, TensorInfo};

use crate::error::FormatError;
use crate::names;
use crate::opened::{Model, RowOrder, is_vocab, stored_shape};

/// Bytes read at once, nearly.
const PIECE: usize = 1 << 20;

impl Model {
    /// All weights as f32, in the order of `layout`, which must be that of [`Model::spec`].
    ///
    /// # Errors
    /// `Inexpressible` for another layout, `Io` when a file cannot be read.
    pub fn load(&self, layout: &Layout) -> Result<Vec<f32>, FormatError> {
        self.gather(layout, None)
    }

    /// The same over a compact vocabulary: row `i` of the embedding and of the classifier is row `full_of[i]` of the file's.
    ///
    /// # Errors
    /// `Inexpressible` when `layout` is not that of the spec over `full_of.len()` ids or an id has no row; `Io`.
    pub fn load_rows(&self, layout: &Layout, full_of: &[u32]) -> Result<Vec<f32>, FormatError> {
        let vocab = self.spec().vocab;
        match full_of.iter().find(|id| **id as usize >= vocab) {
            Some(id) => Err(FormatError::inexpressible("token id", id.to_string(), format!("the model has {vocab} rows"))),
            None => self.gather(layout, Some(full_of)),
        }
    }

    fn gather(&self, layout: &Layout, full_of: Option<&[u32]>) -> Result<Vec<f32>, FormatError> {
        self.same_but_rows(layout, full_of.map(<[u32]>::len))?;
        let mut weights = vec![0.0; layout.len()];
        let mut bytes = Vec::new();
        for t in layout.tensors() {
            let Some(own) = self.layout().get(t.id) else { continue };
            let out = &mut weights[t.range.clone()];
            match full_of {
                Some(ids) if is_vocab(t.id) => self.gather_rows(own, ids, out, &mut bytes)?,
                _ => self.decode_rows(own, 0..own.shape[0], out, &mut bytes)?,
            }
        }
        Ok(weights)
    }

    /// Rows `rows` of the weight `id` as f32; `out` holds as many rows. The classifier of a tied model is the embedding.
    ///
    /// # Errors
    /// `Inexpressible` when the model has no such weight or rows, `Io` when a file cannot be read.
    pub fn read_rows(&self, id: TensorId, rows: Range<usize>, out: &mut [f32]) -> Result<(), FormatError> {
        let info = self.rows_of(id, &rows)?;
        if out.len() != rows.len() * info.shape[1] {
            return Err(no_rows(id, &rows));
        }
        self.decode_rows(info, rows, out, &mut Vec::new())
    }

    /// The weight `id` as f32, row-major; `None` when the model has no such weight.
    ///
    /// # Errors
    /// `Io` when a file cannot be read.
    pub fn tensor(&self, id: TensorId) -> Result<Option<Vec<f32>>, FormatError> {
        let Some(info) = self.layout().get(id) else { return Ok(None) };
        let mut out = vec![0.0; info.range.len()];
        self.read_rows(id, 0..info.shape[0], &mut out)?;
        Ok(Some(out))
    }

    /// The weight `id` in its [`Model::encoding`], in the order of our rows; `None` when the model has no such weight.
    ///
    /// # Errors
    /// `Io` when a file cannot be read.
    pub fn raw(&self, id: TensorId) -> Result<Option<Vec<u8>>, FormatError> {
        let Some(info) = self.layout().get(id) else { return Ok(None) };
        let mut out = vec![0; self.row_bytes(info) * info.shape[0]];
        self.raw_rows(id, 0..info.shape[0], &mut out)?;
        Ok(Some(out))
    }

    /// Rows `rows` of the same; `out` holds as many.
    ///
    /// # Errors
    /// As [`Model::read_rows`].
    pub fn raw_rows(&self, id: TensorId, rows: Range<usize>, out: &mut [u8]) -> Result<(), FormatError> {
        let info = self.rows_of(id, &rows)?;
        if out.len() != rows.len() * self.row_bytes(info) {
            return Err(no_rows(id, &rows));
        }
        if self.factors(info.id).is_none() {
            return self.fill_rows(info, rows.start, out);
        }
        let mut values = vec![0.0; rows.len() * info.shape[1]];
        self.decode_rows(info, rows, &mut values, &mut Vec::new())?;
        out.as_chunks_mut::<4>().0.iter_mut().zip(&values).for_each(|(o, v)| *o = v.to_le_bytes());
        Ok(())
    }

    fn rows_of(&self, id: TensorId, rows: &Range<usize>) -> Result<&TensorInfo, FormatError> {
        let id = if id == TensorId::Head && self.spec().tied { TensorId::Embed } else { id };
        let info = self.layout().get(id).filter(|t| rows.start <= rows.end && rows.end <= t.shape[0]);
        info.ok_or_else(|| no_rows(id, rows))
    }

    /// Bytes of one row of `info` in its [`Model::encoding`], which [`Model::new`] found to fit.
    fn row_bytes(&self, info: &TensorInfo) -> usize {
        self.encoding(info.id).and_then(|e| e.bytes_of(info.shape[1])).unwrap_or(0)
    }

    /// The same as they lie in the file.
    fn stored_bytes(&self, info: &TensorInfo) -> usize {
        self.places.get(&info.id).and_then(|p| p.encoding.bytes_of(info.shape[1])).unwrap_or(0)
    }

    fn same_but_rows(&self, layout: &Layout, rows: Option<usize>) -> Result<(), FormatError> {
        let shape = |t: &TensorInfo| match rows {
            Some(n) if is_vocab(t.id) => [n, t.shape[1]],
            _ => t.shape,
        };
        let (ours, theirs) = (self.layout().tensors(), layout.tensors());
        let other = ours.iter().zip(theirs).find(|(a, b)| a.id != b.id || shape(a) != b.shape);
        let found = match other {
            Some((_, b)) => format!("{} {:?}", names::hf(b.id), b.shape),
            None if ours.len() != theirs.len() => format!("{} tensors", theirs.len()),
            None => return Ok(()),
        };
        let why = format!("{} holds another model", self.path().display());
        Err(FormatError::inexpressible("layout", found, why))
    }

    /// Rows `rows` of `info` as f32, piece by piece through `bytes`.
    fn decode_rows(
        &self,
        info: &TensorInfo,
        rows: Range<usize>,
        out: &mut [f32],
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let Some(place) = self.places.get(&info.id) else { return Err(no_rows(info.id, &rows)) };
        let (cols, row_bytes) = (info.shape[1], self.stored_bytes(info));
        let step = (PIECE / row_bytes.max(1)).max(1);
        for (i, piece) in out.chunks_mut(step * cols).enumerate() {
            bytes.resize(piece.len() / cols * row_bytes, 0);
            self.fill_rows(info, rows.start + i * step, bytes)?;
            place.encoding.decode(bytes, piece);
            if let Some(factors) = self.factors(info.id) {
                let first = rows.start + i * step;
                factors.add(first..first + piece.len() / cols, piece);
            }
        }
        Ok(())
    }

    /// Whole rows from `first` on, as stored.
    fn fill_rows(&self, info: &TensorInfo, first: usize, out: &mut [u8]) -> Result<(), FormatError> {
        let Some(place) = self.places.get(&info.id) else { return Err(no_rows(info.id, &(first..first))) };
        let file = &self.files[place.file];
        let [_, cols] = stored_shape(info, place.order);
        let Some(unit) = place.encoding.bytes_of(cols).filter(|n| *n > 0) else { return Err(no_rows(info.id, &(first..first))) };
        match place.order {
            RowOrder::Halves => file.read_at(place.start + (first * unit) as u64, out),
            order => {
                let mut units = out.chunks_exact_mut(unit).enumerate();
                units.try_for_each(|(i, out)| file.read_at(place.start + (order.in_file(first + i) * unit) as u64, out))
            }
        }
    }

    /// Rows `ids` of `info`, neighbours in one read.
    fn gather_rows(&self, info: &TensorInfo, ids: &[u32], out: &mut [f32], bytes: &mut Vec<u8>) -> Result<(), FormatError> {
        let mut at = 0;
        for run in ids.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
            let n = run.len() * info.shape[1];
            let first = run[0] as usize;
            self.decode_rows(info, first..first + run.len(), &mut out[at..at + n], bytes)?;
            at += n;
        }
        Ok(())
    }
}

fn no_rows(id: TensorId, rows: &Range<usize>) -> FormatError {
    FormatError::inexpressible(names::hf(id), format!("rows {} to {}", rows.start, rows.end), "the model does not have them")
}
