//! A safetensors file, validated when it is opened: `u64` header length, JSON header, then the tensors without holes.
//!
//! Nothing is allocated that the file's size does not justify, and no read can leave the file.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::error::{FormatError, clean, shown};
use crate::place::DataFile;

/// Cap of the reference implementation.
const HEADER_LIMIT: u64 = 100_000_000;
const TENSOR_LIMIT: usize = 1 << 20;
const RANK_LIMIT: usize = 8;

/// Element types of the format, with their width in bits.
const DTYPES: [(&str, u64); 20] = [
    ("F64", 64),
    ("F32", 32),
    ("F16", 16),
    ("BF16", 16),
    ("I64", 64),
    ("I32", 32),
    ("I16", 16),
    ("I8", 8),
    ("U64", 64),
    ("U32", 32),
    ("U16", 16),
    ("U8", 8),
    ("BOOL", 8),
    ("C64", 64),
    ("F8_E4M3", 8),
    ("F8_E5M2", 8),
    ("F8_E8M0", 8),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("F4", 4),
];

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Element type, as the header spells it.
    pub dtype: String,
    /// Shape.
    pub shape: Vec<u64>,
    /// Offset of its first byte in the file.
    pub start: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// An open, sound file.
#[derive(Debug)]
pub struct Container {
    file: DataFile,
    metadata: BTreeMap<String, String>,
    tensors: Vec<Tensor>,
}

impl Container {
    /// Opens `path` and checks all of its header.
    ///
    /// # Errors
    /// `Missing`, `Io`, and `Bad` with the offset or tensor for anything that the format forbids.
    pub fn open(path: &Path) -> Result<Container, FormatError> {
        let file = DataFile::open(path, "a safetensors file")?;
        let len = file.len();
        let bad = |at: &str, found: String, expected: &str| FormatError::bad(path, at, found, expected);
        if len < 8 {
            return Err(bad("size", format!("{len} bytes"), "at least the 8 bytes of the header length"));
        }
        let mut word = [0; 8];
        file.read_at(0, &mut word)?;
        let n = u64::from_le_bytes(word);
        if n > HEADER_LIMIT.min(len - 8) {
            let expected = format!("at most {} (the file has {len} bytes)", HEADER_LIMIT.min(len - 8));
            return Err(bad("offset 0, header length", n.to_string(), &expected));
        }
        let mut text = vec![0; n as usize];
        file.read_at(8, &mut text)?;
        let header: Header = serde_json::from_slice(&text)
            .map_err(|e| bad(&format!("offset {}, header", 8 + e.column()), clean(&e.to_string()), "a safetensors header"))?;
        let tensors = placed(path, header.tensors, 8 + n, len)?;
        Ok(Container { file, metadata: header.metadata, tensors })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.file.len()
    }

    /// The `__metadata__` of the header.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The tensors, in the order of their offsets.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Fills `out` with the f32 tensor called `name`, which must have exactly as many elements.
    ///
    /// # Errors
    /// `Bad` when there is no such tensor, or of another type or size; `Io`.
    pub fn read_f32(&self, name: &str, out: &mut [f32]) -> Result<(), FormatError> {
        let wanted = || format!("f32, {} elements", out.len());
        let bad = |found: String| FormatError::bad(self.path(), format!("tensor {}", shown(name)), found, wanted());
        let Some(tensor) = self.tensors.iter().find(|t| t.name == name) else { return Err(bad("nothing".into())) };
        if tensor.dtype != "F32" || tensor.bytes != 4 * out.len() as u64 {
            return Err(bad(format!("{}, {} bytes", tensor.dtype, tensor.bytes)));
        }
        self.read_f32_from(name, 0, out)
    }

    /// Fills `out` with elements of the f32 tensor called `name`, from element `first` on.
    ///
    /// # Errors
    /// `Bad` when there is no such tensor, or of another type or fewer elements; `Io`.
    pub fn read_f32_from(&self, name: &str, first: usize, out: &mut [f32]) -> Result<(), FormatError> {
        let wanted = || format!("f32, elements {first} to {}", first + out.len());
        let bad = |found: String| FormatError::bad(self.path(), format!("tensor {}", shown(name)), found, wanted());
        let Some(tensor) = self.tensors.iter().find(|t| t.name == name) else { return Err(bad("nothing".into())) };
        if tensor.dtype != "F32" || tensor.bytes / 4 < (first + out.len()) as u64 {
            return Err(bad(format!("{}, {} bytes", tensor.dtype, tensor.bytes)));
        }
        let mut bytes = vec![0; 4 * out.len().min(PIECE)];
        for (i, piece) in out.chunks_mut(PIECE).enumerate() {
            let bytes = &mut bytes[..4 * piece.len()];
            self.read_at(tensor.start + 4 * (first + i * PIECE) as u64, bytes)?;
            for (x, b) in piece.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *x = f32::from_le_bytes(*b);
            }
        }
        Ok(())
    }

    /// Reads `buffer.len()` bytes at `offset`.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        self.file.read_at(offset, buffer)
    }

    /// The file alone, for a reader that knows where its tensors lie.
    pub(crate) fn into_file(self) -> DataFile {
        self.file
    }
}

