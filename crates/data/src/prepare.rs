//! Text and tokenizer to a prepared folder `{tokens.bin, manifest.json, tokenizer.json, tokenizer_config.json}`, with
//! `mask.bin` where only a part of the text is learned.
//!
//! Streams: neither the corpus nor its tokens are held in memory. Written to a temporary sibling and renamed; an
//! existing folder made from the same inputs is reused.

mod encode;
mod learned;
mod manifest;

pub use manifest::{Manifest, MaskEntry, SourceEntry, sha256_file};

use crate::error::{DataError, Place, Result};
use crate::mask::Mask;
use crate::source::{Item, Source, read_file};
use crate::stories::Stories;
use crate::tokenizer::{Tokenizer, hex};
use crate::tokens::{TokenFile, Width};
use manifest::{FORMAT, describe};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of text that a tokenizer is trained on.
const SAMPLE_BYTES: u64 = 4 << 20;

/// Which tokenizer a corpus gets.
#[derive(Debug, Clone)]
pub enum TokenizerChoice {
    /// This one.
    Given(Arc<Tokenizer>),
    /// Byte-level BPE of at most this many ids, trained on a sample of the corpus.
    Train {
        /// Size of the vocabulary.
        vocab: usize,
    },
}

/// A chat template that takes the place of the tokenizer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateChoice {
    /// Its text.
    pub source: String,
    /// Where it is from, for errors.
    pub path: PathBuf,
}

/// What to prepare.
#[derive(Debug, Clone)]
pub struct PrepareOptions {
    /// The text.
    pub source: Source,
    /// The tokenizer.
    pub tokenizer: TokenizerChoice,
    /// How conversations are written; `None`: as the tokenizer's own template says.
    pub template: Option<TemplateChoice>,
    /// Threads for encoding; no influence on the result.
    pub threads: usize,
}

/// A prepared folder.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// True when an existing folder was found to be made from the same inputs.
    pub reused: bool,
}

impl Prepared {
    /// True when `folder` looks like a prepared folder.
    pub fn is_one(folder: &Path) -> bool {
        folder.join("manifest.json").is_file() && folder.join("tokens.bin").is_file()
    }

    /// Opens a prepared folder: manifest, length of the tokens, tokenizer and its hash are checked; the hash of the
    /// tokens only by [`Prepared::verify`].
    ///
    /// # Errors
    /// [`DataError::Missing`] or [`DataError::Bad`].
    pub fn open(folder: &Path) -> Result<Self> {
        let manifest = Manifest::read(&folder.join("manifest.json"))?;
        let tokens = folder.join("tokens.bin");
        let bytes = std::fs::metadata(&tokens).map_err(|e| DataError::reading(&tokens, e))?.len();
        let expected = manifest.tokens.saturating_mul(manifest.width.bytes() as u64);
        if bytes != expected {
            let found = format!("{bytes}; prepare the data again");
            return Err(DataError::bad(&tokens, Place::File, format!("{expected} bytes as in manifest.json"), found));
        }
        let tokenizer = Tokenizer::load(folder)?;
        if tokenizer.sha256() != manifest.tokenizer_sha256 {
            return Err(DataError::bad(
                &folder.join("tokenizer.json"),
                Place::File,
                format!("sha256 {} as in manifest.json", manifest.tokenizer_sha256),
                format!("{}; prepare the data again", tokenizer.sha256()),
            ));
        }
        Ok(Self { folder: folder.to_path_buf(), manifest, tokenizer: Arc::new(tokenizer), reused: true })
    }

    /// The tokens.
    ///
    /// # Errors
    /// As [`TokenFile::open`].
    pub fn tokens(&self) -> Result<TokenFile> {
        TokenFile::open(&self.folder.join("tokens.bin"), Some(self.manifest.width))
    }

    /// Which tokens carry loss; `None`: all.
    ///
    /// # Errors
    /// As [`Mask::open`].
    pub fn mask(&self) -> Result<Option<Mask>> {
        let Some(entry) = &self.manifest.mask else { return Ok(None) };
        let path = self.folder.join("mask.bin");
        let mask = Mask::open(&path, self.manifest.tokens)?;
        if mask.loss_tokens() != entry.loss_tokens {
            let expected = format!("{} tokens with loss as in manifest.json", entry.loss_tokens);
            let found = format!("{}; prepare the data again", mask.loss_tokens());
            return Err(DataError::bad(&path, Place::File, expected, found));
        }
        Ok(Some(mask))
    }

