//! A GGUF file as a [`Model`]: every tensor of the model, of the right shape and a type that can be read, and no other.

use std::collections::HashMap;
use std::path::Path;

use model::{Layout, Part, Role, TensorId, TensorInfo};

use super::arch::Arch;
use super::container::Container;
use super::{spec, types};
use crate::encoding::Encoding;
use crate::error::{FormatError, shown};
use crate::names;
use crate::opened::{Format, Found, Model, Place, RowOrder};
use crate::safetensors::Tensor;

/// Opens the file `path` and checks all of it but the values of the weights.
///
/// # Errors
/// `Missing` (66), `Io` (74), and `Bad` or `Unsupported` (65) with the offset, key or tensor.
pub fn open(path: &Path) -> Result<Model, FormatError> {
    assemble(Container::open(path)?)
}

pub(super) fn assemble(file: Container) -> Result<Model, FormatError> {
    let (arch, spec) = spec::read(&file)?;
    if spec.layers > file.tensors().len() {
        let found = format!("{} tensors", file.tensors().len());
        return Err(FormatError::bad(file.path(), "tensors", found, format!("those of {} layers", spec.layers)));
    }
    let layout = Layout::of(&spec);
    let wanted: HashMap<TensorId, &TensorInfo> = layout.tensors().iter().map(|t| (t.id, t)).collect();
    let mut places = HashMap::with_capacity(wanted.len());
    for tensor in file.tensors() {
        let info = names::from_gguf(&tensor.name).and_then(|id| wanted.get(&id));
        match info {
            Some(info) => {
                places.insert(info.id, place(&file, tensor, info, order(arch, info.id, spec.head_dim))?);
            }
            None if names::gguf_harmless(&tensor.name) => {}
            None => {
                let expected = "only tensors of the model that the keys describe";
                let at = format!("tensor {}", shown(&tensor.name));
                return Err(FormatError::bad(file.path(), at, "a tensor that the model does not have", expected));
            }
        }
    }
    if let Some(absent) = layout.tensors().iter().find(|t| !places.contains_key(&t.id)) {
        let found = format!("{} of {} tensors, not this one", places.len(), wanted.len());
        let at = format!("tensor `{}`", names::gguf(absent.id));
        return Err(FormatError::bad(file.path(), at, found, "all that the keys describe"));
    }
    let (path, special) = (file.path().to_path_buf(), spec::special(file.metadata())?);
    Model::new(Found { path, format: Format::Gguf, spec, special, files: vec![file.into_file()], places })
}

/// How the rows of `id` lie.
pub(super) fn order(arch: &Arch, id: TensorId, head_dim: usize) -> RowOrder {
    match id {
        TensorId::Layer(_, Part::Q | Part::K | Part::QBias | Part::KBias) if arch.interleaved => {
            RowOrder::Interleaved { head_dim }
        }
        _ => RowOrder::Halves,
    }
}

fn place(file: &Container, tensor: &Tensor, info: &TensorInfo, order: RowOrder) -> Result<Place, FormatError> {
    let [rows, cols] = info.shape.map(|n| n as u64);
    let vector = matches!(info.role, Role::Norm | Role::Bias);
    let shape = if vector { vec![cols] } else { vec![rows, cols] };
    let at = format!("tensor {}", shown(&tensor.name));
    if tensor.shape != shape {
        let found = format!("shape {:?}, row-major", tensor.shape);
        return Err(FormatError::bad(file.path(), at, found, format!("{shape:?}, as the keys say")));
    }
    // blocks of a vector whose entries are permuted would have to be taken apart
    let readable = |e: &Encoding| !vector || e.block_len() == 1;
    match types::encoding(&tensor.dtype).filter(readable) {
        Some(encoding) => Ok(Place { file: 0, start: tensor.start, encoding, order }),
        None if vector => Err(FormatError::unsupported(file.path(), at, tensor.dtype.clone(), "vectors are F32, F16 or BF16")),
        None => {
            let names: Vec<_> = Encoding::all().map(Encoding::name).collect();
            Err(FormatError::unsupported(file.path(), at, tensor.dtype.clone(), format!("types are {}", names.join(", "))))
        }
    }
}
