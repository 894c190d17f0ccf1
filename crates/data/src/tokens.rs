//! Raw token files: little-endian u16 or u32, one after the other, nothing else. Memory-mapped, so a file may be
//! larger than the memory; whoever truncates a mapped file ends the reading process (SIGBUS), as with any map.

use crate::error::{DataError, Place, Result};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};

/// No vocabulary is larger than this; bounds what a hostile file makes us allocate.
pub const MAX_VOCAB: usize = 1 << 24;

/// Width of one token in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    /// Two bytes, ids up to 65,535.
    U16,
    /// Four bytes.
    U32,
}

impl Width {
    /// Bytes of one token.
    pub fn bytes(self) -> usize {
        match self {
            Width::U16 => 2,
            Width::U32 => 4,
        }
    }

    /// The narrowest width that holds ids below `vocab`.
    pub fn for_vocab(vocab: usize) -> Self {
        if vocab <= 1 << 16 { Width::U16 } else { Width::U32 }
    }
}

/// What one pass over a token file finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Tokens in the file.
    pub tokens: u64,
    /// Largest id; `None` for no tokens.
    pub max_id: Option<u32>,
    /// Occurrences of each id, `counts[id]`.
    pub counts: Vec<u64>,
}

impl Scan {
    /// Number of ids that occur.
    pub fn distinct(&self) -> usize {
        self.counts.iter().filter(|&&n| n > 0).count()
    }
}

/// A memory-mapped token file.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    /// What a message about the whole calls it.
    name: PathBuf,
    map: Option<Mmap>, // None: an empty file, which cannot be mapped
    width: Width,
    len: u64,
}

