//! Bytes of an open file that are read where they lie: a map of the file, shared by all who hold a part of it.
//!
//! A map is read-only. Its pages are the system's cache of the file: they cost no memory that another program could not have
//! instead. What is promised of a map is what was checked when the file was opened: whoever shortens the file while it is
//! mapped ends the reading process (SIGBUS), and whoever writes into it changes the weights under it.

use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;
use model::{Role, TensorId};

use crate::encoding::Encoding;
use crate::error::FormatError;
use crate::opened::{Model, RowOrder};
use crate::place::DataFile;

/// A part of a mapped file.
#[derive(Clone, Debug)]
pub struct Mapped {
    map: Arc<Mmap>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map[self.range.clone()]
    }
}

/// The same as floats.
#[derive(Clone, Debug)]
pub struct MappedFloats(Mapped);

impl AsRef<[f32]> for MappedFloats {
    #[allow(unsafe_code)]
    fn as_ref(&self) -> &[f32] {
        // SAFETY: every pattern of 32 bits is an f32; what does not lie on whole floats is left out
        let (before, floats, after) = unsafe { self.0.as_ref().align_to::<f32>() };
        debug_assert!(before.is_empty() && after.is_empty());
        floats
    }
}

impl Mapped {
    /// The bytes as floats, where they lie as the processor reads them.
    pub fn floats(self) -> Option<MappedFloats> {
        let bytes = self.as_ref();
        let whole = bytes.len().is_multiple_of(4) && bytes.as_ptr().addr().is_multiple_of(align_of::<f32>());
        (whole && cfg!(target_endian = "little")).then_some(MappedFloats(self))
    }
}

/// Maps `file` whole, which is as long as `len` or longer.
#[allow(unsafe_code)]
pub(crate) fn map(file: &std::fs::File, len: u64) -> std::io::Result<Option<Mmap>> {
    if file.metadata()?.len() < len || usize::try_from(len).is_err() {
        return Ok(None);
    }
    // SAFETY: the map is read-only, and no slice of it leaves its length. Another process that shortens the file makes
    // reads fault, which no check can prevent; it cannot make them return memory of ours.
    unsafe { Mmap::map(file) }.map(Some)
}

impl Model {
    /// The bytes of the matrix `id` where they lie in its file, row after row in our order; none where they do not lie so (an
    /// adapter changes them, or the file has the rows of heads in another order), and for vectors.
    ///
    /// # Errors
    /// `Io` when the file cannot be mapped, `Bad` when it is shorter than when it was opened.
    pub fn mapped(&self, id: TensorId) -> Result<Option<(Encoding, Mapped)>, FormatError> {
        let (Some(t), Some(place)) = (self.layout().get(id), self.places.get(&id)) else { return Ok(None) };
        let vector = matches!(t.role, Role::Norm | Role::Bias);
        if vector || place.order != RowOrder::Halves || self.factors(id).is_some() {
            return Ok(None);
        }
        let [rows, cols] = t.shape;
        let file: &DataFile = &self.files[place.file];
        let map = file.map()?;
        let (bytes, start) = (place.encoding.bytes_of(cols).and_then(|row| row.checked_mul(rows)), usize::try_from(place.start));
        let range = bytes.zip(start.ok()).and_then(|(n, start)| Some(start..start.checked_add(n)?));
        Ok(range.filter(|r| r.end <= map.len()).map(|range| (place.encoding, Mapped { map, range })))
    }
}
