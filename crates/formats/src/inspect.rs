//! What a file or folder holds, also when it is no model that could be used.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::FormatError;
use crate::hf::Config;
use crate::opened::{Format, sniff};
use crate::safetensors::Tensor;
use crate::{gguf, hf};

/// A tensor of a file, for tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    /// Name of the file.
    pub file: String,
    /// The tensor.
    pub tensor: Tensor,
}

/// What a sound container says, and what is wrong with its model.
#[derive(Debug)]
pub struct Description {
    /// Bytes of all tensor files.
    pub bytes: u64,
    /// Keys of the container, long values cut.
    pub metadata: BTreeMap<String, String>,
    /// Every tensor.
    pub tensors: Vec<TensorEntry>,
    /// The configuration; `None` for a tensor file that stands alone.
    pub config: Option<Config>,
    /// Why it cannot be used as a model, if it cannot.
    pub problem: Option<FormatError>,
}

/// Describes a Hugging Face folder, a GGUF file, a single safetensors file, or a `config.json`.
///
/// # Errors
/// `Missing`, `Io`, and `Bad` when the container itself is not sound.
pub fn inspect(path: &Path) -> Result<Description, FormatError> {
    let is_gguf = path.is_file() && sniff(path).is_ok_and(|format| format == Format::Gguf);
    if is_gguf { gguf::inspect(path) } else { hf::inspect(path) }
}

/// The name of a file, for tables.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}
