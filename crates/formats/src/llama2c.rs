//! Model files of llama2.c: a header and f32 weights in a fixed order, Q and K in interleaved pairs.
//!
//! The legacy file (version 0) begins with seven i32: dim, hidden, layers, heads, key heads, vocabulary (negative where the
//! classifier is its own matrix), longest position; two tables of rotations that nobody reads lie behind the last norm.
//! Version 1 has a header of 256 bytes that begins with `0x616b3432` and the version, and the norms first. Neither says the
//! rope base (10,000) or the norm epsilon (1e-5): the program has both as constants.

use std::path::Path;

use model::{Family, Layout, ModelSpec, Part, Rope, TensorId};

use crate::error::FormatError;
use crate::opened::{Format, Found, Model};
use crate::place::{self, DataFile};
use crate::rows::VocabRows;
use crate::sequence::{Item, Output, check_size, places, words};
use crate::source::{Export, Source};
use crate::special::SpecialIds;

/// `ak42`, as a number.
const MAGIC: i32 = 0x616b_3432;
const HEADER_V1: usize = 256;
const LEGACY_HEADER: usize = 28;
pub(crate) const THETA: f64 = 10_000.0;
pub(crate) const EPS: f32 = 1e-5;
const EXPECTED: &str = "a model file of llama2.c";

/// Which header and order of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Version {
    /// Version 0: what `run.c` reads.
    #[default]
    Legacy,
    /// Version 1: the 256-byte header.
    V1,
}

/// Whether `file` begins as a file of llama2.c does: with the magic, or with seven numbers that could be a model's.
pub(crate) fn is_one(file: &DataFile) -> Result<bool, FormatError> {
    if file.len() < LEGACY_HEADER as u64 {
        return Ok(false);
    }
    let mut head = [0; LEGACY_HEADER];
    file.read_at(0, &mut head)?;
    let words = words(&head);
    Ok(words[0] == MAGIC || spec_of(file.path(), &words, words[5] > 0).is_ok())
}

/// Opens a model file of llama2.c.
///
/// # Errors
/// `Missing` (66), `Io` (74), and `Bad` or `Unsupported` (65) with the offset.
pub fn open(path: &Path) -> Result<Model, FormatError> {
    let file = DataFile::open(path, EXPECTED)?;
    let mut head = [0; HEADER_V1];
    let n = HEADER_V1.min(usize::try_from(file.len()).unwrap_or(HEADER_V1));
    file.read_at(0, &mut head[..n])?;
    if n < LEGACY_HEADER {
        return Err(FormatError::bad(path, "size", format!("{n} bytes"), "at least the 28 bytes of a header"));
    }
    let words = words(&head);
    let version = if words[0] == MAGIC { Version::V1 } else { Version::Legacy };
    let (spec, start) = match version {
        Version::Legacy => (spec_of(path, &words[..7], words[5] > 0)?, LEGACY_HEADER),
        Version::V1 => (spec_v1(path, &head, &words)?, HEADER_V1),
    };
    check_size(path, file.len(), size(&spec, version))?;
    let places = places(&spec, items(&spec, version), start as u64);
    // run.c begins a text with 1, and ends it at 1 or 2
    let special = SpecialIds { bos: Some(1), eos: vec![2], pad: None };
    Model::new(Found { path: path.into(), format: Format::Llama2c, spec, special, files: vec![file], places })
}

fn spec_v1(path: &Path, head: &[u8; HEADER_V1], words: &[i32]) -> Result<ModelSpec, FormatError> {
    match words[1] {
        1 => {}
        2 => {
            let supported = "versions 0 and 1 (f32) are; this one has 8-bit groups: export it again with --version 1";
            return Err(FormatError::unsupported(path, "offset 4, version", "2", supported));
        }
        other => return Err(FormatError::unsupported(path, "offset 4, version", other.to_string(), "versions 0 and 1 are")),
    }
    let tied = match head[36] {
        0 => false,
        1 => true,
        other => return Err(FormatError::bad(path, "offset 36, shared classifier", other.to_string(), "0 or 1")),
    };
    if let Some(at) = head[37..].iter().position(|b| *b != 0) {
        return Err(FormatError::bad(
            path,
            format!("offset {}", 37 + at),
            "a byte that is not 0",
            "zeros to the end of the header",
        ));
    }
    spec_of(path, &words[2..9], tied)
}

