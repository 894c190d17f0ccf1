//! The weight container: a header of 64 bytes (count of records, version 2, zeros), then records of 64 bytes (sentinel, type,
//! size, absolute offset of the data, padding bits, zeros), each followed by its data; records and data begin at multiples of
//! 64. Little endian. A program names a record by the offset of the record, not of its data.

use std::fmt;

use crate::{DType, Type};

/// Bytes of the header and of a record; what everything is aligned to.
const UNIT: usize = 64;
const SENTINEL: u32 = 0xDEAD_BEEF;
const VERSION: u32 = 2;
/// The version whose files hold one layer each, in another layout.
const ESPRESSO: u32 = 1;

/// Types by their number in a record.
const CODES: [(u32, DType); 11] = [
    (1, DType::Fp16),
    (2, DType::Fp32),
    (3, DType::Uint8),
    (4, DType::Int8),
    (5, DType::Bf16),
    (6, DType::Int16),
    (7, DType::Uint16),
    (8, DType::Int4),
    (11, DType::Uint4),
    (14, DType::Int32),
    (15, DType::Uint32),
];

/// Why a file is not a weight container, or does not hold what a program says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {what}: expected {expected}, found {found}")]
pub struct BlobError {
    /// Where, in bytes from the start of the file.
    pub offset: u64,
    /// What is wrong.
    pub what: &'static str,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

fn error<T>(offset: usize, what: &'static str, expected: impl fmt::Display, found: impl fmt::Display) -> Result<T, BlobError> {
    Err(BlobError { offset: offset as u64, what, expected: expected.to_string(), found: found.to_string() })
}

/// How much of a record must be right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validation {
    /// All of it, as macOS 15 wants it.
    #[default]
    Strict,
    /// The sentinel, as macOS 26 does: type and size are those that the program declares, and data that no offset leads to
    /// lies behind the record.
    Lenient,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Offset of the record: what a program names it by.
    pub at: usize,
    /// Element type.
    pub dtype: DType,
    /// Bytes of the data.
    pub bytes: usize,
    /// Offset of the data from the start of the file.
    pub data: usize,
    /// Bits of the last byte that are no data.
    pub padding_bits: usize,
}

/// Number of type `dtype` in a record; none: no container holds it.
pub fn code(dtype: DType) -> Option<u32> {
    CODES.iter().find(|(_, t)| *t == dtype).map(|(code, _)| *code)
}

/// Writes containers.
#[derive(Clone, Debug)]
pub struct Writer {
    file: Vec<u8>,
    count: u32,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer::new()
    }
}

impl Writer {
    /// A container without records.
    pub fn new() -> Writer {
        Writer { file: vec![0; UNIT], count: 0 }
    }

    /// Appends a record of elements `data` of type `ty`, packed; gives the offset that a program names it by.
    ///
    /// # Errors
    /// When no container holds the type, or `data` are not the bytes that it takes.
    pub fn push(&mut self, ty: &Type, data: &[u8]) -> Result<u64, BlobError> {
        let at = self.file.len().next_multiple_of(UNIT);
        let Some(code) = code(ty.dtype) else { return error(at, "type of a record", "a type that files hold", ty.dtype) };
        if ty.bytes() != Some(data.len()) {
            return error(at, "size of the data", format!("the bytes of {ty}"), data.len());
        }
        let bits = ty.elements().unwrap_or(0).saturating_mul(ty.dtype.bits());
        self.file.resize(at, 0);
        self.file.extend(SENTINEL.to_le_bytes());
        self.file.extend(code.to_le_bytes());
        for word in [data.len(), at + UNIT, data.len() * 8 - bits] {
            self.file.extend((word as u64).to_le_bytes());
        }
        self.file.resize(at + UNIT, 0);
        self.file.extend(data);
        self.count += 1;
        Ok(at as u64)
    }

    /// The file.
    pub fn finish(mut self) -> Vec<u8> {
        self.file[..4].copy_from_slice(&self.count.to_le_bytes());
        self.file[4..8].copy_from_slice(&VERSION.to_le_bytes());
        self.file
    }
}

/// A file with one record, at offset 64.
///
/// # Errors
/// As [`Writer::push`].
pub fn single(ty: &Type, data: &[u8]) -> Result<Vec<u8>, BlobError> {
    let mut writer = Writer::new();
    writer.push(ty, data)?;
    Ok(writer.finish())
}

