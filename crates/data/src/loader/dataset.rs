//! Tokens, the vocabulary they use, and what is known of their tokenizer.

use crate::compact::VocabMap;
use crate::error::{DataError, Place, Result};
use crate::mask::{LOSS, Mask};
use crate::prepare::{Manifest, Prepared};
use crate::tokenizer::Tokenizer;
use crate::tokens::{TokenFile, Width};
use std::path::Path;
use std::sync::Arc;

/// How to open a dataset.
#[derive(Debug, Clone)]
pub struct DatasetOptions {
    /// Width of a raw file's tokens; default u16. A prepared folder knows its own.
    pub width: Option<Width>,
    /// Size of the full vocabulary; default the tokenizer's, else the largest id + 1 (and a note).
    pub vocab_size: Option<usize>,
    /// The tokenizer of a raw file. A prepared folder has its own, which must then be the same.
    pub tokenizer: Option<Arc<Tokenizer>>,
    /// Train over the ids that occur.
    pub compact: bool,
    /// The map of a run that is resumed; every id that occurs must be in it.
    pub map: Option<VocabMap>,
}

impl Default for DatasetOptions {
    fn default() -> Self {
        Self { width: None, vocab_size: None, tokenizer: None, compact: true, map: None }
    }
}

/// A checked, memory-mapped corpus.
#[derive(Debug)]
pub struct Dataset {
    tokens: TokenFile,
    map: VocabMap,
    lookup: Option<Vec<u32>>, // None: the identity
    tokenizer: Option<Arc<Tokenizer>>,
    manifest: Option<Manifest>,
    mask: Option<Mask>,
    eot: Option<u32>,
    notes: Vec<String>,
}

impl Dataset {
    /// Opens a prepared folder or a raw token file and checks every id once.
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::Io`], and [`DataError::Bad`] for an odd length, ids beyond the vocabulary
    /// or outside the given map, or a tokenizer unlike the folder's.
    pub fn open(path: &Path, options: DatasetOptions) -> Result<Self> {
        let prepared = path.is_dir().then(|| Prepared::open(path)).transpose()?;
        let tokens = match &prepared {
            Some(prepared) => prepared.tokens()?,
            None => TokenFile::open(path, options.width)?,
        };
        let tokenizer = match (&prepared, options.tokenizer) {
            (Some(prepared), Some(given)) if given.sha256() != prepared.tokenizer.sha256() => {
                let expected = format!("the tokenizer of the folder (sha256 {})", prepared.tokenizer.sha256());
                let found = format!("{}; prepare the data with it first", given.sha256());
                return Err(DataError::bad(path, Place::File, expected, found));
            }
            (Some(prepared), _) => Some(prepared.tokenizer.clone()),
            (None, given) => given,
        };
        let declared = options.vocab_size.or(tokenizer.as_ref().map(|t| t.vocab_size()));
        let scan = tokens.scan(declared)?;
        let mut notes = Vec::new();
        let vocab = declared.unwrap_or(scan.counts.len());
        if declared.is_none() {
            notes.push(format!("no tokenizer and no vocabulary size given: {vocab}, the largest id + 1, is taken"));
        }
        let mask = prepared.as_ref().map(Prepared::mask).transpose()?.flatten();
        let manifest = prepared.map(|p| p.manifest);
        let eot = manifest.as_ref().map(|m| m.eot).or_else(|| tokenizer.as_ref().and_then(|t| t.eos()));
        let map = match options.map {
            Some(map) => check_map(map, &tokens, vocab)?,
            None if options.compact => VocabMap::from_scan(&scan, vocab, eot),
            None => VocabMap::identity(&scan, vocab),
        };
        let lookup = (!map.is_identity()).then(|| map.lookup());
        Ok(Self { tokens, map, lookup, tokenizer, manifest, mask, eot, notes })
    }

    /// The tokens, in full ids.
    pub fn tokens(&self) -> &TokenFile {
        &self.tokens
    }

    /// The vocabulary map.
    pub fn vocab(&self) -> &VocabMap {
        &self.map
    }

    /// The tokenizer, when one is known.
    pub fn tokenizer(&self) -> Option<&Arc<Tokenizer>> {
        self.tokenizer.as_ref()
    }

    /// The manifest of a prepared folder.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Which tokens carry loss; `None`: all.
    pub fn mask(&self) -> Option<&Mask> {
        self.mask.as_ref()
    }

    /// Whether any token of `start .. start + count`, as a target, carries loss.
    pub(super) fn any_loss(&self, start: u64, count: u64) -> bool {
        let learned = |mask: &Mask| mask.flags(start, count as usize).iter().any(|b| b & LOSS != 0);
        count > 0 && self.mask.as_ref().is_none_or(learned)
    }

    /// The end-of-text token, as a full id.
    pub fn eot(&self) -> Option<u32> {
        self.eot
    }

    /// The end-of-text token, as a compact id.
    pub fn eot_compact(&self) -> Option<u32> {
        self.eot.and_then(|id| self.map.to_compact(id))
    }

    /// What the user should know about how the data was understood.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The compact id that pads windows; its targets carry no loss.
    pub(super) fn pad(&self) -> u32 {
        self.eot_compact().unwrap_or(0)
    }

    /// Copies tokens `start ..` as compact ids.
    pub(super) fn read_compact(&self, start: u64, out: &mut [u32]) {
        match &self.lookup {
            None => self.tokens.read(start, out),
            // Every id was checked at the door; one that a writer slipped in since becomes padding, not a panic.
            Some(table) => {
                let pad = self.pad();
                let compact = |id: u32| table.get(id as usize).copied().filter(|&c| c != u32::MAX).unwrap_or(pad);
                self.tokens.read_with(start, out, compact);
            }
        }
    }

    /// The same under the name of what it was made from, for messages about the whole.
    #[must_use]
    pub fn named(mut self, name: &Path) -> Self {
        self.tokens.set_name(name);
        self
    }

    pub(super) fn learns_nothing(&self, split: &str) -> DataError {
        let expected = format!("completions, or replies, in a window of the {split} split");
        let found = "none that carries loss; use another --val-fraction, a longer --seq-len or more data";
        DataError::bad(self.tokens.name(), Place::File, expected, found)
    }

    pub(super) fn too_short(&self, train: u64, seq: usize) -> DataError {
        DataError::bad(
            self.tokens.name(),
            Place::File,
            format!("at least {} tokens to train on (one window of {seq} and its targets)", seq + 1),
            format!("{train} of {}; use a shorter sequence, a smaller validation fraction or more data", self.tokens.len()),
        )
    }
}

/// A stored map must know every id of the file.
fn check_map(map: VocabMap, tokens: &TokenFile, vocab: usize) -> Result<VocabMap> {
    if map.full_vocab != vocab {
        let expected = format!("the vocabulary of {} that the run began with", map.full_vocab);
        return Err(DataError::bad(tokens.path(), Place::File, expected, vocab.to_string()));
    }
    let table = map.lookup();
    tokens.for_each_block(|at, block| match block.iter().position(|&id| table[id as usize] == u32::MAX) {
        None => Ok(()),
        Some(i) => {
            let index = at + i as u64;
            let place = Place::Token { index, byte: index * tokens.width().bytes() as u64 };
            let found = format!("id {}: the data is not what the run began with", block[i]);
            Err(DataError::bad(tokens.path(), place, "an id of the stored vocabulary map", found))
        }
    })?;
    Ok(map)
}
