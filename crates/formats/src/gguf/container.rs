//! [`Container`]: a GGUF file whose header is sound and whose tensors lie where the header says, each byte once.

use std::collections::HashSet;
use std::path::Path;

use super::cursor::Cursor;
use super::metadata::Metadata;
use super::types;
use crate::error::{FormatError, shown};
use crate::place::DataFile;
use crate::safetensors::Tensor;

const ALIGNMENT_KEY: &str = "general.alignment";
/// Where the file names none.
pub(super) const ALIGNMENT: u64 = 32;
const ALIGNMENT_LIMIT: u64 = 1 << 20;
const KEY_LIMIT: u64 = 65_535;
const NAME_LIMIT: u64 = 64;
/// Entries of either table: far more than any model has.
const COUNT_LIMIT: u64 = 1 << 16;
const RANK_LIMIT: u32 = 4;

/// An open, sound file.
#[derive(Debug)]
pub struct Container {
    file: DataFile,
    version: u32,
    metadata: Metadata,
    tensors: Vec<Tensor>,
}

impl Container {
    /// Opens `path` and checks all of its header.
    ///
    /// # Errors
    /// `Missing`, `Io`, and `Bad` or `Unsupported` with the offset, key or tensor for what the format forbids or this
    /// program cannot place.
    pub fn open(path: &Path) -> Result<Container, FormatError> {
        let file = DataFile::open(path, "a GGUF file")?;
        let mut cursor = Cursor::new(&file);
        let version = version(path, &mut cursor)?;
        let (tensors, keys) = (cursor.u64("number of tensors")?, cursor.u64("number of keys")?);
        // the shortest tensor entry and the shortest key with its value
        let tensors = count(&cursor, tensors, 24, "number of tensors")?;
        let keys = count(&cursor, keys, 13, "number of keys")?;
        let mut metadata = Metadata::new(path);
        for _ in 0..keys {
            let key = cursor.text("key", KEY_LIMIT)?;
            let value = cursor.value(&format!("value of the key {}", shown(&key)))?;
            if !metadata.insert(&key, value) {
                return Err(FormatError::bad(path, format!("key {}", shown(&key)), "it twice", "it once"));
            }
        }
        let alignment = alignment(&metadata)?;
        let entries = entries(&mut cursor, tensors)?;
        let data = cursor.at().next_multiple_of(alignment);
        let tensors = placed(path, entries, data, alignment, file.len())?;
        Ok(Container { file, version, metadata, tensors })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.file.len()
    }

    /// Version of the format.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Keys and values.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The tensors in the order of the file; shapes are row-major, as everywhere here (the file has them the other way round).
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor called `name`.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|t| t.name == name)
    }

    /// Reads `buffer.len()` bytes at `offset`.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        self.file.read_at(offset, buffer)
    }

    /// The file alone.
    pub(super) fn into_file(self) -> DataFile {
        self.file
    }
}

fn version(path: &Path, cursor: &mut Cursor) -> Result<u32, FormatError> {
    let magic = cursor.u32("magic")?.to_le_bytes();
    if &magic != b"GGUF" {
        return Err(FormatError::bad(path, "offset 0, magic", format!("the bytes {magic:02x?}"), "the bytes of `GGUF`"));
    }
    match cursor.u32("version")? {
        version @ (2 | 3) => Ok(version),
        1 => Err(FormatError::unsupported(path, "offset 4, version", "1", "versions 2 and 3 are; convert it with llama.cpp")),
        other if [2, 3].contains(&other.swap_bytes()) => {
            Err(FormatError::unsupported(path, "offset 4, version", "a big-endian file", "little-endian files are"))
        }
        other => Err(FormatError::bad(path, "offset 4, version", other.to_string(), "2 or 3")),
    }
}

/// `n` entries of at least `each` bytes.
fn count(cursor: &Cursor, n: u64, each: u64, what: &str) -> Result<usize, FormatError> {
    if n > COUNT_LIMIT {
        return Err(cursor.bad(what, n.to_string(), format!("at most {COUNT_LIMIT}")));
    }
    cursor.fits(n, each, what)
}

