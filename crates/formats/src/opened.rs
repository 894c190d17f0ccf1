//! [`Model`]: an opened model, whatever the files it lies in.
//!
//! A reader of a format finds out what the model is and where each weight lies; everything after that is the same for all.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use model::{Layout, ModelSpec, Role, TensorId, TensorInfo};

use crate::adapter::{Adapter, Factors};
use crate::encoding::Encoding;
use crate::error::FormatError;
use crate::names;
use crate::place::DataFile;
use crate::special::SpecialIds;
use crate::{blzt, gguf, hf, llama2c};

/// The kinds of files that hold a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Hugging Face folder.
    Hf,
    /// GGUF file of llama.cpp.
    Gguf,
    /// BLZT checkpoint.
    Blzt,
    /// Model file of llama2.c.
    Llama2c,
}

/// What a user says of a model whose file does not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Assumed {
    /// Base of the rotations.
    pub rope_theta: Option<f64>,
    /// Epsilon of the norms.
    pub norm_eps: Option<f32>,
    /// Factor on both branches of every block.
    pub residual_scale: Option<f32>,
}

impl Format {
    /// What its files do not say of a model, beside the tokenizer.
    pub fn unsaid(self) -> &'static [&'static str] {
        match self {
            Format::Hf | Format::Gguf => &[],
            Format::Llama2c => &["rope theta", "norm eps"],
            Format::Blzt => &["rope theta", "norm eps", "residual scale"],
        }
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Format::Hf => "Hugging Face folder",
            Format::Gguf => "GGUF file",
            Format::Blzt => "BLZT checkpoint",
            Format::Llama2c => "llama2.c file",
        }
    }

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Hf => "hf",
            Format::Gguf => "gguf",
            Format::Blzt => "blzt",
            Format::Llama2c => "llama2c",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// How the rows of a weight lie in its file. Ours is the order of Hugging Face: the rows of rotation pair `i` of a head are
/// `i` and `head_dim/2 + i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// As ours.
    Halves,
    /// The rows of rotation pair `i` of a head are `2i` and `2i + 1`.
    Interleaved {
        /// Rows of a head.
        head_dim: usize,
    },
}

impl RowOrder {
    /// The row of the file that holds our row `row`.
    pub fn in_file(self, row: usize) -> usize {
        match self {
            RowOrder::Halves => row,
            RowOrder::Interleaved { head_dim } => {
                let (head, r, half) = (row - row % head_dim, row % head_dim, head_dim / 2);
                head + if r < half { 2 * r } else { 2 * (r - half) + 1 }
            }
        }
    }

    /// Our row that row `row` of the file holds.
    pub fn ours(self, row: usize) -> usize {
        match self {
            RowOrder::Halves => row,
            RowOrder::Interleaved { head_dim } => {
                let (head, r) = (row - row % head_dim, row % head_dim);
                head + r / 2 + r % 2 * (head_dim / 2)
            }
        }
    }
}

/// Where a weight lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Which of the model's files.
    pub file: usize,
    /// Offset of its first byte.
    pub start: u64,
    /// How its numbers are stored, row by row without gaps.
    pub encoding: Encoding,
    /// How its rows lie.
    pub order: RowOrder,
}

/// An opened model: its shape, and its weights in files that stay open, so that a later rename or deletion does not matter.
#[derive(Debug)]
pub struct Model {
    path: PathBuf,
    format: Format,
    spec: ModelSpec,
    special: SpecialIds,
    layout: Layout,
    pub(crate) files: Vec<DataFile>,
    pub(crate) places: HashMap<TensorId, Place>,
    pub(crate) adapter: Option<Adapter>,
}

/// What a reader of a format found.
pub(crate) struct Found {
    /// Folder or file.
    pub path: PathBuf,
    /// Of which kind.
    pub format: Format,
    /// The model, valid.
    pub spec: ModelSpec,
    /// Its special ids.
    pub special: SpecialIds,
    /// The files of its weights.
    pub files: Vec<DataFile>,
    /// Where each weight lies.
    pub places: HashMap<TensorId, Place>,
}

/// Opens the model at `path`: a Hugging Face folder, a GGUF file, a BLZT checkpoint or a file of llama2.c.
///
/// # Errors
/// `Missing` (66), `Io` (74), and `Bad` or `Unsupported` (65) with the file and the key, offset or tensor.
pub fn open(path: &Path) -> Result<Model, FormatError> {
    match sniff(path)? {
        Format::Hf => hf::open(path),
        Format::Blzt => blzt::open(path),
        Format::Llama2c => llama2c::open(path),
        Format::Gguf => gguf::open(path),
    }
}

/// Which format the file or folder at `path` claims to be.
///
/// # Errors
/// `Missing`, `Io`, and `Bad` when it is none that is known.
pub fn sniff(path: &Path) -> Result<Format, FormatError> {
    const EXPECTED: &str = "a Hugging Face folder, a GGUF or llama2.c file, or a BLZT checkpoint";
    let meta = std::fs::metadata(path).map_err(|e| FormatError::read(path, EXPECTED, e))?;
    if meta.is_dir() {
        return Ok(Format::Hf);
    }
    let file = DataFile::open(path, EXPECTED)?;
    let mut magic = [0; 4];
    if file.len() >= 4 {
        file.read_at(0, &mut magic)?;
    }
    match &magic {
        b"GGUF" => Ok(Format::Gguf),
        magic if *magic == blzt::MAGIC => Ok(Format::Blzt),
        _ if llama2c::is_one(&file)? => Ok(Format::Llama2c),
        _ => Err(FormatError::bad(path, "offset 0", format!("the bytes {magic:02x?}"), EXPECTED)),
    }
}

