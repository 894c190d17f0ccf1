//! The weights of an [`HfModel`] into the flat array of a layout.
//!
//! Files are read in pieces, not mapped: mapped pages would count as resident memory beside the array, and a file that
//! another program shortens would end the process.

use std::ops::Range;

use model::{Layout, TensorId, TensorInfo};

use super::open::HfModel;
use crate::error::FormatError;

/// Bytes read at once.
const PIECE: usize = 1 << 20;

impl HfModel {
    /// All weights as f32, in the order of `layout`, which must be that of [`HfModel::spec`].
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
        let mut reader = Reader { model: self, bytes: Vec::new() };
        for t in layout.tensors() {
            let out = &mut weights[t.range.clone()];
            match full_of {
                Some(ids) if is_vocab(t.id) => reader.gather_rows(t.id, ids, t.shape[1], out)?,
                _ => reader.read(t.id, 0, out)?,
            }
        }
        Ok(weights)
    }

    /// Rows `rows` of the weight `id` as f32; `out` holds as many rows. The classifier of a tied model is the embedding.
    ///
    /// # Errors
    /// `Inexpressible` when the model has no such weight or rows, `Io` when a file cannot be read.
    pub fn read_rows(&self, id: TensorId, rows: Range<usize>, out: &mut [f32]) -> Result<(), FormatError> {
        let id = if id == TensorId::Head && self.spec().tied { TensorId::Embed } else { id };
        let info = self.layout.get(id).filter(|t| rows.end <= t.shape[0] && rows.len() * t.shape[1] == out.len());
        let Some(info) = info else {
            return Err(FormatError::inexpressible(format!("{id:?}"), format!("rows {rows:?}"), "the model does not have them"));
        };
        Reader { model: self, bytes: Vec::new() }.read(id, rows.start * info.shape[1], out)
    }

    /// The weight `id` as f32, row-major; `None` when the model has no such weight.
    ///
    /// # Errors
    /// `Io` when a file cannot be read.
    pub fn tensor(&self, id: TensorId) -> Result<Option<Vec<f32>>, FormatError> {
        let Some(info) = self.layout.get(id) else { return Ok(None) };
        let mut out = vec![0.0; info.range.len()];
        self.read_rows(id, 0..info.shape[0], &mut out)?;
        Ok(Some(out))
    }

    fn same_but_rows(&self, layout: &Layout, rows: Option<usize>) -> Result<(), FormatError> {
        let shape = |t: &TensorInfo| match rows {
            Some(n) if is_vocab(t.id) => [n, t.shape[1]],
            _ => t.shape,
        };
        let (ours, theirs) = (self.layout.tensors(), layout.tensors());
        let other = ours.iter().zip(theirs).find(|(a, b)| a.id != b.id || shape(a) != b.shape);
        let found = match other {
            Some((_, b)) => format!("{:?} {:?}", b.id, b.shape),
            None if ours.len() != theirs.len() => format!("{} tensors", theirs.len()),
            None => return Ok(()),
        };
        let why = format!("{} holds another model", self.dir().display());
        Err(FormatError::inexpressible("layout", found, why))
    }
}

pub(super) fn is_vocab(id: TensorId) -> bool {
    matches!(id, TensorId::Embed | TensorId::Head)
}

/// Reads through one buffer.
struct Reader<'a> {
    model: &'a HfModel,
    bytes: Vec<u8>,
}

impl Reader<'_> {
    /// Elements of `id` from `first` on.
    fn read(&mut self, id: TensorId, first: usize, out: &mut [f32]) -> Result<(), FormatError> {
        let Some(place) = self.model.places.get(&id) else {
            return Err(FormatError::inexpressible(format!("{id:?}"), "nothing", "the model does not have it"));
        };
        let size = place.dtype.size();
        let mut at = place.start + (first * size) as u64;
        for piece in out.chunks_mut(PIECE / size) {
            self.bytes.resize(piece.len() * size, 0);
            self.model.shards[place.shard].read_at(at, &mut self.bytes)?;
            place.dtype.decode(&self.bytes, piece);
            at += self.bytes.len() as u64;
        }
        Ok(())
    }

    /// Rows `ids` of `id`, neighbours in one read.
    fn gather_rows(&mut self, id: TensorId, ids: &[u32], cols: usize, out: &mut [f32]) -> Result<(), FormatError> {
        let mut at = 0;
        for run in ids.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
            let n = run.len() * cols;
            self.read(id, run[0] as usize * cols, &mut out[at..at + n])?;
            at += n;
        }
        Ok(())
    }
}
