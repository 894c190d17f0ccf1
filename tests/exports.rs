//! `convert` beside the formats: tokenizers that lie elsewhere, verification within the machine, exports that appear at once or
//! not at all. And what errors say, of every verb.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

fn autoane(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        command.env_remove(name);
    }
    command.env("AUTOANE_CACHE", dir.join("cache")).current_dir(dir).args(args).stdin(Stdio::null());
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    autoane(dir, args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the verb prints with `--json`, and its messages.
fn json(dir: &Path, args: &[&str]) -> (Json, String) {
    let output = run(dir, &[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    (serde_json::from_slice(&output.stdout).unwrap(), stderr(&output))
}

fn fails(dir: &Path, args: &[&str], code: i32, words: &[&str]) -> String {
    let output = run(dir, args);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{args:?}: no `{word}` in: {said}"));
    said
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

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A copy of the model `name` in `dir`, with `change` made to its configuration.
fn changed(dir: &Path, name: &str, change: &dyn Fn(&mut Json)) -> PathBuf {
    let copy = dir.join("changed");
    fs::create_dir(&copy).unwrap();
    fs::copy(Path::new(&golden(name)).join("model.safetensors"), copy.join("model.safetensors")).unwrap();
    let mut config: Json = serde_json::from_slice(&fs::read(Path::new(&golden(name)).join("config.json")).unwrap()).unwrap();
    change(&mut config);
    fs::write(copy.join("config.json"), config.to_string()).unwrap();
    copy
}

/// A model folder of 20 million weights, 80 MB.
fn large(dir: &Path) -> (PathBuf, u64) {
    let source = formats::open(Path::new(&golden("llama-tied-gqa"))).unwrap();
    let (vocab, dim, hidden, head_dim) = (4_000, 512, 2048, 512 / source.spec().heads);
    let spec = model::ModelSpec { vocab, dim, hidden, head_dim, tied: true, layers: 5, ..source.spec().clone() };
    let weights = |_: model::TensorId, rows: std::ops::Range<usize>, out: &mut [f32]| {
        out.iter_mut().enumerate().for_each(|(i, v)| *v = ((rows.start * 31 + i) % 251) as f32 / 2510.0 - 0.05);
        Ok(())
    };
    let (folder, special) = (dir.join("large"), formats::SpecialIds::default());
    let options = formats::hf::WriteOptions { dtype: formats::Dtype::F32, special: &special, rows: None };
    let bytes = formats::hf::write(&folder, &spec, &weights, &options).unwrap().bytes;
    (folder, bytes)
}

#[test]
fn verifying_holds_one_model_and_is_left_out_loudly_where_that_is_too_much() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, bytes) = large(dir.path());
    let convert = ["convert", text(&folder), "a.gguf", "--verify", "--threads", "1", "--overwrite"];
    let (made, _) = json(dir.path(), &convert);
    assert!(made["verified"]["rms"] == 0.0 && made["not_verified"].is_null(), "{made}");
    let peak = made["peak_rss_bytes"].as_u64();
    assert!(peak.is_none_or(|peak| peak < bytes + bytes / 2), "{peak:?} for a model of {bytes}");
    if !cfg!(target_os = "linux") {
        return;
    }
    let script = "ulimit -v 110000; exec \"$0\" \"$@\" --json";
    let mut command = Command::new("sh");
    command.current_dir(dir.path()).args(["-c", script, env!("CARGO_BIN_EXE_autoane")]).args(convert);
    let output = command.output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("NOT verified") && said.contains("are available"), "{said}");
    let made: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert!(made["verified"].is_null() && made["not_verified"].as_str().unwrap().contains("needs"), "{made}");
    assert!(dir.path().join("a.gguf").is_file());
}

#[test]
fn a_prompt_of_the_verification_goes_beyond_the_original_context() {
    let dir = tempfile::tempdir().unwrap();
    let model = changed(dir.path(), "llama3-rope", &|config| {
        config["rope_parameters"]["original_max_position_embeddings"] = 128.into();
    });
    for (to, out) in [("hf", "out"), ("gguf", "out.gguf")] {
        let (made, _) = json(dir.path(), &["convert", text(&model), out, "--to", to, "--verify"]);
        assert_eq!(made["verified"]["longest_prompt"], 144, "{made}");
    }
}

#[test]
fn a_model_without_a_tokenizer_is_given_one() {
    let Some(data) = shared("data/stories260K") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (dir, model) = (dir.path(), data.join("stories260K.bin"));
    fs::copy(&model, dir.join("m.bin")).unwrap();
    let (made, said) = json(dir, &["convert", "m.bin", "none"]);
    assert!(made["tokenizer"].is_null() && said.contains("--tokenizer"), "{said}");
    let (blzt, _) = json(dir, &["convert", "m.bin", "m.ckpt", "--to", "blzt"]);
    assert!(blzt["tokenizer"].is_null());
    let ids = |model: &str| {
        let args = ["generate", model, "--prompt", "Once upon", "--max-tokens", "12", "--temperature", "0"];
        json(dir, &args).0["ids"].clone()
    };
    let (bin, folder) = (data.join("tok512.bin"), data.clone());
    let whole = data.join("tokenizer.json");
    let expected = ids(text(&data));
    for (i, tokenizer) in [bin.as_path(), &folder, &whole].into_iter().enumerate() {
        for (input, out) in [("m.bin", format!("{i}.gguf")), ("m.bin", format!("{i}")), ("m.ckpt", format!("{i}b.gguf"))] {
            let (made, _) = json(dir, &["convert", input, &out, "--tokenizer", text(tokenizer)]);
            assert!(made["tokenizer"].as_str().is_some());
            assert_eq!(ids(&out), expected, "{out}");
        }
    }
    // beside the model it is found, used and named
    fs::copy(&bin, dir.join("tokenizer.bin")).unwrap();
    let (made, said) = json(dir, &["convert", "m.bin", "own.gguf"]);
    assert!(said.contains("the tokenizer is tokenizer.bin") && made["tokenizer"] == "tokenizer.bin", "{said}");
    assert_eq!((ids("own.gguf"), ids("m.bin")), (expected.clone(), expected));
    assert_eq!(json(dir, &["inspect", "m.bin"]).0["tokenizer"], "tokenizer.bin");
    fails(dir, &["convert", "m.bin", "x", "--tokenizer", text(&bin)], 2, &["--tokenizer", "has a tokenizer"]);
    if let Some(other) = shared("data/llama2-tokenizer/tokenizer.bin") {
        fs::copy(other, dir.join("tokenizer.bin")).unwrap();
        let (_, said) = json(dir, &["convert", "m.bin", "not-own.gguf"]);
        assert!(said.contains("tokenizer.bin: has another number of tokens"), "{said}");
        fs::copy(dir.join("tokenizer.bin"), dir.join("large.bin")).unwrap();
        fails(dir, &["convert", "m.ckpt", "x", "--tokenizer", "large.bin"], 65, &["large.bin", "512 ids"]);
    }
}

#[test]
fn a_file_that_only_has_the_name_of_a_tokenizer_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    json(dir.path(), &["convert", &golden("llama-tied-gqa"), "m.bin", "--to", "llama2c"]);
    fs::write(dir.path().join("tokenizer.bin"), "junk and nothing else").unwrap();
    for args in [&["generate", "m.bin", "--prompt", "a"][..], &["chat", "m.bin", "--prompt", "a"], &["convert", "m.bin", "x"]] {
        fails(dir.path(), args, 65, &["tokenizer.bin", "expected", "mend it"]);
    }
    let (seen, said) = json(dir.path(), &["inspect", "m.bin"]);
    assert!(seen["tokenizer"] == false && said.contains("tokenizer.bin"), "{seen}: {said}");
}