fn u32_at(file: &[u8], at: usize) -> u32 {
    file.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(file: &[u8], at: usize) -> u64 {
    file.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The records of `file`, in order, everything about them checked: count, version, sentinels, types, sizes, offsets against
/// the file's size, alignment, and that nothing overlaps.
///
/// # Errors
/// The first thing that is wrong.
pub fn records(file: &[u8]) -> Result<Vec<Record>, BlobError> {
    if file.len() < UNIT {
        return error(file.len(), "the header is cut off", format!("{UNIT} bytes"), format!("{} bytes", file.len()));
    }
    match u32_at(file, 4) {
        VERSION => {}
        ESPRESSO => return error(4, "version", VERSION, "1, the format of Espresso"),
        other => return error(4, "version", VERSION, other),
    }
    zeros(file, 8, UNIT)?;
    let count = u32_at(file, 0) as usize;
    // each record takes its own 64 bytes at least
    if count == 0 || count > file.len() / UNIT - 1 {
        return error(0, "count of records", format!("1 to {}", file.len() / UNIT - 1), count);
    }
    let mut records: Vec<Record> = Vec::new();
    for _ in 0..count {
        let begin = records.last().map_or(UNIT, |r| (r.data + r.bytes).next_multiple_of(UNIT));
        records.push(record(file, begin)?);
    }
    Ok(records)
}

fn zeros(file: &[u8], begin: usize, end: usize) -> Result<(), BlobError> {
    match (begin..end).find(|i| file.get(*i).is_some_and(|b| *b != 0)) {
        Some(at) => error(at, "reserved byte", 0, file[at]),
        None => Ok(()),
    }
}

fn sentinel(file: &[u8], at: usize) -> Result<(), BlobError> {
    if !at.is_multiple_of(UNIT) {
        return error(at, "offset of a record", format!("a multiple of {UNIT}"), at);
    }
    if at.checked_add(UNIT).is_none_or(|end| end > file.len()) {
        return error(at, "the record is cut off", format!("{UNIT} bytes"), format!("a file of {} bytes", file.len()));
    }
    match u32_at(file, at) {
        SENTINEL => Ok(()),
        found => error(at, "sentinel of a record", format!("{SENTINEL:#010x}"), format!("{found:#010x}")),
    }
}

fn record(file: &[u8], at: usize) -> Result<Record, BlobError> {
    sentinel(file, at)?;
    let number = u32_at(file, at + 4);
    let Some((_, dtype)) = CODES.iter().find(|(code, _)| *code == number) else {
        return error(at + 4, "type of a record", "a type number of the format that the language has", number);
    };
    let (bytes, data, padding) = (u64_at(file, at + 8), u64_at(file, at + 16), u64_at(file, at + 24));
    let begin = usize::try_from(data).ok().filter(|d| d.is_multiple_of(UNIT) && *d >= at + UNIT);
    let Some(begin) = begin else {
        return error(at + 16, "offset of the data", format!("a multiple of {UNIT} from {} on", at + UNIT), data);
    };
    let bytes = match usize::try_from(bytes).ok().filter(|b| begin.checked_add(*b).is_some_and(|end| end <= file.len())) {
        Some(bytes) => bytes,
        None => {
            return error(at + 8, "size of the data", format!("at most {} bytes", file.len().saturating_sub(begin)), bytes);
        }
    };
    let whole = dtype.bits().is_multiple_of(8);
    if bytes * 8 % dtype.bits() != 0 && whole {
        return error(at + 8, "size of the data", format!("a multiple of {} bytes", dtype.bits() / 8), bytes);
    }
    if padding >= 8 || (whole || bytes == 0) && padding != 0 || !(padding as usize).is_multiple_of(dtype.bits().min(8)) {
        return error(at + 24, "padding bits", if whole { "0" } else { "0 or 4" }, padding);
    }
    zeros(file, at + 32, at + UNIT)?;
    Ok(Record { at, dtype: *dtype, bytes, data: begin, padding_bits: padding as usize })
}

/// The bytes of a constant of type `ty` whose record lies at `offset` of `file`.
///
/// # Errors
/// When the file is no container, no record lies there, or it holds another type or size; with [`Validation::Lenient`], when
/// no record lies there or the file is too short for the type.
pub fn data<'a>(file: &'a [u8], offset: u64, ty: &Type, validation: Validation) -> Result<&'a [u8], BlobError> {
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    let Some(bytes) = ty.bytes() else { return error(at, "size of the data", "a size that can be counted", ty) };
    match validation {
        Validation::Lenient => lenient(file, at, bytes),
        Validation::Strict => {
            let records = records(file)?;
            match records.iter().find(|r| r.at == at) {
                Some(record) => strict(file, record, ty, bytes),
                None => error(at, "offset of a record", one_of(&records), at),
            }
        }
    }
}

fn one_of(records: &[Record]) -> String {
    let shown: Vec<_> = records.iter().take(8).map(|r| r.at.to_string()).collect();
    let more = if records.len() > shown.len() { ", ..." } else { "" };
    format!("one of {}{more}", shown.join(", "))
}

fn strict<'a>(file: &'a [u8], record: &Record, ty: &Type, bytes: usize) -> Result<&'a [u8], BlobError> {
    if record.dtype != ty.dtype {
        return error(record.at + 4, "type of a record", ty.dtype, record.dtype);
    }
    let bits = ty.elements().unwrap_or(0).saturating_mul(ty.dtype.bits());
    if record.bytes != bytes || bytes * 8 - bits != record.padding_bits {
        let found = format!("{} bytes with {} bits of padding", record.bytes, record.padding_bits);
        return error(record.at + 8, "size of the data", format!("{bytes} bytes of {ty}"), found);
    }
    Ok(&file[record.data..record.data + record.bytes])
}

fn lenient(file: &[u8], at: usize, bytes: usize) -> Result<&[u8], BlobError> {
    sentinel(file, at)?;
    let fits = |begin: usize| begin.checked_add(bytes).and_then(|end| file.get(begin..end));
    let said = usize::try_from(u64_at(file, at + 16)).ok().filter(|begin| *begin >= at + UNIT);
    match said.and_then(fits).or_else(|| fits(at + UNIT)) {
        Some(data) => Ok(data),
        None => error(at, "the data is cut off", format!("{bytes} bytes"), file.len().saturating_sub(at + UNIT)),
    }
}

#[cfg(test)]
mod tests;
