//! A model as a Hugging Face folder, tensor by tensor, without a second copy of it.
//!
//! The bytes of `model.safetensors` depend on the weights alone: layout order, no date, no name. Each file is written
//! beside its place, synced and renamed, so an interrupted write leaves no half file under a name that is read.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use model::{Layout, ModelSpec, Role, TensorId, TensorInfo};
use serde_json::{Map, Value, json};

use super::describe::{generation_config, to_config_json};
use super::shards::SINGLE;
use crate::dtype::Dtype;
use crate::error::FormatError;
use crate::rows::VocabRows;
use crate::source::{Export, Source, Written};
use crate::special::SpecialIds;
use crate::{names, place};

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions<'a> {
    /// Element type in the file.
    pub dtype: Dtype,
    /// Special ids of the configuration files.
    pub special: &'a SpecialIds,
    /// The source holds a compact vocabulary: how to expand it.
    pub rows: Option<VocabRows<'a>>,
}

/// Writes `config.json`, `generation_config.json` and `model.safetensors` of the model `full` into `dir`, which is made if
/// it is not there. A residual scale other than 1 is folded into O (with its bias) and down, for the format cannot say it.
///
/// # Errors
/// `Inexpressible` (65) when the family cannot say the spec, a source has the wrong size, or a value overflows the element
/// type; `Create` (73); `Io` (74).
pub fn write(dir: &Path, full: &ModelSpec, source: &Source, options: &WriteOptions) -> Result<Written, FormatError> {
    let config = to_config_json(full, options.special, options.dtype)?;
    let export = Export::new(full, source, options.rows)?;
    fs::create_dir_all(dir).map_err(|e| FormatError::create(dir, e))?;
    let layout = Layout::of(full);
    let mut bytes = 0;
    place::replace(&dir.join(SINGLE), &mut |path, file| {
        let mut out =
            Output { path, file: BufWriter::with_capacity(1 << 18, file), dtype: options.dtype, bytes: Vec::new(), written: 0 };
        out.raw(&header(&layout, options.dtype)?)?;
        for t in layout.tensors() {
            export.pieces(t, &mut |piece| out.values(t.id, piece))?;
        }
        bytes = out.written;
        out.file.flush().map_err(|e| FormatError::write(path, e))
    })?;
    for (name, value) in [("config.json", config), ("generation_config.json", generation_config(options.special))] {
        let text = format!("{value:#}\n");
        let fill = |path: &Path, file: &mut File| file.write_all(text.as_bytes()).map_err(|e| FormatError::write(path, e));
        place::replace(&dir.join(name), &mut { fill })?;
    }
    place::sync_dir(dir)?;
    Ok(Written { bytes, folded: export.folds(), notes: Vec::new() })
}

/// Length, then the JSON header, padded with spaces so that the data begins at a multiple of 8.
fn header(layout: &Layout, dtype: Dtype) -> Result<Vec<u8>, FormatError> {
    let mut map = Map::from_iter([("__metadata__".to_owned(), json!({ "format": "pt" }))]);
    let mut at = 0u64;
    for t in layout.tensors() {
        let end = at + (t.range.len() * dtype.size()) as u64;
        let shape = if is_vector(t) { json!([t.shape[1]]) } else { json!(t.shape) };
        map.insert(names::hf(t.id), json!({ "dtype": dtype.name(), "shape": shape, "data_offsets": [at, end] }));
        at = end;
    }
    let mut text = Value::Object(map).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(&text);
    Ok(out)
}

fn is_vector(t: &TensorInfo) -> bool {
    matches!(t.role, Role::Norm | Role::Bias)
}

/// The file being written.
struct Output<'a> {
    path: &'a Path,
    file: BufWriter<&'a mut File>,
    dtype: Dtype,
    bytes: Vec<u8>,
    written: u64,
}

impl Output<'_> {
    fn raw(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.written += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| FormatError::write(self.path, e))
    }

    fn values(&mut self, id: TensorId, values: &[f32]) -> Result<(), FormatError> {
        let largest = self.dtype.largest();
        if let Some(v) = values.iter().find(|v| v.is_finite() && v.abs() > largest) {
            let why = format!("{} would make it infinite; write bf16 or f32", self.dtype.name());
            return Err(FormatError::inexpressible(names::hf(id), v.to_string(), why));
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.dtype.encode(values, &mut bytes);
        let done = self.raw(&bytes);
        self.bytes = bytes;
        done
    }
}