#[test]
fn a_folder_that_is_replaced_is_there_at_every_moment() {
    let dir = tempfile::tempdir().unwrap();
    let convert = |name: &str| json(dir.path(), &["convert", &golden(name), "out", "--overwrite"]);
    convert("qwen3");
    let config = dir.path().join("out/config.json");
    let (done, absent, seen) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let counter = if config.is_file() { &seen } else { &absent };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        for i in 0..30 {
            convert(["llama-tied-gqa", "qwen3"][i % 2]);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(seen.load(Ordering::Relaxed) > 1000);
    if cfg!(target_os = "linux") {
        assert_eq!(absent.load(Ordering::Relaxed), 0, "of {}", seen.load(Ordering::Relaxed));
    }
    assert_eq!(names(dir.path()), ["out"], "nothing temporary stays");
}

/// Waits until something temporary lies in `dir`.
fn wait_for_temporary(dir: &Path, child: &mut Child) {
    let began = Instant::now();
    while !names(dir).iter().any(|name| name.contains(".tmp-")) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was stopped");
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn a_conversion_that_is_stopped_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, _) = large(dir.path());
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        for out in ["out", "out.gguf"] {
            let args = ["convert", text(&folder), out, "--verify", "--threads", "1"];
            let mut child = autoane(dir.path(), &args).stderr(Stdio::piped()).spawn().unwrap();
            wait_for_temporary(dir.path(), &mut child);
            assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
            assert!(stderr(&output).contains("nothing was left behind"), "{}", stderr(&output));
            assert_eq!(names(dir.path()), ["large"]);
        }
    }
}

