//! A model as a Hugging Face folder, tensor by tensor, without a second copy of it.
//!
//! The bytes of `model.safetensors` depend on the weights alone: layout order, no date, no name. Each file is written
//! beside its place, synced and renamed, so an interrupted write leaves no half file under a name that is read.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use model::{Layout, ModelSpec, Part, Role, TensorId, TensorInfo};
use serde_json::{Map, Value, json};

use super::config::SpecialIds;
use super::describe::{generation_config, to_config_json};
use super::load::is_vocab;
use super::rows::VocabRows;
use super::shards::SINGLE;
use crate::dtype::Dtype;
use crate::error::FormatError;
use crate::names;

/// Elements converted at once.
const PIECE: usize = 1 << 16;

/// Where the values of a weight come from: borrowed from a flat array ([`flat`]), or made on the way.
pub type Source<'a> = dyn Fn(TensorId) -> Result<Cow<'a, [f32]>, FormatError> + 'a;

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

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of `model.safetensors`.
    pub bytes: u64,
    /// The residual scale was not 1 and is now inside O and down: the file's weights are not bit for bit those of the source.
    pub folded: bool,
}

/// The weights of `layout` as a [`Source`].
pub fn flat<'a>(weights: &'a [f32], layout: &'a Layout) -> impl Fn(TensorId) -> Result<Cow<'a, [f32]>, FormatError> + 'a {
    move |id| match weights.get(layout.range(id)) {
        Some(values) if !values.is_empty() => Ok(Cow::Borrowed(values)),
        _ => Err(FormatError::inexpressible(format!("{id:?}"), "nothing", "the source does not have it")),
    }
}

/// Writes `config.json`, `generation_config.json` and `model.safetensors` of the model `full` into `dir`, which is made if
/// it is not there. A residual scale other than 1 is folded into O (with its bias) and down, for the format cannot say it.
///
/// # Errors
/// `Inexpressible` (65) when the family cannot say the spec, a source has the wrong size, or a value overflows the element
/// type; `Create` (73); `Io` (74).
pub fn write(dir: &Path, full: &ModelSpec, source: &Source, options: &WriteOptions) -> Result<Written, FormatError> {
    let config = to_config_json(full, options.special, options.dtype)?;
    if let Some(rows) = &options.rows {
        rows.check(full.dim)?;
        if rows.vocab != full.vocab {
            let why = format!("the model has {} ids", full.vocab);
            return Err(FormatError::inexpressible("compact vocabulary", rows.vocab.to_string(), why));
        }
    }
    fs::create_dir_all(dir).map_err(|e| FormatError::create(dir, e))?;
    let layout = Layout::of(full);
    let mut bytes = 0;
    replace(dir, SINGLE, &mut |path, file| {
        let mut out =
            Output { path, file: BufWriter::with_capacity(1 << 18, file), dtype: options.dtype, bytes: Vec::new(), written: 0 };
        out.raw(&header(&layout, options.dtype)?)?;
        for t in layout.tensors() {
            tensor(&mut out, full, t, source, options)?;
        }
        bytes = out.written;
        out.file.flush().map_err(|e| FormatError::write(path, e))
    })?;
    for (name, value) in [("config.json", config), ("generation_config.json", generation_config(options.special))] {
        let text = format!("{value:#}\n");
        replace(dir, name, &mut |path, file| file.write_all(text.as_bytes()).map_err(|e| FormatError::write(path, e)))?;
    }
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| FormatError::write(dir, e))?;
    Ok(Written { bytes, folded: full.residual_scale != 1.0 })
}

/// Writes `dir/name` under another name, syncs it, and puts it in its place.
fn replace(dir: &Path, name: &str, fill: &mut dyn FnMut(&Path, &mut File) -> Result<(), FormatError>) -> Result<(), FormatError> {
    let (path, temporary) = (dir.join(name), dir.join(format!(".{name}.tmp-{}", std::process::id())));
    let mut file = File::create(&temporary).map_err(|e| FormatError::create(&temporary, e))?;
    let done = fill(&path, &mut file)
        .and_then(|()| file.sync_all().map_err(|e| FormatError::write(&path, e)))
        .and_then(|()| fs::rename(&temporary, &path).map_err(|e| FormatError::create(&path, e)));
    if done.is_err() {
        // the error that is returned matters more than what is left behind
        let _ = fs::remove_file(&temporary);
    }
    done
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

fn tensor(
    out: &mut Output,
    full: &ModelSpec,
    t: &TensorInfo,
    source: &Source,
    options: &WriteOptions,
) -> Result<(), FormatError> {
    let values = source(t.id)?;
    let rows = options.rows.as_ref().filter(|_| is_vocab(t.id));
    let expected = rows.map_or(t.range.len(), |r| r.full_of.len() * full.dim);
    if values.len() != expected {
        let why = format!("{expected} values are needed");
        return Err(FormatError::inexpressible(names::hf(t.id), format!("{} values", values.len()), why));
    }
    let scale = match t.id {
        TensorId::Layer(_, Part::O | Part::OBias | Part::Down) => full.residual_scale,
        _ => 1.0,
    };
    match rows {
        Some(rows) => rows.expand(t.id, &values, full.dim, &mut |piece| out.values(t.id, piece)),
        None if scale == 1.0 => out.values(t.id, &values),
        None => values.chunks(PIECE).try_for_each(|piece| {
            let scaled: Vec<f32> = piece.iter().map(|v| v * scale).collect();
            out.values(t.id, &scaled)
        }),
    }
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
        for piece in values.chunks(PIECE) {
            if let Some(v) = piece.iter().find(|v| v.is_finite() && v.abs() > largest) {
                let why = format!("{} would make it infinite; write bf16 or f32", self.dtype.name());
                return Err(FormatError::inexpressible(names::hf(id), v.to_string(), why));
            }
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            self.dtype.encode(piece, &mut bytes);
            let done = self.raw(&bytes);
            self.bytes = bytes;
            done?;
        }
        Ok(())
    }
}
