//! BLZT, version 4: the checkpoint of AutoANE. A header of 96 bytes, then for each layer its weights and the moments of Adam,
//! then the final norm and the embedding with theirs; all f32, Q and K in interleaved pairs, the classifier tied.
//!
//! It does not say the rope base, the norm epsilon, the residual scale or the tokenizer.

mod header;
mod write;

use std::path::Path;

use model::{ModelSpec, Part, TensorId};

use crate::error::FormatError;
use crate::opened::{Format, Found, Model};
use crate::place::DataFile;
use crate::sequence::{Item, check_size, places};
use crate::special::SpecialIds;

pub use header::{Header, read_header};
pub use write::{Adam, WriteOptions, write};

pub(crate) const MAGIC: [u8; 4] = *b"TZLB";
pub(crate) const HEADER: usize = 96;
const EXPECTED: &str = "a BLZT checkpoint";

/// The weights of a layer, in the order of the file; their moments follow in the same order.
const BLOCK: [Part; 9] = [Part::Q, Part::K, Part::V, Part::O, Part::Gate, Part::Down, Part::Up, Part::AttnNorm, Part::FfnNorm];

/// Which of the three arrays of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Array {
    Weights,
    First,
    Second,
}

/// The moments of Adam of a checkpoint, each shaped as the model.
#[derive(Debug)]
pub struct Moments {
    /// Updates that they went through.
    pub t: u64,
    /// Means of the gradient.
    pub first: Model,
    /// Means of its square.
    pub second: Model,
}

/// Opens a BLZT checkpoint.
///
/// # Errors
/// `Missing` (66), `Io` (74), and `Bad` or `Unsupported` (65) with the offset.
pub fn open(path: &Path) -> Result<Model, FormatError> {
    open_array(path, Array::Weights).map(|(model, _)| model)
}

/// The moments of Adam in the checkpoint at `path`; `None` when no update made any.
///
/// # Errors
/// Those of [`open`].
pub fn moments(path: &Path) -> Result<Option<Moments>, FormatError> {
    let (first, header) = open_array(path, Array::First)?;
    let (second, _) = open_array(path, Array::Second)?;
    Ok((header.adam_t > 0).then_some(Moments { t: header.adam_t, first, second }))
}

fn open_array(path: &Path, array: Array) -> Result<(Model, Header), FormatError> {
    let file = DataFile::open(path, EXPECTED)?;
    let header = header::read(&file)?;
    let spec = header.spec.clone();
    check_size(path, file.len(), size(&spec))?;
    let places = places(&spec, items(&spec, array), HEADER as u64);
    let special = SpecialIds::default();
    let model = Model::new(Found { path: path.into(), format: Format::Blzt, spec, special, files: vec![file], places })?;
    Ok((model, header))
}

/// Floats of the weights of one layer.
fn layer_floats(spec: &ModelSpec) -> u64 {
    let [d, q, kv, ff] = [spec.dim, spec.q_dim(), spec.kv_dim(), spec.hidden].map(|n| n as u64);
    2 * q * d + 2 * kv * d + 3 * ff * d + 2 * d
}

/// Size of the whole file: each weight and its two moments.
fn size(spec: &ModelSpec) -> Option<u64> {
    let [d, v] = [spec.dim, spec.vocab].map(|n| n as u64);
    let floats = layer_floats(spec).checked_mul(spec.layers as u64)?.checked_add(d + v * d)?;
    floats.checked_mul(12)?.checked_add(HEADER as u64)
}

/// Floats of a weight of a layer.
fn part_floats(spec: &ModelSpec, part: Part) -> u64 {
    let [d, q, kv, ff] = [spec.dim, spec.q_dim(), spec.kv_dim(), spec.hidden].map(|n| n as u64);
    match part {
        Part::Q | Part::O => q * d,
        Part::K | Part::V => kv * d,
        Part::Gate | Part::Up | Part::Down => ff * d,
        _ => d,
    }
}

/// What follows the header, with `array` as the weights.
fn items(spec: &ModelSpec, array: Array) -> Vec<Item> {
    let mut items = Vec::new();
    let choose = |id, floats, of| if of == array { Item::Weight(id) } else { Item::Skip(floats) };
    for l in 0..spec.layers {
        let all = |arrays: &[Array], part| {
            let (id, floats) = (TensorId::Layer(l, part), part_floats(spec, part));
            arrays.iter().map(|of| choose(id, floats, *of)).collect::<Vec<_>>()
        };
        items.extend(BLOCK.into_iter().flat_map(|part| all(&[Array::Weights], part)));
        items.extend(BLOCK.into_iter().flat_map(|part| all(&[Array::First, Array::Second], part)));
    }
    for (id, floats) in [(TensorId::FinalNorm, spec.dim as u64), (TensorId::Embed, (spec.vocab * spec.dim) as u64)] {
        items.extend([Array::Weights, Array::First, Array::Second].map(|of| choose(id, floats, of)));
    }
    items
}
