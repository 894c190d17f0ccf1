//! `config.json`: what it means, what is refused, and that it comes back.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{special, tiny_specs};
use formats::Dtype;
use formats::SpecialIds;
use formats::hf::config::{Config, from_slice};
use formats::hf::to_config_json;
use model::{Family, ModelSpec, Rope, RopeScaling, SlidingWindow, presets};
use serde_json::{Value, json};

fn parse(value: &Value) -> Result<Config, (u8, String)> {
    from_slice(Path::new("x/config.json"), value.to_string().as_bytes()).map_err(|e| (e.exit_code(), e.to_string()))
}

/// A small sound configuration with `changes` put in; `null` in `changes` stays `null`.
fn with(model_type: &str, changes: Value) -> Value {
    let mut config = json!({
        "model_type": model_type, "vocab_size": 256, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn spec(model_type: &str, changes: Value) -> ModelSpec {
    parse(&with(model_type, changes)).unwrap().spec
}

#[test]
fn every_preset_and_every_shape_comes_back() {
    let named = presets().into_iter().map(|p| (p.name, p.spec)).chain(tiny_specs());
    for (name, spec) in named {
        let config = to_config_json(&spec, &special(), Dtype::F32).unwrap();
        let back = parse(&config).unwrap();
        assert_eq!(back, Config { spec, special: special() }, "{name}");
        assert_eq!((&config["dtype"], &config["torch_dtype"]), (&json!("float32"), &json!("float32")));
        // either spelling of the rope alone says the same
        for key in ["rope_parameters", "rope_scaling"] {
            let mut half = config.clone();
            half.as_object_mut().unwrap().remove(key);
            if key == "rope_scaling" {
                half.as_object_mut().unwrap().remove("rope_theta");
            }
            assert_eq!(parse(&half).unwrap().spec, back.spec, "{name} without {key}");
        }
    }
}

#[test]
fn epsilon_is_written_as_people_write_it() {
    let config = to_config_json(&tiny_specs()[0].1, &special(), Dtype::F32).unwrap();
    assert_eq!(config["rms_norm_eps"].to_string(), "1e-5".parse::<f64>().map(|v| json!(v).to_string()).unwrap());
}

#[test]
fn absent_keys_have_the_defaults_of_the_family() {
    let bare = |kind: &str| {
        let mut config = with(kind, json!({}));
        let map = config.as_object_mut().unwrap();
        ["num_key_value_heads", "max_position_embeddings", "rms_norm_eps"].iter().for_each(|k| drop(map.remove(*k)));
        map.insert("num_attention_heads".into(), json!(32));
        parse(&config).unwrap().spec
    };
    let (llama, mistral, qwen2, qwen3) = (bare("llama"), bare("mistral"), bare("qwen2"), bare("qwen3"));
    assert_eq!([llama.kv_heads, mistral.kv_heads, qwen2.kv_heads, qwen3.kv_heads], [32, 8, 32, 32]);
    assert_eq!([llama.head_dim, qwen3.head_dim], [2, 128]);
    assert_eq!([llama.context, mistral.context, qwen2.context], [2048, 131_072, 32_768]);
    assert_eq!(mistral.window, Some(SlidingWindow { size: 4096, from_layer: 0 }));
    assert_eq!((llama.window, qwen2.window), (None, None));
    assert!(!llama.tied && !llama.qkv_bias && qwen2.qkv_bias && !qwen2.o_bias && qwen3.qk_norm && !qwen3.qkv_bias);
    assert_eq!((llama.norm_eps, llama.rope), (1e-6, Rope::plain(10_000.0)));
}

#[test]
fn keys_mean_what_they_mean_in_transformers() {
    let bias = spec("llama", json!({ "attention_bias": true, "head_dim": 32 }));
    assert!(bias.qkv_bias && bias.o_bias && bias.head_dim == 32);
    assert_eq!(spec("mistral", json!({ "sliding_window": null })).window, None);
    let on = json!({ "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 1 });
    assert_eq!(spec("qwen2", on).window, Some(SlidingWindow { size: 8, from_layer: 1 }));
    let off = json!({ "use_sliding_window": false, "sliding_window": 8, "max_window_layers": 0 });
    assert_eq!(spec("qwen3", off).window, None);
    let beyond = json!({ "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 2 });
    assert_eq!(spec("qwen2", beyond).window, None, "no layer is beyond the last");
    let types = json!({ "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 9,
        "layer_types": ["full_attention", "sliding_attention"] });
    assert_eq!(spec("qwen3", types).window, Some(SlidingWindow { size: 8, from_layer: 1 }));
    assert_eq!(spec("llama", json!({ "num_key_value_heads": null })).kv_heads, 4);
    let by_architecture = json!({ "model_type": null, "architectures": ["Qwen2ForCausalLM"] });
    assert_eq!(spec("", by_architecture).family, Family::Qwen2);
}

#[test]
fn rope_in_every_spelling() {
    let linear = Rope { theta: 1e4, scaling: RopeScaling::Linear { factor: 4.0 } };
    let rope = |changes| spec("llama", changes).rope;
    assert_eq!(rope(json!({ "rope_scaling": { "type": "linear", "factor": 4.0 } })), linear);
    assert_eq!(rope(json!({ "rope_scaling": { "rope_type": "linear", "type": "linear", "factor": 4 } })), linear);
    assert_eq!(rope(json!({ "rope_parameters": { "rope_type": "linear", "factor": 4.0, "rope_theta": 10000 } })), linear);
    assert_eq!(rope(json!({ "rope_parameters": { "rope_theta": 5e5 } })), Rope::plain(5e5));
    assert_eq!(rope(json!({ "rope_theta": 5e5, "rope_scaling": { "rope_type": "default" } })), Rope::plain(5e5));
    assert_eq!(rope(json!({ "rope_theta": 5e5, "rope_scaling": null, "partial_rotary_factor": 1.0 })), Rope::plain(5e5));
}

#[test]
fn yarn_as_transformers_reads_it() {
    let yarn = |changes: Value| {
        let mut config = with("llama", json!({ "rope_scaling": { "rope_type": "yarn", "factor": 4.0 } }));
        for (key, value) in changes.as_object().unwrap() {
            config["rope_scaling"][key] = value.clone();
        }
        match parse(&config).unwrap().spec.rope.scaling {
            RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, attention_factor, truncate } => {
                ([factor, beta_fast, beta_slow, attention_factor], original_context, truncate)
            }
            other => panic!("{other:?}"),
        }
    };
    let advised = 0.1 * 4f64.ln() + 1.0;
    // the original length is that of the model where nothing is said
    assert_eq!(yarn(json!({})), ([4.0, 32.0, 1.0, advised], 512, true));
    let all = json!({ "original_max_position_embeddings": 128, "beta_fast": 16, "beta_slow": 2, "attention_factor": 1.5, "truncate": false });
    assert_eq!(yarn(all), ([4.0, 16.0, 2.0, 1.5], 128, false));
    let scales = ((0.1 * 0.8 * 4f64.ln()) + 1.0) / ((0.1 * 0.3 * 4f64.ln()) + 1.0);
    assert_eq!(yarn(json!({ "mscale": 0.8, "mscale_all_dim": 0.3 })).0[3], scales);
    assert_eq!(yarn(json!({ "mscale": 0.8, "mscale_all_dim": 0 })).0[3], advised);
    // no factor: the ratio of the two lengths
    assert_eq!(yarn(json!({ "factor": null, "original_max_position_embeddings": 128 })).0[0], 4.0);
    let outside = json!({ "original_max_position_embeddings": 64, "rope_scaling": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128 } });
    let RopeScaling::Yarn { original_context, .. } = spec("llama", outside).rope.scaling else { panic!() };
    assert_eq!(original_context, 64);
}

#[test]
fn smollm3_says_which_layers_rotate() {
    let still = |changes| spec("smollm3", changes).no_rope;
    assert_eq!(still(json!({ "num_hidden_layers": 9 })), [3, 7], "each fourth by default");
    assert_eq!(still(json!({ "num_hidden_layers": 4, "no_rope_layer_interval": 2 })), [1, 3]);
    assert_eq!(still(json!({ "no_rope_layer_interval": 1, "no_rope_layers": [0, 1] })), [0]);
    assert_eq!(still(json!({ "no_rope_layers": [1, 1, 0, 0] })), [] as [usize; 0], "entries beyond the layers mean nothing");
    let bare = spec("smollm3", json!({ "num_attention_heads": 8, "num_key_value_heads": null }));
    assert_eq!((bare.kv_heads, bare.rope.theta, bare.tied, bare.context), (8, 2e6, true, 512));
    for (changes, key) in [
        (json!({ "no_rope_layers": [1] }), "no_rope_layers"),
        (json!({ "no_rope_layers": [1, 2] }), "no_rope_layers"),
        (json!({ "no_rope_layer_interval": 0 }), "no_rope_layer_interval"),
        (json!({ "use_sliding_window": true, "sliding_window": 8 }), "use_sliding_window"),
    ] {
        let (code, message) = parse(&with("smollm3", changes)).unwrap_err();
        assert!(code == 65 && message.contains(key), "{message}");
    }
}

#[test]
fn what_would_change_the_arithmetic_is_refused_by_name() {
    for (changes, key) in [
        (json!({ "model_type": "gemma2" }), "gemma2"),
        (json!({ "architectures": ["LlamaForSequenceClassification"] }), "LlamaForSequenceClassification"),
        (json!({ "model_type": null, "architectures": ["PhiForCausalLM"] }), "PhiForCausalLM"),
        (json!({ "hidden_act": "gelu" }), "hidden_act"),
        (json!({ "mlp_bias": true }), "mlp_bias"),
        (json!({ "partial_rotary_factor": 0.5 }), "partial_rotary_factor"),
        (json!({ "rope_parameters": { "rope_theta": 1e4, "partial_rotary_factor": 0.5 } }), "partial_rotary_factor"),
        (json!({ "rope_scaling": { "type": "dynamic", "factor": 4.0 } }), "dynamic"),
        (json!({ "rope_parameters": { "rope_type": "longrope", "rope_theta": 1e4 } }), "longrope"),
        (json!({ "quantization_config": { "bits": 4 } }), "quantization_config"),
        (json!({ "layer_types": ["sliding_attention", "full_attention"] }), "layer_types"),
        (json!({ "layer_types": ["full_attention", "chunked_attention"] }), "layer_types"),
    ] {
        let (code, message) = parse(&with("llama", changes)).unwrap_err();
        assert_eq!(code, 65);
        assert!(message.contains(key) && message.contains("not supported") && message.contains("config.json"), "{message}");
    }
}

#[test]
fn bad_values_name_their_key() {
    for (changes, key) in [
        (json!({ "model_type": null }), "model_type"),
        (json!({ "vocab_size": null }), "vocab_size"),
        (json!({ "vocab_size": "256" }), "vocab_size"),
        (json!({ "vocab_size": 256.5 }), "vocab_size"),
        (json!({ "vocab_size": 1u64 << 40 }), "vocab_size"),
        (json!({ "hidden_size": -64 }), "hidden_size"),
        (json!({ "hidden_size": 0 }), "hidden_size"),
        (json!({ "num_hidden_layers": 0 }), "num_hidden_layers"),
        (json!({ "num_hidden_layers": 1e6 }), "num_hidden_layers"),
        (json!({ "num_hidden_layers": 1_000_000 }), "num_hidden_layers"),
        (json!({ "num_attention_heads": 0 }), "num_attention_heads"),
        (json!({ "num_attention_heads": 5 }), "num_attention_heads"),
        (json!({ "num_key_value_heads": 3 }), "num_key_value_heads"),
        (json!({ "num_key_value_heads": 0 }), "num_key_value_heads"),
        (json!({ "head_dim": 7 }), "head_dim"),
        (json!({ "head_dim": u64::MAX }), "head_dim"),
        (json!({ "rms_norm_eps": 0 }), "rms_norm_eps"),
        (json!({ "rms_norm_eps": "1e-5" }), "rms_norm_eps"),
        (json!({ "tie_word_embeddings": 1 }), "tie_word_embeddings"),
        (json!({ "rope_theta": -1 }), "rope_theta"),
        (json!({ "rope_theta": 1e4, "rope_parameters": { "rope_theta": 1e6 } }), "rope_theta"),
        (json!({ "rope_scaling": "linear" }), "rope_scaling"),
        (json!({ "rope_scaling": { "factor": 2.0 } }), "rope_scaling.rope_type"),
        (json!({ "rope_scaling": { "rope_type": "linear" } }), "rope_scaling.factor"),
        (json!({ "rope_scaling": { "rope_type": "linear", "factor": 0 } }), "rope scaling"),
        (json!({ "rope_scaling": { "rope_type": "linear", "type": "llama3", "factor": 2 } }), "rope_scaling.rope_type"),
        (json!({ "rope_scaling": { "rope_type": "llama3", "factor": 8 } }), "rope_scaling.low_freq_factor"),
        (json!({ "rope_scaling": { "rope_type": "yarn" } }), "rope_scaling.factor"),
        (json!({ "rope_scaling": { "rope_type": "yarn", "factor": 4, "attention_factor": -1.0 } }), "rope scaling"),
        (json!({ "rope_scaling": { "rope_type": "yarn", "factor": 4, "beta_fast": 1, "beta_slow": 2 } }), "rope scaling"),
        (json!({ "rope_scaling": { "rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 0 } }), "rope scaling"),
        (
            json!({ "rope_scaling": { "type": "linear", "factor": 2 }, "rope_parameters": { "rope_theta": 1e4 } }),
            "rope_parameters",
        ),
        (json!({ "layer_types": ["full_attention"] }), "layer_types"),
        (json!({ "layer_types": ["full_attention", "sliding_attention"] }), "layer_types"),
        (json!({ "bos_token_id": -7 }), "bos_token_id"),
        (json!({ "eos_token_id": ["</s>"] }), "eos_token_id"),
    ] {
        let (code, message) = parse(&with("llama", changes.clone())).expect_err(&changes.to_string());
        assert_eq!(code, 65);
        assert!(message.contains(key) && message.contains("config.json"), "{changes}: {message}");
    }
}

#[test]
fn special_ids_may_be_absent_null_or_several() {
    let ids = |changes| parse(&with("llama", changes)).unwrap().special;
    assert_eq!(ids(json!({})), SpecialIds::default());
    assert_eq!(ids(json!({ "pad_token_id": -1, "bos_token_id": null })), SpecialIds::default());
    assert_eq!(ids(json!({ "eos_token_id": [5, 6] })).eos, [5, 6]);
}

#[test]
fn a_model_that_its_family_does_not_have_is_not_written() {
    let llama = tiny_specs().remove(0).1;
    let mistral = ModelSpec { family: Family::Mistral, ..llama.clone() };
    let qwen2 = ModelSpec { family: Family::Qwen2, ..llama.clone() };
    let window = Some(SlidingWindow { size: 8, from_layer: 1 });
    for spec in [
        ModelSpec { qk_norm: true, ..llama.clone() },
        ModelSpec { qkv_bias: true, ..llama.clone() },
        ModelSpec { window, ..llama.clone() },
        ModelSpec { no_rope: vec![1], ..llama.clone() },
        ModelSpec { family: Family::SmolLm3, window, ..llama.clone() },
        ModelSpec { layers: 0, ..llama.clone() },
        ModelSpec { family: Family::Qwen3, ..llama },
        ModelSpec { window, ..mistral.clone() },
        ModelSpec { o_bias: true, ..mistral },
        qwen2,
    ] {
        assert_eq!(to_config_json(&spec, &special(), Dtype::F32).unwrap_err().exit_code(), 65, "{spec:?}");
    }
}
