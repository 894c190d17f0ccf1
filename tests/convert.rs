//! `convert` and `inspect` over every format, driven end to end.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn json(args: &[&str]) -> Json {
    let output = run(&[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fails(args: &[&str], code: i32, words: &[&str]) {
    let output = run(args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{args:?}: no `{word}` in: {said}"));
}

fn golden(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).to_str().unwrap().to_owned()
}

fn shared(what: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let path = std::env::var_os("AUTOANE_SHARED").map_or(beside, PathBuf::from).join(what);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there (set AUTOANE_SHARED)", path.display());
    None
}

/// A folder of this test, and paths in it.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Bench {
        Bench(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_model_goes_through_every_lossless_format_and_comes_back_bit_for_bit() {
    let bench = Bench::new();
    for name in ["llama-bias", "llama-headdim", "llama-linear-rope", "llama3-rope", "mistral-window", "qwen2-window", "qwen3"] {
        let direct = bench.at("direct");
        json(&["convert", &golden(name), &direct, "--overwrite"]);
        let (gguf, back) = (bench.at("m.gguf"), bench.at("back"));
        let made = json(&["convert", &golden(name), &gguf, "--overwrite", "--verify"]);
        assert_eq!((made["format"].as_str(), made["verified"]["largest_difference"].as_f64()), (Some("gguf"), Some(0.0)));
        json(&["convert", &gguf, &back, "--overwrite"]);
        for file in ["model.safetensors", "config.json", "generation_config.json"] {
            let read = |dir: &str| fs::read(Path::new(dir).join(file)).unwrap();
            assert!(read(&direct) == read(&back), "{name}: {file}");
        }
    }
    let source = golden("llama-tied-gqa");
    json(&["convert", &source, &bench.at("plain")]);
    let theta = json(&["inspect", &source])["spec"]["rope"]["theta"].to_string();
    let eps = json(&["inspect", &source])["spec"]["norm_eps"].to_string();
    for to in ["blzt", "llama2c"] {
        let (file, back) = (bench.at(to), bench.at(&format!("{to}-back")));
        json(&["convert", &source, &file, "--to", to, "--verify"]);
        json(&["convert", &file, &back, "--rope-theta", &theta, "--norm-eps", &eps]);
        let weights = |dir: &str| fs::read(Path::new(dir).join("model.safetensors")).unwrap();
        assert!(weights(&bench.at("plain")) == weights(&back), "{to}");
    }
}

#[test]
fn halves_survive_their_own_type_and_eight_bits_are_close() {
    let bench = Bench::new();
    for dtype in ["f16", "bf16"] {
        let (direct, gguf, back) = (bench.at("direct"), bench.at("m.gguf"), bench.at("back"));
        json(&["convert", &golden("qwen3"), &direct, "--dtype", dtype, "--overwrite"]);
        json(&["convert", &direct, &gguf, "--dtype", dtype, "--overwrite"]);
        json(&["convert", &gguf, &back, "--dtype", dtype, "--overwrite"]);
        let weights = |dir: &str| fs::read(Path::new(dir).join("model.safetensors")).unwrap();
        assert!(weights(&direct) == weights(&back), "{dtype}");
    }
    let made = json(&["convert", &golden("qwen3"), &bench.at("q8.gguf"), "--dtype", "q8_0", "--verify"]);
    let largest = made["verified"]["relative"].as_f64().unwrap();
    assert!(largest > 0.0 && largest < 0.1, "{largest}");
    let seen = json(&["inspect", &bench.at("q8.gguf")]);
    assert_eq!((seen["kind"].as_str(), seen["architecture"].as_str()), (Some("GGUF file"), Some("qwen3")));
    let types: Vec<&str> = seen["tensors"].as_array().unwrap().iter().filter_map(|t| t["dtype"].as_str()).collect();
    assert!(types.contains(&"Q8_0") && types.contains(&"F32"), "{types:?}");
    fails(&["convert", &golden("qwen3"), &bench.at("x"), "--dtype", "q8_0"], 2, &["q8_0", "f32, f16, bf16"]);
    fails(&["convert", &golden("llama-tied-gqa"), &bench.at("x"), "--to", "blzt", "--dtype", "f16"], 2, &["f32"]);
}

#[test]
fn nothing_is_replaced_unless_asked_and_the_input_never() {
    let bench = Bench::new();
    let (source, gguf, folder) = (golden("qwen3"), bench.at("m.gguf"), bench.at("folder"));
    json(&["convert", &source, &gguf]);
    json(&["convert", &gguf, &folder]);
    let before = fs::read(&gguf).unwrap();
    for output in [&gguf, &folder] {
        fails(&["convert", &source, output], 73, &["exists already", "--overwrite"]);
    }
    fails(&["convert", &gguf, &gguf, "--overwrite"], 73, &["is the input"]);
    fails(&["convert", &folder, &folder, "--overwrite"], 73, &["is the input"]);
    fails(&["convert", &source, &folder, "--to", "gguf", "--overwrite"], 73, &["is a folder"]);
    fails(&["convert", &source, &gguf, "--to", "hf", "--overwrite"], 73, &["is a file"]);
    let own = bench.at("own");
    fs::create_dir_all(Path::new(&own).join("notes")).unwrap();
    fs::write(Path::new(&own).join("config.json"), "{}").unwrap();
    fails(&["convert", &source, &own, "--overwrite"], 73, &["more than a model"]);
    assert_eq!(fs::read(&gguf).unwrap(), before);
    json(&["convert", &source, &folder, "--overwrite", "--dtype", "bf16"]);
    json(&["convert", &source, &gguf, "--overwrite", "--dtype", "f16"]);
    assert!(fs::read(&gguf).unwrap() != before);
    assert_eq!(bench.names(), ["folder", "m.gguf", "own"], "nothing temporary stays");
}

#[test]
fn what_a_format_does_not_say_is_named_and_can_be_said() {
    let bench = Bench::new();
    let file = bench.at("m.ckpt");
    let output = run(&["convert", &golden("llama-tied-gqa"), &file, "--to", "blzt"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("does not say the rope theta"), "{said}");
    let output = run(&["logits", &file, "--tokens", "1,2", "--out", &bench.at("a.npy")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("taken: rope theta 10000 (--rope-theta)"), "{said}");
    let other = ["logits", &file, "--tokens", "1,2", "--out", &bench.at("b.npy"), "--rope-theta", "500", "--norm-eps", "1e-3"];
    assert!(run(&other).status.success());
    assert!(fs::read(bench.at("a.npy")).unwrap() != fs::read(bench.at("b.npy")).unwrap());
    fails(&["convert", &golden("qwen3"), &bench.at("x"), "--rope-theta", "500"], 65, &["rope theta"]);
}

#[test]
fn a_card_stands_beside_an_export_and_its_licence_is_the_base_s() {
    let bench = Bench::new();
    let (base, first, second) = (bench.at("base"), bench.at("first.gguf"), bench.at("second"));
    json(&["convert", &golden("qwen3"), &base]);
    fs::write(Path::new(&base).join("README.md"), "---\nlicense: cc-by-4.0\n---\n# Base\n").unwrap();
    json(&["convert", &base, &first, "--verify"]);
    let meta = json(&["inspect", &first])["metadata"].clone();
    assert!(meta["general.license"].as_str().unwrap().contains("cc-by-4.0"), "{meta}");
    assert!(meta["general.base_model.0.name"].as_str().unwrap().contains("base"), "{meta}");
    assert_eq!(meta["general.verification.largest_difference"], "0.0", "{meta}");
    json(&["convert", &first, &second, "--verify"]);
    let card = fs::read_to_string(Path::new(&second).join("README.md")).unwrap();
    assert!(card.starts_with("---\nlicense: cc-by-4.0\nlibrary_name: transformers\n"), "{card}");
    assert!(card.contains("read again and compared with the source: the largest difference is 0.000e0"), "{card}");
}

#[test]
fn released_files_of_other_programs_are_read() {
    let bench = Bench::new();
    if let Some(file) = shared("data/stories260K/stories260K.bin") {
        let out = bench.at("stories");
        let made = json(&["convert", file.to_str().unwrap(), &out, "--verify"]);
        assert_eq!(made["params"], 260_032);
        let hf = file.with_file_name("");
        for (model, name) in [(out.as_str(), "a.npy"), (hf.to_str().unwrap(), "b.npy")] {
            assert!(run(&["logits", model, "--tokens", "1,403,407", "--out", &bench.at(name)]).status.success());
        }
        assert!(fs::read(bench.at("a.npy")).unwrap() == fs::read(bench.at("b.npy")).unwrap(), "the same model in both forms");
    }
    if let Some(file) = shared("data/fixtures/llama-2-tiny-random.gguf") {
        let out = bench.at("tiny");
        json(&["convert", file.to_str().unwrap(), &out, "--verify"]);
        assert!(Path::new(&out).join("tokenizer.json").is_file());
        let said = json(&["generate", &out, "--prompt", "hello", "--max-tokens", "2", "--temperature", "0"]);
        let same = json(&["generate", file.to_str().unwrap(), "--prompt", "hello", "--max-tokens", "2", "--temperature", "0"]);
        assert_eq!(said["ids"], same["ids"]);
    }
}

#[test]
fn converting_takes_far_less_memory_than_the_model() {
    let bench = Bench::new();
    let source = formats::open(Path::new(&golden("llama-tied-gqa"))).unwrap();
    // 42 million weights: 168 MB
    let (vocab, dim, hidden, head_dim) = (60_000, 512, 2048, 512 / source.spec().heads);
    let spec = model::ModelSpec { vocab, dim, hidden, head_dim, tied: true, layers: 3, ..source.spec().clone() };
    let weights = |_: model::TensorId, rows: std::ops::Range<usize>, out: &mut [f32]| {
        out.iter_mut().enumerate().for_each(|(i, v)| *v = ((rows.start + i) % 251) as f32 / 251.0 - 0.5);
        Ok(())
    };
    let (folder, special) = (bench.at("large"), formats::SpecialIds::default());
    let options = formats::hf::WriteOptions { dtype: formats::Dtype::F32, special: &special, rows: None };
    let bytes = formats::hf::write(Path::new(&folder), &spec, &weights, &options).unwrap().bytes;
    assert!(bytes > 150 << 20, "{bytes}");
    for (to, output) in [("gguf", "a.gguf"), ("hf", "b"), ("llama2c", "c.bin"), ("blzt", "d.ckpt")] {
        let made = json(&["convert", &folder, &bench.at(output), "--to", to]);
        let Some(peak) = made["peak_rss_bytes"].as_u64() else { continue };
        assert!(peak < bytes / 3, "{to}: {peak} bytes of memory for a model of {bytes}");
    }
}

#[test]
fn what_is_no_model_is_neither_copied_nor_replaced() {
    let bench = Bench::new();
    let (source, broken) = (golden("llama-tied-gqa"), bench.at("broken"));
    fs::create_dir(&broken).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(Path::new(&source).join(name), Path::new(&broken).join(name)).unwrap();
    }
    fs::write(Path::new(&broken).join("tokenizer.json"), "{\"version\": \"1.0\", \"model\": {").unwrap();
    fails(&["convert", &broken, &bench.at("out")], 65, &["tokenizer.json"]);
    assert!(!Path::new(&bench.at("out")).exists());
    let output = run(&["inspect", &broken]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("tokenizer.json"), "inspect does not say that it is broken");

    let letter = bench.at("letter.gguf");
    fs::write(&letter, "precious").unwrap();
    fails(&["convert", &source, &letter, "--overwrite"], 73, &["letter.gguf", "no model file"]);
    assert_eq!(fs::read(&letter).unwrap(), b"precious");
    fails(&["train", "--steps", "1", "--out", &letter], 73, &["letter.gguf"]);
}

#[test]
fn inspect_says_that_a_model_was_cut() {
    let bench = Bench::new();
    let (whole, cut, empty) = (bench.at("whole.bin"), bench.at("cut.bin"), bench.at("empty.bin"));
    json(&["convert", &golden("llama-tied-gqa"), &whole, "--to", "llama2c"]);
    let bytes = fs::read(&whole).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 8 * 4]).unwrap();
    fs::write(&empty, []).unwrap();
    let output = run(&["inspect", &cut]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("begins like a llama2.c model"));
    fails(&["inspect", &empty], 65, &["empty"]);
}
