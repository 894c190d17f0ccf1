//! Low-rank adapters: `W + scale B A` for some of the matrices of a model (Hu et al., arXiv 2106.09685).
//!
//! Two kinds of folders, both with an `adapter_config.json`: PEFT (`adapter_model.safetensors`, A `[r, in]` and B `[out, r]`,
//! scale alpha / r, or alpha / sqrt(r) where `use_rslora`) and MLX (`adapters.safetensors`, both transposed, scale as it is).
//! An adapter is merged when its base is read, once; nothing else knows of it.

mod config;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use model::{Layout, Part, TensorId};

use self::config::Scales;
use crate::dtype::Dtype;
use crate::error::{FormatError, shown};
use crate::safetensors::{Container, Tensor};
use crate::{json, names, place};

pub use write::write_peft;

const CONFIG: &str = "adapter_config.json";
const PEFT_FILE: &str = "adapter_model.safetensors";
const MLX_FILE: &str = "adapters.safetensors";
/// After the name of a module: lengths of the rows of its matrix.
const MAGNITUDE: &str = ".lora_magnitude_vector";
/// Before the names of modules in PEFT files.
const PEFT_PREFIX: &str = "base_model.model.";

/// Who wrote an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The peft package.
    Peft,
    /// mlx-lm.
    Mlx,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Kind::Peft => "PEFT adapter",
            Kind::Mlx => "MLX adapter",
        })
    }
}

/// The two factors of one matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// Rows of A, columns of B.
    pub rank: usize,
    /// `[rank, in]`
    pub a: Vec<f32>,
    /// `[out, rank]`
    pub b: Vec<f32>,
    /// Factor on their product.
    pub scale: f32,
    /// Lengths that the rows of the sum are given, `[out]` (DoRA, Liu et al., arXiv 2402.09353); none: those that they have.
    pub magnitude: Option<Vec<f32>>,
}

impl Factors {
    /// Shape of the matrix that they change: `[out, in]`.
    pub fn shape(&self) -> [usize; 2] {
        [self.b.len() / self.rank, self.a.len() / self.rank]
    }

    /// Adds rows `rows` of the product to `out`, which holds as many, and gives them their lengths.
    pub(crate) fn add(&self, rows: Range<usize>, out: &mut [f32]) {
        let cols = self.shape()[1];
        let mut product = vec![0.0; cols];
        for (row, out) in rows.zip(out.chunks_exact_mut(cols)) {
            product.fill(0.0);
            for (b, a) in self.b[row * self.rank..].iter().zip(self.a.chunks_exact(cols)) {
                product.iter_mut().zip(a).for_each(|(p, a)| *p += b * a);
            }
            out.iter_mut().zip(&product).for_each(|(o, p)| *o += self.scale * p);
            if let Some(lengths) = &self.magnitude {
                let length = out.iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>().sqrt();
                let gain = lengths[row] / (length as f32).max(f32::MIN_POSITIVE);
                out.iter_mut().for_each(|w| *w *= gain);
            }
        }
    }
}

/// An adapter, whole in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// Its folder.
    pub path: PathBuf,
    /// Who wrote it.
    pub kind: Kind,
    /// What its configuration calls its base.
    pub base: Option<String>,
    /// The matrices that it changes.
    pub targets: BTreeMap<TensorId, Factors>,
    /// Matrices of the base that peft saves beside an adapter of the classifier: they must be those of the base.
    pub copies: BTreeMap<TensorId, Vec<f32>>,
}

/// Whether `path` is the folder of an adapter.
pub fn is_one(path: &Path) -> bool {
    path.join(CONFIG).is_file() && !path.join("config.json").is_file()
}

