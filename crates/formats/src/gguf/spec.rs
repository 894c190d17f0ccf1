//! Metadata and tensor table of a GGUF file -> [`ModelSpec`], and the keys of a spec.

use model::{Family, ModelSpec, SlidingWindow};

use super::arch::{self, Arch};
use super::container::Container;
use super::metadata::Metadata;
use super::rope;
use super::value::{Array, Value};
use crate::error::FormatError;
use crate::names;
use crate::special::SpecialIds;

/// First layer with the window: a note of ours.
const WINDOW_FROM: &str = "autoane.attention.window_from_layer";
/// Every id that ends a text: a note of ours, since the format has room for three.
const EOS_IDS: &str = "autoane.eos_token_ids";

/// Keys that would change the arithmetic, with the value that does not.
const NEUTRAL: [(&str, f64); 12] = [
    ("expert_count", 0.0),
    ("expert_used_count", 0.0),
    ("attention.scale", 0.0),
    ("attention.output_scale", 0.0),
    ("attention.clamp_kqv", 0.0),
    ("attention.max_alibi_bias", 0.0),
    ("attention.causal", 1.0),
    ("attn_logit_softcapping", 0.0),
    ("final_logit_softcapping", 0.0),
    ("logit_scale", 1.0),
    ("residual_scale", 1.0),
    ("embedding_scale", 1.0),
];

/// The model that `file` describes, valid.
pub(super) fn read(file: &Container) -> Result<(&'static Arch, ModelSpec), FormatError> {
    let meta = file.metadata();
    let (arch, family) = Arch::read(meta)?;
    refuse_unsupported(meta, arch)?;
    let size = |rest: &str| meta.need_size(&arch.key(rest));
    let (dim, layers) = (size("embedding_length")?, size("block_count")?);
    let heads = per_layer(meta, &arch.key("attention.head_count"))?;
    let Some(heads) = heads else { return Err(missing(meta, &arch.key("attention.head_count"))) };
    let head_dim = head_dim(meta, arch, dim, heads)?;
    let has = |name: String| file.tensor(&name).is_some();
    let spec = ModelSpec {
        family,
        dim,
        layers,
        heads,
        kv_heads: per_layer(meta, &arch.key("attention.head_count_kv"))?.unwrap_or(heads),
        head_dim,
        hidden: match per_layer(meta, &arch.key("feed_forward_length"))? {
            Some(hidden) => hidden,
            None => return Err(missing(meta, &arch.key("feed_forward_length"))),
        },
        vocab: vocab(file, arch)?,
        context: size("context_length")?,
        rope: rope::read(file, arch, head_dim)?,
        no_rope: arch::no_rope(family, layers),
        norm_eps: meta.need_number(&arch.key("attention.layer_norm_rms_epsilon"))? as f32,
        tied: !has(names::GGUF_HEAD.to_owned()),
        qkv_bias: has(names::gguf_block(0, "attn_q.bias")),
        o_bias: has(names::gguf_block(0, "attn_output.bias")),
        qk_norm: has(names::gguf_block(0, "attn_q_norm.weight")),
        window: window(meta, arch, family, layers)?,
        residual_scale: 1.0,
    };
    let invalid = |e: model::SpecError| FormatError::bad(meta.path(), format!("key of `{}`", e.field), e.found, e.expected);
    spec.validate().map_err(invalid)?;
    Ok((arch, spec))
}

fn missing(meta: &Metadata, key: &str) -> FormatError {
    FormatError::bad(meta.path(), meta.at(key), "nothing", "a whole number")
}

fn refuse_unsupported(meta: &Metadata, arch: &Arch) -> Result<(), FormatError> {
    for (rest, neutral) in NEUTRAL {
        let key = arch.key(rest);
        let value = match meta.get(&key) {
            Some(Value::Bool(b)) => f64::from(u8::from(*b)),
            Some(_) => meta.number(&key)?.unwrap_or(neutral),
            None => neutral,
        };
        if value != neutral {
            let only = format!("only {neutral} is");
            return Err(FormatError::unsupported(meta.path(), meta.at(&key), value.to_string(), only));
        }
    }
    if meta.size("split.count")?.is_some_and(|n| n > 1) {
        let only = "a model in one file is; join the parts with llama-gguf-split --merge";
        return Err(FormatError::unsupported(meta.path(), meta.at("split.count"), "a part of a model", only));
    }
    Ok(())
}

/// A number that may be said once for every layer, if it is the same for all.
fn per_layer(meta: &Metadata, key: &str) -> Result<Option<usize>, FormatError> {
    let Some(Value::List(list)) = meta.get(key) else { return meta.size(key) };
    let first = list.get(0).and_then(|v| v.as_integer());
    let same = (1..list.len()).all(|i| list.get(i).and_then(|v| v.as_integer()) == first);
    match first.and_then(|n| usize::try_from(n).ok()).filter(|_| same) {
        Some(n) => Ok(Some(n)),
        None => Err(FormatError::unsupported(meta.path(), meta.at(key), list.to_string(), "the same for every layer is")),
    }
}

