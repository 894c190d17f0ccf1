//! The tokenizer of a Hugging Face folder: `tokenizer.json`, what `tokenizer_config.json` adds, and `chat_template.jinja`.

use std::io::Read;
use std::path::Path;

use super::vocabulary::Vocabulary;
use crate::error::FormatError;
use crate::place;

/// Largest file of a tokenizer; that of a vocabulary of 256,000 pieces has 33 MB.
const LIMIT: u64 = 64 << 20;

impl Vocabulary {
    /// The vocabulary of the folder `dir`; `None` where it has no `tokenizer.json`.
    ///
    /// # Errors
    /// Those of reading, and of [`Vocabulary::from_json`].
    pub fn from_folder(dir: &Path) -> Result<Option<Vocabulary>, FormatError> {
        let Some(tokenizer) = read(dir, "tokenizer.json")? else { return Ok(None) };
        let config = read(dir, "tokenizer_config.json")?;
        let mut this = Vocabulary::from_json(&tokenizer, config.as_deref(), &dir.join("tokenizer.json"))?;
        if let Some(template) = read(dir, "chat_template.jinja")? {
            let bad = |e: std::string::FromUtf8Error| {
                let at = format!("offset {}", e.utf8_error().valid_up_to());
                FormatError::bad(&dir.join("chat_template.jinja"), at, "bytes that are not UTF-8", "a template")
            };
            this.chat_template = Some(String::from_utf8(template).map_err(bad)?);
        }
        Ok(Some(this))
    }
}

/// A file of the folder, which must not lead outside; `None` where there is none.
fn read(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, FormatError> {
    let path = place::inside(dir, name, dir)?;
    if std::fs::symlink_metadata(&path).is_err() {
        return Ok(None);
    }
    let (file, len) = place::open_file(&path, "a file of a tokenizer")?;
    if len > LIMIT {
        return Err(FormatError::bad(&path, "size", format!("{len} bytes"), format!("at most {LIMIT}")));
    }
    let mut bytes = Vec::with_capacity(len as usize);
    file.take(LIMIT).read_to_end(&mut bytes).map_err(|e| FormatError::read(&path, "a file of a tokenizer", e))?;
    Ok(Some(bytes))
}
