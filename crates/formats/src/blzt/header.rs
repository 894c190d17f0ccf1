//! The 96 bytes at the beginning: the shape, and how far training was.

use std::path::Path;

use model::{Family, ModelSpec, Rope};

use super::{EXPECTED, HEADER, MAGIC};
use crate::error::FormatError;
use crate::llama2c::{EPS, THETA};
use crate::place::DataFile;
use crate::sequence::words;

/// What the header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The model, with the rope base, norm epsilon and residual scale (1) of a released model where the file is silent.
    pub spec: ModelSpec,
    /// Steps done.
    pub step: i32,
    /// Steps planned.
    pub total_steps: i32,
    /// Last learning rate.
    pub learning_rate: f32,
    /// Last loss.
    pub loss: f32,
    /// Updates of Adam.
    pub adam_t: u64,
}

/// The header of the checkpoint at `path`.
///
/// # Errors
/// `Missing`, `Io`, and `Bad` or `Unsupported` with the offset.
pub fn read_header(path: &Path) -> Result<Header, FormatError> {
    read(&DataFile::open(path, EXPECTED)?)
}

pub(super) fn read(file: &DataFile) -> Result<Header, FormatError> {
    let path = file.path();
    if file.len() < HEADER as u64 {
        return Err(FormatError::bad(path, "size", format!("{} bytes", file.len()), "at least the 96 bytes of a header"));
    }
    let mut bytes = [0; HEADER];
    file.read_at(0, &mut bytes)?;
    if bytes[..4] != MAGIC {
        return Err(FormatError::bad(path, "offset 0", format!("the bytes {:02x?}", &bytes[..4]), "TZLB"));
    }
    let words = words(&bytes);
    if words[1] != 4 {
        return Err(FormatError::unsupported(path, "offset 4, version", words[1].to_string(), "only version 4 is"));
    }
    let spec = spec(path, &words)?;
    let adam_t =
        u64::try_from(words[20]).map_err(|_| FormatError::bad(path, "offset 80, adam_t", words[20].to_string(), "0 or more"))?;
    Ok(Header {
        spec,
        step: words[2],
        total_steps: words[3],
        learning_rate: f32::from_bits(words[10] as u32),
        loss: f32::from_bits(words[11] as u32),
        adam_t,
    })
}

fn spec(path: &Path, words: &[i32]) -> Result<ModelSpec, FormatError> {
    let size = |word: usize, name: &str| {
        usize::try_from(words[word])
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| FormatError::bad(path, format!("offset {}, {name}", 4 * word), words[word].to_string(), "more than 0"))
    };
    let spec = ModelSpec {
        family: Family::Llama,
        layers: size(4, "n_layers")?,
        vocab: size(5, "vocab_size")?,
        dim: size(6, "dim")?,
        hidden: size(7, "hidden_dim")?,
        heads: size(8, "n_heads")?,
        context: size(9, "seq_len")?,
        kv_heads: size(21, "kv_heads")?,
        head_dim: size(22, "head_dim")?,
        rope: Rope::plain(THETA),
        no_rope: Vec::new(),
        norm_eps: EPS,
        tied: true,
        qkv_bias: false,
        o_bias: false,
        qk_norm: false,
        window: None,
        residual_scale: 1.0,
    };
    spec.validate().map_err(|e| FormatError::bad(path, format!("header, {}", e.field), e.found, e.expected))?;
    let q_dim = size(23, "q_dim")?;
    if q_dim != spec.q_dim() {
        let expected = format!("n_heads x head_dim = {}", spec.q_dim());
        return Err(FormatError::bad(path, "offset 92, q_dim", q_dim.to_string(), expected));
    }
    Ok(spec)
}

/// The bytes of `header`.
pub(super) fn bytes(header: &Header) -> Vec<u8> {
    let s = &header.spec;
    let sizes = [s.layers, s.vocab, s.dim, s.hidden, s.heads, s.context].map(|n| n as i32);
    let mut out = MAGIC.to_vec();
    let mut put = |words: &[i32]| out.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    put(&[4, header.step, header.total_steps]);
    put(&sizes);
    put(&[header.learning_rate.to_bits() as i32, header.loss.to_bits() as i32]);
    // three times of training, its steps and batches: not known here
    put(&[0; 8]);
    put(&[i32::try_from(header.adam_t).unwrap_or(i32::MAX)]);
    put(&[s.kv_heads, s.head_dim, s.q_dim()].map(|n| n as i32));
    out
}