fn head_dim(meta: &Metadata, arch: &Arch, dim: usize, heads: usize) -> Result<usize, FormatError> {
    let (key, value) = (arch.key("attention.key_length"), arch.key("attention.value_length"));
    let head_dim = match (meta.size(&key)?, dim.checked_rem(heads)) {
        (Some(n), _) => n,
        (None, Some(0)) => dim / heads,
        _ => {
            return Err(FormatError::bad(
                meta.path(),
                meta.at(&key),
                "nothing",
                format!("it, as {heads} heads do not divide {dim}"),
            ));
        }
    };
    for (key, what) in [(value, "the same as key_length"), (arch.key("rope.dimension_count"), "whole heads rotate")] {
        if let Some(other) = meta.size(&key)?.filter(|n| *n != head_dim) {
            return Err(FormatError::unsupported(
                meta.path(),
                meta.at(&key),
                other.to_string(),
                format!("{what}: only {head_dim} is"),
            ));
        }
    }
    Ok(head_dim)
}

/// Rows of the embedding; the key, where there is one, must agree.
fn vocab(file: &Container, arch: &Arch) -> Result<usize, FormatError> {
    let meta = file.metadata();
    let at = || format!("tensor `{}`", names::GGUF_EMBED);
    let Some(embed) = file.tensor(names::GGUF_EMBED) else {
        return Err(FormatError::bad(meta.path(), at(), "nothing", "the embedding"));
    };
    let rows = usize::try_from(embed.shape[0]).unwrap_or(usize::MAX);
    match meta.size(&arch.key("vocab_size"))? {
        Some(n) if n != rows => Err(FormatError::bad(
            meta.path(),
            at(),
            format!("{rows} rows"),
            format!("{n}, as the key `{}` says", arch.key("vocab_size")),
        )),
        _ => Ok(rows),
    }
}

fn window(meta: &Metadata, arch: &Arch, family: Family, layers: usize) -> Result<Option<SlidingWindow>, FormatError> {
    let size = meta.size(&arch.key("attention.sliding_window"))?.filter(|n| *n > 0);
    // llama.cpp has no window in these architectures: it counts where it is part of what the family is
    let known = family == Family::Mistral || meta.get(WINDOW_FROM).is_some();
    let from_layer = meta.size(WINDOW_FROM)?.unwrap_or(0);
    Ok(size.filter(|_| known && from_layer < layers).map(|size| SlidingWindow { size, from_layer }))
}

/// The special ids of a file.
pub(super) fn special(meta: &Metadata) -> Result<SpecialIds, FormatError> {
    let id = |name: &str| meta.id(&format!("tokenizer.ggml.{name}_token_id"));
    let mut eos = Vec::new();
    for name in ["eos", "eot", "eom"] {
        eos.extend(id(name)?.filter(|id| !eos.contains(id)));
    }
    if let Some(list) = meta.list(EOS_IDS)? {
        let ids = (0..list.len()).map(|i| list.get(i).and_then(|v| v.as_integer()).and_then(|n| u32::try_from(n).ok()));
        let bad = || FormatError::bad(meta.path(), meta.at(EOS_IDS), list.to_string(), "token ids");
        eos = ids.collect::<Option<_>>().ok_or_else(bad)?;
    }
    Ok(SpecialIds { bos: id("bos")?, eos, pad: id("padding")? })
}

/// The keys of `full` below its architecture, rope scaling aside.
pub(super) fn keys(full: &ModelSpec) -> Vec<(&'static str, Value)> {
    // every size of a spec is below 2^24
    let size = |n: usize| Value::U32(n as u32);
    let mut keys = vec![
        ("block_count", size(full.layers)),
        ("context_length", size(full.context)),
        ("embedding_length", size(full.dim)),
        ("feed_forward_length", size(full.hidden)),
        ("attention.head_count", size(full.heads)),
        ("attention.head_count_kv", size(full.kv_heads)),
        ("attention.key_length", size(full.head_dim)),
        ("attention.value_length", size(full.head_dim)),
        ("attention.layer_norm_rms_epsilon", Value::F32(full.norm_eps)),
        ("vocab_size", size(full.vocab)),
        ("rope.dimension_count", size(full.head_dim)),
    ];
    keys.extend(full.window.map(|w| ("attention.sliding_window", size(w.size))));
    keys
}

/// Keys of our own, for what the format leaves out.
pub(super) fn notes(full: &ModelSpec, special: &SpecialIds, arch: &Arch) -> Vec<(String, Value)> {
    let mut notes = Vec::new();
    // in the architecture `llama` the family says that the window counts
    if let Some(w) = full.window.filter(|w| w.from_layer > 0 || full.family == arch.family) {
        notes.push((WINDOW_FROM.to_owned(), Value::U32(w.from_layer as u32)));
    }
    if special.eos.len() > 1 {
        notes.push((EOS_IDS.to_owned(), Value::List(Array::U32(special.eos.clone()))));
    }
    notes
}

/// The keys of special ids.
pub(super) fn special_keys(special: &SpecialIds) -> Vec<(&'static str, Value)> {
    let named = [
        ("tokenizer.ggml.bos_token_id", special.bos),
        ("tokenizer.ggml.eos_token_id", special.eos.first().copied()),
        ("tokenizer.ggml.padding_token_id", special.pad),
    ];
    named.into_iter().filter_map(|(key, id)| Some((key, Value::U32(id?)))).collect()
}
