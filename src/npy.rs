//! NumPy's array files: what this program writes for others and reads from them.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::exit::{self, Exit};

/// An array of numbers, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements.
    pub values: Vec<f32>,
}

const MAGIC: &[u8] = b"\x93NUMPY";
/// Most bytes of a header that is read: NumPy's own limit.
const LONGEST_HEADER: usize = 10_000;

/// Writes `values` as an array of `shape`, to a temporary sibling that is renamed.
///
/// # Errors
/// 73 when the file cannot be created, 74 when writing fails midway.
pub fn write(path: &Path, shape: &[usize], values: &[f32]) -> anyhow::Result<()> {
    let temporary = sibling(path);
    let file = File::create(&temporary).map_err(|e| failed(path, exit::CANNOT_WRITE, &e))?;
    let written = write_values(file, shape, values).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|e| {
        // the error that is reported matters more than what is left behind
        let _ = fs::remove_file(&temporary);
        failed(path, exit::IO, &e)
    })
}

fn write_values(file: File, shape: &[usize], values: &[f32]) -> std::io::Result<()> {
    let mut to = BufWriter::new(file);
    to.write_all(&header(shape))?;
    for value in values {
        to.write_all(&value.to_le_bytes())?;
    }
    to.into_inner()?.sync_all()
}

/// Header of the npy format, version 1.0: its length is a multiple of 64 and it ends with a line break.
fn header(shape: &[usize]) -> Vec<u8> {
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    // Python writes (2, 3), (2,) and ()
    let extents = if shape.len() > 1 { extents.trim_end_matches(", ") } else { extents.trim_end() };
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({extents}), }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text += &" ".repeat(length - text.len() - 1);
    text.push('\n');
    let mut header = [MAGIC, b"\x01\x00"].concat();
    header.extend((length as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}

fn sibling(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial-{}", std::process::id()))
}

fn failed(path: &Path, code: u8, error: &std::io::Error) -> anyhow::Error {
    Exit::new(code, format!("{}: cannot write: {error}", path.display())).into()
}

/// Reads an array of floating-point numbers or integers, as f32.
///
/// # Errors
/// 66 when nothing is there, 65 when it is no such file.
pub fn read(path: &Path) -> anyhow::Result<Array> {
    let bytes = fs::read(path).map_err(|e| {
        let code = if e.kind() == std::io::ErrorKind::NotFound { exit::MISSING } else { exit::IO };
        anyhow::Error::from(Exit::new(code, format!("{}: cannot read: {e}", path.display())))
    })?;
    parse(&bytes).map_err(|e| Exit::new(exit::BAD_DATA, format!("{}: {e}", path.display())).into())
}

/// What an array's header says of its elements.
#[derive(Clone, Copy)]
struct Kind {
    bytes: usize,
    read: fn(&[u8]) -> f32,
}

fn kind(descr: &str) -> Option<Kind> {
    Some(match descr {
        "<f4" => Kind { bytes: 4, read: |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]) },
        "<f2" => Kind { bytes: 2, read: |b| half::f16::from_le_bytes([b[0], b[1]]).to_f32() },
        "<f8" => Kind { bytes: 8, read: |b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32 },
        "<i4" => Kind { bytes: 4, read: |b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32 },
        "<i8" => Kind { bytes: 8, read: |b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32 },
        "|i1" => Kind { bytes: 1, read: |b| f32::from(b[0] as i8) },
        "|u1" | "|b1" => Kind { bytes: 1, read: |b| f32::from(b[0]) },
        _ => return None,
    })
}

fn parse(bytes: &[u8]) -> Result<Array, String> {
    let prefix = |n: usize| bytes.get(..n).ok_or_else(|| format!("{} bytes: expected a NumPy array file", bytes.len()));
    if &prefix(8)?[..6] != MAGIC {
        return Err("offset 0: expected the magic bytes of a NumPy array file (.npy)".into());
    }
    // the length of the header takes two bytes in version 1, four later
    let (at, length) = match bytes[6] {
        1 => (10, prefix(10).map(|b| usize::from(u16::from_le_bytes([b[8], b[9]])))?),
        2 | 3 => (12, prefix(12).map(|b| u32::from_le_bytes([b[8], b[9], b[10], b[11]]) as usize)?),
        other => return Err(format!("offset 6: found version {other} of the NumPy array format, expected 1 to 3")),
    };
    let header = bytes.get(at..).and_then(|rest| rest.get(..length)).filter(|h| h.len() <= LONGEST_HEADER);
    let header = header.and_then(|h| std::str::from_utf8(h).ok()).ok_or("offset 8: expected a header of text within the file")?;
    let (descr, shape) = (quoted(header, "descr"), extents(header));
    let (Some(descr), Some(shape)) = (descr, shape) else {
        return Err(format!("offset {at}: expected a header with descr and shape, found {header:?}"));
    };
    if header.contains("'fortran_order': True") && shape.len() > 1 {
        return Err("expected rows one after the other, found columns (fortran_order): write numpy.ascontiguousarray(x)".into());
    }
    let expected = "f2, f4, f8, i1, i4, i8, u1 or bool, little-endian";
    let kind = kind(descr).ok_or_else(|| format!("expected elements of {expected}, found {descr:?}"))?;
    let data = &bytes[at + length..];
    let wanted = shape.iter().try_fold(kind.bytes, |n, &extent| n.checked_mul(extent));
    if wanted != Some(data.len()) {
        return Err(format!("shape {shape:?} of {descr} expected, found {} bytes of data", data.len()));
    }
    Ok(Array { shape, values: data.chunks_exact(kind.bytes).map(kind.read).collect() })
}

/// The text between quotes after `'key': `.
fn quoted<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}': '"))?;
    rest.split_once('\'').map(|(text, _)| text)
}

fn extents(header: &str) -> Option<Vec<usize>> {
    let (_, rest) = header.split_once("'shape': (")?;
    let (list, _) = rest.split_once(')')?;
    list.split(',').map(str::trim).filter(|e| !e.is_empty()).map(|e| e.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        for shape in [vec![], vec![3], vec![2, 3], vec![1, 2, 1, 3]] {
            let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| i as f32 - 1.5).collect();
            write(&path, &shape, &values).unwrap();
            assert_eq!(read(&path).unwrap(), Array { shape, values });
        }
    }

    #[test]
    fn other_types_are_read_as_f32() {
        let file = |descr: &str, data: &[u8]| {
            let mut bytes = header(&[2]);
            let at = bytes.windows(3).position(|w| w == b"<f4").unwrap();
            bytes[at..at + 3].copy_from_slice(descr.as_bytes());
            bytes.extend(data);
            parse(&bytes).map(|a| a.values)
        };
        assert_eq!(file("<f2", &[0, 0x3c, 0, 0xc0]), Ok(vec![1.0, -2.0]));
        assert_eq!(file("|i1", &[255, 2]), Ok(vec![-1.0, 2.0]));
        assert!(file(">f4", &[0; 8]).unwrap_err().contains("little-endian"));
        assert!(file("<f4", &[0; 7]).unwrap_err().contains("found 7 bytes"));
        assert!(parse(b"PK\x03\x04 archive").unwrap_err().contains("magic"));
    }
}
