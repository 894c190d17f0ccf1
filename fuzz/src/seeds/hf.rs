//! Seeds of the files of a Hugging Face folder.

use std::fs;
use std::path::Path;

use formats::hf::{self, WriteOptions, config};
use formats::{Dtype, SpecialIds};
use model::{Layout, ModelSpec};
use serde_json::{Map, Value, json};

use super::{Seed, hostile_json, in_folder, texts};

/// A tiny model of each family, as `config.json` says it.
pub const FAMILIES: [(&str, &str); 6] = [
    ("llama", ""),
    ("llama", r#""attention_bias":true,"tie_word_embeddings":false"#),
    (
        "llama",
        r#""rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
           "original_max_position_embeddings":32}"#,
    ),
    ("mistral", r#""sliding_window":16"#),
    ("qwen2", r#""use_sliding_window":false,"eos_token_id":[2,3]"#),
    ("qwen3", r#""attention_bias":false,"rope_theta":1000000.0"#),
];

/// `config.json` of a tiny model; the keys of `more` hold where they differ.
pub fn config(family: &str, more: &str) -> String {
    let class = family[..1].to_uppercase() + &family[1..] + "ForCausalLM";
    let mut keys = json!({
        "architectures": [class], "model_type": family, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "vocab_size": 16, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2
    });
    let more: Map<String, Value> = serde_json::from_str(&format!("{{{more}}}")).expect("keys of a seed");
    more.into_iter().for_each(|(key, value)| keys[key] = value);
    keys.to_string()
}

/// The model that the sound folders hold.
pub fn spec() -> ModelSpec {
    spec_of("llama", r#""tie_word_embeddings":true"#)
}

/// A tiny model of `family`.
pub fn spec_of(family: &str, more: &str) -> ModelSpec {
    config::from_slice(Path::new("config.json"), config(family, more).as_bytes()).expect("a sound configuration").spec
}

/// Weights without a pattern.
pub fn weights(layout: &Layout) -> Vec<f32> {
    (0..layout.len() as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5).collect()
}

pub fn special() -> SpecialIds {
    SpecialIds { bos: Some(1), eos: vec![2], pad: None }
}

/// A sound folder with one file of weights.
pub fn model_folder(dir: &Path) {
    write(dir, Dtype::F32);
}

fn write(dir: &Path, dtype: Dtype) {
    let (spec, special) = (spec(), special());
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    hf::write(dir, &spec, &formats::flat(&values, &layout), &WriteOptions { dtype, special: &special, rows: None })
        .expect("a sound model can be written");
}

/// A sound folder with two files of weights and their index.
pub fn sharded_folder(dir: &Path) {
    model_folder(dir);
    let path = dir.join("model.safetensors");
    let (header, data) = parts(&fs::read(&path).expect("the file was just written"));
    fs::remove_file(path).expect("the file was just written");
    let names: Vec<&String> = header.keys().filter(|k| *k != "__metadata__").collect();
    for (file, names) in SHARDS.iter().zip([&names[..4], &names[4..]]) {
        let (mut part, mut bytes) = (Map::new(), Vec::new());
        for name in names {
            let place = |i: usize| header[*name]["data_offsets"][i].as_u64().unwrap_or_default() as usize;
            let from = bytes.len();
            bytes.extend_from_slice(&data[place(0)..place(1)]);
            let mut entry = header[*name].clone();
            entry["data_offsets"] = json!([from, bytes.len()]);
            part.insert((*name).clone(), entry);
        }
        fs::write(dir.join(file), container(&Value::Object(part).to_string(), &bytes)).expect("a shard can be written");
    }
    fs::write(dir.join("model.safetensors.index.json"), index(dir)).expect("the index can be written");
}

const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// The index of the shards in `dir`.
fn index(dir: &Path) -> String {
    let mut map = Map::new();
    for file in SHARDS {
        let (header, _) = parts(&fs::read(dir.join(file)).expect("the shard was just written"));
        map.extend(header.keys().map(|name| (name.clone(), json!(file))));
    }
    json!({ "metadata": { "total_size": 1 }, "weight_map": map }).to_string()
}

/// Header and data of a sound container.
fn parts(bytes: &[u8]) -> (Map<String, Value>, Vec<u8>) {
    let n = 8 + bytes[..8].iter().rev().fold(0, |n, b| n << 8 | usize::from(*b));
    (serde_json::from_slice(&bytes[8..n]).expect("a sound header"), bytes[n..].to_vec())
}

pub fn container(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

pub fn safetensors() -> Vec<Seed> {
    let sound = |(name, dtype): (&str, Dtype)| {
        let bytes = in_folder(name, |dir| {
            write(dir, dtype);
            fs::read(dir.join("model.safetensors")).expect("the file was just written")
        });
        (format!("sound-{name}"), bytes)
    };
    let mut seeds: Vec<Seed> = [("f32", Dtype::F32), ("f16", Dtype::F16), ("bf16", Dtype::Bf16)].map(sound).into();
    let entry = |shape: &str, from: u64, to: u64| format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#);
    let one = |e: String| format!(r#"{{"a":{e}}}"#);
    let two = |a: String, b: String| format!(r#"{{"a":{a},"b":{b}}}"#);
    for (name, header, data) in [
        ("hole", two(entry("[1]", 0, 4), entry("[1]", 8, 12)), 12),
        ("overlap", two(entry("[2]", 0, 8), entry("[2]", 4, 12)), 12),
        ("same-place", two(entry("[1]", 0, 4), entry("[1]", 0, 4)), 4),
        ("empty-tensors-share-an-offset", two(entry("[0]", 0, 0), entry("[0,7]", 0, 0)), 0),
        ("backwards", one(entry("[1]", 4, 0)), 4),
        ("end-near-2-64", one(entry("[1]", 0, u64::MAX)), 4),
        ("beyond-the-file", one(entry("[1000000]", 0, 4_000_000)), 4),
        ("shape-and-size-differ", one(entry("[2]", 0, 4)), 4),
        ("product-overflows", one(entry("[4294967296,4294967296,4]", 0, 4)), 4),
        ("product-overflows-to-the-size", one(entry("[4611686018427387905]", 0, 4)), 4),
        ("many-dimensions", one(entry(&format!("[{}1]", "1,".repeat(9_000)), 0, 4)), 4),
        ("duplicate", format!(r#"{{"a":{0},"a":{0}}}"#, entry("[1]", 0, 4)), 4),
        ("metadata-twice", r#"{"__metadata__":{"k":"1"},"__metadata__":{"k":"2"}}"#.into(), 0),
        ("leftover", one(entry("[1]", 0, 4)), 5),
        ("deep", "{\"a\":".to_owned() + &"[".repeat(9_000), 0),
    ] {
        seeds.push((name.into(), container(&header, &vec![7; data])));
    }
    seeds.push(("empty".into(), Vec::new()));
    seeds.push(("length-2-63".into(), (1u64 << 63).to_le_bytes().to_vec()));
    seeds.push(("length-all-ones".into(), vec![0xff; 64]));
    seeds
}

pub fn configs() -> Vec<Seed> {
    let mut seeds = hostile_json();
    let sound = FAMILIES.iter().enumerate().map(|(i, (family, more))| (format!("sound-{i}-{family}"), config(family, more)));
    seeds.extend(sound.map(|(name, text)| (name, text.into_bytes())));
    seeds.extend(texts([
        ("layers-2-40", config("llama", "").replace("\"num_hidden_layers\":2", "\"num_hidden_layers\":1099511627776")),
        ("width-2-62", config("llama", "").replace("\"hidden_size\":8", "\"hidden_size\":4611686018427387904")),
        ("no-heads", config("llama", "").replace("\"num_attention_heads\":2", "\"num_attention_heads\":0")),
        ("vocab-2-63", config("llama", "").replace("\"vocab_size\":16", "\"vocab_size\":9223372036854775808")),
        ("negative", config("llama", "").replace("\"head_dim\":4", "\"head_dim\":-4")),
        ("odd-head", config("llama", "").replace("\"head_dim\":4", "\"head_dim\":3")),
        ("theta-0", config("llama", "").replace("10000.0", "0")),
        ("linear", config("llama", r#""rope_scaling":{"type":"linear","factor":2}"#)),
        (
            "yarn",
            config(
                "llama",
                r#""rope_parameters":{"rope_type":"yarn","factor":4.0,"rope_theta":1e4,"beta_fast":32,"beta_slow":1,
                   "original_max_position_embeddings":16,"attention_factor":1.1,"mscale":1.0,"truncate":false}"#,
            ),
        ),
        (
            "no-rope-layers",
            config("smollm3", r#""no_rope_layers":[1,0],"no_rope_layer_interval":2,"layer_types":["full_attention"]"#)
                .replace("Smollm3", "SmolLM3"),
        ),
        ("remote-code", config("llama", r#""auto_map":{"AutoModelForCausalLM":"m.M"},"trust_remote_code":true"#)),
    ]));
    seeds
}

pub fn generation_configs() -> Vec<Seed> {
    let mut seeds = hostile_json();
    seeds.extend(texts([
        ("sound", r#"{"bos_token_id":1,"eos_token_id":[2,3],"pad_token_id":0,"do_sample":true,"temperature":0.6}"#.into()),
        ("ids-beyond", r#"{"bos_token_id":99,"eos_token_id":18446744073709551615}"#.into()),
        ("many-ends", format!(r#"{{"eos_token_id":[{}1]}}"#, "1,".repeat(5_000))),
    ]));
    seeds
}

pub fn indices() -> Vec<Seed> {
    let sound = in_folder("index", |dir| {
        sharded_folder(dir);
        index(dir)
    });
    let first = SHARDS[0];
    let mut seeds = hostile_json();
    seeds.extend(texts([
        ("parent", sound.replacen(first, "../model.safetensors", 1)),
        ("absolute", sound.replacen(first, "/etc/passwd", 1)),
        ("folder", sound.replacen(first, ".", 1)),
        ("nul", sound.replacen(first, "a\\u0000b", 1)),
        ("backslash", sound.replacen(first, "..\\\\a", 1)),
        ("pickle", sound.replacen(first, "pytorch_model.bin", 1)),
        ("wrong-shard", sound.replacen(first, SHARDS[1], 1)),
        ("absent-tensor", sound.replacen("model.embed_tokens", "model.embed_token", 1)),
        ("empty-map", r#"{"weight_map":{}}"#.into()),
        ("sound", sound),
    ]));
    seeds
}

pub fn checkpoint_manifests() -> Vec<Seed> {
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    texts([
        ("lines", format!("{hash}  config.json\n{hash}  generation_config.json\n{hash}  model.safetensors\n")),
        ("parent", format!("{hash}  ../a\n")),
        ("absolute", format!("{hash}  /etc/passwd\n")),
        ("twice", format!("{hash}  a\n{hash}  a\n")),
        ("no-hash", "zz  a\n".into()),
        ("no-end", format!("{hash}  a")),
        ("itself", format!("{hash}  MANIFEST.sha256\n")),
        ("empty", String::new()),
    ])
}
