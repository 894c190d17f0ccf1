//! `config.json` of the llama, mistral, qwen2, qwen3 and smollm3 families, read into a [`ModelSpec`].
//!
//! A key that is absent has the default that transformers gives it. What would change the arithmetic and is not
//! implemented is refused by name.

use std::path::Path;

use model::{Family, ModelSpec, SlidingWindow, SpecError};
use serde_json::{Map, Value};

use super::rope;
use crate::error::{FormatError, shown};
use crate::json::{self, Keys, kind};
use crate::special::SpecialIds;

/// What a `config.json` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The model, valid.
    pub spec: ModelSpec,
    /// Its special ids.
    pub special: SpecialIds,
}

/// Reads a `config.json`.
///
/// # Errors
/// `Missing`, `Io`, and `Bad` or `Unsupported` with the key.
pub fn read(path: &Path) -> Result<Config, FormatError> {
    parse(path, &json::read_object(path, "a config.json")?)
}

/// The configuration in `text`; `path` is for messages.
///
/// # Errors
/// `Bad` or `Unsupported` with the key.
pub fn from_slice(path: &Path, text: &[u8]) -> Result<Config, FormatError> {
    parse(path, &json::parse_object(path, text)?)
}

pub(super) fn parse(path: &Path, map: &Map<String, Value>) -> Result<Config, FormatError> {
    let keys = Keys { path, within: "", map };
    let family = family(&keys)?;
    refuse_unsupported(&keys)?;
    let spec = spec(&keys, family)?;
    spec.validate().map_err(|e| invalid(path, e))?;
    Ok(Config { spec, special: special(&keys)? })
}

/// Names of one family.
struct FamilyNames {
    family: Family,
    model_type: &'static str,
    architecture: &'static str,
}

const FAMILIES: [FamilyNames; 5] = [
    FamilyNames { family: Family::Llama, model_type: "llama", architecture: "LlamaForCausalLM" },
    FamilyNames { family: Family::Mistral, model_type: "mistral", architecture: "MistralForCausalLM" },
    FamilyNames { family: Family::Qwen2, model_type: "qwen2", architecture: "Qwen2ForCausalLM" },
    FamilyNames { family: Family::Qwen3, model_type: "qwen3", architecture: "Qwen3ForCausalLM" },
    FamilyNames { family: Family::SmolLm3, model_type: "smollm3", architecture: "SmolLM3ForCausalLM" },
];

/// `model_type` and `architecture` of a family.
pub(super) fn family_names(family: Family) -> (&'static str, &'static str) {
    let found = FAMILIES.iter().find(|f| f.family == family).unwrap_or(&FAMILIES[0]);
    (found.model_type, found.architecture)
}

fn family(keys: &Keys) -> Result<Family, FormatError> {
    let supported = || {
        let names: Vec<_> = FAMILIES.iter().map(|f| format!("{} ({})", f.model_type, f.architecture)).collect();
        format!("supported are {}", names.join(", "))
    };
    let unsupported = |key: &str, found: String| FormatError::unsupported(keys.path, keys.at(key), found, supported());
    let by_type = match keys.text("model_type")? {
        Some(name) => Some(FAMILIES.iter().find(|f| f.model_type == name).ok_or_else(|| unsupported("model_type", shown(name)))?),
        None => None,
    };
    let Some(list) = keys.list("architectures")?.filter(|l| !l.is_empty()) else {
        let missing = || FormatError::bad(keys.path, keys.at("model_type"), "nothing", supported());
        return by_type.map(|f| f.family).ok_or_else(missing);
    };
    let known = |f: &&FamilyNames| list.iter().any(|v| v.as_str() == Some(f.architecture));
    let found = || list.iter().take(3).map(kind).collect::<Vec<_>>().join(", ");
    match by_type {
        Some(f) if known(&f) => Ok(f.family),
        Some(_) => Err(unsupported("architectures", found())),
        None => FAMILIES.iter().find(known).map(|f| f.family).ok_or_else(|| unsupported("architectures", found())),
    }
}

/// Keys that would change the arithmetic.
fn refuse_unsupported(keys: &Keys) -> Result<(), FormatError> {
    let unsupported = |key: &str, found: String, only: &str| Err(FormatError::unsupported(keys.path, keys.at(key), found, only));
    if let Some(act) = keys.text("hidden_act")?.filter(|a| !["silu", "swish"].contains(a)) {
        return unsupported("hidden_act", shown(act), "only silu is");
    }
    if keys.flag("mlp_bias")? == Some(true) {
        return unsupported("mlp_bias", "true".into(), "feed-forward blocks have no biases");
    }
    if let Some(quantized) = keys.value("quantization_config") {
        return unsupported("quantization_config", kind(quantized), "weights must be f32, f16 or bf16");
    }
    Ok(())
}

