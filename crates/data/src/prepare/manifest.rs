//! The manifest of a prepared folder: what went in, what came out, and their hashes.

use crate::error::{DataError, Place, Result};
use crate::source::Source;
use crate::stories;
use crate::tokenizer::hex;
use crate::tokens::Width;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::UNIX_EPOCH;

pub(super) const FORMAT: &str = "autoane-tokens";
pub(super) const VERSION: u32 = 1;
/// The version of a folder with a mask, which readers of version 1 would not heed.
pub(super) const WITH_MASK: u32 = 2;

/// One source of a prepared folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceEntry {
    /// Path as given, or `stories`.
    pub name: String,
    /// Size of the file; 0 for the built-in stories.
    pub bytes: u64,
    /// SHA-256 of the file; for the built-in stories of their version, seed and count.
    pub sha256: String,
    /// Modification time in nanoseconds since 1970; an equal size and time saves hashing the file again.
    pub modified_ns: u64,
}

/// The mask of a prepared folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskEntry {
    /// Tokens that carry loss.
    pub loss_tokens: u64,
    /// SHA-256 of `mask.bin`.
    pub sha256: String,
}

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `autoane-tokens`.
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// Hash of everything that the tokens depend on.
    pub key: String,
    /// Tokens, ends of text included.
    pub tokens: u64,
    /// Documents, each followed by one end of text.
    pub documents: u64,
    /// UTF-8 bytes of all documents.
    pub text_bytes: u64,
    /// Width of a token in `tokens.bin`.
    pub width: Width,
    /// Vocabulary of the tokenizer, added tokens included.
    pub vocab_size: usize,
    /// The end-of-text id.
    pub eot: u32,
    /// Seed of the built-in stories.
    pub seed: Option<u64>,
    /// SHA-256 of `tokenizer.json`.
    pub tokenizer_sha256: String,
    /// SHA-256 of `tokens.bin`.
    pub tokens_sha256: String,
    /// What is known of `mask.bin`; `None`: there is none, every token carries loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskEntry>,
    /// What the text was.
    pub sources: Vec<SourceEntry>,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`DataError::Missing`], or [`DataError::Bad`] with the line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|e| DataError::reading(path, e))?;
        let manifest: Self = serde_json::from_slice(&text).map_err(|e| {
            DataError::bad(path, Place::Line(e.line() as u64), "a manifest of a prepared data folder", e.to_string())
        })?;
        let version = if manifest.mask.is_some() { WITH_MASK } else { VERSION };
        if manifest.format != FORMAT || manifest.version != version {
            let found = format!("{:?} version {}; prepare the data again", manifest.format, manifest.version);
            return Err(DataError::bad(path, Place::File, format!("{FORMAT:?} version {version}"), found));
        }
        if manifest.eot as usize >= manifest.vocab_size || manifest.vocab_size > crate::tokens::MAX_VOCAB {
            let found = format!("end of text {} of a vocabulary of {}", manifest.eot, manifest.vocab_size);
            return Err(DataError::bad(path, Place::File, "an end of text inside the vocabulary", found));
        }
        Ok(manifest)
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        std::fs::write(path, text).map_err(|e| DataError::writing(path, e))
    }
}

/// Size and hash of every input. A file whose path, size and time are those of `known` is not read again.
pub(super) fn describe(source: &Source, known: Option<&Manifest>) -> Result<Vec<SourceEntry>> {
    match source {
        Source::Stories { seed, count } => {
            let text = format!("stories version {} seed {seed} count {count}", stories::VERSION);
            let sha256 = hex(&Sha256::digest(text.as_bytes()));
            Ok(vec![SourceEntry { name: "stories".to_string(), bytes: 0, sha256, modified_ns: 0 }])
        }
        Source::Files(files) => files.iter().map(|file| describe_file(file, known)).collect(),
    }
}

fn describe_file(file: &Path, known: Option<&Manifest>) -> Result<SourceEntry> {
    let meta = std::fs::metadata(file).map_err(|e| DataError::reading(file, e))?;
    let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let modified_ns = modified.map_or(0, |d| d.as_nanos() as u64);
    let name = file.to_string_lossy().into_owned();
    let same = |s: &&SourceEntry| s.name == name && s.bytes == meta.len() && s.modified_ns == modified_ns;
    let sha256 = match known.and_then(|m| m.sources.iter().find(same)).filter(|_| modified_ns != 0) {
        Some(entry) => entry.sha256.clone(),
        None => sha256_file(file)?,
    };
    Ok(SourceEntry { name, bytes: meta.len(), sha256, modified_ns })
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// [`DataError::Missing`] and [`DataError::Io`].
pub fn sha256_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| DataError::reading(path, e))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(|e| DataError::reading(path, e))? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}
