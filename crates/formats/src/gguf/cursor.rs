//! Reads the header of a file from its first byte on, never beyond what the file has.

use super::value::{Array, Strings, Value, ValueType};
use crate::error::FormatError;
use crate::place::DataFile;

/// Bytes read at once.
const BUFFER: usize = 1 << 16;

/// Largest header: metadata and tensor table together. Vocabularies of a million tokens take a tenth of it.
const HEADER_LIMIT: u64 = 256 << 20;

/// Lists in lists in lists.
const DEPTH_LIMIT: usize = 4;

/// Lists of a file, those in lists counted: each takes more memory than the 12 bytes of an empty one in the file.
const LIST_LIMIT: usize = 1 << 16;

pub(super) struct Cursor<'a> {
    file: &'a DataFile,
    /// Offset of the next byte.
    at: u64,
    /// Where the header must have ended.
    end: u64,
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte.
    base: u64,
    /// Lists so far.
    lists: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(file: &'a DataFile) -> Cursor<'a> {
        Cursor { file, at: 0, end: file.len().min(HEADER_LIMIT), buffer: Vec::new(), base: 0, lists: 0 }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> u64 {
        self.at
    }

    pub fn bad(&self, what: &str, found: impl Into<String>, expected: impl Into<String>) -> FormatError {
        FormatError::bad(self.file.path(), format!("offset {}, {what}", self.at), found, expected)
    }

    /// Bytes left; `n` items of at least `each` bytes must fit.
    pub fn fits(&self, n: u64, each: u64, what: &str) -> Result<usize, FormatError> {
        let left = self.end - self.at;
        match n.checked_mul(each).filter(|bytes| *bytes <= left) {
            Some(_) => Ok(n as usize),
            None => Err(self.bad(what, n.to_string(), format!("at most {}, as {left} bytes of header can be left", left / each))),
        }
    }

    /// The next `out.len()` bytes.
    fn fill(&mut self, out: &mut [u8], what: &str) -> Result<(), FormatError> {
        self.fits(out.len() as u64, 1, what)?;
        if out.len() > BUFFER {
            self.file.read_at(self.at, out)?;
        } else {
            let from = (self.at - self.base) as usize;
            if from + out.len() > self.buffer.len() {
                self.base = self.at;
                self.buffer.resize(((self.end - self.at) as usize).min(BUFFER), 0);
                self.file.read_at(self.at, &mut self.buffer)?;
            }
            let from = (self.at - self.base) as usize;
            out.copy_from_slice(&self.buffer[from..from + out.len()]);
        }
        self.at += out.len() as u64;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N], FormatError> {
        let mut out = [0; N];
        self.fill(&mut out, what)?;
        Ok(out)
    }

    pub fn u32(&mut self, what: &str) -> Result<u32, FormatError> {
        self.bytes(what).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, what: &str) -> Result<u64, FormatError> {
        self.bytes(what).map(u64::from_le_bytes)
    }

    /// A text of at most `most` bytes.
    pub fn text(&mut self, what: &str, most: u64) -> Result<String, FormatError> {
        let n = self.u64(what)?;
        if n > most {
            return Err(self.bad(what, format!("{n} bytes"), format!("at most {most}")));
        }
        let mut bytes = vec![0; self.fits(n, 1, what)?];
        self.fill(&mut bytes, what)?;
        String::from_utf8(bytes).map_err(|e| self.bad(what, format!("no UTF-8: {}", e.utf8_error()), "text in UTF-8"))
    }

    fn value_type(&mut self, what: &str) -> Result<ValueType, FormatError> {
        let id = self.u32(what)?;
        ValueType::from_id(id).ok_or_else(|| self.bad(what, format!("value type {id}"), "0 to 12"))
    }

    fn truth(&mut self, what: &str) -> Result<bool, FormatError> {
        match self.bytes::<1>(what)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(self.bad(what, format!("{other}"), "0 or 1 for a truth value")),
        }
    }

    /// Type and value; `what` names the key.
    pub fn value(&mut self, what: &str) -> Result<Value, FormatError> {
        Ok(match self.value_type(what)? {
            ValueType::U8 => Value::U8(u8::from_le_bytes(self.bytes(what)?)),
            ValueType::I8 => Value::I8(i8::from_le_bytes(self.bytes(what)?)),
            ValueType::U16 => Value::U16(u16::from_le_bytes(self.bytes(what)?)),
            ValueType::I16 => Value::I16(i16::from_le_bytes(self.bytes(what)?)),
            ValueType::U32 => Value::U32(u32::from_le_bytes(self.bytes(what)?)),
            ValueType::I32 => Value::I32(i32::from_le_bytes(self.bytes(what)?)),
            ValueType::F32 => Value::F32(f32::from_le_bytes(self.bytes(what)?)),
            ValueType::Bool => Value::Bool(self.truth(what)?),
            ValueType::Text => Value::Text(self.text(what, HEADER_LIMIT)?),
            ValueType::List => Value::List(self.list(what, 0)?),
            ValueType::U64 => Value::U64(u64::from_le_bytes(self.bytes(what)?)),
            ValueType::I64 => Value::I64(i64::from_le_bytes(self.bytes(what)?)),
            ValueType::F64 => Value::F64(f64::from_le_bytes(self.bytes(what)?)),
        })
    }

    fn list(&mut self, what: &str, depth: usize) -> Result<Array, FormatError> {
        let item = self.value_type(what)?;
        let n = self.u64(what)?;
        let n = self.fits(n, item.least_bytes(), what)?;
        self.lists += 1;
        if self.lists > LIST_LIMIT {
            return Err(self.bad(what, "one list more", format!("at most {LIST_LIMIT} lists in a file")));
        }
        Ok(match item {
            ValueType::U8 => Array::U8(self.numbers(n, what, u8::from_le_bytes)?),
            ValueType::I8 => Array::I8(self.numbers(n, what, i8::from_le_bytes)?),
            ValueType::U16 => Array::U16(self.numbers(n, what, u16::from_le_bytes)?),
            ValueType::I16 => Array::I16(self.numbers(n, what, i16::from_le_bytes)?),
            ValueType::U32 => Array::U32(self.numbers(n, what, u32::from_le_bytes)?),
            ValueType::I32 => Array::I32(self.numbers(n, what, i32::from_le_bytes)?),
            ValueType::F32 => Array::F32(self.numbers(n, what, f32::from_le_bytes)?),
            ValueType::Bool => Array::Bool((0..n).map(|_| self.truth(what)).collect::<Result<_, _>>()?),
            ValueType::Text => Array::Text(self.texts(n, what)?),
            ValueType::List if depth + 1 == DEPTH_LIMIT => {
                return Err(self.bad(what, "lists in lists without end", format!("at most {DEPTH_LIMIT} levels")));
            }
            ValueType::List => Array::List((0..n).map(|_| self.list(what, depth + 1)).collect::<Result<_, _>>()?),
            ValueType::U64 => Array::U64(self.numbers(n, what, u64::from_le_bytes)?),
            ValueType::I64 => Array::I64(self.numbers(n, what, i64::from_le_bytes)?),
            ValueType::F64 => Array::F64(self.numbers(n, what, f64::from_le_bytes)?),
        })
    }

    /// `n` numbers, of which [`Cursor::fits`] said that they are there.
    fn numbers<const N: usize, T>(&mut self, n: usize, what: &str, of: fn([u8; N]) -> T) -> Result<Vec<T>, FormatError> {
        let mut out = Vec::with_capacity(n);
        let mut piece = vec![0; (n * N).min(BUFFER)];
        while out.len() < n {
            let bytes = &mut piece[..((n - out.len()) * N).min(BUFFER / N * N)];
            self.fill(bytes, what)?;
            out.extend(bytes.as_chunks::<N>().0.iter().map(|b| of(*b)));
        }
        Ok(out)
    }

    fn texts(&mut self, n: usize, what: &str) -> Result<Strings, FormatError> {
        let mut out = Strings::with_capacity(n);
        for i in 0..n {
            match self.text(what, HEADER_LIMIT) {
                Ok(text) => out.push(&text),
                Err(error) => return Err(error.within(&format!("item {i}"))),
            }
        }
        Ok(out)
    }
}