fn spec(keys: &Keys, family: Family) -> Result<ModelSpec, FormatError> {
    let dim = keys.need_size("hidden_size")?;
    let layers = keys.need_size("num_hidden_layers")?;
    let heads = keys.need_size("num_attention_heads")?;
    let (qwen3, smollm3) = (family == Family::Qwen3, family == Family::SmolLm3);
    let attention_bias = keys.flag("attention_bias")?.unwrap_or(false) && has_bias_key(family);
    let context = keys.size("max_position_embeddings")?.unwrap_or(match family {
        Family::Llama => 2048,
        Family::Mistral => 131_072,
        Family::Qwen2 | Family::Qwen3 | Family::SmolLm3 => 32_768,
    });
    Ok(ModelSpec {
        family,
        dim,
        layers,
        heads,
        kv_heads: kv_heads(keys, family, heads)?,
        head_dim: head_dim(keys, family, dim, heads)?,
        hidden: keys.need_size("intermediate_size")?,
        vocab: keys.need_size("vocab_size")?,
        context,
        rope: rope::parse(keys, rope::Defaults { theta: if smollm3 { 2e6 } else { 1e4 }, context })?,
        no_rope: if smollm3 { no_rope(keys, layers)? } else { Vec::new() },
        norm_eps: keys.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        tied: keys.flag("tie_word_embeddings")?.unwrap_or(smollm3),
        qkv_bias: family == Family::Qwen2 || attention_bias,
        o_bias: attention_bias,
        qk_norm: qwen3,
        window: window(keys, family, layers)?,
        residual_scale: 1.0,
    })
}

/// Families whose `attention_bias` puts biases on Q, K, V and O.
pub(super) fn has_bias_key(family: Family) -> bool {
    matches!(family, Family::Llama | Family::Qwen3 | Family::SmolLm3)
}

/// Layers without rotation: those with a 0 in `no_rope_layers`, else each `no_rope_layer_interval`-th.
fn no_rope(keys: &Keys, layers: usize) -> Result<Vec<usize>, FormatError> {
    let Some(list) = keys.list("no_rope_layers")? else {
        let interval = keys.size("no_rope_layer_interval")?.unwrap_or(4);
        if interval == 0 {
            return Err(FormatError::bad(keys.path, keys.at("no_rope_layer_interval"), "0", "1 or more"));
        }
        return Ok((0..layers).filter(|l| (l + 1).is_multiple_of(interval)).collect());
    };
    let at = || keys.at("no_rope_layers");
    if list.len() < layers {
        let expected = format!("one for each of the {layers} layers");
        return Err(FormatError::bad(keys.path, at(), format!("{} entries", list.len()), expected));
    }
    let mut still = Vec::new();
    for (layer, value) in list.iter().take(layers).enumerate() {
        match value.as_u64().or(value.as_bool().map(u64::from)) {
            Some(0) => still.push(layer),
            Some(1) => {}
            _ => return Err(FormatError::bad(keys.path, at(), kind(value), "1 (rotated) or 0 for each layer")),
        }
    }
    Ok(still)
}

/// A key that is absent has the family's default; `null` means one key head a query head.
fn kv_heads(keys: &Keys, family: Family, heads: usize) -> Result<usize, FormatError> {
    if keys.map.contains_key("num_key_value_heads") {
        return Ok(keys.size("num_key_value_heads")?.unwrap_or(heads));
    }
    Ok(match family {
        Family::Llama => heads,
        Family::Mistral => 8,
        Family::SmolLm3 => 4,
        Family::Qwen2 | Family::Qwen3 => 32,
    })
}

fn head_dim(keys: &Keys, family: Family, dim: usize, heads: usize) -> Result<usize, FormatError> {
    if let Some(size) = keys.size("head_dim")? {
        return Ok(size);
    }
    if family == Family::Qwen3 {
        return Ok(128);
    }
    match dim.checked_rem(heads) {
        Some(0) => Ok(dim / heads),
        _ => {
            let expected = format!("a number that divides hidden_size = {dim}, or the key `head_dim`");
            Err(FormatError::bad(keys.path, keys.at("num_attention_heads"), heads.to_string(), expected))
        }
    }
}

