//! Where a conversion goes: nothing is replaced unless that was asked for, and then at once.

use std::fs;
use std::path::{Path, PathBuf};

use formats::Format;

use super::swap::exchange;
use crate::exit::{self, Exit};

/// A free place, or one whose model may be replaced.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
}

impl Destination {
    /// Whether `output` may be written: it is not there, an empty folder, or, with `overwrite`, a model of the kind that will
    /// take its place. The input and what lies around it are never written to.
    ///
    /// # Errors
    /// 73 with what to do.
    pub fn check(output: &Path, input: &Path, format: Format, overwrite: bool) -> anyhow::Result<Destination> {
        let refuse = |why: &str| Err(Exit::new(exit::CANNOT_WRITE, format!("{}: {why}", output.display())).into());
        let (Ok(meta), true) = (output.metadata(), output.file_name().is_some()) else {
            if output.file_name().is_none() {
                return refuse("is no name for a new file or folder");
            }
            let parent = parent(output);
            if format != Format::Hf && !parent.is_dir() {
                return refuse(&format!("its folder {} is not there; make it, or name another place", parent.display()));
            }
            if format == Format::Llama2c && output.ends_with("tokenizer.bin") {
                return refuse("is the name of the tokenizer that goes beside the model; name another");
            }
            return Ok(Destination { path: output.into() });
        };
        let same = output.canonicalize().ok().zip(input.canonicalize().ok());
        if same.is_some_and(|(output, input)| input.starts_with(&output) || output.starts_with(&input)) {
            return refuse("is the input, holds it, or is a part of it; the input is never written to");
        }
        let empty = meta.is_dir() && fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
        if empty && format == Format::Hf {
            return Ok(Destination { path: output.into() });
        }
        if !overwrite {
            return refuse("exists already; name a new place, or replace it with --overwrite");
        }
        match (format, meta.is_dir()) {
            (Format::Hf, true) if !is_plain_model(output) => {
                refuse("is a folder with more than a model in it, which is not replaced; name another")
            }
            (Format::Hf, false) => refuse("is a file; a Hugging Face folder does not replace it"),
            (Format::Gguf | Format::Blzt | Format::Llama2c, true) => refuse("is a folder; a file does not replace it"),
            (Format::Gguf | Format::Blzt | Format::Llama2c, false) if formats::sniff(output).ok() != Some(format) => {
                refuse(&format!("is no model file of the kind {format}, and is not replaced; name another"))
            }
            _ => Ok(Destination { path: output.into() }),
        }
    }

    /// Where to write first.
    pub fn temporary(&self) -> PathBuf {
        self.beside("tmp")
    }

    fn beside(&self, what: &str) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.{what}-{}", std::process::id()))
    }

    /// `error` with the name that was typed in place of a temporary one.
    pub fn told(&self, error: anyhow::Error) -> anyhow::Error {
        let temporary = self.temporary();
        // a writer of a single file has a temporary name of its own
        let inner = Destination { path: temporary.clone() }.temporary();
        let text = exit::explain(&error);
        let plain = [inner, temporary]
            .iter()
            .fold(text.clone(), |text, name| text.replace(&name.display().to_string(), &self.path.display().to_string()));
        if plain == text { error } else { Exit::new(exit::code_of(&error), plain).into() }
    }

    /// Puts what was written in its place, in one step where the system can: a folder that is replaced changes places with
    /// the new one, else it goes aside first.
    ///
    /// # Errors
    /// 73 and 74.
    pub fn put(&self, temporary: &Path) -> anyhow::Result<()> {
        let failed = |e| cannot_write(&self.path, &e);
        if !self.path.is_dir() {
            fs::rename(temporary, &self.path).map_err(failed)?;
        } else if exchange(temporary, &self.path).is_ok() {
            sync(parent(&self.path))?;
            remove(temporary);
        } else {
            self.put_in_two_steps(temporary).map_err(failed)?;
        }
        sync(parent(&self.path))
    }

    fn put_in_two_steps(&self, temporary: &Path) -> std::io::Result<()> {
        let old = self.beside("old");
        fs::rename(&self.path, &old)?;
        if let Err(error) = fs::rename(temporary, &self.path) {
            // what was there comes back; the error that is reported is the first
            let _ = fs::rename(&old, &self.path);
            return Err(error);
        }
        remove(&old);
        Ok(())
    }
}

/// The folder that `path` lies in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the file `path`, or the names in the folder `path`, outlive a power cut.
///
/// # Errors
/// 73 and 74.
pub fn sync(path: &Path) -> anyhow::Result<()> {
    fs::File::open(path).and_then(|file| file.sync_all()).map_err(|e| cannot_write(path, &e))
}

/// Writes a small file, synced.
///
/// # Errors
/// 73 and 74.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).map_err(|e| cannot_write(path, &e))?;
    sync(path)
}

/// Files of a model folder beside its weights and its tokenizer.
const BESIDE: [&str; 6] =
    ["config.json", "generation_config.json", "model.safetensors.index.json", "README.md", "LICENSE", ".gitattributes"];

/// A folder that `convert` or a hub download could have made: files of a model, and nothing else.
fn is_plain_model(dir: &Path) -> bool {
    let known = |name: &str| BESIDE.contains(&name) || super::tokenizer::FILES.contains(&name) || name.ends_with(".safetensors");
    let of_model = |e: fs::DirEntry| e.file_type().is_ok_and(|t| !t.is_dir()) && e.file_name().to_str().is_some_and(known);
    let all = fs::read_dir(dir).map(|mut entries| entries.all(|e| e.is_ok_and(of_model)));
    dir.join("config.json").is_file() && all.unwrap_or(false)
}

/// Removes a file or a folder of ours, if it is there.
pub fn remove(path: &Path) {
    // nothing depends on it
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

/// An error of writing `path`.
pub fn cannot_write(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => exit::IO,
        _ => exit::CANNOT_WRITE,
    };
    Exit::new(code, format!("{}: {error}", path.display())).into()
}
