//! What the numbers of a run must be.

use engine::{Batch, CpuEngine, Options, Shape};
use model::Layout;

use crate::common::{Bench, SHAPE, tokens};

fn losses(bench: &Bench, out: &str) -> Vec<f64> {
    bench.steps(out).iter().map(|s| s["loss"].as_f64().unwrap()).collect()
}

#[test]
fn sequential_order_reads_the_file_from_its_start() {
    let bench = Bench::new();
    bench.train("run", &["--steps", "1", "--data-order", "sequential", "--no-compact-vocab"]);
    let spec = formats::hf::config::read(SHAPE.as_ref()).unwrap().spec;
    let cpu = kernels::Cpu::new(1);
    let params = engine::init(&spec, &Layout::of(&spec), 42);
    let ids: Vec<u32> = tokens(33, 97).iter().map(|&t| u32::from(t)).collect();
    let mut engine = CpuEngine::new(&cpu, &spec, Shape { rows: 2, seq: 16 }, Options::INFERENCE);
    let batch = Batch { rows: 2, seq: 16, inputs: &ids[..32], targets: &ids[1..33], starts: None };
    let expected = engine.loss(&params, &batch).unwrap().mean();
    let found = losses(&bench, "run")[0];
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
}

#[test]
fn accumulation_is_a_larger_batch() {
    let bench = Bench::new();
    let common = ["--steps", "8", "--data-order", "sequential"];
    bench.train("whole", &[&common[..], &["--batch-size", "4"]].concat());
    bench.train("parts", &[&common[..], &["--batch-size", "1", "--accumulate", "4"]].concat());
    for (a, b) in losses(&bench, "whole").iter().zip(losses(&bench, "parts")) {
        assert!((a - b).abs() < 1e-4 * a, "{a} {b}");
    }
}

#[test]
fn weights_do_not_depend_on_the_number_of_threads() {
    let bench = Bench::new();
    for threads in ["1", "2", "5"] {
        bench.train(threads, &["--steps", "6", "--threads", threads]);
    }
    assert!(bench.weights("1") == bench.weights("2") && bench.weights("1") == bench.weights("5"));
}

#[test]
fn recomputation_changes_memory_and_not_the_result() {
    let bench = Bench::new();
    bench.train("kept", &["--steps", "5"]);
    bench.train("again", &["--steps", "5", "--recompute"]);
    assert!(bench.weights("kept") == bench.weights("again"));
}

#[test]
fn another_seed_is_another_run_on_the_same_validation_windows() {
    let bench = Bench::new();
    bench.train("a", &["--steps", "3", "--seed", "1"]);
    bench.train("b", &["--steps", "3", "--seed", "1"]);
    bench.train("c", &["--steps", "3", "--seed", "2"]);
    assert!(bench.weights("a") == bench.weights("b"));
    assert!(bench.weights("a") != bench.weights("c"));
    let tokens = |out: &str| bench.events(out).iter().find(|e| e["type"] == "eval").unwrap()["val_tokens"].clone();
    assert_eq!(tokens("a"), tokens("c"));
}

#[test]
fn the_schedule_anneals_over_the_budget_that_binds() {
    let bench = Bench::new();
    let rates = |out: &str| -> Vec<f64> { bench.steps(out).iter().map(|s| s["lr"].as_f64().unwrap()).collect() };
    bench.train("steps", &["--steps", "40", "--learning-rate", "1e-2", "--warmup", "4"]);
    let lr = rates("steps");
    assert!((lr[0] - 0.0025).abs() < 1e-6 && (lr[3] - 0.01).abs() < 1e-6, "warm-up: {lr:?}");
    assert!(lr[39] < 0.0012, "the end of the budget is the end of the cosine: {}", lr[39]);
    bench.train("tokens", &["--tokens", "1280", "--learning-rate", "1e-2", "--warmup", "4"]);
    assert_eq!(rates("tokens"), lr, "1280 tokens are 40 steps");
    bench.train("time", &["--max-time", "2s", "--learning-rate", "1e-2"]);
    assert!(*rates("time").last().unwrap() < 0.0013, "a clock anneals too");
}

#[test]
fn training_learns() {
    let bench = Bench::new();
    for optimizer in ["adamw", "muon", "sgd"] {
        let lr = if optimizer == "sgd" { "1" } else { "1e-2" };
        let json = bench.train(optimizer, &["--steps", "150", "--optimizer", optimizer, "--learning-rate", lr]);
        let before = bench.events(optimizer).iter().find(|e| e["type"] == "eval").unwrap()["val_loss"].as_f64().unwrap();
        let after = json["val_loss"].as_f64().unwrap();
        assert!(after < before - 1.0, "{optimizer}: {before} -> {after}");
    }
}

#[test]
fn every_family_trains() {
    let bench = Bench::new();
    for family in ["qwen3", "qwen2-window", "mistral-window", "llama-bias", "llama3-rope", "llama-headdim"] {
        let config = format!("{}/tests/golden/{family}/config.json", env!("CARGO_MANIFEST_DIR"));
        let json = bench.train(family, &["--model-config", &config, "--steps", "60", "--learning-rate", "1e-2"]);
        let first = losses(&bench, family)[0];
        assert!(json["train_loss"].as_f64().unwrap() < first - 0.3, "{family}");
    }
}