fn alignment(metadata: &Metadata) -> Result<u64, FormatError> {
    let Some(n) = metadata.size(ALIGNMENT_KEY)? else { return Ok(ALIGNMENT) };
    let n = n as u64;
    if n.is_power_of_two() && n <= ALIGNMENT_LIMIT {
        return Ok(n);
    }
    let expected = format!("a power of two up to {ALIGNMENT_LIMIT}");
    Err(FormatError::bad(metadata.path(), metadata.at(ALIGNMENT_KEY), n.to_string(), expected))
}

/// A line of the tensor table.
struct Entry {
    name: String,
    /// As in the file: the length of a row first.
    dims: Vec<u64>,
    type_id: u32,
    offset: u64,
}

fn entries(cursor: &mut Cursor, n: usize) -> Result<Vec<Entry>, FormatError> {
    let mut out = Vec::with_capacity(n);
    let mut seen = HashSet::with_capacity(n);
    for i in 0..n {
        let name = cursor.text(&format!("name of tensor {i}"), NAME_LIMIT)?;
        let what = format!("tensor {}", shown(&name));
        let rank = cursor.u32(&what)?;
        if rank == 0 || rank > RANK_LIMIT {
            return Err(cursor.bad(&what, format!("{rank} dimensions"), format!("1 to {RANK_LIMIT}")));
        }
        let dims = (0..rank).map(|_| cursor.u64(&what)).collect::<Result<Vec<u64>, _>>()?;
        let (type_id, offset) = (cursor.u32(&what)?, cursor.u64(&what)?);
        if !seen.insert(name.clone()) {
            return Err(cursor.bad(&what, "it twice", "it once"));
        }
        out.push(Entry { name, dims, type_id, offset });
    }
    Ok(out)
}

/// Checks types, sizes and places: the tensors lie in the order of the table, each at the first multiple of the alignment
/// after the one before, up to the end of the file.
fn placed(path: &Path, entries: Vec<Entry>, data: u64, alignment: u64, len: u64) -> Result<Vec<Tensor>, FormatError> {
    let mut tensors = Vec::with_capacity(entries.len());
    let mut end = 0u64;
    for entry in entries {
        let at = format!("tensor {}", shown(&entry.name));
        let bad = |found: String, expected: String| FormatError::bad(path, at.clone(), found, expected);
        let Some(kind) = types::from_id(entry.type_id) else {
            return Err(FormatError::unsupported(path, at, format!("tensor type {}", entry.type_id), "types that ggml has are"));
        };
        let Some(bytes) = size(&entry.dims, kind.weights, kind.bytes) else {
            let expected = format!("sizes above 0, in whole blocks of {} along a row", kind.weights);
            return Err(bad(format!("dimensions {:?} of {}", entry.dims, kind.name), expected));
        };
        let expected = end.next_multiple_of(alignment);
        if entry.offset != expected {
            let what = if entry.offset < end { "an overlap" } else { "a hole, or no multiple of the alignment" };
            return Err(bad(format!("{what}: offset {} in the data", entry.offset), format!("offset {expected}")));
        }
        let start = data.checked_add(entry.offset);
        let Some((start, stop)) = start.and_then(|s| Some((s, s.checked_add(bytes)?))).filter(|(_, stop)| *stop <= len) else {
            return Err(bad(
                format!("{bytes} bytes at offset {} in the data", entry.offset),
                format!("an end within the {len} bytes of the file"),
            ));
        };
        end = stop - data;
        let shape = entry.dims.into_iter().rev().collect();
        tensors.push(Tensor { name: entry.name, dtype: kind.name.to_owned(), shape, start, bytes });
    }
    // the last tensor may be padded; a file without tensors may end with its header
    let whole = data.checked_add(end.next_multiple_of(alignment));
    if !tensors.is_empty() && whole.is_none_or(|whole| len > whole) {
        let at = format!("offset {}", data + end);
        return Err(FormatError::bad(path, at, format!("{} bytes after the last tensor", len - data - end), "none"));
    }
    Ok(tensors)
}

/// Bytes of a tensor; `None` for an empty one, broken blocks, or more than can be counted.
fn size(dims: &[u64], weights: u64, bytes: u64) -> Option<u64> {
    let row = dims.first().filter(|n| **n > 0 && n.is_multiple_of(weights))?;
    let row = (row / weights).checked_mul(bytes)?;
    dims[1..].iter().try_fold(row, |n, d| n.checked_mul(*d)).filter(|n| *n > 0)
}