impl Model {
    /// Joins what a reader found, once every weight of the spec has a place inside its file.
    ///
    /// # Errors
    /// `Bad` with the weight.
    pub(crate) fn new(found: Found) -> Result<Model, FormatError> {
        let Found { path, format, spec, special, files, places } = found;
        let layout = Layout::of(&spec);
        for t in layout.tensors() {
            let bad =
                |found: &str, expected: String| FormatError::bad(&path, format!("weight {}", names::hf(t.id)), found, expected);
            let Some(place) = places.get(&t.id) else { return Err(bad("nothing", "every weight of the model".into())) };
            let [rows, cols] = stored_shape(t, place.order);
            let bytes = place.encoding.bytes_of(cols).and_then(|row| row.checked_mul(rows));
            let end = bytes.and_then(|n| place.start.checked_add(n as u64));
            let file = files.get(place.file);
            if end.zip(file).is_none_or(|(end, file)| end > file.len()) {
                let found = format!("{} at offset {}", place.encoding.name(), place.start);
                return Err(bad(&found, format!("{rows} rows of {cols} in whole blocks inside the file")));
            }
        }
        Ok(Model { path, format, spec, special, layout, files, places, adapter: None })
    }

    /// The same with what its file does not say.
    ///
    /// # Errors
    /// `Inexpressible` for what the format does say, or for a value that cannot be.
    pub fn assuming(mut self, given: &Assumed) -> Result<Model, FormatError> {
        let fields = [
            ("rope theta", given.rope_theta.map(|v| v.to_string())),
            ("norm eps", given.norm_eps.map(|v| v.to_string())),
            ("residual scale", given.residual_scale.map(|v| v.to_string())),
        ];
        for (name, value) in fields {
            if let Some(value) = value.filter(|_| !self.format.unsaid().contains(&name)) {
                let why = format!("a {} says its own, or has none; leave it out", self.format);
                return Err(FormatError::inexpressible(name, value, why));
            }
        }
        self.spec.rope.theta = given.rope_theta.unwrap_or(self.spec.rope.theta);
        self.spec.norm_eps = given.norm_eps.unwrap_or(self.spec.norm_eps);
        self.spec.residual_scale = given.residual_scale.unwrap_or(self.spec.residual_scale);
        self.spec.validate().map_err(|e| FormatError::inexpressible(e.field, e.found, e.expected))?;
        Ok(self)
    }

    /// What it is.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Its layout, over the full vocabulary.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its special ids.
    pub fn special(&self) -> &SpecialIds {
        &self.special
    }

    /// The kind of its files.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The folder or file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the weight `id` is stored; `None` when the model has no such weight. One that an adapter changes is f32.
    pub fn encoding(&self, id: TensorId) -> Option<Encoding> {
        let stored = self.places.get(&id).map(|p| p.encoding);
        stored.map(|stored| if self.factors(id).is_some() { Encoding::F32 } else { stored })
    }

    /// The model with `adapter` merged into it, once, whenever a weight is read: `W + scale B A` in f32.
    ///
    /// # Errors
    /// `Bad` when a matrix of the adapter is not one of the model; `Inexpressible` when there is an adapter in it already.
    pub fn merged(mut self, adapter: Adapter) -> Result<Model, FormatError> {
        if let Some(other) = &self.adapter {
            let found = adapter.path.display().to_string();
            let why = format!("{} is in the model already; write the merged model first", other.path.display());
            return Err(FormatError::inexpressible("adapter", found, why));
        }
        adapter.fits(&self.layout)?;
        for (id, copy) in &adapter.copies {
            // the classifier of a tied model is its embedding
            let id = if self.spec.tied { TensorId::Embed } else { *id };
            if self.tensor(id)?.as_ref() != Some(copy) {
                let at = format!("the copy of {}", names::hf(id));
                let only = "adapters of layers are, not new values of whole matrices or of added tokens";
                return Err(FormatError::unsupported(&adapter.path, at, "other values than the base's", only));
            }
        }
        self.adapter = Some(adapter);
        Ok(self)
    }

    /// The adapter that is merged into it.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref()
    }

    /// What an adapter adds to the weight `id`.
    pub(crate) fn factors(&self, id: TensorId) -> Option<&Factors> {
        self.adapter.as_ref().and_then(|a| a.targets.get(&id))
    }
}

/// Rows and columns of a weight as far as their order goes: a bias whose entries are permuted is a column of them.
pub(crate) fn stored_shape(t: &TensorInfo, order: RowOrder) -> [usize; 2] {
    match (t.role, order) {
        (Role::Norm | Role::Bias, RowOrder::Interleaved { .. }) => [t.shape[1], 1],
        _ => t.shape,
    }
}

/// Whether a weight has a row for each token id.
pub(crate) fn is_vocab(id: TensorId) -> bool {
    matches!(id, TensorId::Embed | TensorId::Head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_a_head_are_neighbours_in_the_file() {
        let order = RowOrder::Interleaved { head_dim: 6 };
        let file: Vec<usize> = (0..12).map(|row| order.ours(row)).collect();
        assert_eq!(file, [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
        assert!((0..12).all(|row| order.ours(order.in_file(row)) == row));
    }
}