impl TokenFile {
    /// Opens `path`; `width` defaults to u16.
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::Io`], and [`DataError::Bad`] for a length that is no multiple of the width.
    pub fn open(path: &Path, width: Option<Width>) -> Result<Self> {
        let width = width.unwrap_or(Width::U16);
        let file = File::open(path).map_err(|e| DataError::reading(path, e))?;
        let meta = file.metadata().map_err(|e| DataError::reading(path, e))?;
        if !meta.is_file() {
            return Err(DataError::bad(path, Place::File, "a token file", "a folder or device"));
        }
        let bytes = meta.len();
        let unit = width.bytes() as u64;
        if bytes % unit != 0 {
            return Err(DataError::bad(
                path,
                Place::Byte(bytes - bytes % unit),
                format!("a multiple of {unit} bytes (u{} tokens)", 8 * unit),
                format!("{bytes} bytes, {} too many: the file is cut off, or its tokens have another width", bytes % unit),
            ));
        }
        let map = if bytes == 0 { None } else { Some(map_file(&file).map_err(|e| DataError::reading(path, e))?) };
        Ok(Self { path: path.to_path_buf(), name: path.to_path_buf(), map, width, len: bytes / unit })
    }

    /// Tokens in the file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when the file holds no token.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Width of a token.
    pub fn width(&self) -> Width {
        self.width
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a message about the whole calls it: the file, unless another name was given.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// Gives it the name of what it was made from, which a user knows better than a file in a cache.
    pub fn set_name(&mut self, name: &Path) {
        self.name = name.to_path_buf();
    }

    fn bytes(&self, start: u64, count: usize) -> &[u8] {
        let unit = self.width.bytes();
        match &self.map {
            Some(map) => &map[start as usize * unit..(start as usize + count) * unit],
            None => &[],
        }
    }

    /// Copies tokens `start .. start + out.len()` into `out`, each through `f`.
    ///
    /// # Panics
    /// When the range is not inside the file; callers check lengths at the door.
    pub fn read_with(&self, start: u64, out: &mut [u32], mut f: impl FnMut(u32) -> u32) {
        let bytes = self.bytes(start, out.len());
        match self.width {
            Width::U16 => {
                for (o, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *o = f(u32::from(u16::from_le_bytes(*b)));
                }
            }
            Width::U32 => {
                for (o, b) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *o = f(u32::from_le_bytes(*b));
                }
            }
        }
    }

    /// Copies tokens `start .. start + out.len()` into `out`; panics like [`TokenFile::read_with`].
    pub fn read(&self, start: u64, out: &mut [u32]) {
        self.read_with(start, out, |id| id);
    }

    /// Calls `f(index of the first token, tokens)` over the whole file in blocks.
    pub fn for_each_block(&self, mut f: impl FnMut(u64, &[u32]) -> Result<()>) -> Result<()> {
        const BLOCK: u64 = 1 << 16;
        let mut buffer = vec![0u32; BLOCK.min(self.len) as usize];
        let mut at = 0;
        while at < self.len {
            let n = BLOCK.min(self.len - at) as usize;
            self.read(at, &mut buffer[..n]);
            f(at, &buffer[..n])?;
            at += n as u64;
        }
        Ok(())
    }

    /// One streamed pass: counts of every id, each checked against `vocab`.
    ///
    /// # Errors
    /// [`DataError::Bad`] at the first id that is not below `vocab` (without one: not below [`MAX_VOCAB`]).
    pub fn scan(&self, vocab: Option<usize>) -> Result<Scan> {
        let bound = vocab.unwrap_or(MAX_VOCAB).min(MAX_VOCAB);
        let mut counts = vec![0u64; vocab.unwrap_or(1 << 16).min(bound)];
        let mut max_id = None;
        self.for_each_block(|at, block| {
            let top = block.iter().copied().max().unwrap_or(0);
            if top as usize >= bound {
                return Err(self.beyond(at, block, bound, vocab.is_some()));
            }
            if top as usize >= counts.len() {
                counts.resize((top as usize + 1).next_power_of_two().min(bound), 0);
            }
            max_id = max_id.max(Some(top));
            for &id in block {
                counts[id as usize] += 1;
            }
            Ok(())
        })?;
        counts.truncate(vocab.unwrap_or(max_id.map_or(0, |m| m as usize + 1)));
        Ok(Scan { tokens: self.len, max_id, counts })
    }

    fn beyond(&self, at: u64, block: &[u32], bound: usize, declared: bool) -> DataError {
        let i = block.iter().position(|&id| id as usize >= bound).unwrap_or(0);
        let index = at + i as u64;
        let place = Place::Token { index, byte: index * self.width.bytes() as u64 };
        let advice = match (declared, self.width) {
            (true, _) => "was the file made with another tokenizer or width?",
            (false, _) => "are the tokens two bytes wide?",
        };
        let expected = format!("an id below the vocabulary of {bound}");
        DataError::bad(&self.path, place, expected, format!("id {}; {advice}", block[i]))
    }

    /// Checks that the file holds a window of `seq` inputs and their targets.
    ///
    /// # Errors
    /// [`DataError::Bad`] for a file of fewer than `seq + 1` tokens.
    pub fn check_window(&self, seq: usize) -> Result<()> {
        if self.len < seq as u64 + 1 {
            return Err(DataError::bad(
                &self.name,
                Place::File,
                format!("at least {} tokens (one window of {seq} and its targets)", seq + 1),
                format!("{} tokens; use a shorter sequence or more data", self.len),
            ));
        }
        Ok(())
    }
}

#[allow(unsafe_code)]
pub(crate) fn map_file(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is read-only and private to this process' view; every read is bounds-checked against the length
    // at opening. Another process that truncates the file makes reads fault, which no check can prevent; it cannot
    // make them return memory of ours.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(test: &str, bytes: &[u8]) -> PathBuf {
        let path = crate::test_folder(test).join("t.bin");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn error(path: &Path, width: Width, vocab: Option<usize>, seq: usize) -> DataError {
        let open = || {
            let tokens = TokenFile::open(path, Some(width))?;
            tokens.check_window(seq)?;
            tokens.scan(vocab)
        };
        open().unwrap_err()
    }

    #[test]
    fn hostile_files_are_named_with_their_position() {
        let odd = file("odd", &[1, 0, 2]);
        let e = error(&odd, Width::U16, None, 1);
        assert_eq!(e.exit_code(), 65);
        assert!(e.to_string().contains("byte offset 2") && e.to_string().contains("t.bin"), "{e}");
        let short = error(&file("short", &[1, 0, 2, 0]), Width::U16, None, 2);
        assert!(short.exit_code() == 65 && short.to_string().contains("at least 3 tokens"), "{short}");
        assert_eq!(error(&file("empty", &[]), Width::U16, None, 1).exit_code(), 65);
        let mut bytes = vec![0u8; 200_000];
        bytes[150_000] = 77;
        let e = error(&file("beyond", &bytes), Width::U16, Some(77), 1);
        assert!(e.to_string().contains("token 75000 (byte offset 150000)") && e.to_string().contains("id 77"), "{e}");
        let e = error(&file("huge_id", &[0xFF; 8]), Width::U32, None, 1);
        assert!(e.exit_code() == 65 && e.to_string().contains("4294967295"), "{e}");
        assert_eq!(error(Path::new("/nowhere.bin"), Width::U16, None, 1).exit_code(), 66);
        assert_eq!(error(&std::env::temp_dir(), Width::U16, None, 1).exit_code(), 65);
    }

    #[test]
    fn both_widths_read_and_scan() {
        let ids = [5u32, 70_000, 5, 0];
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let tokens = TokenFile::open(&file("wide", &bytes), Some(Width::U32)).unwrap();
        let mut out = [0; 3];
        tokens.read(1, &mut out);
        assert_eq!(out, [70_000, 5, 0]);
        let scan = tokens.scan(None).unwrap();
        assert_eq!((scan.max_id, scan.distinct(), scan.counts.len(), scan.counts[5]), (Some(70_000), 3, 70_001, 2));
        let narrow = TokenFile::open(&file("narrow", &[5, 0, 255, 255]), None).unwrap();
        let scan = narrow.scan(Some(65_536)).unwrap();
        assert_eq!((scan.tokens, scan.max_id, scan.counts.len()), (2, Some(65_535), 65_536));
    }
}
