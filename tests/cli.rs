//! The binary, driven end to end: what is typed wrongly, what is printed, how it exits.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;

/// A call of the program in an environment without settings.
fn autoane(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        command.env_remove(name);
    }
    command
}

fn run(args: &[&str]) -> Output {
    autoane(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The program ends with `code`, prints nothing on stdout, and says each of `words` on stderr.
fn fails(args: &[&str], code: i32, words: &[&str]) {
    let output = run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
    assert_eq!(stdout(&output), "", "{args:?}");
    for word in words {
        assert!(stderr(&output).contains(word), "{args:?}: no `{word}` in: {}", stderr(&output));
    }
}

/// The one JSON object that a good run prints.
fn json(args: &[&str]) -> Json {
    let output = run(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    let text = stdout(&output);
    assert_eq!(text.trim().lines().count(), 1, "{args:?}: {text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn unknown_words_are_usage_errors_that_suggest_the_nearest() {
    fails(&["train", "--learing-rate", "1"], 2, &["--learing-rate", "'--learning-rate'"]);
    fails(&["trian"], 2, &["'train'"]);
    fails(&["train", "storys-36m", "--dry-run"], 2, &["did you mean `stories-36m`?"]);
    fails(&["train", "--schedule", "cosin"], 2, &["cosine"]);
    fails(&["serve"], 2, &["unrecognized subcommand"]);
    fails(&[], 2, &["Usage"]);
}

#[test]
fn a_value_flag_without_a_value_is_an_error() {
    fails(&["train", "--steps"], 2, &["a value is required"]);
    fails(&["train", "--steps", "--dry-run"], 2, &["a value is required"]);
}

#[test]
fn numbers_are_checked_before_any_work() {
    for (flag, value) in [
        ("--learning-rate", "0"),
        ("--learning-rate", "-1"),
        ("--learning-rate", "nan"),
        ("--learning-rate", "inf"),
        ("--learning-rate", "1e-3x"),
        ("--steps", "0"),
        ("--steps", "-5"),
        ("--steps", "1.5"),
        ("--steps", "99999999999999999999999"),
        ("--max-time", "0"),
        ("--max-time", "soon"),
        ("--beta2", "1"),
        ("--val-fraction", "1"),
        ("--warmup", "-3"),
        ("--threads", "0"),
        ("--seq-len", "0"),
        ("--clip-norm", "-1"),
        ("--eval-every", "5x"),
    ] {
        fails(&["train", "--dry-run", flag, value], 2, &[flag, &format!("`{value}`"), "expected"]);
    }
}

#[test]
fn a_method_that_there_is_not_is_answered_with_those_that_there_are() {
    fails(&["train", "--method", "mezzo"], 2, &["possible values: backprop, mezo"]);
    fails(&["train", "--device", "gpu"], 2, &["possible values: cpu, ane, ane-sim"]);
}

#[test]
fn combinations_without_a_meaning_are_refused() {
    fails(&["train", "--dry-run", "--momentum", "0.9"], 2, &["--momentum has no effect with --optimizer adamw"]);
    fails(&["train", "--dry-run", "--val-fraction", "0", "--early-stop", "3"], 2, &["--early-stop needs evaluations"]);
    fails(&["train", "--resume", "x", "--overwrite"], 2, &["cannot be used with"]);
    fails(&["train", "stories-4m", "--model", "stories-8m"], 2, &["cannot be used with"]);
    fails(&["models", "-q", "-v"], 2, &["cannot be used with"]);
}

#[test]
fn where_each_part_runs_is_told_and_never_changed_silently() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("t.bin");
    fs::write(&tokens, (0..4000u16).flat_map(|i| (i % 50).to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let out = dir.path().join("run");
    let args = ["train", "stories-1m", "--data", tokens.to_str().unwrap(), "--vocab-size", "50", "--explain", "--json"];
    let seen = json(&[&args[..], &["--out", out.to_str().unwrap()]].concat());
    assert_eq!(seen["device"], "cpu");
    assert!(seen["blocks"].as_array().unwrap().len() >= 5, "{seen}");
    assert!(!out.exists(), "explaining makes no run");
}

fn value<'a>(dry_run: &'a Json, key: &str) -> (&'a Json, &'a str) {
    let entry = &dry_run["settings"][key];
    (&entry["value"], entry["origin"].as_str().unwrap())
}

#[test]
fn dry_run_shows_the_origin_of_every_value() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recipe.toml");
    fs::write(&path, "# a recipe\nweight_decay = 0.02\nseed = 5\nbeta1 = 0.5\n").unwrap();
    let path = path.to_str().unwrap();
    let args = ["train", "stories-36m", "--seed", "7", "--config", path, "--dry-run", "--json"];
    let output = autoane(&args).env("AUTOANE_SEED", "6").env("AUTOANE_BETA1", "0.6").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value(&shown, "seed"), (&Json::from(7), "flag"));
    assert_eq!(value(&shown, "beta1"), (&Json::from(0.6), "environment AUTOANE_BETA1"));
    assert_eq!(value(&shown, "weight-decay"), (&Json::from(0.02), format!("{path}:2").as_str()));
    assert_eq!(value(&shown, "seq-len"), (&Json::from(128), "preset stories-36m"));
    assert_eq!(value(&shown, "beta2"), (&Json::from(0.95), "default"));
    let table = stdout(&run(&["train", "stories-36m", "--dry-run"]));
    assert!(table.lines().any(|l| l.starts_with("seq-len") && l.ends_with("preset stories-36m")), "{table}");
    assert!(!Path::new("runs/stories-36m-1").exists());
}

#[test]
fn errors_of_a_config_file_name_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let name = path.to_str().unwrap();
    let cases = [
        ("seed = 1\nlearning_rat = 1e-3\n", "c.toml:2: unknown key `learning_rat`; did you mean `learning-rate`?"),
        ("seed = 1\n\nsteps = -4\n", "c.toml:3: steps: found `-4`"),
        ("seed = 1\nsteps = \n", "c.toml:2: "),
        ("schedule = \"cosin\"\n", "c.toml:1: schedule: found `cosin`, available: cosine"),
    ];
    for (text, message) in cases {
        fs::write(&path, text).unwrap();
        fails(&["train", "--dry-run", "--config", name], 2, &[message]);
    }
    fails(&["train", "--dry-run", "--config", "no/such.toml"], 66, &["no/such.toml"]);
}

#[test]
fn a_bad_variable_is_named() {
    let output = autoane(&["train", "--dry-run"]).env("AUTOANE_LEARNING_RATE", "fast").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("AUTOANE_LEARNING_RATE: found `fast`"), "{}", stderr(&output));
    let output = autoane(&["train", "--dry-run"]).env("AUTOANE_LEARNINGRATE", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("did you mean AUTOANE_LEARNING_RATE?"), "{}", stderr(&output));
}

