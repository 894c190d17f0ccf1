//! Files that are a header and then f32 weights one after the other, without names: llama2.c and BLZT.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use model::{Layout, ModelSpec, Part, TensorId, TensorInfo};

use crate::dtype::Dtype;
use crate::encoding::Encoding;
use crate::error::FormatError;
use crate::opened::{Place, RowOrder};
use crate::source::Export;

/// One stretch of such a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item {
    /// A weight.
    Weight(TensorId),
    /// Floats that are no weight of the model.
    Skip(u64),
}

/// Both formats have the rows of a rotation pair of Q and K as neighbours.
pub(crate) fn order_of(id: TensorId, spec: &ModelSpec) -> RowOrder {
    match id {
        TensorId::Layer(_, Part::Q | Part::K) => RowOrder::Interleaved { head_dim: spec.head_dim },
        _ => RowOrder::Halves,
    }
}

/// Where each weight lies when `items` follow each other from offset `start` on. The caller has compared their whole size
/// with that of the file.
pub(crate) fn places(spec: &ModelSpec, items: impl IntoIterator<Item = Item>, start: u64) -> HashMap<TensorId, Place> {
    let layout = Layout::of(spec);
    let sizes: HashMap<TensorId, u64> = layout.tensors().iter().map(|t| (t.id, t.range.len() as u64)).collect();
    let (mut at, mut places) = (start, HashMap::new());
    for item in items {
        let floats = match item {
            Item::Skip(n) => n,
            Item::Weight(id) => {
                places.insert(id, Place { file: 0, start: at, encoding: Encoding::F32, order: order_of(id, spec) });
                sizes.get(&id).copied().unwrap_or(0)
            }
        };
        at += 4 * floats;
    }
    places
}

/// The header's numbers: little-endian words of 4 bytes.
pub(crate) fn words(bytes: &[u8]) -> Vec<i32> {
    bytes.as_chunks::<4>().0.iter().map(|w| i32::from_le_bytes(*w)).collect()
}

/// `len` is the size of the file, `expected` what its header asks for (`None`: more than any file has).
pub(crate) fn check_size(path: &Path, len: u64, expected: Option<u64>) -> Result<(), FormatError> {
    match expected {
        Some(n) if n == len => Ok(()),
        Some(n) => {
            Err(FormatError::bad(path, "size", format!("{len} bytes"), format!("the {n} bytes of the model in its header")))
        }
        None => Err(FormatError::bad(path, "size", format!("{len} bytes"), "the size in its header, which no file can have")),
    }
}

/// The file being written.
pub(crate) struct Output<'a> {
    path: &'a Path,
    file: BufWriter<&'a mut File>,
    bytes: Vec<u8>,
    written: u64,
}

impl<'a> Output<'a> {
    pub fn new(path: &'a Path, file: &'a mut File) -> Output<'a> {
        Output { path, file: BufWriter::with_capacity(1 << 18, file), bytes: Vec::new(), written: 0 }
    }

    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.written += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| FormatError::write(self.path, e))
    }

    pub fn floats(&mut self, values: &[f32]) -> Result<(), FormatError> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        Dtype::F32.encode(values, &mut bytes);
        let done = self.raw(&bytes);
        self.bytes = bytes;
        done
    }

    /// The weight `t` of `export`, its rows in the order of the file.
    pub fn weight(&mut self, export: &Export, spec: &ModelSpec, t: &TensorInfo) -> Result<(), FormatError> {
        export.pieces_in(t, order_of(t.id, spec), &mut |piece| self.floats(piece))
    }

    /// `n` zeros.
    pub fn zeros(&mut self, n: usize) -> Result<(), FormatError> {
        let zeros = [0.0; 1024];
        (0..n).step_by(zeros.len()).try_for_each(|at| self.floats(&zeros[..zeros.len().min(n - at)]))
    }

    /// Bytes written, all of them handed to the system.
    pub fn finish(mut self) -> Result<u64, FormatError> {
        self.file.flush().map_err(|e| FormatError::write(self.path, e))?;
        Ok(self.written)
    }
}
