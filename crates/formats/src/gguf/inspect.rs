//! What a GGUF file holds, also when its architecture is none that is known here.

use std::path::Path;

use super::container::Container;
use super::{open, spec};
use crate::error::FormatError;
use crate::hf::Config;
use crate::inspect::{Description, TensorEntry, file_name};

/// Describes the file `path`.
///
/// # Errors
/// `Missing`, `Io`, and `Bad` or `Unsupported` when the container itself is not sound.
pub fn inspect(path: &Path) -> Result<Description, FormatError> {
    let file = Container::open(path)?;
    let name = file_name(path);
    let metadata = file.metadata();
    let config = spec::read(&file).and_then(|(_, spec)| Ok(Config { spec, special: spec::special(metadata)? }));
    let mut description = Description {
        bytes: file.size(),
        metadata: metadata.iter().map(|(key, value)| (key.to_owned(), value.to_string())).collect(),
        tensors: file.tensors().iter().map(|t| TensorEntry { file: name.clone(), tensor: t.clone() }).collect(),
        config: None,
        problem: None,
    };
    match config {
        Ok(config) => (description.config, description.problem) = (Some(config), open::assemble(file).err()),
        Err(problem) => description.problem = Some(problem),
    }
    Ok(description)
}
