//! Training byte-level BPE. The merges are a function of the text alone: ties go to the pair of smaller ids.

use super::Tokenizer;
use crate::error::{DataError, Result};
use std::path::Path;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Trainer};

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
        // One counting thread: the library would otherwise start a pool of its own size.
        tokenizers::utils::parallelism::set_parallelism(false);
        let mut trainer: TrainerWrapper = BpeTrainer::builder()
            .vocab_size(vocab)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build()
            .into();
        debug_assert!(!trainer.should_show_progress());
        let mut inner = tokenizers::Tokenizer::new(BPE::default());
        inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        inner.with_decoder(Some(ByteLevel::new(false, true, true)));
        let texts = documents.iter().map(|d| d.as_ref().replace(END_OF_TEXT, "\n"));
        inner.train(&mut trainer, texts).map_err(failed)?;
        let json = inner.to_string(true).map_err(failed)?;
        Self::from_bytes(json.into_bytes(), None, Path::new("tokenizer.json"))
    }
}