#[test]
fn a_released_model_is_continued() {
    let bench = Bench::new();
    let model = format!("{}/tests/golden/qwen3", env!("CARGO_MANIFEST_DIR"));
    let output = crate::common::program()
        .args(["train", &model, "--data", "tokens.bin", "--steps", "3", "--seq-len", "16", "--out", "tuned", "--json"])
        .current_dir(bench.dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", crate::common::text(&output.stderr));
    let before = formats::hf::open(model.as_ref()).unwrap();
    let after = formats::hf::open(&bench.path("tuned/checkpoints/last")).unwrap();
    assert_eq!(before.spec(), after.spec());
    let layout = Layout::of(before.spec());
    assert_ne!(before.load(&layout).unwrap(), after.load(&layout).unwrap());
}

/// Every file below `folder`, with its bytes.
fn files(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            all.extend(files(&path));
        } else if path.is_file() {
            all.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

/// The original wrote its best weights over the converted model that it had begun from.
#[test]
fn the_model_that_training_begins_from_is_never_written_to() {
    let bench = Bench::new();
    let golden = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-untied-mha"));
    std::fs::create_dir(bench.path("base")).unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(golden.join(name), bench.path("base").join(name)).unwrap();
    }
    let train = |from: &str, out: &str| {
        let mut command = crate::common::program();
        command.args(["train", from, "--data", "tokens.bin", "--out", out, "--seq-len", "16", "--batch-size", "2"]);
        command.args(["--steps", "9", "--eval-every", "3", "--save-every", "2", "--learning-rate", "1e-2"]);
        command.current_dir(bench.dir.path()).output().unwrap()
    };
    for (from, out) in [("base", "tuned"), ("tuned/checkpoints/last", "again"), ("tuned", "once-more")] {
        let folder = bench.path(from.split('/').next().unwrap());
        let before = files(&folder);
        let output = train(from, out);
        assert!(output.status.success(), "{from}: {}", crate::common::text(&output.stderr));
        assert!(bench.path(out).join("checkpoints/best").exists(), "a best was saved");
        assert!(files(&folder) == before, "{from} was written to");
    }
    let before = files(&bench.path("base"));
    crate::common::expect(&train("base", "base"), 73, &["base", "not empty"]);
    assert!(files(&bench.path("base")) == before);
}

/// A checkpoint of windows of 128 could not be loaded by a program compiled for 256.
#[test]
fn the_window_of_a_checkpoint_binds_nobody() {
    let bench = Bench::new();
    bench.train("run", &["--steps", "2"]);
    let mut command = crate::common::program();
    command.args(["train", "run/checkpoints/last", "--data", "tokens.bin", "--out", "wider", "--seq-len", "40", "--json"]);
    let output = command.args(["--steps", "2", "--batch-size", "3"]).current_dir(bench.dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", crate::common::text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["tokens"].as_u64(), Some(2 * 3 * 40));
}

/// Weight decay, betas, warm-up, accumulation and clipping were parsed by the original and reached no trainer.
#[test]
fn every_setting_of_a_step_reaches_the_weights() {
    let bench = Bench::new();
    let base = ["--steps", "4"];
    bench.train("base", &base);
    let plain = bench.weights("base");
    let changes = [
        ["--learning-rate", "2e-3"],
        ["--schedule", "linear"],
        ["--warmup", "3"],
        ["--min-lr-ratio", "0.9"],
        ["--optimizer", "muon"],
        ["--weight-decay", "0.9"],
        ["--beta1", "0.5"],
        ["--beta2", "0.5"],
        ["--clip-norm", "0.01"],
        ["--accumulate", "2"],
        ["--seed", "5"],
        ["--data-order", "sequential"],
        ["--residual-scale", "0.5"],
        ["--val-fraction", "0.4"],
        ["--compact-vocab", "false"],
    ];
    for (i, change) in changes.iter().enumerate() {
        let out = format!("run-{i}");
        let joined = change.join("=");
        bench.train(&out, &[&base[..], &[joined.as_str()]].concat());
        let same = bench.weights(&out) == plain;
        // every id of the file occurs: there is nothing to compact
        assert_eq!(same, change[0] == "--compact-vocab", "{joined}");
    }
    for (flag, value, rest) in [("--seq-len", "24", ["--batch-size", "2"]), ("--batch-size", "3", ["--seq-len", "16"])] {
        let out = flag.trim_start_matches('-');
        let mut command = crate::common::program();
        command.args(["train", "--model-config", crate::common::SHAPE, "--data", "tokens.bin", "--out", out, "--threads", "1"]);
        let output = command.args(base).args([flag, value]).args(rest).current_dir(bench.dir.path()).output().unwrap();
        assert!(output.status.success(), "{flag}: {}", crate::common::text(&output.stderr));
        assert!(bench.weights(out) != plain, "{flag}");
    }
}