    /// Reads all tokens, and their mask, and compares the hashes with the manifest.
    ///
    /// # Errors
    /// [`DataError::Bad`] when it differs.
    pub fn verify(&self) -> Result<()> {
        let mask = self.manifest.mask.as_ref().map(|mask| ("mask.bin", &mask.sha256));
        for (name, wanted) in [("tokens.bin", &self.manifest.tokens_sha256)].into_iter().chain(mask) {
            let path = self.folder.join(name);
            let found = manifest::sha256_file(&path)?;
            if found != *wanted {
                let expected = format!("sha256 {wanted} as in manifest.json");
                return Err(DataError::bad(&path, Place::File, expected, format!("{found}; prepare the data again")));
            }
        }
        Ok(())
    }
}

/// Prepares into `out`, or reuses it when it is a prepared folder of the same inputs. `progress(documents, tokens)` is
/// called now and then.
///
/// # Errors
/// Any of the source's and the tokenizer's; [`DataError::CannotWrite`] when `out` exists and is no prepared folder.
pub fn prepare(options: &PrepareOptions, out: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Prepared> {
    let whole = |p: &Prepared| p.mask().is_ok();
    let old = Prepared::is_one(out).then(|| Prepared::open(out).ok()).flatten().filter(whole);
    let sources = describe(&options.source, old.as_ref().map(|p| &p.manifest))?;
    let key = key(&sources, options);
    if let Some(old) = old
        && old.manifest.key == key
    {
        return Ok(old);
    }
    check_replaceable(out)?;
    let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|e| DataError::writing(parent, e))?;
    let temporary = sibling(out, "partial");
    let result = write_folder(options, sources, key, &temporary, progress).and_then(|()| replace(&temporary, out));
    if result.is_err() {
        // The error to report is the first one; a leftover folder is only untidy.
        let _ = std::fs::remove_dir_all(&temporary);
    }
    result?;
    Ok(Prepared { reused: false, ..Prepared::open(out)? })
}

/// Prepares into a folder of `cache` named after the source and the tokenizer; see [`prepare`].
///
/// # Errors
/// As [`prepare`].
pub fn prepare_in_cache(options: &PrepareOptions, cache: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Prepared> {
    let mut hash = Sha256::new();
    let name = match &options.source {
        Source::Stories { seed, count } => {
            hash.update(format!("stories {seed} {count}"));
            "stories".to_string()
        }
        Source::Files(files) => {
            for file in files {
                let full = std::fs::canonicalize(file).map_err(|e| DataError::reading(file, e))?;
                hash.update(full.as_os_str().as_encoded_bytes());
                hash.update([0]);
            }
            let stem = files.first().and_then(|f| f.file_name()).unwrap_or_default().to_string_lossy();
            stem.split('.')
                .next()
                .unwrap_or_default()
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
                .collect()
        }
    };
    hash.update(tokenizer_key(&options.tokenizer));
    hash.update(template_key(options));
    let digest = hex(&hash.finalize());
    prepare(options, &cache.join(format!("{name}-{}", &digest[..16])), progress)
}

fn tokenizer_key(choice: &TokenizerChoice) -> String {
    match choice {
        TokenizerChoice::Given(tokenizer) => format!("given {} eot {:?}", tokenizer.sha256(), tokenizer.eos()),
        TokenizerChoice::Train { vocab } => format!("train {vocab} sample {SAMPLE_BYTES}"),
    }
}

/// The template and what it sees of the tokenizer; nothing for data that holds no conversations.
fn template_key(options: &PrepareOptions) -> String {
    let jsonl = |files: &Vec<PathBuf>| files.iter().any(|file| crate::source::is_jsonl(file));
    if !matches!(&options.source, Source::Files(files) if jsonl(files)) {
        return String::new();
    }
    let own = match &options.tokenizer {
        TokenizerChoice::Given(tokenizer) => (tokenizer.chat_template(), tokenizer.special_texts()),
        TokenizerChoice::Train { .. } => (None, Vec::new()),
    };
    let template = options.template.as_ref().map(|t| t.source.clone()).or(own.0);
    template.map_or_else(String::new, |template| format!("template {template} {:?}\n", own.1))
}

fn key(sources: &[SourceEntry], options: &PrepareOptions) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{FORMAT} {}\n{}\n", manifest::VERSION, tokenizer_key(&options.tokenizer)));
    hash.update(template_key(options));
    for source in sources {
        hash.update(format!("{}\n{}\n", source.bytes, source.sha256));
    }
    hex(&hash.finalize())
}

