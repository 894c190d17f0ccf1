//! Bad files through the program: code 65, a message that names the file, the place, what was expected and what was found, within
//! a second of the processor and little memory.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// KiB of addresses that the program may ask for: its threads and libraries, and nothing that a small file could claim.
const ADDRESSES: u32 = 1 << 20;

/// Runs the program with a second of processor time and [`ADDRESSES`]; the system ends it beyond either.
fn bounded(args: &[&str], cache: &Path) -> Output {
    let script = format!("ulimit -t 1; ulimit -v {ADDRESSES}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_autoane")]).args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        command.env_remove(name);
    }
    command.env("AUTOANE_CACHE", cache).env("AUTOANE_THREADS", "1").output().unwrap()
}

/// The program refuses `path` for what `words` say.
fn refused(args: &[&str], cache: &Path, path: &Path, words: &[&str]) {
    let output = bounded(args, cache);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert!(said.len() < 3000 && !said.contains('\u{1b}'), "{args:?}: {said}");
    let name = path.file_name().unwrap().to_str().unwrap();
    for word in [name].iter().chain(words) {
        assert!(said.contains(word), "{args:?}: no `{word}` in: {said}");
    }
    assert!(said.contains("expected") || said.contains("not supported"), "{args:?}: {said}");
}

/// Every verb that reads a model refuses it.
fn refused_as_model(dir: &Path, path: &Path, words: &[&str]) {
    let (model, out) = (path.to_str().unwrap(), dir.join("out"));
    let (npy, folder) = (dir.join("out.npy"), out.to_str().unwrap());
    refused(&["logits", model, "--tokens", "1", "--out", npy.to_str().unwrap()], dir, path, words);
    refused(&["convert", model, folder], dir, path, words);
    refused(&["generate", model, "--prompt", "a", "--max-tokens", "1"], dir, path, words);
    assert!(!out.exists() && !npy.exists(), "{model}: something was written");
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A GGUF header: numbers of tensors and of keys.
fn gguf(tensors: u64, keys: u64, rest: &[&[u8]]) -> Vec<u8> {
    [b"GGUF".as_slice(), &3u32.to_le_bytes(), &tensors.to_le_bytes(), &keys.to_le_bytes(), &rest.concat()].concat()
}

fn key(name: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [text(name), kind.to_le_bytes().to_vec(), value.to_vec()].concat()
}

fn tensor(dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let sizes: Vec<u8> = dims.iter().flat_map(|d| d.to_le_bytes()).collect();
    let tail = [kind.to_le_bytes().as_slice(), &offset.to_le_bytes()].concat();
    [text("a"), (dims.len() as u32).to_le_bytes().to_vec(), sizes, tail].concat()
}

#[test]
fn gguf_counts_sizes_and_offsets_that_the_file_does_not_hold() {
    let array = |count: u64| key("a", 9, &[4u32.to_le_bytes().as_slice(), &count.to_le_bytes()].concat());
    let alignment = key("general.alignment", 4, &3u32.to_le_bytes());
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("version", [b"GGUF".as_slice(), &9u32.to_le_bytes(), &[0; 16]].concat(), &["version", "9"]),
        ("tensors", gguf(1 << 63, 0, &[]), &["9223372036854775808"]),
        ("keys", gguf(0, u64::MAX, &[]), &["18446744073709551615"]),
        ("array", gguf(0, 1, &[&array(1 << 63)]), &["9223372036854775808"]),
        ("wrapping-array", gguf(0, 1, &[&array(1 << 62)]), &["4611686018427387904"]),
        ("string", gguf(0, 1, &[&key("a", 8, &u64::MAX.to_le_bytes())]), &["18446744073709551615"]),
        ("type", gguf(0, 1, &[&key("a", 77, &[0; 8])]), &["77"]),
        ("alignment", gguf(1, 1, &[&alignment, &tensor(&[1], 0, 0), &[0; 64]]), &["alignment", "3"]),
        ("product", gguf(1, 0, &[&tensor(&[1 << 32, 1 << 32, 4], 0, 0), &[0; 64]]), &["tensor `a`"]),
        ("wrapping-product", gguf(1, 0, &[&tensor(&[(1 << 62) + 1], 0, 0), &[0; 64]]), &["tensor `a`"]),
        ("dimensions", gguf(1, 0, &[&tensor(&[1; 5], 0, 0), &[0; 64]]), &["5"]),
        ("offset", gguf(1, 0, &[&tensor(&[1], 0, 1 << 63), &[0; 64]]), &["tensor `a`"]),
        ("short", gguf(1, 0, &[&tensor(&[1 << 20], 0, 0), &[0; 64]]), &["tensor `a`"]),
        ("empty", gguf(0, 0, &[]), &["general.architecture"]),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes, words) in cases {
        let path = dir.path().join(format!("{name}.gguf"));
        fs::write(&path, bytes).unwrap();
        refused_as_model(dir.path(), &path, words);
    }
}

