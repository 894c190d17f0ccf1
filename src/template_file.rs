//! A chat template from a file: `--template FILE`.

use std::path::Path;

use data::{DataError, Place, TemplateChoice};

/// Largest file that is read; the longest templates of released models have some tens of kilobytes.
const LARGEST: u64 = 1 << 20;

/// The template in `path`.
///
/// # Errors
/// 66 when nothing is there, 65 when it is no text.
pub fn read(path: &Path) -> anyhow::Result<TemplateChoice> {
    let meta = path.metadata().map_err(|e| DataError::reading(path, e))?;
    if !meta.is_file() || meta.len() > LARGEST {
        let found = format!("{} bytes, or no regular file", meta.len());
        return Err(DataError::bad(path, Place::File, format!("a chat template of at most {LARGEST} bytes"), found).into());
    }
    let bytes = std::fs::read(path).map_err(|e| DataError::reading(path, e))?;
    let source = String::from_utf8(bytes).map_err(|e| {
        let at = Place::Byte(e.utf8_error().valid_up_to() as u64);
        DataError::bad(path, at, "a chat template", "bytes that are not UTF-8")
    })?;
    Ok(TemplateChoice { source, path: path.to_path_buf() })
}
