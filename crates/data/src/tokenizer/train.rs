//! Training byte-level BPE. The merges are a function of the text alone: ties go to the pair of smaller ids.

use super::Tokenizer;
use super::bytes::byte_chars;
use super::encode::WordHasher;
use super::split::Split;
use crate::error::{DataError, Result};
use ahash::AHashMap;
use compact_str::CompactString;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::path::Path;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

/// The end-of-text token of trained tokenizers; id 0.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// Smallest vocabulary: every byte and the end of text, so that any text can be encoded.
pub const MIN_VOCAB: usize = 257;

impl Tokenizer {
    /// Trains byte-level BPE of at most `vocab` ids on `documents` (fewer when the text has no more pairs to merge).
    ///
    /// # Errors
    /// [`DataError::Usage`] for a vocabulary below [`MIN_VOCAB`] or above 2^24.
    pub fn train<S: AsRef<str> + Send + Sync>(documents: &[S], vocab: usize) -> Result<Self> {
        if !(MIN_VOCAB..=crate::tokens::MAX_VOCAB).contains(&vocab) {
            return Err(DataError::Usage(format!(
                "a trained vocabulary has at least {MIN_VOCAB} ids (every byte and the end of text), not {vocab}"
            )));
        }
        let failed = |e: tokenizers::Error| DataError::Usage(format!("training the tokenizer failed: {e}"));
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut model = BPE::default();
        // The library would otherwise start a pool of its own size.
        tokenizers::utils::parallelism::set_parallelism(false);
        let special = trainer.do_train(&count_words(documents).map_err(failed)?, &mut model).map_err(failed)?;
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_pre_tokenizer(Some(pre_tokenizer()));
        inner.with_decoder(Some(pre_tokenizer()));
        inner.add_special_tokens(special).map_err(failed)?;
        let json = inner.to_string(true).map_err(failed)?;
        Self::from_bytes(json.into_bytes(), None, Path::new("tokenizer.json"))
    }
}

fn pre_tokenizer() -> ByteLevel {
    ByteLevel::new(false, true, true)
}

/// How often each word occurs, in the byte-level alphabet. Names of the end of text inside a document part it.
fn count_words<S: AsRef<str>>(documents: &[S]) -> tokenizers::Result<AHashMap<CompactString, u64>> {
    let split = Split::new(false, vec![]);
    let mut words: HashMap<&str, u64, BuildHasherDefault<WordHasher>> = HashMap::default();
    let mut counts: AHashMap<CompactString, u64> = AHashMap::new();
    for part in documents.iter().flat_map(|d| d.as_ref().split(END_OF_TEXT)) {
        if split.decides(part) {
            split.words(part, |word| *words.entry(word).or_default() += 1);
            continue;
        }
        let mut parts = PreTokenizedString::from(part);
        pre_tokenizer().pre_tokenize(&mut parts)?;
        for (word, _, _) in parts.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            *counts.entry(word.into()).or_default() += 1;
        }
    }
    let letters = byte_chars();
    for (word, count) in words {
        let word: CompactString = word.bytes().map(|b| letters[b as usize]).collect();
        *counts.entry(word).or_default() += count;
    }
    Ok(counts)
}