#[test]
fn an_error_names_what_was_typed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (to, out) in [("gguf", "no/x.gguf"), ("blzt", "no/x.ckpt"), ("llama2c", "no/x.bin")] {
        let said = fails(dir, &["convert", &golden("llama-tied-gqa"), out, "--to", to], 73, &[out, "make it"]);
        assert!(!said.contains(".tmp-"), "{said}");
    }
    fs::write(dir.join("file"), "x").unwrap();
    let said = fails(dir, &["convert", &golden("qwen3"), "file/x"], 73, &["file/x"]);
    assert!(!said.contains(".tmp-"), "{said}");
    fs::write(dir.join("short.txt"), "too short").unwrap();
    let train = ["train", "stories-1m", "--data", "short.txt", "--steps", "1"];
    let said = fails(dir, &train, 65, &["error: short.txt: expected at least 257 tokens"]);
    assert!(!said.lines().any(|l| l.starts_with("error") && l.contains("cache")), "{said}");
}

/// Rope and ids in words.
#[test]
fn no_message_shows_the_program_s_own_types() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plain = |said: &str| assert!(!said.contains("Llama3") && !said.contains("Some(") && !said.contains('{'), "{said}");
    for to in ["llama2c", "blzt"] {
        plain(&fails(dir, &["convert", &golden("llama3-rope"), "x", "--to", to], 65, &["llama3, factor 8"]));
    }
    let both = changed(dir, "llama3-rope", &|config| {
        config["rope_scaling"] = serde_json::json!({ "rope_type": "linear", "factor": 2.0 });
    });
    plain(&fails(dir, &["convert", text(&both), "x"], 65, &["linear, factor 2"]));
    for name in ["llama3-rope", "mistral-window", "llama-yarn", "qwen3"] {
        let output = run(dir, &["inspect", &golden(name)]);
        plain(&String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_damaged_checkpoint_says_which_file_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let train = ["train", "stories-1m", "--data", "t.txt", "--seq-len", "16", "--steps", "1", "--out", "run", "-q"];
    fs::write(dir.join("t.txt"), "Once upon a time there was a fox. ".repeat(100)).unwrap();
    assert!(run(dir, &train).status.success());
    let checkpoint = "run/checkpoints/step-00000001";
    let weights = dir.join(checkpoint).join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    for args in [&["convert", checkpoint, "x"][..], &["inspect", checkpoint], &["generate", checkpoint, "--prompt", "a"]] {
        fails(dir, args, 65, &["model.safetensors", "sha256", "is damaged; pass its run"]);
    }
    for args in [&["generate", "run", "--prompt", "a"][..], &["train", "--resume", "run", "--steps", "2"]] {
        fails(dir, args, 65, &["model.safetensors", "are lost; restore"]);
    }
}

/// One object or nothing: a program that reads stdout never meets half a report.
#[test]
fn an_error_leaves_stdout_empty_with_json() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("empty")).unwrap();
    fs::write(dir.join("bad.gguf"), "GGUF").unwrap();
    let model = golden("qwen3");
    let cases: [(&[&str], i32); 15] = [
        (&["inspect", "nowhere"], 66),
        (&["inspect", "empty"], 65),
        (&["inspect", "bad.gguf"], 65),
        (&["convert", "nowhere", "x"], 66),
        (&["convert", "bad.gguf", "x"], 65),
        (&["convert", &model, "no/x.gguf"], 73),
        (&["generate", &model, "--prompt", "a"], 2),
        (&["chat", &model, "--prompt", "a"], 2),
        (&["eval", "nowhere"], 66),
        (&["logits", &model, "--tokens", "100000", "--out", "x.npy"], 2),
        (&["logits", &model, "--tokens", "1", "--out", "no/x.npy"], 73),
        (&["train", "--data", "nowhere.txt"], 66),
        (&["train", "--no-such-flag"], 2),
        (&["data", "tokenize", "nowhere.txt", "--out", "x"], 66),
        (&["data", "inspect", "nowhere.bin"], 66),
    ];
    for (args, code) in cases {
        let output = run(dir, &[args, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty() && stderr(&output).contains("error"), "{args:?}");
    }
}
