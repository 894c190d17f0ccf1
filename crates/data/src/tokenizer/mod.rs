//! Tokenizers: Hugging Face `tokenizer.json` files through the `tokenizers` crate, and byte-level BPE trained here.
//!
//! Encoding adds no special tokens. The bytes of every token are known, so decoding can be streamed and the bytes of
//! text behind any range of tokens can be counted (for bits per byte).

mod bytes;
mod chat;
mod encode;
mod eos;
mod guard;
mod split;
mod stream;
mod train;

pub use encode::encode_documents;
pub(crate) use encode::{Encoder, join};
pub use stream::DecodeStream;
pub use train::{END_OF_TEXT, MIN_VOCAB};

use crate::error::{DataError, Place, Result};
use crate::tokens::MAX_VOCAB;
use bytes::TokenBytes;
use sha2::{Digest, Sha256};
use split::Split;
use std::path::{Path, PathBuf};

/// A tokenizer, immutable and shareable between threads.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    json: Vec<u8>,
    config: Option<Vec<u8>>,
    sha256: String,
    vocab_size: usize,
    eos: Option<u32>,
    bytes: TokenBytes,
    split: Option<Split>,
    /// `chat_template.jinja` beside it.
    template: Option<String>,
    path: PathBuf,
}

impl Tokenizer {
    /// Loads a `tokenizer.json`, or the one inside an HF directory; a `tokenizer_config.json` beside it is honoured.
    ///
    /// # Errors
    /// [`DataError::Missing`] when there is none, [`DataError::Bad`] when it is not a tokenizer.
    pub fn load(path: &Path) -> Result<Self> {
        let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_path_buf() };
        if !file.is_file() {
            let hint = "give a tokenizer.json, or a folder that holds one".to_string();
            return Err(DataError::Missing { path: file, hint });
        }
        let json = std::fs::read(&file).map_err(|e| DataError::reading(&file, e))?;
        let config_path = file.with_file_name("tokenizer_config.json");
        let config = match std::fs::read(&config_path) {
            Ok(bytes) => Some(bytes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(DataError::reading(&config_path, e)),
        };
        let template = chat::beside(&file)?;
        Ok(Self { template, ..Self::from_bytes(json, config, &file)? })
    }

    /// A tokenizer from the bytes of `tokenizer.json` and `tokenizer_config.json`; `path` is named in errors.
    ///
    /// # Errors
    /// [`DataError::Bad`] when the bytes are not a tokenizer, or the configuration names an unknown end token.
    pub fn from_bytes(json: Vec<u8>, config: Option<Vec<u8>>, path: &Path) -> Result<Self> {
        let bad = |found: String| DataError::bad(path, Place::File, "a Hugging Face tokenizer.json", found);
        let tree: serde_json::Value = serde_json::from_slice(&json).map_err(|e| bad(e.to_string()))?;
        if let Some(found) = guard::broken_merge(&tree) {
            return Err(bad(found));
        }
        let mut inner = tokenizers::Tokenizer::from_bytes(&json).map_err(|e| bad(e.to_string()))?;
        // A stored truncation or padding belongs to another use: it would silently cut or fill the corpus.
        inner.with_truncation(None).map_err(|e| bad(e.to_string()))?;
        inner.with_padding(None);
        let vocab = inner.get_vocab(true);
        let vocab_size = vocab.values().max().map_or(0, |&id| id as usize + 1);
        if vocab_size == 0 || vocab_size > MAX_VOCAB || !guard::is_dense(vocab_size, vocab.len()) {
            return Err(bad(format!("a largest id that makes a vocabulary of {vocab_size}")));
        }
        let eos = eos::find(&inner, config.as_deref(), path)?;
        let bytes = TokenBytes::new(&inner, &tree, vocab_size);
        let split = Split::detect(&inner, &tree);
        let sha256 = hex(&Sha256::digest(&json));
        Ok(Self { inner, json, config, sha256, vocab_size, eos, bytes, split, template: None, path: path.to_path_buf() })
    }

    /// The ids of `text`, no special tokens added. A special token's name inside the text becomes its id, as elsewhere.
    ///
    /// # Errors
    /// [`DataError::Bad`] when the tokenizer has no id for a part of the text and no unknown token.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        Encoder::new(self).encode_into(text, &mut ids)?;
        Ok(ids)
    }

    /// The text of `ids`, special tokens left out; ids beyond the vocabulary are skipped, broken UTF-8 becomes U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, true).unwrap_or_default()
    }

    /// A streaming decoder: emits text only when its characters are complete.
    pub fn decode_stream(&self) -> DecodeStream<'_> {
        DecodeStream::new(self)
    }

    /// Largest id + 1, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The end-of-text token: what `tokenizer_config.json` says, else the first of the common names that exists.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// The end-of-text token, or an error that says what to do.
    ///
    /// # Errors
    /// [`DataError::Bad`] when there is none.
    pub fn require_eos(&self) -> Result<u32> {
        self.eos.ok_or_else(|| {
            let found = "none; name it as \"eos_token\" in a tokenizer_config.json beside the tokenizer".to_string();
            DataError::bad(&self.path, Place::File, format!("an end-of-text token ({})", eos::NAMES.join(", ")), found)
        })
    }

    /// The id of a token by its exact name.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The name of a token as the tokenizer stores it.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// UTF-8 bytes of the text that a token stands for: 0 for special tokens and ids that do not exist.
    pub fn token_bytes(&self, id: u32) -> usize {
        self.bytes.of(id).len()
    }

    /// True for special tokens, which decode to nothing.
    pub fn is_special(&self, id: u32) -> bool {
        self.bytes.is_special(id)
    }

    /// SHA-256 of `tokenizer.json`, in hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The bytes of `tokenizer.json`.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Writes `tokenizer.json` (byte for byte what was loaded or trained), `tokenizer_config.json` and, where there is one,
    /// `chat_template.jinja` into `folder`.
    ///
    /// # Errors
    /// [`DataError::CannotWrite`] or [`DataError::Io`].
    pub fn save(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(|e| DataError::writing(&path, e))
        };
        write("tokenizer.json", &self.json)?;
        if let Some(template) = &self.template {
            write(chat::FILE, template.as_bytes())?;
        }
        match &self.config {
            Some(config) => write("tokenizer_config.json", config),
            None => write("tokenizer_config.json", eos::config(self).as_bytes()),
        }
    }

    pub(crate) fn fail(&self, found: impl std::fmt::Display) -> DataError {
        DataError::bad(&self.path, Place::File, "a tokenizer that can encode this text", found.to_string())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
