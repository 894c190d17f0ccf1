//! A model folder, opened: its configuration and tensors agree with each other and with the sizes of its files.

use std::collections::HashMap;
use std::path::Path;

use model::{Layout, ModelSpec, Role, TensorId, TensorInfo};

use super::config::{self, Config};
use super::shards;
use crate::dtype::Dtype;
use crate::error::{FormatError, shown};
use crate::inspect::{TensorEntry, file_name};
use crate::json::{self, Keys};
use crate::opened::{Format, Found, Model, Place, RowOrder};
use crate::safetensors::{Container, Tensor};
use crate::special::SpecialIds;
use crate::{names, place};

/// Opens the folder `path` and checks all of it but the values of the weights.
///
/// # Errors
/// `Missing` (66), `Io` (74), and `Bad` or `Unsupported` (65) with the file and the key, offset or tensor.
pub fn open(path: &Path) -> Result<Model, FormatError> {
    let config = read_config(path)?;
    assemble(path, config, shards::open(path)?)
}

/// `config.json`, and the special ids of `generation_config.json` where there is one.
pub(super) fn read_config(dir: &Path) -> Result<Config, FormatError> {
    let found = std::fs::metadata(dir).map_err(|e| FormatError::read(dir, "a model folder", e))?;
    if !found.is_dir() {
        return Err(FormatError::bad(dir, "path", "something that is not a folder", "a folder with config.json"));
    }
    let mut config = config::read(&place::inside(dir, "config.json", dir)?)?;
    let generation = place::inside(dir, "generation_config.json", dir)?;
    if std::fs::symlink_metadata(&generation).is_ok() {
        let map = json::read_object(&generation, "a generation_config.json")?;
        let own = config::special(&Keys { path: &generation, within: "", map: &map })?;
        config.special = merged(own, config.special);
    }
    Ok(config)
}

/// The ids for generating come first; what they leave out is that of the model.
fn merged(own: SpecialIds, model: SpecialIds) -> SpecialIds {
    let eos = if own.eos.is_empty() { model.eos } else { own.eos };
    SpecialIds { bos: own.bos.or(model.bos), eos, pad: own.pad.or(model.pad) }
}

pub(super) fn assemble(dir: &Path, config: Config, shards: Vec<Container>) -> Result<Model, FormatError> {
    fits(dir, &config.spec, &shards)?;
    let layout = Layout::of(&config.spec);
    let wanted: HashMap<TensorId, &TensorInfo> = layout.tensors().iter().map(|t| (t.id, t)).collect();
    let mut places = HashMap::with_capacity(wanted.len());
    let mut spare_head = None;
    for (s, shard) in shards.iter().enumerate() {
        for tensor in shard.tensors() {
            let id = names::from_hf(&tensor.name);
            match id.and_then(|id| wanted.get(&id)) {
                Some(info) => {
                    places.insert(info.id, matched(shard, tensor, info, s)?);
                }
                None if id == Some(TensorId::Head) => spare_head = Some((s, tensor)),
                None if names::hf_harmless(&tensor.name) => {}
                None => return Err(unexpected(shard.path(), tensor)),
            }
        }
    }
    if let Some(absent) = layout.tensors().iter().find(|t| !places.contains_key(&t.id)) {
        return Err(missing(dir, &layout, absent.id, places.len()));
    }
    if let Some((s, tensor)) = spare_head {
        same_as_embedding(&shards, &places, s, tensor)?;
    }
    let files = shards.into_iter().map(Container::into_file).collect();
    let Config { spec, special } = config;
    Model::new(Found { path: dir.into(), format: Format::Hf, spec, special, files, places })
}

/// A model whose configuration asks for more weights than the files can hold is refused before its layout is made.
fn fits(dir: &Path, spec: &ModelSpec, shards: &[Container]) -> Result<(), FormatError> {
    let blocks = shards.iter().map(|s| s.tensors().len()).sum::<usize>();
    let held = shards.iter().map(Container::size).fold(0, u64::saturating_add);
    let layer = (spec.qkv_dim() as u128 + spec.q_dim() as u128 + 3 * spec.hidden as u128) * spec.dim as u128;
    let needed = 2 * (spec.vocab as u128 * spec.dim as u128 + spec.layers as u128 * layer);
    if needed > u128::from(held) || spec.layers > blocks {
        let found = format!("{held} bytes in {blocks} tensors");
        return Err(FormatError::bad(dir, "weights", found, format!("at least {needed} bytes for what config.json describes")));
    }
    Ok(())
}

fn matched(shard: &Container, tensor: &Tensor, info: &TensorInfo, s: usize) -> Result<Place, FormatError> {
    let [rows, cols] = info.shape.map(|n| n as u64);
    let vector = matches!(info.role, Role::Norm | Role::Bias);
    let shape = if vector { vec![cols] } else { vec![rows, cols] };
    let bad = |found: String, expected: String| {
        Err(FormatError::bad(shard.path(), format!("tensor {}", shown(&tensor.name)), found, expected))
    };
    if tensor.shape != shape {
        return bad(format!("shape {:?}", tensor.shape), format!("{shape:?}, as config.json says"));
    }
    match Dtype::from_name(&tensor.dtype) {
        Some(dtype) => Ok(Place { file: s, start: tensor.start, encoding: dtype.into(), order: RowOrder::Halves }),
        None => bad(format!("dtype {}", tensor.dtype), "F32, F16 or BF16".into()),
    }
}

fn unexpected(path: &Path, tensor: &Tensor) -> FormatError {
    let expected = "only tensors of the model that config.json describes (its biases, norms and layers)";
    FormatError::bad(path, format!("tensor {}", shown(&tensor.name)), "a tensor that the model does not have", expected)
}

fn missing(dir: &Path, layout: &Layout, id: TensorId, found: usize) -> FormatError {
    let total = layout.tensors().len();
    let why = match id {
        TensorId::Head => "; without it the key `tie_word_embeddings` of config.json must be true",
        _ => "",
    };
    let at = format!("tensor `{}`", names::hf(id));
    FormatError::bad(dir, at, format!("{found} of {total} tensors, not this one"), format!("all that config.json describes{why}"))
}

/// A tied model may carry its classifier a second time, if it is the same: training would otherwise start from another
/// model than the one that was released.
fn same_as_embedding(
    shards: &[Container],
    places: &HashMap<TensorId, Place>,
    s: usize,
    head: &Tensor,
) -> Result<(), FormatError> {
    let Some(embed) = places.get(&TensorId::Embed) else { return Ok(()) };
    let (a, b) = (&shards[embed.file], &shards[s]);
    let source = a.tensors().iter().find(|t| t.start == embed.start && names::from_hf(&t.name) == Some(TensorId::Embed));
    let mut same = source.is_some_and(|t| t.dtype == head.dtype && t.shape == head.shape);
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut at = 0;
    while same && at < head.bytes {
        let n = (head.bytes - at).min(1 << 16);
        let (left, right) = (&mut left[..n as usize], &mut right[..n as usize]);
        a.read_at(embed.start + at, left)?;
        b.read_at(head.start + at, right)?;
        same = left == right;
        at += n;
    }
    if same {
        return Ok(());
    }
    let expected = "the embedding again, since `tie_word_embeddings` is true (set it to false if the classifier is its own)";
    Err(FormatError::bad(b.path(), format!("tensor {}", shown(&head.name)), "other values than the embedding's", expected))
}

pub(super) fn entries(shard: &Container) -> impl Iterator<Item = TensorEntry> + '_ {
    let file = file_name(shard.path());
    shard.tensors().iter().map(move |t| TensorEntry { file: file.clone(), tensor: t.clone() })
}
