//! The tokenizer that goes with the weights: the input's own, or one that was named for an input that has none.

use std::fs;
use std::path::{Path, PathBuf};

use data::{DataError, Place, Tokenizer};
use formats::tokenizer::Vocabulary;
use formats::{Format, Model};

use super::place::{cannot_write, remove, sync, write};
use crate::exit;
use crate::model_file;
use crate::out::Out;
use crate::tokenizer_file;

/// Files of a tokenizer in a Hugging Face folder, copied as they are.
pub const FILES: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
];

/// A tokenizer, in the form that it came in.
pub enum Source {
    /// There is none.
    None,
    /// A folder with `tokenizer.json`.
    Folder(PathBuf),
    /// What a GGUF file or a `tokenizer.bin` says, and that file.
    Vocabulary(Box<Vocabulary>, PathBuf),
}

impl Source {
    /// That of `model`, or the one in `given` where it has none.
    ///
    /// # Errors
    /// 2 when there are both, 65 and 66 for one that cannot be read or has more ids than the model.
    pub fn of(model: &Model, given: Option<&Path>) -> anyhow::Result<Source> {
        let own = Source::own(model)?;
        let Some(path) = given else { return Ok(own) };
        if let Some(path) = own.path() {
            let what = format!("the input has a tokenizer, {}", path.display());
            return Err(exit::usage(format!("--tokenizer is for an input without one; {what}")));
        }
        let tokenizer = tokenizer_file::load(path)?;
        let (ids, rows) = (tokenizer.vocab_size(), model.spec().vocab);
        if ids > rows {
            let expected = format!("at most the {rows} ids of the model");
            return Err(DataError::bad(path, Place::File, expected, format!("a tokenizer of {ids}")).into());
        }
        Ok(match tokenizer_file::vocabulary(path)? {
            Some(vocabulary) => Source::Vocabulary(Box::new(vocabulary), path.into()),
            None if path.is_dir() => Source::Folder(path.into()),
            None => Source::Folder(folder_of(path)?),
        })
    }

    fn own(model: &Model) -> anyhow::Result<Source> {
        if model.format() != Format::Hf {
            let found = model_file::own_vocabulary(model)?;
            return Ok(found.map_or(Source::None, |v| Source::Vocabulary(Box::new(v), model_file::beside_or_inside(model))));
        }
        if !model.path().join("tokenizer.json").is_file() {
            return Ok(Source::None);
        }
        // a broken one would be found only by whoever loads the copy
        Tokenizer::load(model.path())?;
        Ok(Source::Folder(model.path().into()))
    }

    /// The file or folder that it is in.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Source::None => None,
            Source::Folder(path) | Source::Vocabulary(_, path) => Some(path),
        }
    }

    /// It as keys and `tokenizer.bin` have it.
    ///
    /// # Errors
    /// 65 for one that this form cannot say.
    pub fn vocabulary(&self) -> anyhow::Result<Option<Vocabulary>> {
        Ok(match self {
            Source::None => None,
            Source::Folder(dir) => Vocabulary::from_folder(dir)?,
            Source::Vocabulary(vocabulary, _) => Some((**vocabulary).clone()),
        })
    }

    /// Its files into the Hugging Face folder `to`, synced: copied as they are, or made from the other form.
    ///
    /// # Errors
    /// 65, 73 and 74.
    pub fn write_files(&self, to: &Path) -> anyhow::Result<()> {
        match self {
            Source::None => Ok(()),
            Source::Folder(dir) => FILES.iter().filter(|name| dir.join(name).is_file()).try_for_each(|name| {
                let path = to.join(name);
                fs::copy(dir.join(name), &path).map_err(|e| cannot_write(&path, &e))?;
                sync(&path)
            }),
            Source::Vocabulary(vocabulary, path) => {
                let files = vocabulary.to_json(path)?;
                write(&to.join("tokenizer.json"), &files.tokenizer)?;
                write(&to.join("tokenizer_config.json"), &files.config)
            }
        }
    }

    /// The `tokenizer.bin` beside the llama2.c file `output`. One that is there and is another stays, unless it may be
    /// replaced and lies elsewhere than the input.
    ///
    /// # Errors
    /// 73 and 74.
    pub fn write_beside(&self, model: &Model, output: &Path, overwrite: bool, out: Out) -> anyhow::Result<()> {
        let Some(vocabulary) = self.vocabulary()? else { return Ok(()) };
        let bytes = match vocabulary.to_llama2c() {
            Ok(bytes) => bytes,
            Err(error) => {
                out.warn(format!("no tokenizer.bin: {error}"));
                return Ok(());
            }
        };
        let path = output.with_file_name("tokenizer.bin");
        let folder = |path: &Path| path.canonicalize().ok().and_then(|p| p.parent().map(Path::to_path_buf));
        let of_input = folder(&path).is_some() && folder(&path) == folder(model.path());
        if path.exists() && (!overwrite || of_input) {
            let same = fs::read(&path).is_ok_and(|there| there == bytes);
            if !same {
                out.warn(format!("{}: is there already and is another tokenizer; it stays as it is", path.display()));
            }
            return Ok(());
        }
        let temporary = path.with_file_name(format!(".tokenizer.bin.tmp-{}", std::process::id()));
        let done = write(&temporary, &bytes).and_then(|()| fs::rename(&temporary, &path).map_err(|e| cannot_write(&path, &e)));
        if done.is_err() {
            remove(&temporary);
        }
        done
    }
}

/// The folder of the file `path`, which must be called `tokenizer.json`: what lies beside it belongs to it.
fn folder_of(path: &Path) -> anyhow::Result<PathBuf> {
    if path.file_name().is_none_or(|name| name != "tokenizer.json") {
        let expected = "a file called tokenizer.json, with what belongs to it beside it";
        return Err(DataError::bad(path, Place::File, expected, "another name").into());
    }
    Ok(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).into())
}
