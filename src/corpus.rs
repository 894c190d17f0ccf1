//! From what `--data` names to tokens on the disk: text is tokenized once and kept in a cache.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use data::{Dataset, DatasetOptions, PrepareOptions, Prepared, Source, Tokenizer, TokenizerChoice};

use crate::config::TRAINED_VOCAB;
use crate::exit::{self, Exit};
use crate::out::{self, Out};

/// Seed of the built-in stories that `--data stories` names: the same corpus for every run.
pub const STORIES_SEED: u64 = 0;

/// Which tokenizer text gets.
#[derive(Clone, Debug)]
pub enum Tok {
    /// This one.
    Given(Arc<Tokenizer>),
    /// One of at most so many ids, trained on the text.
    Train(usize),
}

/// Tokens on the disk.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// What was asked for.
    pub name: String,
    /// A prepared folder, or a raw token file.
    pub path: PathBuf,
    /// The folder's tokenizer, or the one that was given for a raw file.
    pub tokenizer: Option<Arc<Tokenizer>>,
}

/// The tokens of `data`: `stories`, `tinystories`, a text or JSONL file or folder, a raw `.bin` file or a prepared folder.
/// Text is prepared into the cache, with progress, unless it is there already; without `tok` a tokenizer is trained on it.
/// Conversations are written as the chat template in `template` says, else as the tokenizer's own.
///
/// # Errors
/// 66 when nothing is there, 69 when TinyStories has not been fetched, 65 for bad data, 73 and 74 when the cache cannot be
/// written.
pub fn locate(data: &str, tok: Option<Tok>, template: Option<&Path>, threads: usize, out: Out) -> anyhow::Result<Corpus> {
    let source = match data {
        "stories" => Source::stories(STORIES_SEED),
        "tinystories" => Source::open(&tinystories()?)?,
        path => {
            let path = Path::new(path);
            let meta = std::fs::metadata(path).map_err(|e| missing(path, &e))?;
            if is_tokens(path, meta.is_dir()) {
                return pass_through(path, tok);
            }
            Source::open(path)?
        }
    };
    let tokenizer = match tok {
        Some(Tok::Given(tokenizer)) => TokenizerChoice::Given(tokenizer),
        Some(Tok::Train(vocab)) => TokenizerChoice::Train { vocab },
        None => TokenizerChoice::Train { vocab: TRAINED_VOCAB },
    };
    let template = template.map(crate::template_file::read).transpose()?;
    let prepared = prepare(data, PrepareOptions { source, tokenizer, template, threads }, out)?;
    Ok(Corpus { name: data.to_owned(), path: prepared.folder, tokenizer: Some(prepared.tokenizer) })
}

impl Corpus {
    /// The tokens as a data set, under the name that was asked for.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn open(&self, options: DatasetOptions) -> anyhow::Result<Dataset> {
        Ok(Dataset::open(&self.path, options)?.named(Path::new(&self.name)))
    }
}

/// Whether `data` is text, which has no ids without a tokenizer; false for what is not there.
pub fn is_text(data: &str) -> bool {
    let path = Path::new(data);
    matches!(data, "stories" | "tinystories") || path.exists() && !is_tokens(path, path.is_dir())
}

/// Where this program keeps what it can make again: `AUTOANE_CACHE`, else the user's cache folder, else a temporary one.
pub fn cache_dir() -> PathBuf {
    cache_from(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn cache_from(var: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    if let Some(own) = var("AUTOANE_CACHE") {
        return own.into();
    }
    let home = || Some(Path::new(&var("HOME")?).join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }));
    let base = var("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute()).or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("autoane")
}

/// Whether `path` holds tokens rather than text.
fn is_tokens(path: &Path, is_dir: bool) -> bool {
    if is_dir { Prepared::is_one(path) } else { path.extension().is_some_and(|e| e.eq_ignore_ascii_case("bin")) }
}

fn pass_through(path: &Path, tok: Option<Tok>) -> anyhow::Result<Corpus> {
    let given = match tok {
        Some(Tok::Given(tokenizer)) => Some(tokenizer),
        _ => None,
    };
    // a folder brings its own; whether a given one is the same is checked where the tokens are opened
    let tokenizer = if path.is_dir() { Some(Prepared::open(path)?.tokenizer) } else { given };
    Ok(Corpus { name: path.display().to_string(), path: path.to_path_buf(), tokenizer })
}

fn prepare(name: &str, options: PrepareOptions, out: Out) -> anyhow::Result<Prepared> {
    let began = Instant::now();
    let total = if let Source::Stories { count, .. } = options.source { count } else { 0 };
    let mut progress = out.progress(&format!("preparing {name}"), total);
    let mut update = |documents: u64, tokens: u64| {
        progress.update(documents, format!("{} documents, {} tokens", out::count(documents as f64), out::count(tokens as f64)));
    };
    let prepared = data::prepare_in_cache(&options, &cache_dir().join("data"), &mut update)?;
    drop(progress);
    if !prepared.reused {
        let m = &prepared.manifest;
        let loss =
            m.mask.as_ref().map_or_else(String::new, |mask| format!(" ({} with loss)", out::count(mask.loss_tokens as f64)));
        out.say(format!(
            "prepared {name}: {} documents, {} tokens{loss} of {} ids in {:.1} s, kept in {}",
            out::count(m.documents as f64),
            out::count(m.tokens as f64),
            m.vocab_size,
            began.elapsed().as_secs_f64(),
            prepared.folder.display(),
        ));
    }
    Ok(prepared)
}

/// The training text of TinyStories, where it is looked for.
fn tinystories() -> anyhow::Result<PathBuf> {
    let folder = cache_dir().join("tinystories");
    let names = ["TinyStories-train.txt", "TinyStories-train.txt.gz"];
    names.iter().map(|name| folder.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        let message = format!(
            "TinyStories is not on this machine: neither {} nor {} is in {}; fetch it with `autoane data download tinystories --out {}`, or put the file there, or pass a text file with --data, or use --data stories",
            names[0],
            names[1],
            folder.display(),
            folder.display(),
        );
        Exit::new(exit::UNAVAILABLE, message).into()
    })
}

fn missing(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let message = format!(
        "--data {}: {error}; expected `stories`, `tinystories`, a .txt or .jsonl file or a folder of them, a .bin token file or a prepared folder",
        path.display(),
    );
    Exit::new(exit::code_of_io(error), message).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(vars: &[(&str, &str)]) -> PathBuf {
        cache_from(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
    }

    #[test]
    fn the_cache_is_where_the_user_keeps_caches() {
        assert_eq!(with(&[("AUTOANE_CACHE", "here"), ("HOME", "/h")]), Path::new("here"));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]), Path::new("/c/autoane"));
        let home = if cfg!(target_os = "macos") { "/h/Library/Caches/autoane" } else { "/h/.cache/autoane" };
        assert_eq!(with(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]), Path::new(home));
        assert_eq!(with(&[]), std::env::temp_dir().join("autoane"));
    }

    #[test]
    fn text_is_prepared_once_and_tokens_pass_through() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("tokens.bin");
        std::fs::write(&bin, [1, 0, 2, 0]).unwrap();
        let out = Out::new(false, true, false);
        let corpus = locate(bin.to_str().unwrap(), Some(Tok::Train(300)), None, 1, out).unwrap();
        assert_eq!(corpus.path, bin);
        assert!(corpus.tokenizer.is_none());
        let gone = locate("/nowhere/at/all.txt", None, None, 1, out).unwrap_err();
        assert_eq!(exit::code_of(&gone), exit::MISSING);
    }
}
