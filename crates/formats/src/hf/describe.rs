//! A [`ModelSpec`] as a `config.json` that transformers 4 and 5 both load.

use model::{Family, ModelSpec, SlidingWindow};
use serde_json::{Value, json};

use super::config::{family_names, has_bias_key};
use super::rope;
use crate::dtype::Dtype;
use crate::error::FormatError;
use crate::special::SpecialIds;

/// The `config.json` of `spec` with weights of type `dtype`. The residual scale is not in it: a writer folds it into the
/// weights ([`super::write`]).
///
/// # Errors
/// `Inexpressible` when the family has no model like this one (say a llama with query norms).
pub fn to_config_json(spec: &ModelSpec, special: &SpecialIds, dtype: Dtype) -> Result<Value, FormatError> {
    expressible(spec)?;
    let (model_type, architecture) = family_names(spec.family);
    let (rope_scaling, rope_parameters) = rope::write(&spec.rope);
    let mut config = json!({
        "architectures": [architecture],
        "model_type": model_type,
        "vocab_size": spec.vocab,
        "hidden_size": spec.dim,
        "intermediate_size": spec.hidden,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "num_key_value_heads": spec.kv_heads,
        "head_dim": spec.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": spec.context,
        "rms_norm_eps": shortest(spec.norm_eps),
        "rope_theta": spec.rope.theta,
        "rope_scaling": rope_scaling,
        "rope_parameters": rope_parameters,
        "tie_word_embeddings": spec.tied,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": true,
    });
    let mut add = |key: &str, value: Value| config[key] = value;
    if has_bias_key(spec.family) {
        add("attention_bias", json!(spec.qkv_bias));
    }
    if matches!(spec.family, Family::Llama | Family::SmolLm3) {
        add("mlp_bias", json!(false));
    }
    if spec.family == Family::SmolLm3 {
        let rotated: Vec<u8> = (0..spec.layers).map(|l| u8::from(spec.rotates(l))).collect();
        add("no_rope_layers", json!(rotated));
        add("use_sliding_window", json!(false));
    }
    if spec.family != Family::Llama {
        add("sliding_window", spec.window.map_or(Value::Null, |w| json!(w.size)));
    }
    if matches!(spec.family, Family::Qwen2 | Family::Qwen3) {
        add("use_sliding_window", json!(spec.window.is_some()));
        add("max_window_layers", json!(spec.window.map_or(spec.layers, |w| w.from_layer)));
    }
    // an absent id would be given the family's default
    add("bos_token_id", json!(special.bos));
    add("eos_token_id", eos(special));
    add("pad_token_id", json!(special.pad));
    add("dtype", json!(dtype.torch_name()));
    add("torch_dtype", json!(dtype.torch_name()));
    Ok(config)
}

/// The `generation_config.json` beside it.
pub(super) fn generation_config(special: &SpecialIds) -> Value {
    json!({
        "_from_model_config": true,
        "bos_token_id": special.bos,
        "eos_token_id": eos(special),
        "pad_token_id": special.pad,
    })
}

fn eos(special: &SpecialIds) -> Value {
    match special.eos.as_slice() {
        [] => Value::Null,
        [one] => json!(one),
        many => json!(many),
    }
}

/// The shortest decimal that reads back as the same f32: `1e-5`, not `9.99999974e-6`.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn expressible(spec: &ModelSpec) -> Result<(), FormatError> {
    spec.validate().map_err(|e| FormatError::inexpressible(e.field, e.found, e.expected))?;
    let (name, _) = family_names(spec.family);
    let refuse = |at: &str, found: String, why: &str| Err(FormatError::inexpressible(at, found, format!("{name} {why}")));
    let (qkv, o) = (spec.qkv_bias, spec.o_bias);
    match spec.family {
        family if has_bias_key(family) && qkv != o => {
            return refuse("o_bias", o.to_string(), &format!("has biases on q, k, v and o or on none (qkv_bias = {qkv})"));
        }
        Family::Mistral if qkv || o => return refuse("qkv_bias", qkv.to_string(), "has no biases"),
        Family::Qwen2 if !qkv || o => return refuse("qkv_bias", qkv.to_string(), "has biases on q, k and v, none on o"),
        _ => {}
    }
    if spec.qk_norm != (spec.family == Family::Qwen3) {
        return refuse("qk_norm", spec.qk_norm.to_string(), "says otherwise: query and key norms are those of qwen3");
    }
    if spec.family != Family::SmolLm3 && !spec.no_rope.is_empty() {
        return refuse("no_rope", format!("{:?}", spec.no_rope), "rotates every layer; only smollm3 has layers without rotation");
    }
    match (spec.family, spec.window) {
        (Family::Llama | Family::SmolLm3, Some(w)) => refuse("window", w.size.to_string(), "has no sliding window"),
        (Family::Mistral, Some(SlidingWindow { from_layer, .. })) if from_layer > 0 => {
            refuse("window.from_layer", from_layer.to_string(), "has the window in every layer")
        }
        (_, Some(w)) if w.from_layer >= spec.layers => {
            refuse("window.from_layer", w.from_layer.to_string(), "would have no layer with the window")
        }
        _ => Ok(()),
    }
}