impl Adapter {
    /// Opens the adapter in the folder `path`.
    ///
    /// # Errors
    /// `Missing` (66), `Io` (74), and `Bad` or `Unsupported` (65) with the key or tensor.
    pub fn open(path: &Path) -> Result<Adapter, FormatError> {
        let text = place::inside(path, CONFIG, path)?;
        let map = json::read_object(&text, "the configuration of an adapter")?;
        let keys = json::Keys { path: &text, within: "", map: &map };
        let (kind, name) = match (path.join(PEFT_FILE).is_file(), path.join(MLX_FILE).is_file()) {
            (true, _) => (Kind::Peft, PEFT_FILE),
            (false, true) => (Kind::Mlx, MLX_FILE),
            _ => {
                let pickle = path.join("adapter_model.bin").is_file();
                let hint = if pickle { "; adapter_model.bin is a pickle, which is never read" } else { "" };
                return Err(FormatError::Missing { path: path.join(PEFT_FILE), expected: format!("it, or {MLX_FILE}{hint}") });
            }
        };
        let scales = match kind {
            Kind::Peft => config::peft(&keys)?,
            Kind::Mlx => config::mlx(&keys)?,
        };
        let file = Container::open(&place::inside(path, name, path)?)?;
        let base = keys.text(if kind == Kind::Peft { "base_model_name_or_path" } else { "model" })?.map(str::to_owned);
        let (targets, copies) = read_all(&file, kind, &scales)?;
        Ok(Adapter { path: path.into(), kind, base, targets, copies })
    }

    /// Numbers of all factors and lengths.
    pub fn params(&self) -> usize {
        self.targets.values().map(|f| f.a.len() + f.b.len() + f.magnitude.as_ref().map_or(0, Vec::len)).sum()
    }