/// The seven numbers: dim, hidden, layers, heads, key heads, vocabulary, positions.
fn spec_of(path: &Path, words: &[i32], tied: bool) -> Result<ModelSpec, FormatError> {
    let names = ["dim", "hidden", "layers", "heads", "kv_heads", "vocab", "context"];
    let mut sizes = [0; 7];
    for (i, (size, word)) in sizes.iter_mut().zip(words).enumerate() {
        // only the legacy header has a sign that means something
        let value = if names[i] == "vocab" && !tied { i64::from(*word).abs() } else { i64::from(*word) };
        *size = usize::try_from(value).ok().filter(|n| *n > 0).ok_or_else(|| {
            FormatError::bad(
                path,
                format!("header, {}", names[i]),
                word.to_string(),
                "more than 0, as in a model file of llama2.c",
            )
        })?;
    }
    let [dim, hidden, layers, heads, kv_heads, vocab, context] = sizes;
    if !dim.is_multiple_of(heads) {
        return Err(FormatError::bad(path, "header, heads", heads.to_string(), format!("a number that divides dim = {dim}")));
    }
    let spec = ModelSpec {
        family: Family::Llama,
        dim,
        layers,
        heads,
        kv_heads,
        head_dim: dim / heads,
        hidden,
        vocab,
        context,
        rope: Rope::plain(THETA),
        no_rope: Vec::new(),
        norm_eps: EPS,
        tied,
        qkv_bias: false,
        o_bias: false,
        qk_norm: false,
        window: None,
        residual_scale: 1.0,
    };
    spec.validate().map_err(|e| FormatError::bad(path, format!("header, {}", e.field), e.found, e.expected))?;
    Ok(spec)
}

/// Floats of the two tables of rotations together.
fn rotations(spec: &ModelSpec) -> u64 {
    (spec.context * spec.head_dim) as u64
}

/// Size of the whole file.
fn size(spec: &ModelSpec, version: Version) -> Option<u64> {
    let [d, q, kv, ff, v] = [spec.dim, spec.q_dim(), spec.kv_dim(), spec.hidden, spec.vocab].map(|n| n as u64);
    let layer = 2 * d + 2 * d * q + 2 * d * kv + 3 * d * ff;
    let vocab = if spec.tied { v * d } else { 2 * v * d };
    let (head, tables) = match version {
        Version::Legacy => (LEGACY_HEADER, rotations(spec)),
        Version::V1 => (HEADER_V1, 0),
    };
    let floats = layer.checked_mul(spec.layers as u64)?.checked_add(vocab + d)?.checked_add(tables)?;
    floats.checked_mul(4)?.checked_add(head as u64)
}

/// What follows the header.
fn items(spec: &ModelSpec, version: Version) -> Vec<Item> {
    let all = |part| (0..spec.layers).map(move |l| Item::Weight(TensorId::Layer(l, part)));
    let matrices = [Part::Q, Part::K, Part::V, Part::O];
    let ffn = [Part::Gate, Part::Down, Part::Up];
    let (embed, norm) = (Item::Weight(TensorId::Embed), Item::Weight(TensorId::FinalNorm));
    let mut items = Vec::new();
    match version {
        Version::Legacy => {
            items.push(embed);
            items.extend(all(Part::AttnNorm).chain(matrices.into_iter().flat_map(all)));
            items.extend(all(Part::FfnNorm).chain(ffn.into_iter().flat_map(all)));
            items.extend([norm, Item::Skip(rotations(spec))]);
        }
        Version::V1 => {
            items.extend(all(Part::AttnNorm).chain(all(Part::FfnNorm)));
            items.extend([norm, embed]);
            items.extend(matrices.into_iter().chain(ffn).flat_map(all));
        }
    }
    if !spec.tied {
        items.push(Item::Weight(TensorId::Head));
    }
    items
}