#[test]
fn switches_take_a_value_too() {
    for (flag, on) in [
        ("--compact-vocab", true),
        ("--compact-vocab=true", true),
        ("--compact-vocab=false", false),
        ("--no-compact-vocab", false),
        ("--no-compact-vocab=false", true),
    ] {
        let shown = json(&["train", "--dry-run=true", "--json=true", flag]);
        assert_eq!(value(&shown, "compact-vocab"), (&Json::from(on), "flag"), "{flag}");
    }
    assert_eq!(stdout(&run(&["models", "--json=false"])).lines().next().unwrap().split_whitespace().next(), Some("name"));
}

#[test]
fn resume_of_what_is_not_there_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fails(&["train", "--resume", "no/such/run"], 66, &["no/such/run", "expected a run folder"]);
    fails(&["train", "--resume", dir.path().to_str().unwrap()], 66, &["config.resolved.toml"]);
    fs::write(dir.path().join("config.resolved.toml"), "seed = 1\nsteps = \"many\"\n").unwrap();
    fails(&["train", "--resume", dir.path().to_str().unwrap()], 65, &["config.resolved.toml:2", "many"]);
}

/// A folder that looks like a finished run from outside.
fn pretend_run(path: &Path) {
    fs::create_dir_all(path.join("checkpoints")).unwrap();
    fs::write(path.join("config.resolved.toml"), "seed = 1\n").unwrap();
}

#[test]
fn a_folder_of_runs_is_listed_and_the_one_to_pass_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    pretend_run(&runs.join("stories-1"));
    pretend_run(&runs.join("stories-2"));
    let name = |path: &str| dir.path().join(path).to_str().unwrap().to_owned();
    let listed = ["holds 2 runs", "pass one of them", "runs/stories-1", "runs/stories-2"];
    let npy = name("x.npy");
    for args in [
        vec!["generate", "RUNS", "--prompt", "Once"],
        vec!["eval", "RUNS"],
        vec!["logits", "RUNS", "--tokens", "1", "--out", &npy],
        vec!["convert", "RUNS", &npy],
        vec!["train", "RUNS", "--steps", "1"],
        vec!["train", "--resume", "RUNS"],
    ] {
        let runs = name("runs");
        let args: Vec<&str> = args.into_iter().map(|a| if a == "RUNS" { &runs } else { a }).collect();
        fails(&args, 66, &listed);
    }
    fails(&["inspect", &name("runs")], 65, &listed);
    fails(&["generate", &name("runs/stories-1/checkpoints")], 66, &["a part of a run", "pass the run"]);
    fails(&["train", "--resume", &name("runs/stories-1/checkpoints")], 66, &["a part of one", "runs/stories-1"]);
    fails(&["generate", &name("runs/storys-1")], 66, &["no such file or folder", "did you mean", "stories-1"]);
    fails(&["generate", "stories-1m"], 66, &["is a preset", "autoane train stories-1m"]);
    fails(&["generate", &name("")], 66, &["expected a run, a checkpoint, or a model folder", "found runs"]);
    let output = autoane(&["generate", "stories-2"]).current_dir(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(66));
    assert!(stderr(&output).contains("did you mean runs/stories-2?"), "{}", stderr(&output));
}