    /// Whether every matrix that it changes is one of `layout`, in its shape.
    pub(crate) fn fits(&self, layout: &Layout) -> Result<(), FormatError> {
        for (id, factors) in &self.targets {
            let bad = |expected: String| {
                let [rows, cols] = factors.shape();
                Err(FormatError::bad(&self.path, names::hf(*id), format!("factors of a [{rows}, {cols}] matrix"), expected))
            };
            match layout.get(*id) {
                None if *id == TensorId::Head => return bad("none: the classifier of the base is its embedding".into()),
                None => return bad("a matrix of the base".into()),
                Some(t) if t.shape != factors.shape() => return bad(format!("{:?}, as in the base", t.shape)),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// One part of an adapter, and the module that it belongs to.
struct Half<'a> {
    module: &'a str,
    /// 0 for A, 1 for B, 2 for lengths.
    slot: usize,
    tensor: &'a Tensor,
}

fn half(tensor: &Tensor, kind: Kind) -> Option<Half<'_>> {
    let (name, ends): (_, &[&str]) = match kind {
        Kind::Peft => (tensor.name.strip_prefix(PEFT_PREFIX)?, &[".lora_A.weight", ".lora_B.weight", MAGNITUDE]),
        Kind::Mlx => (tensor.name.as_str(), &[".lora_a", ".lora_b"]),
    };
    let found = ends.iter().enumerate().find_map(|(slot, end)| name.strip_suffix(end).map(|module| (slot, module)));
    found.map(|(slot, module)| Half { module, slot, tensor })
}

/// The weight of which `tensor` is a copy out of the base.
fn copy_of(tensor: &Tensor, kind: Kind) -> Option<TensorId> {
    let name = tensor.name.strip_prefix(PEFT_PREFIX).filter(|_| kind == Kind::Peft)?;
    names::from_hf(&name.replace(".base_layer.", ".")).filter(|id| matches!(id, TensorId::Embed | TensorId::Head))
}

type Contents = (BTreeMap<TensorId, Factors>, BTreeMap<TensorId, Vec<f32>>);

fn read_all(file: &Container, kind: Kind, scales: &Scales) -> Result<Contents, FormatError> {
    let bad = |tensor: &Tensor, found: String, expected: &str| {
        Err(FormatError::bad(file.path(), format!("tensor {}", shown(&tensor.name)), found, expected))
    };
    let (mut pairs, mut copies) = (BTreeMap::<TensorId, [Option<Half>; 3]>::new(), BTreeMap::new());
    for tensor in file.tensors() {
        if let Some(id) = copy_of(tensor, kind) {
            copies.insert(id, read(file, tensor)?);
            continue;
        }
        let Some(half) = half(tensor, kind) else {
            let only = "adapters have the factors A and B of linear layers, lengths of rows, and nothing else (no biases or whole modules)";
            return Err(FormatError::unsupported(file.path(), "tensor", shown(&tensor.name), only));
        };
        let id = names::from_hf(&format!("{}.weight", half.module)).filter(is_matrix);
        let Some(id) = id else {
            let only = "modules are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj and lm_head";
            return Err(FormatError::unsupported(file.path(), "module", shown(half.module), only));
        };
        let slot = half.slot;
        if tensor.shape.len() != [2, 2, 1][slot] || tensor.shape.contains(&0) {
            return bad(tensor, format!("shape {:?}", tensor.shape), ["a matrix", "a matrix", "a vector"][slot]);
        }
        pairs.entry(id).or_default()[slot] = Some(half);
    }
    if pairs.is_empty() {
        return Err(FormatError::bad(file.path(), "tensors", "none", "the factors of at least one layer"));
    }
    let mut all = BTreeMap::new();
    for (id, pair) in pairs {
        match pair {
            [Some(a), Some(b), m] => {
                if m.is_some() != scales.dora {
                    return bad(
                        m.unwrap_or(a).tensor,
                        "rows with or without lengths".into(),
                        "them where `use_dora` says so, and only there",
                    );
                }
                let mut made = factors(file, kind, scales, &a, &b)?;
                made.magnitude = m.map(|m| read(file, m.tensor)).transpose()?;
                if made.magnitude.as_ref().is_some_and(|m| m.len() != made.shape()[0]) {
                    return bad(b.tensor, "lengths of another number of rows".into(), "one for each row of B");
                }
                all.insert(id, made);
            }
            [Some(one), ..] | [_, Some(one), _] | [.., Some(one)] => {
                return bad(one.tensor, "it alone".into(), "both factors of the layer");
            }
            [None, None, None] => {}
        }
    }
    Ok((all, copies))
}

fn is_matrix(id: &TensorId) -> bool {
    let parts = [Part::Q, Part::K, Part::V, Part::O, Part::Gate, Part::Up, Part::Down];
    match id {
        TensorId::Layer(_, part) => parts.contains(part),
        other => *other == TensorId::Head,
    }
}

fn factors(file: &Container, kind: Kind, scales: &Scales, a: &Half, b: &Half) -> Result<Factors, FormatError> {
    let (mut first, mut second) = (read(file, a.tensor)?, read(file, b.tensor)?);
    let size = |half: &Half, i: usize| half.tensor.shape[i] as usize; // a size of a sound file fits
    let (rank, other) = match kind {
        Kind::Peft => (size(a, 0), size(b, 1)),
        Kind::Mlx => {
            first = transposed(&first, size(a, 1));
            second = transposed(&second, size(b, 1));
            (size(a, 1), size(b, 0))
        }
    };
    let at = format!("tensor {}", shown(&b.tensor.name));
    if rank != other {
        return Err(FormatError::bad(file.path(), at, format!("rank {other}"), format!("rank {rank}, as its A has")));
    }
    let (said, scale) = scales.of(a.module)?;
    if rank != said {
        let expected = format!("rank {said}, as {CONFIG} says");
        return Err(FormatError::bad(file.path(), at, format!("rank {rank}"), expected));
    }
    Ok(Factors { rank, a: first, b: second, scale, magnitude: None })
}

fn transposed(values: &[f32], cols: usize) -> Vec<f32> {
    let rows = values.len() / cols;
    (0..values.len()).map(|i| values[i % rows * cols + i / rows]).collect()
}

fn read(file: &Container, tensor: &Tensor) -> Result<Vec<f32>, FormatError> {
    let Some(dtype) = Dtype::from_name(&tensor.dtype) else {
        let at = format!("tensor {}", shown(&tensor.name));
        return Err(FormatError::bad(file.path(), at, format!("dtype {}", tensor.dtype), "F32, F16 or BF16"));
    };
    let mut bytes = vec![0; tensor.bytes as usize];
    file.read_at(tensor.start, &mut bytes)?;
    let mut out = vec![0.0; bytes.len() / dtype.size()];
    dtype.decode(&bytes, &mut out);
    Ok(out)
}