/// Elements converted at once.
const PIECE: usize = 1 << 16;

/// Writes one-dimensional f32 tensors; `visit` shows each with its name, the same ones whenever it is called.
///
/// # Errors
/// `Create`, `Io`.
pub fn write_f32(path: &Path, visit: impl Fn(&mut dyn FnMut(&str, &[f32]))) -> Result<(), FormatError> {
    let (mut header, mut at) = (serde_json::Map::new(), 0);
    visit(&mut |name, values| {
        let end = at + 4 * values.len();
        let entry = serde_json::json!({ "dtype": "F32", "shape": [values.len()], "data_offsets": [at, end] });
        header.insert(name.to_owned(), entry);
        at = end;
    });
    let mut text = serde_json::Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let file = File::create(path).map_err(|e| FormatError::create(path, e))?;
    let mut out = BufWriter::with_capacity(1 << 18, file);
    let mut written = out.write_all(&(text.len() as u64).to_le_bytes()).and_then(|()| out.write_all(&text));
    visit(&mut |_, values| {
        for x in values {
            if written.is_ok() {
                written = out.write_all(&x.to_le_bytes());
            }
        }
    });
    written.and_then(|()| out.flush()).map_err(|e| FormatError::write(path, e))
}

/// Checks types, sizes and places: the tensors cover the data from its first to its last byte, each byte once.
fn placed(path: &Path, entries: Vec<(String, Entry)>, data: u64, len: u64) -> Result<Vec<Tensor>, FormatError> {
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let bad = |found: String, expected: String| FormatError::bad(path, format!("tensor {}", shown(&name)), found, expected);
        let Some((_, bits)) = DTYPES.iter().find(|d| d.0 == entry.dtype) else {
            return Err(bad(format!("dtype {}", shown(&entry.dtype)), "a dtype of the format".into()));
        };
        let size = entry.shape.0.iter().try_fold(*bits, |n, d| n.checked_mul(*d));
        let Some(bytes) = size.filter(|n| n.is_multiple_of(8)).map(|n| n / 8) else {
            return Err(bad(format!("shape {:?} of {}", entry.shape.0, entry.dtype), "a size in whole bytes".into()));
        };
        let (begin, end) = entry.data_offsets;
        if begin > end || end > len - data {
            return Err(bad(format!("offsets {begin}..{end}"), format!("a range within the {} data bytes", len - data)));
        }
        if end - begin != bytes {
            let expected = format!("{bytes} bytes for shape {:?} of {}", entry.shape.0, entry.dtype);
            return Err(bad(format!("{} bytes", end - begin), expected));
        }
        tensors.push(Tensor { name, dtype: entry.dtype, shape: entry.shape.0, start: data + begin, bytes });
    }
    tensors.sort_by_key(|t| (t.start, t.bytes));
    let mut at = data;
    for t in &tensors {
        if t.start != at {
            let what = if t.start > at { "a hole" } else { "an overlap" };
            let found = format!("{what}: it begins at offset {}", t.start);
            return Err(FormatError::bad(path, format!("tensor {}", shown(&t.name)), found, format!("offset {at}")));
        }
        at += t.bytes;
    }
    if at != len {
        return Err(FormatError::bad(path, format!("offset {at}"), format!("{} bytes after the last tensor", len - at), "none"));
    }
    Ok(tensors)
}

struct Header {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Entry)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Shape,
    data_offsets: (u64, u64),
}

struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a shape of at most {RANK_LIMIT} dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut shape = Vec::new();
        while let Some(dimension) = seq.next_element()? {
            if shape.len() == RANK_LIMIT {
                return Err(A::Error::custom(format!("more than {RANK_LIMIT} dimensions")));
            }
            shape.push(dimension);
        }
        Ok(Shape(shape))
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header { metadata: BTreeMap::new(), tensors: Vec::new() };
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format!("duplicate tensor {}", shown(&name))));
            }
            if name == "__metadata__" {
                header.metadata = map.next_value::<Option<Metadata>>()?.map_or_else(BTreeMap::new, |m| m.0);
            } else if header.tensors.len() == TENSOR_LIMIT {
                return Err(A::Error::custom(format!("more than {TENSOR_LIMIT} tensors")));
            } else {
                header.tensors.push((name, map.next_value()?));
            }
        }
        Ok(header)
    }
}

/// Text to text, no key twice.
struct Metadata(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
        deserializer.deserialize_map(MetadataVisitor)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut out = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            if out.contains_key(&key) {
                return Err(A::Error::custom(format!("duplicate metadata {}", shown(&key))));
            }
            out.insert(key, value);
        }
        Ok(Metadata(out))
    }
}
