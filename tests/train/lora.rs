//! Training an adapter: the base is left alone, the adapter goes where adapters go, and a killed run goes on.

use std::fs;

use serde_json::{Value as Json, json};

use crate::common::{Bench, expect, program, text};

/// A base to adapt, and a folder of it.
fn base() -> Bench {
    let bench = Bench::new();
    bench.train("base", &["--steps", "20", "--no-compact-vocab"]);
    bench
}

fn verb(bench: &Bench, args: &[&str]) -> Json {
    let output = program().args(args).arg("--json").current_dir(bench.dir.path()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const SHARED: [&str; 9] = ["--data", "tokens.bin", "--seq-len", "16", "--batch-size", "2", "--threads", "1", "--lora"];

fn adapt(bench: &Bench, out: &str, more: &[&str]) -> Json {
    verb(bench, &[&["train", "base", "--out", out], &SHARED[..], more].concat())
}

fn loss(bench: &Bench, args: &[&str]) -> f64 {
    let shared = ["--data", "tokens.bin", "--seq-len", "16", "--val-fraction", "1"];
    verb(bench, &[&["eval"], args, &shared].concat())["loss"].as_f64().unwrap()
}

#[test]
fn the_adapter_over_its_base_is_the_model_of_the_checkpoint() {
    let bench = base();
    let before = fs::read(bench.path("base/checkpoints/best/model.safetensors")).unwrap();
    let all = ["--steps", "30", "--learning-rate", "1e-2", "--lora-rank", "4"];
    let made = adapt(&bench, "run", &all);
    assert!(made["val_loss"].as_f64().unwrap() < loss(&bench, &["base"]) - 0.01, "it learns: {made}");
    let whole = loss(&bench, &["run"]);
    let adapter = loss(&bench, &["run/checkpoints/best/adapter"]);
    assert!((whole - adapter).abs() < 1e-6, "{whole} {adapter}");
    assert!((whole - loss(&bench, &["base"])).abs() > 0.01);
    let evaluated = verb(&bench, &["eval", "run"])["loss"].as_f64().unwrap();
    assert!((evaluated - made["best_val_loss"].as_f64().unwrap()).abs() < 1e-5, "the loss it measured: {evaluated} {made}");
    assert!(fs::read(bench.path("base/checkpoints/best/model.safetensors")).unwrap() == before, "the base is as it was");
    let config = fs::read_to_string(bench.path("run/checkpoints/best/adapter/adapter_config.json")).unwrap();
    let config: Json = serde_json::from_str(&config).unwrap();
    assert_eq!((&config["r"], &config["lora_alpha"]), (&json!(4), &json!(16)));
}

#[test]
fn a_resumed_adapter_is_that_of_a_run_in_one_piece() {
    let bench = base();
    for form in ["split", "merged"] {
        let common = ["--tokens", "1280", "--lora-form", form, "--lora-norms", "--residual-scale", "0.5"];
        adapt(&bench, &format!("whole-{form}"), &common);
        let (out, fewer) = (format!("parts-{form}"), ["--lora-form", form, "--lora-norms", "--residual-scale", "0.5"]);
        adapt(&bench, &out, &[&["--tokens", "1280", "--save-every", "10"], &fewer[..]].concat());
        // as after a kill: everything beyond step 20 is gone
        for gone in ["last", "step-00000030", "step-00000040"] {
            let path = bench.path(&out).join("checkpoints").join(gone);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
        let output = bench.resume(&out, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let state = |run: &str| fs::read(bench.path(run).join("checkpoints/last/trainer/optimizer.safetensors")).unwrap();
        assert!(bench.weights(&format!("whole-{form}")) == bench.weights(&out), "{form}");
        assert!(state(&format!("whole-{form}")) == state(&out), "{form}: moments and adapter");
    }
}

#[test]
fn the_two_forms_learn_the_same() {
    let bench = base();
    let losses: Vec<f64> = ["split", "merged"]
        .iter()
        .map(|form| adapt(&bench, form, &["--steps", "15", "--lora-form", form])["val_loss"].as_f64().unwrap())
        .collect();
    assert!((losses[0] - losses[1]).abs() < 1e-4, "{losses:?}");
}

#[test]
fn a_base_that_changed_is_not_gone_on_with() {
    let bench = base();
    adapt(&bench, "run", &["--steps", "4"]);
    bench.train("base", &["--steps", "25", "--no-compact-vocab", "--overwrite"]);
    let output = bench.resume("run", &["--steps", "6"]);
    expect(&output, 65, &["not those that this adapter was trained on"]);
}

#[test]
fn trained_gains_are_in_the_model_and_no_adapter_claims_to_be_it() {
    let bench = base();
    adapt(&bench, "run", &["--steps", "4", "--lora-norms"]);
    assert!(!bench.path("run/checkpoints/last/adapter").exists(), "peft has no place for gains");
    assert!(loss(&bench, &["run"]).is_finite());
}

#[test]
fn only_what_is_named_is_adapted() {
    let bench = base();
    adapt(&bench, "run", &["--steps", "2", "--lora-targets", "v_proj,q_proj"]);
    let inspected = verb(&bench, &["inspect", "run/checkpoints/last/adapter"]);
    let said = inspected["targets"].to_string();
    assert!(said.contains("q_proj") && said.contains("v_proj") && !said.contains("o_proj"), "{said}");
}

#[test]
fn what_cannot_be_adapted_is_refused() {
    let bench = Bench::new();
    let cases: [(&[&str], &str); 4] = [
        (&["stories-1m", "--lora"], "a preset begins with random weights"),
        (&["stories-1m", "--lora-rank", "4"], "add --lora"),
        (&["stories-1m", "--lora", "--lora-targets", "qproj"], "found `qproj`, expected all, attention"),
        (&["stories-1m", "--lora", "--lora-rank", "0"], "lora-rank"),
    ];
    for (args, words) in cases {
        let output = program().args([&["train"], args].concat()).current_dir(bench.dir.path()).output().unwrap();
        expect(&output, 2, &[words]);
    }
}
