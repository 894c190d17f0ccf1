//! A model as a GGUF v3 file, tensor by tensor, without a second copy of it. The bytes depend on the model and the given
//! keys alone.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use model::{Layout, ModelSpec, Role, TensorInfo};

use super::arch::{self, Arch, Biases};
use super::container::ALIGNMENT;
use super::metadata::Metadata;
use super::value::{Array, Value, ValueType};
use super::{open, rope, spec, types};
use crate::encoding::Encoding;
use crate::error::FormatError;
use crate::opened::RowOrder;
use crate::rows::VocabRows;
use crate::source::{Export, PIECE, Source, Written};
use crate::special::SpecialIds;
use crate::{names, place};

/// Version of the format, and of the block encodings.
const VERSION: u32 = 3;
const QUANTIZATION_VERSION: u32 = 2;

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions<'a> {
    /// Encoding of the matrices, the embedding included: F32, F16, BF16 or Q8_0. Vectors are F32. In Q8_0 a matrix whose rows
    /// are no whole blocks is F16.
    pub encoding: Encoding,
    /// Special ids, where `extra` does not say them.
    pub special: &'a SpecialIds,
    /// The source holds a compact vocabulary: how to expand it.
    pub rows: Option<VocabRows<'a>>,
    /// Keys of the tokenizer and `general.*` keys, in their order.
    pub extra: &'a Metadata,
}

/// Writes the model `full` into the file `path`: beside its place, synced and renamed. A residual scale other than 1 is
/// folded into O (with its bias) and down, for the format cannot say it.
///
/// # Errors
/// `Inexpressible` (65) when the architecture cannot say the spec, a source has the wrong size, or a value overflows the
/// encoding; `Create` (73); `Io` (74).
pub fn write(path: &Path, full: &ModelSpec, source: &Source, options: &WriteOptions) -> Result<Written, FormatError> {
    let export = Export::new(full, source, options.rows)?;
    let (arch, _) = Arch::of(full.family);
    expressible(arch, full)?;
    let rope = rope::write(&full.rope, full.head_dim)?;
    let metadata = metadata(path, full, &rope, options);
    let layout = Layout::of(full);
    let plans = plans(&layout, arch, full.head_dim, options.encoding)?;
    let header = header(&metadata, &plans, rope.divisors.as_deref());
    let mut bytes = 0;
    place::replace(path, &mut |path, file| {
        let mut out = Output { path, file: BufWriter::with_capacity(1 << 18, file), bytes: Vec::new(), written: 0 };
        out.raw(&header)?;
        for plan in &plans {
            plan.write(&export, &mut out)?;
            out.pad()?;
        }
        if let Some(divisors) = &rope.divisors {
            out.values(Encoding::F32, names::GGUF_ROPE, divisors)?;
            out.pad()?;
        }
        bytes = out.written;
        out.file.flush().map_err(|e| FormatError::write(path, e))
    })?;
    place::sync_dir(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    Ok(Written { bytes, folded: export.folds(), notes: notes(full) })
}

/// What llama.cpp will do otherwise.
fn notes(full: &ModelSpec) -> Vec<String> {
    let window = full.window.filter(|w| w.size < full.context);
    let note =
        |size| format!("llama.cpp has no sliding window for this architecture: its results differ beyond {size} positions");
    window.map(|w| note(w.size)).into_iter().collect()
}

fn expressible(arch: &Arch, full: &ModelSpec) -> Result<(), FormatError> {
    let refuse = |at: &str, found: String, why: &str| {
        Err(FormatError::inexpressible(at, found, format!("the architecture `{}` {why}", arch.name)))
    };
    match arch.qkv_bias {
        Biases::Always if !full.qkv_bias => return refuse("qkv_bias", "false".into(), "has biases on q, k and v"),
        Biases::Never if full.qkv_bias => return refuse("qkv_bias", "true".into(), "has no biases"),
        _ => {}
    }
    if full.o_bias && !arch.o_bias {
        return refuse("o_bias", "true".into(), "has no bias on o");
    }
    if full.qk_norm != (arch.family == model::Family::Qwen3) {
        return refuse("qk_norm", full.qk_norm.to_string(), "says otherwise: query and key norms are those of qwen3");
    }
    if full.no_rope != arch::no_rope(full.family, full.layers) {
        return refuse(
            "no_rope",
            format!("{:?}", full.no_rope),
            "leaves out the rotation in each fourth layer (smollm3) or in none",
        );
    }
    Ok(())
}

fn metadata(path: &Path, full: &ModelSpec, rope: &rope::Written, options: &WriteOptions) -> Metadata {
    let mut out = Metadata::new(path);
    let (arch, family) = Arch::of(full.family);
    // the first of two equal keys holds: what the caller says of the tokenizer comes before our defaults
    let mut add = |key: &str, value: Value| _ = out.insert(key, value);
    add("general.architecture", Value::Text(arch.name.into()));
    add("general.type", Value::Text("model".into()));
    let (general, others): (Vec<_>, Vec<_>) = options.extra.iter().partition(|(key, _)| key.starts_with("general."));
    general.into_iter().for_each(|(key, value)| add(key, value.clone()));
    for (key, value) in spec::keys(full) {
        add(&arch.key(key), value);
    }
    for (key, value) in &rope.keys {
        add(&arch.key(&format!("rope.{key}")), value.clone());
    }
    if let Some(family) = family {
        add(arch::FAMILY, Value::Text(family.into()));
    }
    for (key, value) in spec::notes(full, options.special, arch).into_iter().chain(rope.notes.iter().cloned()) {
        add(&key, value);
    }
    add("general.file_type", Value::U32(file_type(options.encoding)));
    add("general.quantization_version", Value::U32(QUANTIZATION_VERSION));
    others.into_iter().for_each(|(key, value)| add(key, value.clone()));
    // without a tokenizer llama.cpp wants to be told so
    add("tokenizer.ggml.model", Value::Text("none".into()));
    for (key, value) in spec::special_keys(options.special) {
        add(key, value);
    }
    out
}

/// llama.cpp's number for "most tensors are of this type".
fn file_type(encoding: Encoding) -> u32 {
    match encoding {
        Encoding::F16 => 1,
        Encoding::Q8_0 => 7,
        Encoding::Bf16 => 32,
        _ => 0,
    }
}

/// One tensor to be written.
struct Plan<'a> {
    info: &'a TensorInfo,
    name: String,
    encoding: Encoding,
    order: RowOrder,
    bytes: u64,
}