fn check_replaceable(out: &Path) -> Result<()> {
    let is_empty = |p: &Path| std::fs::read_dir(p).is_ok_and(|mut entries| entries.next().is_none());
    if !out.exists() || Prepared::is_one(out) || is_empty(out) {
        return Ok(());
    }
    let reason = "it exists and is not a prepared data folder; choose another place or remove it".to_string();
    Err(DataError::CannotWrite { path: out.to_path_buf(), reason })
}

fn sibling(path: &Path, tag: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{tag}-{}", std::process::id()))
}

/// Puts `new` in the place of `out`. Readers that have mapped the old tokens keep them.
fn replace(new: &Path, out: &Path) -> Result<()> {
    let old = sibling(out, "old");
    let had = match std::fs::rename(out, &old) {
        Ok(()) => true,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
        Err(e) => return Err(DataError::writing(out, e)),
    };
    std::fs::rename(new, out).map_err(|e| DataError::writing(out, e))?;
    if had {
        let _ = std::fs::remove_dir_all(&old);
    }
    Ok(())
}

fn write_folder(
    options: &PrepareOptions,
    sources: Vec<SourceEntry>,
    key: String,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    let _ = std::fs::remove_dir_all(folder); // a leftover of a killed process with the same number
    std::fs::create_dir_all(folder).map_err(|e| DataError::writing(folder, e))?;
    let tokenizer = match &options.tokenizer {
        TokenizerChoice::Given(tokenizer) => tokenizer.clone(),
        TokenizerChoice::Train { vocab } => Arc::new(Tokenizer::train(&sample(&options.source)?, *vocab)?),
    };
    tokenizer.save(folder)?;
    let width = Width::for_vocab(tokenizer.vocab_size());
    let template = options.template.as_ref();
    let written = encode::write_tokens(&options.source, &tokenizer, template, folder, options.threads, progress)?;
    if written.documents == 0 {
        let name = sources.first().map(|s| s.name.clone()).unwrap_or_default();
        return Err(DataError::bad(Path::new(&name), Place::File, "at least one document", "none"));
    }
    if matches!(written.mask, Some((_, 0))) {
        let name = sources.first().map(|s| s.name.clone()).unwrap_or_default();
        let expected = "at least one completion, or message of the assistant, to learn";
        return Err(DataError::bad(Path::new(&name), Place::File, expected, "none"));
    }
    let seed = match options.source {
        Source::Stories { seed, .. } => Some(seed),
        Source::Files(_) => None,
    };
    Manifest {
        format: FORMAT.to_string(),
        version: if written.mask.is_some() { manifest::WITH_MASK } else { manifest::VERSION },
        key,
        tokens: written.tokens,
        documents: written.documents,
        text_bytes: written.text_bytes,
        width,
        vocab_size: tokenizer.vocab_size(),
        eot: tokenizer.require_eos()?,
        seed,
        tokenizer_sha256: tokenizer.sha256().to_string(),
        tokens_sha256: written.sha256,
        mask: written.mask.map(|(sha256, loss_tokens)| MaskEntry { loss_tokens, sha256 }),
        sources,
    }
    .write(&folder.join("manifest.json"))
}

/// A bounded sample of documents, every file giving its share from its beginning.
fn sample(source: &Source) -> Result<Vec<String>> {
    let mut documents = Vec::new();
    match source {
        Source::Stories { seed, count } => {
            let stories = Stories::new(*seed);
            let mut total = 0;
            for i in 0..*count {
                let mut text = String::new();
                stories.write(i, &mut text);
                total += text.len() as u64;
                documents.push(text);
                if total >= SAMPLE_BYTES {
                    break;
                }
            }
        }
        Source::Files(files) => {
            let size = |f: &PathBuf| std::fs::metadata(f).map(|m| m.len()).map_err(|e| DataError::reading(f, e));
            let sizes = files.iter().map(size).collect::<Result<Vec<u64>>>()?;
            let all = sizes.iter().sum::<u64>().max(1);
            let mut form = None;
            for (file, bytes) in files.iter().zip(sizes) {
                let share = (u128::from(SAMPLE_BYTES) * u128::from(bytes) / u128::from(all)) as u64;
                let mut taken = 0;
                read_file(file, &mut form, &mut |item| {
                    let text = match item {
                        Item::Text(piece) => piece.text,
                        Item::Example(example) => example.said(),
                    };
                    taken += text.len() as u64;
                    documents.push(text);
                    Ok(taken < share)
                })?;
            }
        }
    }
    Ok(documents)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod learned_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
