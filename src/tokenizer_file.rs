//! A tokenizer from whatever file holds one: `--tokenizer PATH`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use data::{DataError, Place, Tokenizer};
use formats::gguf;
use formats::tokenizer::{Vocabulary, is_llama2c};

/// Largest `tokenizer.bin`.
const LARGEST: u64 = 64 << 20;

const KNOWN: &str = "a tokenizer.json, a folder with one, a GGUF file or the tokenizer.bin of llama2.c";

/// The tokenizer in `path`, told by what the file holds, not by its name.
///
/// # Errors
/// 66 when nothing is there, 65 when it holds no tokenizer.
pub fn load(path: &Path) -> anyhow::Result<Tokenizer> {
    match vocabulary(path)? {
        Some(vocabulary) => of(&vocabulary, path),
        None => Ok(Tokenizer::load(path)?),
    }
}

/// What the GGUF file or `tokenizer.bin` in `path` says; `None` for a folder, and for a file that begins like JSON.
///
/// # Errors
/// 66 when nothing is there, 65 when it holds no tokenizer.
pub fn vocabulary(path: &Path) -> anyhow::Result<Option<Vocabulary>> {
    if !path.is_file() {
        return Ok(None);
    }
    let mut first = Vec::new();
    let mut file = File::open(path).map_err(|e| DataError::reading(path, e))?;
    (&mut file).take(64).read_to_end(&mut first).map_err(|e| DataError::reading(path, e))?;
    if first.starts_with(b"GGUF") {
        let vocabulary = Vocabulary::from_gguf(gguf::Container::open(path)?.metadata())?;
        let none = || DataError::bad(path, Place::File, "a tokenizer in the keys `tokenizer.ggml`", "a file without one");
        return Ok(Some(vocabulary.ok_or_else(none)?));
    }
    if first.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') {
        return Ok(None);
    }
    let none = || DataError::bad(path, Place::File, KNOWN, "a file of another kind");
    Ok(Some(llama2c(path)?.ok_or_else(none)?))
}

/// The vocabulary of the `tokenizer.bin` in `path`; `None` when it is another file.
///
/// # Errors
/// Those of reading.
pub fn llama2c(path: &Path) -> anyhow::Result<Option<Vocabulary>> {
    if !path.metadata().is_ok_and(|m| m.is_file() && m.len() <= LARGEST) {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|e| DataError::reading(path, e))?;
    Ok(is_llama2c(&bytes).then(|| Vocabulary::from_llama2c(&bytes, path)).transpose()?)
}

/// The vocabulary of the `tokenizer.bin` that lies beside the llama2.c file `model`; `None` where there is none.
///
/// # Errors
/// 65 for a file of this name that is something else, for then the model's own is lost.
pub fn beside_llama2c(model: &Path) -> anyhow::Result<Option<Vocabulary>> {
    let path = model.with_file_name("tokenizer.bin");
    if !path.exists() {
        return Ok(None);
    }
    if let Some(vocabulary) = llama2c(&path)? {
        return Ok(Some(vocabulary));
    }
    let expected = "the tokenizer.bin of llama2.c that belongs to the model beside it";
    Err(DataError::bad(&path, Place::File, expected, "a file of another kind; mend it, or move it away").into())
}

/// The tokenizer that gives the ids of `vocabulary`.
///
/// # Errors
/// 65 for a vocabulary that cannot be served.
pub fn of(vocabulary: &Vocabulary, path: &Path) -> anyhow::Result<Tokenizer> {
    let files = vocabulary.to_json(path)?;
    Ok(Tokenizer::from_bytes(files.tokenizer, Some(files.config), path)?)
}
