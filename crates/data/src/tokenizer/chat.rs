//! What comes with a tokenizer for conversations: the chat template and the names of special tokens.

use super::Tokenizer;
use crate::error::{DataError, Place, Result};
use serde_json::Value;
use std::path::Path;

/// The file beside `tokenizer.json` that wins over the template of `tokenizer_config.json`.
pub(super) const FILE: &str = "chat_template.jinja";

/// Largest such file.
const LONGEST: u64 = 1 << 20;

/// The text of [`FILE`] beside `tokenizer`, if it is there.
pub(super) fn beside(tokenizer: &Path) -> Result<Option<String>> {
    let path = tokenizer.with_file_name(FILE);
    let Ok(meta) = path.metadata() else { return Ok(None) };
    if !meta.is_file() || meta.len() > LONGEST {
        let found = format!("{} bytes, or no regular file", meta.len());
        return Err(DataError::bad(&path, Place::File, format!("a chat template of at most {LONGEST} bytes"), found));
    }
    let bytes = std::fs::read(&path).map_err(|e| DataError::reading(&path, e))?;
    String::from_utf8(bytes).map(Some).map_err(|e| {
        let at = Place::Byte(e.utf8_error().valid_up_to() as u64);
        DataError::bad(&path, at, "a chat template", "bytes that are not UTF-8")
    })
}

impl Tokenizer {
    /// The chat template: `chat_template.jinja`, else what `tokenizer_config.json` holds (of several, the one named
    /// `default`).
    pub fn chat_template(&self) -> Option<String> {
        if let Some(template) = &self.template {
            return Some(template.clone());
        }
        let config = self.config_tree();
        let found = &config["chat_template"];
        let named = found.as_array().into_iter().flatten().find(|entry| entry["name"] == "default");
        found.as_str().or_else(|| named?["template"].as_str()).map(str::to_owned)
    }

    /// Where [`Tokenizer::chat_template`] is from, for errors.
    pub(crate) fn template_path(&self) -> std::path::PathBuf {
        self.path.with_file_name(if self.template.is_some() { FILE } else { "tokenizer_config.json" })
    }

    /// Texts of special tokens by their names in `tokenizer_config.json`, as a template sees them: `bos_token`, ...
    pub fn special_texts(&self) -> Vec<(String, String)> {
        let config = self.config_tree();
        let text = |value: &Value| value.as_str().or_else(|| value["content"].as_str()).map(str::to_owned);
        let entries = config.as_object().into_iter().flatten().filter(|(name, _)| name.ends_with("_token"));
        entries.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
    }

    fn config_tree(&self) -> Value {
        self.config.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
    }
}