/// How to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions<'a> {
    /// Which header and order.
    pub version: Version,
    /// The source holds a compact vocabulary: how to expand it.
    pub rows: Option<VocabRows<'a>>,
}

/// Writes the model `full` as a file of llama2.c and returns its size in bytes. A residual scale is folded into O and down.
///
/// # Errors
/// `Inexpressible` (65) for a model that llama2.c would compute otherwise; `Create` (73); `Io` (74).
pub fn write(path: &Path, full: &ModelSpec, source: &Source, options: &WriteOptions) -> Result<u64, FormatError> {
    expressible(full)?;
    let export = Export::new(full, source, options.rows)?;
    let (layout, head) = (Layout::of(full), header(full, options.version)?);
    let mut bytes = 0;
    place::replace(path, &mut |path, file| {
        let mut out = Output::new(path, file);
        out.raw(&head)?;
        for item in items(full, options.version) {
            match item {
                Item::Weight(id) => layout.get(id).map_or(Ok(()), |t| out.weight(&export, full, t))?,
                Item::Skip(_) => tables(&mut out, full)?,
            }
        }
        bytes = out.finish()?;
        Ok(())
    })?;
    Ok(bytes)
}

/// Cosines, then sines, as the trainer of llama2.c once wrote them.
fn tables(out: &mut Output, spec: &ModelSpec) -> Result<(), FormatError> {
    let frequencies = spec.rope.frequencies(spec.head_dim);
    for turn in [f64::cos, f64::sin] {
        for position in 0..spec.context {
            let row: Vec<f32> = frequencies.iter().map(|f| turn(f64::from(position as f32 * f)) as f32).collect();
            out.floats(&row)?;
        }
    }
    Ok(())
}

fn header(spec: &ModelSpec, version: Version) -> Result<Vec<u8>, FormatError> {
    let vocab = spec.vocab as i32;
    let vocab = if version == Version::Legacy && !spec.tied { -vocab } else { vocab };
    let sizes = [spec.dim, spec.hidden, spec.layers, spec.heads, spec.kv_heads].map(|n| n as i32);
    let mut words = if version == Version::V1 { vec![MAGIC, 1] } else { Vec::new() };
    words.extend(sizes.into_iter().chain([vocab, spec.context as i32]));
    let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    if version == Version::V1 {
        bytes.push(u8::from(spec.tied));
        bytes.resize(HEADER_V1, 0);
    }
    Ok(bytes)
}

/// Whether `run.c` would compute what the spec says.
fn expressible(spec: &ModelSpec) -> Result<(), FormatError> {
    plain_block(spec, "llama2.c")?;
    let refuse = |at: &str, found: String, why: &str| Err(FormatError::inexpressible(at, found, format!("llama2.c {why}")));
    if spec.head_dim * spec.heads != spec.dim {
        return refuse("head_dim", spec.head_dim.to_string(), "has heads of dim / heads; write hf or gguf");
    }
    if spec.rope != Rope::plain(THETA) {
        return refuse("rope", spec.rope.to_string(), "rotates with base 10000, unscaled; write hf or gguf");
    }
    if spec.norm_eps != EPS {
        return refuse("norm_eps", spec.norm_eps.to_string(), "has 1e-5 in its norms; write hf or gguf");
    }
    Ok(())
}

/// Refuses what neither llama2.c nor BLZT has a place for.
pub(crate) fn plain_block(spec: &ModelSpec, format: &str) -> Result<(), FormatError> {
    spec.validate().map_err(|e| FormatError::inexpressible(e.field, e.found, e.expected))?;
    let refuse = |at: &str, why: &str| {
        Err(FormatError::inexpressible(at, "set", format!("{format} has no place for {why}; write hf or gguf")))
    };
    if spec.qkv_bias || spec.o_bias {
        return refuse("qkv_bias", "biases");
    }
    if spec.qk_norm {
        return refuse("qk_norm", "norms of queries and keys");
    }
    if spec.window.is_some_and(|w| w.size < spec.context) {
        return refuse("window", "a sliding window");
    }
    if !spec.no_rope.is_empty() {
        return refuse("no_rope", "layers without rotation");
    }
    Ok(())
}
