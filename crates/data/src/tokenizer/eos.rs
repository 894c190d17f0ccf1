//! Which token ends a text.

use super::Tokenizer;
use crate::error::{DataError, Place, Result};
use std::path::Path;

/// Names in common use, in the order of trust.
pub(super) const NAMES: [&str; 7] = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<|im_end|>", "<|eot_id|>", "<eos>", "<|end|>"];

/// The end token: named by the configuration, else the first of [`NAMES`] in the vocabulary.
pub(super) fn find(inner: &tokenizers::Tokenizer, config: Option<&[u8]>, path: &Path) -> Result<Option<u32>> {
    let Some(name) = config.map(|bytes| configured(bytes, path)).transpose()?.flatten() else {
        return Ok(NAMES.iter().find_map(|name| inner.token_to_id(name)));
    };
    match inner.token_to_id(&name) {
        Some(id) => Ok(Some(id)),
        None => Err(DataError::bad(
            &path.with_file_name("tokenizer_config.json"),
            Place::File,
            "an eos_token of the tokenizer",
            format!("{name:?}, which the tokenizer does not have"),
        )),
    }
}

fn configured(bytes: &[u8], path: &Path) -> Result<Option<String>> {
    let tree: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| {
        let config = path.with_file_name("tokenizer_config.json");
        DataError::bad(&config, Place::Line(e.line() as u64), "JSON", e.to_string())
    })?;
    let eos = &tree["eos_token"];
    Ok(eos.as_str().or_else(|| eos["content"].as_str()).map(str::to_string))
}

/// A `tokenizer_config.json` with which transformers loads the tokenizer.
pub(super) fn config(tokenizer: &Tokenizer) -> String {
    let eos = tokenizer.eos().and_then(|id| tokenizer.id_to_token(id));
    let tree = serde_json::json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": eos,
        "eos_token": eos,
        "unk_token": eos,
        "add_bos_token": false,
        "add_prefix_space": false,
        "clean_up_tokenization_spaces": false,
        "model_max_length": 1_000_000_000u64,
    });
    format!("{tree:#}\n")
}