#[test]
fn models_lists_every_preset() {
    let listed = json(&["models", "--json"]);
    let models = listed["models"].as_array().unwrap();
    let found = models.iter().find(|m| m["name"] == "stories-36m").unwrap();
    assert_eq!(found["params"], 36_442_624);
    assert!(found["flops_per_token"]["train"].as_f64().unwrap() > 2e8);
    assert!(found["memory_bytes"]["total"].as_u64().unwrap() > 4 * 4 * 36_442_624);
    for name in ["qwen3-0.6b", "smollm2-135m", "smollm2-360m", "stories110m", "scaling-1024", "scaling-2048"] {
        assert!(models.iter().any(|m| m["name"] == name), "{name}");
    }
}

#[test]
fn completions_and_version() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&run(&["completions", shell]));
        assert!(script.contains("learning-rate"), "{shell}");
    }
    fails(&["completions", "bsh"], 2, &["bash"]);
    let version = stdout(&run(&["--version"]));
    let (number, commit) = version.trim().strip_prefix("autoane ").unwrap().split_once(" (").unwrap();
    assert_eq!(number, env!("CARGO_PKG_VERSION"));
    let commit = commit.trim_end_matches(')');
    assert!(commit == "unknown" || commit.len() == 12, "{commit}");
}

#[test]
fn every_help_ends_with_examples() {
    for verb in ["train", "generate", "eval", "logits", "convert", "inspect", "data", "models", "bench", "doctor", "completions"]
    {
        let output = run(&[verb, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{verb}");
        assert!(stdout(&output).contains("\nExamples:\n  autoane "), "{verb}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child =
        autoane(&["data", "stories", "--stories", "20000"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn stories_go_to_stdout_or_a_file_and_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.txt");
    let printed = run(&["data", "stories", "--stories", "20", "--seed", "3"]);
    let told = json(&["data", "stories", "--stories", "20", "--seed", "3", "--out", path.to_str().unwrap(), "--json"]);
    assert_eq!(fs::read(&path).unwrap(), printed.stdout);
    assert_eq!(told["bytes"].as_u64().unwrap() as usize, printed.stdout.len());
    assert_eq!(stdout(&printed).matches("<|endoftext|>").count(), 20);
    fails(&["data", "stories", "--json"], 2, &["--out"]);
    fails(&["data", "stories", "--out", "no/such/folder/s.txt"], 73, &["no/such/folder/s.txt"]);
}

#[test]
fn text_becomes_tokens_that_can_be_inspected() {
    let dir = tempfile::tempdir().unwrap();
    let (text, tokens) = (dir.path().join("s.txt"), dir.path().join("tokens"));
    let (text, tokens) = (text.to_str().unwrap(), tokens.to_str().unwrap());
    run(&["data", "stories", "--stories", "200", "--out", text]);
    let made = json(&["data", "tokenize", text, "--vocab-size", "512", "--out", tokens, "--json"]);
    assert_eq!((made["documents"].as_u64(), made["reused"].as_bool()), (Some(200), Some(false)));
    let again = json(&["data", "tokenize", text, "--vocab-size", "512", "--out", tokens, "--json"]);
    assert_eq!(again["reused"].as_bool(), Some(true));
    let seen = json(&["data", "inspect", tokens, "--json"]);
    assert_eq!(seen["tokens"], made["tokens"]);
    assert_eq!(json(&["inspect", tokens, "--json"])["kind"], "prepared tokens");
    assert!(seen["begins"][0].as_str().unwrap().len() > 50);
    let file = Path::new(tokens).join("tokens.bin");
    let mut bytes = fs::read(&file).unwrap();
    bytes[10] ^= 1;
    fs::write(&file, bytes).unwrap();
    fails(&["data", "inspect", tokens], 65, &["tokens.bin", "sha256"]);
}

#[test]
fn bad_token_files_are_bad_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.bin");
    let name = path.to_str().unwrap();
    fs::write(&path, [1u8, 0, 2]).unwrap();
    fails(&["data", "inspect", name], 65, &["t.bin", "byte offset 2"]);
    let ids: Vec<u8> = [5u16, 6, 900, 7].iter().flat_map(|id| id.to_le_bytes()).collect();
    fs::write(&path, ids).unwrap();
    fails(&["data", "inspect", name, "--vocab-size", "512"], 65, &["t.bin", "token 2", "900", "512"]);
    fails(&["inspect", "no/such/file.bin"], 66, &["no/such/file.bin"]);
}

#[test]
fn offline_download_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let output = autoane(&["data", "download", "tinystories", "--out", dir.path().to_str().unwrap()])
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(stderr(&output).contains("hf download roneneldan/TinyStories"), "{}", stderr(&output));
    fs::write(dir.path().join("TinyStories-train.txt"), "cut off").unwrap();
    let out = dir.path().to_str().unwrap();
    fails(&["data", "download", "tinystories", "--out", out], 65, &["1924281556 bytes", "found 7"]);
    fails(&["data", "download", "tinystores"], 2, &["tinystories"]);
}

#[test]
fn doctor_says_what_is_used_and_why() {
    let seen = json(&["doctor", "--json", "-q", "--threads", "1", "--isa", "scalar"]);
    assert_eq!((seen["isa"]["used"].as_str(), seen["isa"]["why"].as_str()), (Some("scalar"), Some("asked for")));
    assert_eq!(seen["threads"]["used"], 1);
    let not_used = seen["isa"]["not_used"].as_object().unwrap();
    assert_eq!(not_used.len(), 5, "every other set, with its reason: {not_used:?}");
    assert!(not_used.values().all(|why| why == "scalar is used" || why.as_str().unwrap().starts_with("needs ")), "{not_used:?}");
    assert!(seen["free_bytes"]["here"].as_u64().unwrap() > 0);
    assert!(seen["memory"]["available_bytes"].as_u64().unwrap() > 0);
    assert!(seen["ceilings"]["fma_gflops"].as_f64().unwrap() > 0.0);
    if seen["ane"]["available"] == false {
        assert!(seen["ane"]["why_not"].as_str().unwrap().contains("--device ane-sim"), "{seen}");
        fails(&["doctor", "--probe", "ane", "--threads", "1"], 69, &["no Neural Engine"]);
    }
}

#[test]
fn doctor_probes_kernels_and_remembers_what_came_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let probe = |args: &[&str]| {
        let output = autoane(args).env("AUTOANE_CACHE", dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let machine = ["--isa", "scalar", "--threads", "1"];
    let shown = probe(&[&["doctor", "--probe", "ane-sim"], &machine[..]].concat());
    assert!(shown.contains("dynamic/attn_fwd") && shown.contains("passed, off by"), "{shown}");
    let kept = fs::read(dir.path().join("ane-probes.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    let kernels = kept["simulator"]["report"]["kernels"].as_array().unwrap();
    assert!(kernels.len() > 20 && kernels.iter().all(|k| k["verdict"].is_string()), "{kept}");
}

fn golden(name: &str) -> String {
    format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_model_folder_is_described_and_converted() {
    let source = golden("qwen3");
    let seen = json(&["inspect", &source, "--json"]);
    assert_eq!((seen["kind"].as_str(), seen["architecture"].as_str()), (Some("Hugging Face folder"), Some("qwen3")));
    assert_eq!(seen["spec"]["qk_norm"], true);
    assert!(seen["problem"].is_null());
    let dir = tempfile::tempdir().unwrap();
    let (full, half) = (dir.path().join("full"), dir.path().join("half"));
    let (full, half) = (full.to_str().unwrap(), half.to_str().unwrap());
    assert_eq!(json(&["convert", &source, full, "--json"])["params"], seen["params"]);
    json(&["convert", &source, half, "--dtype", "bf16", "--json"]);
    let (a, b) = (json(&["inspect", full, "--json"]), json(&["inspect", half, "--json"]));
    assert_eq!(a["spec"], seen["spec"]);
    assert_eq!(b["tensors"][0]["dtype"], "BF16");
    fails(&["convert", &source, full], 73, &["exists already"]);
    fails(&["convert", "no/such/model", "x"], 66, &["no/such/model"]);
    fails(&["convert", &source, "x", "--to", "pickle"], 2, &["possible values: hf"]);
}

#[test]
fn a_cut_model_file_is_bad_data() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(Path::new(&golden("qwen2")).join(name), dir.path().join(name)).unwrap();
    }
    let file = dir.path().join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 7]).unwrap();
    fails(&["inspect", dir.path().to_str().unwrap()], 65, &["model.safetensors"]);
    fails(&["convert", dir.path().to_str().unwrap(), dir.path().join("out").to_str().unwrap()], 65, &["model.safetensors"]);
    assert!(!dir.path().join("out").exists());
}