fn plans<'a>(layout: &'a Layout, arch: &Arch, head_dim: usize, target: Encoding) -> Result<Vec<Plan<'a>>, FormatError> {
    let plan = |info: &'a TensorInfo| {
        let [rows, cols] = info.shape;
        let encoding = match info.role {
            Role::Norm | Role::Bias => Encoding::F32,
            _ if !cols.is_multiple_of(target.block_len()) => Encoding::F16,
            _ => target,
        };
        let bytes = encoding.bytes_of(cols).and_then(|n| n.checked_mul(rows));
        let too_large = || FormatError::inexpressible(names::gguf(info.id), format!("{rows} x {cols}"), "that is too large");
        let bytes = bytes.ok_or_else(too_large)? as u64;
        Ok(Plan { info, name: names::gguf(info.id), encoding, order: open::order(arch, info.id, head_dim), bytes })
    };
    layout.tensors().iter().map(plan).collect()
}

impl Plan<'_> {
    /// As the file has it: the length of a row first.
    fn dims(&self) -> Vec<u64> {
        let [rows, cols] = self.info.shape.map(|n| n as u64);
        if matches!(self.info.role, Role::Norm | Role::Bias) { vec![cols] } else { vec![cols, rows] }
    }

    fn write(&self, export: &Export, out: &mut Output) -> Result<(), FormatError> {
        if self.order == RowOrder::Halves {
            return export.pieces(self.info, &mut |piece| out.values(self.encoding, &self.name, piece));
        }
        let [rows, cols] = self.info.shape;
        if self.info.role == Role::Bias {
            let mut ours = vec![0.0; cols];
            export.read(self.info, 0..1, &mut ours)?;
            let permuted: Vec<f32> = (0..cols).map(|i| ours[self.order.ours(i)]).collect();
            return out.values(self.encoding, &self.name, &permuted);
        }
        let step = (PIECE / cols).max(1);
        let mut values = Vec::new();
        for from in (0..rows).step_by(step) {
            let to = (from + step).min(rows);
            values.resize((to - from) * cols, 0.0);
            for (row, value) in (from..to).zip(values.chunks_exact_mut(cols)) {
                let ours = self.order.ours(row);
                export.read(self.info, ours..ours + 1, value)?;
            }
            out.values(self.encoding, &self.name, &values)?;
        }
        Ok(())
    }
}