fn window(keys: &Keys, family: Family, layers: usize) -> Result<Option<SlidingWindow>, FormatError> {
    let size = keys.size("sliding_window")?;
    let window = match family {
        Family::Llama => None,
        Family::SmolLm3 => {
            if keys.flag("use_sliding_window")? == Some(true) && size.is_some() {
                let only = "smollm3 attends to everything";
                return Err(FormatError::unsupported(keys.path, keys.at("use_sliding_window"), "true", only));
            }
            None
        }
        // 4096 unless the key says otherwise; `null` says that there is none
        Family::Mistral if !keys.map.contains_key("sliding_window") => Some(SlidingWindow { size: 4096, from_layer: 0 }),
        Family::Mistral => size.map(|size| SlidingWindow { size, from_layer: 0 }),
        Family::Qwen2 | Family::Qwen3 => {
            let from_layer = keys.size("max_window_layers")?.unwrap_or(28);
            let size = if keys.map.contains_key("sliding_window") { size } else { Some(4096) };
            let on = keys.flag("use_sliding_window")?.unwrap_or(false);
            size.filter(|_| on).map(|size| SlidingWindow { size, from_layer })
        }
    };
    let window = match keys.list("layer_types")? {
        Some(types) => by_layer_types(keys, types, window, layers)?,
        None => window,
    };
    Ok(window.filter(|w| w.from_layer < layers))
}

/// `layer_types` overrules `max_window_layers`.
fn by_layer_types(
    keys: &Keys,
    types: &[Value],
    window: Option<SlidingWindow>,
    layers: usize,
) -> Result<Option<SlidingWindow>, FormatError> {
    let at = keys.at("layer_types");
    if types.len() != layers {
        let expected = format!("num_hidden_layers = {layers} entries");
        return Err(FormatError::bad(keys.path, at, format!("{} entries", types.len()), expected));
    }
    let mut from_layer = layers;
    for (layer, value) in types.iter().enumerate() {
        match value.as_str() {
            Some("full_attention") if from_layer == layers => {}
            Some("sliding_attention") => from_layer = from_layer.min(layer),
            Some("full_attention") => {
                let found = format!("full attention in layer {layer} after a sliding layer");
                return Err(FormatError::unsupported(keys.path, at, found, "sliding layers must be the last ones"));
            }
            _ => {
                let only = "layers are full_attention or sliding_attention";
                return Err(FormatError::unsupported(keys.path, at, kind(value), only));
            }
        }
    }
    match window {
        _ if from_layer == layers => Ok(None),
        Some(w) => Ok(Some(SlidingWindow { from_layer, ..w })),
        None => Err(FormatError::bad(keys.path, at, "sliding_attention", "no such layer, since no `sliding_window` is in force")),
    }
}

/// The special ids of a `config.json` or a `generation_config.json`.
pub(super) fn special(keys: &Keys) -> Result<SpecialIds, FormatError> {
    let id = |key: &str, value: &Value| {
        let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
        number.ok_or_else(|| FormatError::bad(keys.path, keys.at(key), kind(value), "a token id, or null"))
    };
    // -1 is how some older files spell "none"
    let one = |key: &str| keys.value(key).filter(|v| v.as_i64() != Some(-1)).map(|v| id(key, v)).transpose();
    let eos = match keys.value("eos_token_id") {
        Some(Value::Array(list)) => list.iter().map(|v| id("eos_token_id", v)).collect::<Result<_, _>>()?,
        _ => one("eos_token_id")?.into_iter().collect(),
    };
    Ok(SpecialIds { bos: one("bos_token_id")?, eos, pad: one("pad_token_id")? })
}

/// A spec that cannot be, in the words of the file.
fn invalid(path: &Path, error: SpecError) -> FormatError {
    let key = match error.field {
        "dim" => "hidden_size",
        "layers" => "num_hidden_layers",
        "heads" => "num_attention_heads",
        "kv_heads" => "num_key_value_heads",
        "hidden" => "intermediate_size",
        "vocab" => "vocab_size",
        "context" => "max_position_embeddings",
        "norm_eps" => "rms_norm_eps",
        "rope theta" => "rope_theta",
        "sliding window" => "sliding_window",
        "q_dim" => "num_attention_heads x head_dim",
        other => other,
    };
    FormatError::bad(path, format!("key `{key}`"), error.found, error.expected)
}
