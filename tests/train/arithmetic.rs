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
