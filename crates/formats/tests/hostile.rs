//! Bad files end in an error that names the place, quickly, and without memory that the file does not justify.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

use common::{folder, special, tiny, tiny_specs, weights};
use formats::hf::{self, WriteOptions};
use formats::safetensors::Container;
use formats::{Dtype, FormatError};
use model::{Layout, ModelSpec};
use serde_json::{Map, Value, json};

const FILE: &str = "model.safetensors";

fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 7);
    bytes
}

fn container(bytes: &[u8]) -> Result<Container, FormatError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    Container::open(file.path())
}

#[test]
fn the_container_refuses_what_the_format_forbids() {
    let entry = |shape: &str, from: u64, to: u64| format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#);
    let one = |e: String| format!(r#"{{"a":{e}}}"#);
    let two = |a: String, b: String| format!(r#"{{"a":{a},"b":{b}}}"#);
    let huge = format!("[{}]", "1,".repeat(100_000) + "1");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "0 bytes"),
        ("seven bytes", vec![0; 7], "7 bytes"),
        ("length 2^63", (1u64 << 63).to_le_bytes().to_vec(), "9223372036854775808"),
        ("length of all ones", vec![0xff; 64], "18446744073709551615"),
        ("length beyond the file", file("{}", 0)[..9].to_vec(), "header length"),
        ("not JSON", file("hello", 0), "header"),
        ("a list", file("[]", 0), "header"),
        ("two values", file("{}{}", 0), "trailing"),
        ("zero bytes after", file("{}\0\0", 0), "trailing"),
        ("deep", file(&("{\"a\":".to_owned() + &"[".repeat(10_000)), 0), "header"),
        ("leftover bytes", file(&one(entry("[1]", 0, 4)), 5), "1 bytes after"),
        ("no tensors, but data", file("{}", 4), "4 bytes after"),
        ("short data", file(&one(entry("[1]", 0, 4)), 3), "offsets 0..4"),
        ("hole at the start", file(&one(entry("[1]", 4, 8)), 8), "a hole"),
        ("hole between", file(&two(entry("[1]", 0, 4), entry("[1]", 8, 12)), 12), "a hole"),
        ("overlap", file(&two(entry("[2]", 0, 8), entry("[2]", 4, 12)), 12), "an overlap"),
        ("same place", file(&two(entry("[1]", 0, 4), entry("[1]", 0, 4)), 4), "an overlap"),
        ("backwards", file(&one(entry("[1]", 4, 0)), 4), "offsets 4..0"),
        ("end near 2^64", file(&one(entry("[1]", 0, u64::MAX)), 4), "offsets"),
        ("shape and size differ", file(&one(entry("[2]", 0, 4)), 4), "8 bytes for shape"),
        ("product overflows", file(&one(entry("[4294967296,4294967296,4]", 0, 4)), 4), "shape"),
        ("bits overflow", file(&one(entry("[2305843009213693952]", 0, 4)), 4), "shape"),
        ("negative size", file(&one(entry("[-1]", 0, 4)), 4), "header"),
        ("size 1e3", file(&one(entry("[1e3]", 0, 4)), 4), "header"),
        ("size NaN", file(&one(entry("[NaN]", 0, 4)), 4), "header"),
        ("many dimensions", file(&one(entry(&huge, 0, 4)), 4), "dimensions"),
        ("duplicate name", file(&format!(r#"{{"a":{0},"a":{0}}}"#, entry("[1]", 0, 4)), 4), "duplicate tensor `a`"),
        ("duplicate metadata", file(r#"{"__metadata__":{"k":"1","k":"2"}}"#, 0), "duplicate metadata `k`"),
        ("metadata twice", file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0), "duplicate"),
        ("metadata of numbers", file(r#"{"__metadata__":{"k":1}}"#, 0), "header"),
        ("duplicate key", file(r#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4), "duplicate"),
        ("unknown key", file(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}"#, 4), "header"),
        ("missing key", file(r#"{"a":{"dtype":"F32","shape":[1]}}"#, 0), "header"),
        ("unknown dtype", file(&one(entry("[1]", 0, 4).replace("F32", "F33")), 4), "dtype `F33`"),
        ("half a byte", file(&one(entry("[1]", 0, 4).replace("F32", "F4")), 4), "whole bytes"),
        ("escapes in a name", file(&format!(r#"{{"\u001b[2J":{}}}"#, entry("[2]", 0, 4)), 4), "\\u{1b}"),
    ];
    for (name, bytes, expected) in cases {
        let error = container(&bytes).err().unwrap_or_else(|| panic!("accepted: {name}"));
        assert_eq!(error.exit_code(), 65, "{name}");
        let message = error.to_string();
        assert!(message.contains(expected) && message.len() < 800 && !message.contains('\u{1b}'), "{name}: {message}");
    }
}

#[test]
fn the_container_takes_what_the_format_allows() {
    let header = r#"{"__metadata__":null,"b":{"dtype":"I64","shape":[],"data_offsets":[2,10]},"z":{"dtype":"F16","shape":[3,0],
        "data_offsets":[2,2]},"a":{"dtype":"F4","shape":[2,2],"data_offsets":[0,2]}}   "#;
    let opened = container(&file(header, 10)).unwrap();
    let names: Vec<&str> = opened.tensors().iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["a", "z", "b"]);
}

#[test]
fn no_truncation_and_no_flipped_header_bit_is_taken_for_the_model() {
    let (dir, values) = folder(&tiny());
    let path = dir.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    let start = Instant::now();
    for cut in (0..whole.len()).step_by(97) {
        fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(hf::open(dir.path()).unwrap_err().exit_code(), 65, "cut at {cut}");
    }
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut harmless = 0;
    for bit in (0..header * 8).step_by(13) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        // `"pt"`, the metadata, may change; the model may not
        match hf::open(dir.path()) {
            Ok(opened) => {
                assert_eq!(opened.load(opened.layout()).unwrap(), values, "bit {bit}");
                harmless += 1;
            }
            Err(e) => assert_eq!(e.exit_code(), 65, "bit {bit}: {e}"),
        }
    }
    assert!(harmless < 60, "{harmless} flips went unnoticed");
    assert!(start.elapsed().as_secs() < 60);
}

/// The header and the data of a sound file.
fn parts(path: &Path) -> (Map<String, Value>, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let n = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..n]).unwrap(), bytes[n..].to_vec())
}

fn store(path: &Path, header: &Map<String, Value>, data: &[u8]) {
    let mut bytes = file(&Value::Object(header.clone()).to_string(), 0);
    bytes.extend_from_slice(data);
    fs::write(path, bytes).unwrap();
}

/// Appends a tensor of zeros or of `data`.
fn append(path: &Path, name: &str, dtype: &str, shape: &[usize], data: &[u8]) {
    let (mut header, mut all) = parts(path);
    header.insert(name.into(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [all.len(), all.len() + data.len()] }));
    all.extend_from_slice(data);
    store(path, &header, &all);
}

#[test]
fn tensors_that_the_model_does_not_have_are_named() {
    for (name, ok) in [
        ("model.layers.0.self_attn.rotary_emb.inv_freq", true),
        ("model.layers.0.self_attn.q_proj.bias", false),
        ("model.layers.0.mlp.up_proj.bias", false),
        ("model.layers.2.mlp.up_proj.weight", false),
        ("model.layers.00.mlp.up_proj.weight", false),
        ("score.weight", false),
    ] {
        let (dir, _) = folder(&tiny());
        append(&dir.path().join(FILE), name, "F32", &[4], &[0; 16]);
        match hf::open(dir.path()) {
            Ok(_) => assert!(ok, "{name}"),
            Err(e) => assert!(!ok && e.exit_code() == 65 && e.to_string().contains(name), "{e}"),
        }
        assert_eq!(hf::inspect(dir.path()).unwrap().problem.is_none(), ok, "{name}");
    }
}

#[test]
fn a_second_classifier_of_a_tied_model_must_be_the_embedding() {
    let spec = tiny();
    let embedding = |path: &Path| parts(path).1[..4 * spec.vocab * spec.dim].to_vec();
    let (dir, values) = folder(&spec);
    let path = dir.path().join(FILE);
    append(&path, "lm_head.weight", "F32", &[spec.vocab, spec.dim], &embedding(&path));
    assert_eq!(hf::open(dir.path()).unwrap().load(&Layout::of(&spec)).unwrap(), values);
    let (dir, _) = folder(&spec);
    let path = dir.path().join(FILE);
    let mut other = embedding(&path);
    *other.last_mut().unwrap() ^= 1;
    append(&path, "lm_head.weight", "F32", &[spec.vocab, spec.dim], &other);
    let error = hf::open(dir.path()).unwrap_err();
    assert!(error.exit_code() == 65 && error.to_string().contains("lm_head.weight"), "{error}");
}

#[test]
fn a_configuration_that_the_weights_do_not_fit_is_refused() {
    let (dir, _) = folder(&tiny_specs().remove(1).1);
    let path = dir.path().join("config.json");
    let sound: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (key, value, expected) in [
        ("hidden_size", json!(32), "shape"),
        ("num_hidden_layers", json!(3), "model.layers.2"),
        ("num_hidden_layers", json!(1), "model.layers.1"),
        ("num_hidden_layers", json!(4096), "weights"),
        ("vocab_size", json!(38), "model.embed_tokens"),
        ("vocab_size", json!(16_000_000), "weights"),
        ("attention_bias", json!(false), "bias"),
        ("tie_word_embeddings", json!(true), "lm_head"),
        ("model_type", json!("qwen3"), "architectures"),
    ] {
        let mut config = sound.clone();
        config[key] = value.clone();
        fs::write(&path, config.to_string()).unwrap();
        let error = hf::open(dir.path()).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains(expected), "{key} {value}: {error}");
        assert!(hf::inspect(dir.path()).unwrap().problem.is_some());
    }
    let (dir, _) = folder(&tiny());
    let text = fs::read_to_string(dir.path().join("config.json")).unwrap();
    fs::write(dir.path().join("config.json"), text.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"))
        .unwrap();
    let error = hf::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("tie_word_embeddings"), "{error}");
}

#[test]
fn weights_of_other_types_are_described_and_not_loaded() {
    let (dir, _) = folder(&tiny());
    let path = dir.path().join(FILE);
    let (mut header, data) = parts(&path);
    header["model.norm.weight"]["dtype"] = json!("I32");
    store(&path, &header, &data);
    let error = hf::open(dir.path()).unwrap_err();
    assert!(error.exit_code() == 65 && error.to_string().contains("I32"), "{error}");
    let described = hf::inspect(dir.path()).unwrap();
    assert!(described.tensors.iter().any(|t| t.tensor.dtype == "I32") && described.config.is_some());
    assert!(hf::inspect(&path).unwrap().problem.is_none());
}

#[test]
fn missing_files_are_66() {
    let (dir, _) = folder(&tiny());
    fs::remove_file(dir.path().join("config.json")).unwrap();
    assert_eq!(hf::open(dir.path()).unwrap_err().exit_code(), 66);
    assert_eq!(hf::open(&dir.path().join("none")).unwrap_err().exit_code(), 66);
    assert_eq!(hf::inspect(&dir.path().join("none")).unwrap_err().exit_code(), 66);
    let (dir, _) = folder(&tiny());
    fs::rename(dir.path().join(FILE), dir.path().join("pytorch_model.bin")).unwrap();
    let error = hf::open(dir.path()).unwrap_err();
    assert!(error.exit_code() == 66 && error.to_string().contains("pickle"), "{error}");
    assert_eq!(hf::open(&dir.path().join("pytorch_model.bin")).unwrap_err().exit_code(), 65);
}

#[test]
fn duplicate_keys_of_a_configuration_are_refused() {
    let (dir, _) = folder(&tiny());
    let path = dir.path().join("config.json");
    let text = fs::read_to_string(&path).unwrap().replacen('{', "{\"hidden_size\": 4096,", 1);
    fs::write(&path, text).unwrap();
    let error = hf::open(dir.path()).unwrap_err();
    assert!(error.exit_code() == 65 && error.to_string().contains("`hidden_size` twice"), "{error}");
}

#[test]
fn a_pipe_in_place_of_a_file_does_not_block() {
    let (dir, _) = folder(&tiny());
    let path = dir.path().join(FILE);
    fs::remove_file(&path).unwrap();
    match std::process::Command::new("mkfifo").arg(&path).status() {
        Ok(done) if done.success() => assert_eq!(hf::open(dir.path()).unwrap_err().exit_code(), 65),
        _ => eprintln!("SKIPPED: mkfifo is not installed"),
    }
}

/// Splits a model into two shards; the index maps each tensor to `names[0]` or `names[1]`.
fn shard(spec: &ModelSpec, names: [&str; 2]) -> (tempfile::TempDir, Value) {
    let (dir, _) = folder(spec);
    let (header, data) = parts(&dir.path().join(FILE));
    fs::remove_file(dir.path().join(FILE)).unwrap();
    let mut shards = [(Map::new(), Vec::new()), (Map::new(), Vec::new())];
    let mut index = Map::new();
    for (i, (name, entry)) in header.iter().filter(|(n, _)| *n != "__metadata__").enumerate() {
        let (from, to) =
            (entry["data_offsets"][0].as_u64().unwrap() as usize, entry["data_offsets"][1].as_u64().unwrap() as usize);
        let (map, bytes) = &mut shards[i % 2];
        let mut moved = entry.clone();
        moved["data_offsets"] = json!([bytes.len(), bytes.len() + to - from]);
        map.insert(name.clone(), moved);
        bytes.extend_from_slice(&data[from..to]);
        index.insert(name.clone(), json!(names[i % 2]));
    }
    for ((map, bytes), name) in shards.iter().zip(names) {
        store(&dir.path().join(name), map, bytes);
    }
    let index = json!({ "metadata": { "total_size": data.len() }, "weight_map": index });
    fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    (dir, index)
}

#[test]
fn shards_make_the_same_model() {
    for (_, spec) in tiny_specs() {
        let (dir, _) = shard(&spec, ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]);
        let opened = hf::open(dir.path()).unwrap();
        assert_eq!(opened.load(opened.layout()).unwrap(), weights(opened.layout()));
    }
}

#[test]
fn an_index_that_lies_is_refused() {
    let names = ["a.safetensors", "b.safetensors"];
    let lie = |change: &dyn Fn(&Path, &mut Value)| {
        let (dir, mut index) = shard(&tiny(), names);
        change(dir.path(), &mut index);
        fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
        let error = hf::open(dir.path()).unwrap_err();
        (error.exit_code(), error.to_string())
    };
    let key = "model.norm.weight";
    for (file, code) in [
        ("../a.safetensors", 65),
        ("/etc/passwd", 65),
        ("sub/a.safetensors", 65),
        ("..\\a.safetensors", 65),
        ("..", 65),
        (".", 65),
        ("", 65),
        ("a\0.safetensors", 65),
        ("\u{1b}[2Ja.safetensors", 65),
        ("a\u{7f}.safetensors", 65),
        ("a-name-longer-than-folders-take-".repeat(9).as_str(), 65),
        ("c.safetensors", 66),
    ] {
        let (got, message) = lie(&|_, index| index["weight_map"][key] = json!(file));
        assert_eq!(got, code, "{file}: {message}");
    }
    for (expected, change) in [
        ("tensor", (&|_: &Path, i: &mut Value| i["weight_map"][key] = json!("a.safetensors")) as &dyn Fn(&Path, &mut Value)),
        ("model.norm.weight", &|_, i| drop(i["weight_map"].as_object_mut().unwrap().remove(key))),
        ("extra", &|_, i| i["weight_map"]["extra"] = json!("a.safetensors")),
        ("weight_map", &|_, i| i["weight_map"] = json!({})),
        ("weight_map", &|_, i| i["weight_map"] = json!([])),
        ("weight_map", &|_, i| drop(i.as_object_mut().unwrap().remove("weight_map"))),
        ("a number", &|_, i| i["weight_map"][key] = json!(7)),
        ("duplicate", &|dir, _| append(&dir.join("b.safetensors"), "model.embed_tokens.weight", "F32", &[1], &[0; 4])),
    ] {
        let (code, message) = lie(change);
        let found = message.contains(expected) || expected == "a number" && message.contains("found 7");
        assert!(code == 65 && found, "{expected}: {message}");
    }
}

#[test]
fn links_may_not_lead_outside_and_the_hub_cache_is_fine() {
    let (outside, _) = folder(&tiny());
    for name in [FILE, "config.json", "generation_config.json"] {
        let (dir, _) = folder(&tiny());
        fs::remove_file(dir.path().join(name)).unwrap();
        symlink(outside.path().join(name), dir.path().join(name)).unwrap();
        let error = hf::open(dir.path()).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains("symbolic link"), "{name}: {error}");
    }
    let cache = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (cache.path().join("models--x/blobs"), cache.path().join("models--x/snapshots/abc"));
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    for name in [FILE, "config.json"] {
        fs::copy(outside.path().join(name), blobs.join(format!("hash-{name}"))).unwrap();
        symlink(format!("../../blobs/hash-{name}"), snapshot.join(name)).unwrap();
    }
    hf::open(&snapshot).unwrap();
    fs::remove_file(blobs.join(format!("hash-{FILE}"))).unwrap();
    assert_eq!(hf::open(&snapshot).unwrap_err().exit_code(), 66);
}

#[test]
fn a_source_of_the_wrong_size_writes_nothing() {
    let spec = tiny();
    let small = Layout::of(&spec.with_vocab(5));
    let values = weights(&small);
    let dir = tempfile::tempdir().unwrap();
    let options = WriteOptions { dtype: Dtype::F32, special: &special(), rows: None };
    let error = hf::write(dir.path(), &spec, &formats::flat(&values, &small), &options).unwrap_err();
    assert!(error.exit_code() == 65 && error.to_string().contains("embed_tokens"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