/// Everything before the tensors, padded to the alignment.
fn header(metadata: &Metadata, plans: &[Plan], divisors: Option<&[f32]>) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend((plans.len() as u64 + u64::from(divisors.is_some())).to_le_bytes());
    out.extend((metadata.iter().len() as u64).to_le_bytes());
    for (key, value) in metadata.iter() {
        put_text(&mut out, key);
        put_value(&mut out, value);
    }
    let mut at = 0;
    let mut line = |name: &str, dims: &[u64], encoding, bytes: u64| {
        put_text(&mut out, name);
        out.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
        out.extend(types::id_of(encoding).to_le_bytes());
        out.extend(u64::to_le_bytes(at));
        at = (at + bytes).next_multiple_of(ALIGNMENT);
    };
    for plan in plans {
        line(&plan.name, &plan.dims(), plan.encoding, plan.bytes);
    }
    if let Some(divisors) = divisors {
        line(names::GGUF_ROPE, &[divisors.len() as u64], Encoding::F32, 4 * divisors.len() as u64);
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT as usize), 0);
    out
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Type, then value.
fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut number = |kind: ValueType, bytes: &[u8]| {
        out.extend((kind as u32).to_le_bytes());
        out.extend(bytes);
    };
    match value {
        Value::U8(v) => number(ValueType::U8, &v.to_le_bytes()),
        Value::I8(v) => number(ValueType::I8, &v.to_le_bytes()),
        Value::U16(v) => number(ValueType::U16, &v.to_le_bytes()),
        Value::I16(v) => number(ValueType::I16, &v.to_le_bytes()),
        Value::U32(v) => number(ValueType::U32, &v.to_le_bytes()),
        Value::I32(v) => number(ValueType::I32, &v.to_le_bytes()),
        Value::F32(v) => number(ValueType::F32, &v.to_le_bytes()),
        Value::Bool(v) => number(ValueType::Bool, &[u8::from(*v)]),
        Value::U64(v) => number(ValueType::U64, &v.to_le_bytes()),
        Value::I64(v) => number(ValueType::I64, &v.to_le_bytes()),
        Value::F64(v) => number(ValueType::F64, &v.to_le_bytes()),
        Value::Text(text) => {
            number(ValueType::Text, &[]);
            put_text(out, text);
        }
        Value::List(list) => {
            number(ValueType::List, &[]);
            put_list(out, list);
        }
    }
}

/// Type of the items, their number, the items.
fn put_list(out: &mut Vec<u8>, list: &Array) {
    out.extend((list.item_type() as u32).to_le_bytes());
    out.extend((list.len() as u64).to_le_bytes());
    match list {
        Array::U8(a) => out.extend(a),
        Array::I8(a) => a.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::U16(a) => a.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::I16(a) => a.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::U32(a) => a.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::I32(a) => a.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::F32(a) => a.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::Bool(a) => a.iter().for_each(|v| out.push(u8::from(*v))),
        Array::Text(a) => a.iter().for_each(|text| put_text(out, text)),
        Array::List(a) => a.iter().for_each(|list| put_list(out, list)),
        Array::U64(a) => a.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::I64(a) => a.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::F64(a) => a.iter().for_each(|v| out.extend(v.to_le_bytes())),
    }
}

/// The file being written.
struct Output<'a> {
    path: &'a Path,
    file: BufWriter<&'a mut File>,
    bytes: Vec<u8>,
    written: u64,
}

impl Output<'_> {
    fn raw(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.written += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| FormatError::write(self.path, e))
    }

    fn pad(&mut self) -> Result<(), FormatError> {
        let n = self.written.next_multiple_of(ALIGNMENT) - self.written;
        self.raw(&[0; ALIGNMENT as usize][..n as usize])
    }

    fn values(&mut self, encoding: Encoding, name: &str, values: &[f32]) -> Result<(), FormatError> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let done = if encoding.encode(values, &mut bytes) {
            self.raw(&bytes)
        } else {
            let largest = values.iter().fold(0f32, |m, v| if v.is_finite() { m.max(v.abs()) } else { *v });
            let why = format!("{} cannot hold it; write bf16 or f32", encoding.name());
            Err(FormatError::inexpressible(name, largest.to_string(), why))
        };
        self.bytes = bytes;
        done
    }
}