#[test]
fn a_folder_whose_files_lie() {
    type Lie = fn(&Path);
    let cases: [(&str, &str, Lie, &[&str]); 7] = [
        (
            "header-length",
            "model.safetensors",
            |d| fs::write(d.join("model.safetensors"), [0xff; 64]).unwrap(),
            &["offset 0", "18446744073709551615"],
        ),
        ("no-header", "model.safetensors", |d| fs::write(d.join("model.safetensors"), []).unwrap(), &["0 bytes"]),
        ("not-json", "config.json", |d| fs::write(d.join("config.json"), "{\u{1b}[2J").unwrap(), &["line 1 column"]),
        ("deep-json", "config.json", |d| fs::write(d.join("config.json"), "[".repeat(1 << 20)).unwrap(), &["recursion limit"]),
        (
            "layers",
            "config.json",
            |d| change(d, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1099511627776"),
            &["num_hidden_layers"],
        ),
        ("width", "config.json", |d| change(d, "\"hidden_size\": 48", "\"hidden_size\": 4611686018427387904"), &["hidden_size"]),
        ("shard", "model.safetensors.index.json", outside, &["../"]),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (name, file, lie, words) in cases {
        let model = dir.path().join(name);
        fs::create_dir(&model).unwrap();
        for part in ["config.json", "model.safetensors"] {
            fs::copy(golden("llama-tied-gqa").join(part), model.join(part)).unwrap();
        }
        lie(&model);
        let args = ["logits", model.to_str().unwrap(), "--tokens", "1", "--out", "never.npy"];
        let words: Vec<&str> = words.iter().copied().chain(Some(name)).collect();
        refused(&args, dir.path(), &model.join(file), &words);
    }
}

/// Replaces a part of `config.json`.
fn change(dir: &Path, from: &str, to: &str) {
    let path = dir.join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// An index that leads out of the folder.
fn outside(dir: &Path) {
    fs::remove_file(dir.join("model.safetensors")).unwrap();
    let index = r#"{"weight_map":{"model.norm.weight":"../secret.safetensors"}}"#;
    fs::write(dir.join("model.safetensors.index.json"), index).unwrap();
}

#[test]
fn a_pickle_is_never_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(golden("llama-tied-gqa/config.json"), dir.path().join("config.json")).unwrap();
    fs::write(dir.path().join("pytorch_model.bin"), b"\x80\x04cos\nsystem\n").unwrap();
    let output = bounded(&["logits", dir.path().to_str().unwrap(), "--tokens", "1", "--out", "never.npy"], dir.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(66), "{said}");
    assert!(said.contains("pickle") && said.contains("safetensors"), "{said}");
}

#[test]
fn files_without_a_table_whose_numbers_are_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let blzt = [b"TZLB".as_slice(), &4i32.to_le_bytes(), &[0x7f; 88], &[0; 400]].concat();
    let llama2c: Vec<u8> = [0x616b_3432i32, 1].iter().chain([i32::MAX; 7].iter()).flat_map(|n| n.to_le_bytes()).collect();
    for (name, mut bytes, words) in [("big.blzt", blzt, ["header, dim"]), ("big.bin", llama2c, ["header"])] {
        bytes.resize(bytes.len() + 300, 0);
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        refused_as_model(dir.path(), &path, &words);
    }
}

#[test]
fn data_and_tokenizers_that_lie() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let train = |data: &Path, words: &[&str], more: &[&str]| {
        let out = dir.path().join("run");
        let args = ["train", "stories-1m", "--steps", "1", "--data", data.to_str().unwrap(), "--out", out.to_str().unwrap()];
        refused(&[&args, more].concat(), dir.path(), data, words);
    };
    train(&write("odd.bin", &[1, 2, 3]), &["byte offset 2"], &["--vocab-size", "10"]);
    train(&write("beyond.bin", &[9, 0, 10, 0]), &["token 1", "10"], &["--vocab-size", "10"]);
    let lines = write("bad.jsonl", b"{\"text\":\"a\"}\n{\"text\":7}\n");
    let tokenizer = |model: &str| format!(r#"{{"version":"1.0","added_tokens":[],"model":{model}}}"#);
    for (name, model, words) in [
        ("merge.json", r#"{"type":"BPE","vocab":{"a":5,"b":9},"merges":["a b"]}"#, "does not make a token"),
        ("lone-id.json", r#"{"type":"BPE","vocab":{"a":0,"b":16777215},"merges":[]}"#, "16777216"),
        ("not-one.json", r#"{"type":"Nothing"}"#, "tokenizer.json"),
    ] {
        let path = write(name, tokenizer(model).as_bytes());
        let args = ["data", "tokenize", lines.to_str().unwrap(), "--tokenizer", path.to_str().unwrap()];
        let out = dir.path().join("prepared");
        refused(&[&args, ["--out", out.to_str().unwrap()].as_slice()].concat(), dir.path(), &path, &[words]);
    }
}
