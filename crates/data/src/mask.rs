//! Which tokens carry loss: `mask.bin`, a byte beside each token of a prepared folder.
//!
//! Bit 0: the token, as a target, carries loss. Bit 1: it is the last one of its document; the end-of-text id does not say so
//! where a chat template ends every turn with it.

use crate::error::{DataError, Place, Result};
use crate::tokens::map_file;
use memmap2::Mmap;
use std::fs::File;
use std::path::Path;

/// The token carries loss.
pub(crate) const LOSS: u8 = 1;
/// The token is the last one of a document.
pub(crate) const END: u8 = 2;

/// A checked, memory-mapped mask.
#[derive(Debug)]
pub struct Mask {
    map: Option<Mmap>, // None: no tokens
    loss_tokens: u64,
}

impl Mask {
    /// Opens the mask of `tokens` tokens; every byte is looked at.
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::Io`], and [`DataError::Bad`] for another length or a byte that is no flag.
    pub fn open(path: &Path, tokens: u64) -> Result<Self> {
        let file = File::open(path).map_err(|e| DataError::reading(path, e))?;
        let meta = file.metadata().map_err(|e| DataError::reading(path, e))?;
        if !meta.is_file() || meta.len() != tokens {
            let found = format!("{} bytes; prepare the data again", meta.len());
            return Err(DataError::bad(path, Place::File, format!("{tokens} bytes, one for each token"), found));
        }
        let map = if tokens == 0 { None } else { Some(map_file(&file).map_err(|e| DataError::reading(path, e))?) };
        let bytes: &[u8] = map.as_deref().unwrap_or_default();
        if let Some(at) = bytes.iter().position(|b| b & !(LOSS | END) != 0) {
            let found = format!("{}; prepare the data again", bytes[at]);
            return Err(DataError::bad(path, Place::Byte(at as u64), "a byte from 0 to 3", found));
        }
        let loss_tokens = bytes.iter().map(|b| u64::from(b & LOSS)).sum();
        Ok(Self { map, loss_tokens })
    }

    /// Tokens that carry loss.
    pub fn loss_tokens(&self) -> u64 {
        self.loss_tokens
    }

    /// Whether token `index` carries loss; false beyond the last one.
    pub fn carries_loss(&self, index: u64) -> bool {
        self.flags(index, 1).first().is_some_and(|b| b & LOSS != 0)
    }

    /// Whether token `index` is the last one of its document.
    pub fn ends_document(&self, index: u64) -> bool {
        self.flags(index, 1).first().is_some_and(|b| b & END != 0)
    }

    /// The bytes of tokens `start .. start + count`, fewer at the end of the file.
    pub(crate) fn flags(&self, start: u64, count: usize) -> &[u8] {
        let bytes: &[u8] = self.map.as_deref().unwrap_or_default();
        let start = (start as usize).min(bytes.len());
        &bytes[start..bytes.len().min(start + count)]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn another_length_or_value_is_refused() {
        let path = crate::test_folder("mask_hostile").join("mask.bin");
        std::fs::write(&path, [1, 0, 3, 2]).unwrap();
        let mask = Mask::open(&path, 4).unwrap();
        assert_eq!(mask.loss_tokens(), 2);
        assert_eq!([0, 1, 2, 3, 4].map(|i| mask.carries_loss(i)), [true, false, true, false, false]);
        assert_eq!([1, 2, 3, 4].map(|i| mask.ends_document(i)), [false, true, true, false]);
        let short = Mask::open(&path, 5).unwrap_err();
        assert!(short.exit_code() == 65 && short.to_string().contains("5 bytes"), "{short}");
        std::fs::write(&path, [1, 0, 4, 0]).unwrap();
        let odd = Mask::open(&path, 4).unwrap_err();
        assert!(odd.exit_code() == 65 && odd.to_string().contains("byte offset 2"), "{odd}");
        assert_eq!(Mask::open(Path::new("/nowhere/mask.bin"), 1).unwrap_err().exit_code(), 66);
    }
}
