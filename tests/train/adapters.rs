//! Adapters, driven end to end: over a base, merged, rewritten.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value as Json, json};

use crate::common::{Bench, expect, program, text};

fn verb(bench: &Bench, args: &[&str]) -> Json {
    let output = program().args(args).arg("--json").current_dir(bench.dir.path()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fails(bench: &Bench, args: &[&str], code: i32, words: &[&str]) {
    let output = program().args(args).current_dir(bench.dir.path()).output().unwrap();
    expect(&output, code, words);
}

/// An adapter of the values of layer 1, for the small model: MLX, so that both factors are transposed.
fn mlx(dir: &Path) {
    fs::create_dir(dir).unwrap();
    let config = json!({ "fine_tune_type": "lora", "lora_parameters": { "rank": 2, "scale": 4.0, "dropout": 0.0 } });
    fs::write(dir.join("adapter_config.json"), config.to_string()).unwrap();
    let bytes = |n: u32| -> Vec<u8> { (0..n).flat_map(|i| ((i % 7) as f32 / 7.0 - 0.4).to_le_bytes()).collect() };
    let (a, b) = (bytes(48 * 2), bytes(2 * 24));
    let tensors = [
        ("model.layers.1.self_attn.v_proj.lora_a", TensorView::new(Dtype::F32, vec![48, 2], &a).unwrap()),
        ("model.layers.1.self_attn.v_proj.lora_b", TensorView::new(Dtype::F32, vec![2, 24], &b).unwrap()),
    ];
    fs::write(dir.join("adapters.safetensors"), serialize(tensors, None).unwrap()).unwrap();
}

#[test]
fn the_loss_with_an_adapter_is_that_of_the_merged_model_in_every_format() {
    let bench = Bench::new();
    bench.train("run", &["--steps", "4", "--no-compact-vocab"]);
    mlx(&bench.path("mlx"));
    let inspected = verb(&bench, &["inspect", "mlx"]);
    assert_eq!((&inspected["kind"], &inspected["params"]), (&json!("MLX adapter"), &json!(48 * 2 + 2 * 24)));
    verb(&bench, &["convert", "mlx", "peft", "--to", "peft"]);
    assert_eq!(verb(&bench, &["inspect", "peft"])["targets"], inspected["targets"]);
    let before = fs::read(bench.path("run/checkpoints/best/model.safetensors")).unwrap();
    verb(&bench, &["convert", "peft", "merged", "--base", "run"]);
    verb(&bench, &["convert", "mlx", "merged.blzt", "--base", "run", "--to", "blzt"]);
    let loss = |args: &[&str]| {
        let shared = ["--data", "tokens.bin", "--seq-len", "16", "--val-fraction", "1"];
        verb(&bench, &[&["eval"], args, &shared].concat())["loss"].as_f64().unwrap()
    };
    let with = loss(&["mlx", "--base", "run"]);
    assert!((with - loss(&["run"])).abs() > 1e-3, "the adapter does something");
    for other in [&["peft", "--base", "run"][..], &["merged"], &["merged.blzt"]] {
        assert!((with - loss(other)).abs() < 1e-9, "{other:?}: {with} {}", loss(other));
    }
    assert!(fs::read(bench.path("run/checkpoints/best/model.safetensors")).unwrap() == before, "the base is as it was");
}

#[test]
fn an_adapter_without_its_base_says_what_is_missing() {
    let bench = Bench::new();
    mlx(&bench.path("mlx"));
    let logits = ["logits", "mlx", "--tokens", "1,2", "--out", "x.npy"];
    fails(&bench, &logits, 2, &["MLX adapter", "--base"]);
    fails(&bench, &[&logits[..], &["--base", "nowhere"]].concat(), 66, &["nowhere"]);
    fails(&bench, &["train", "mlx", "--data", "tokens.bin", "--out", "never"], 2, &["autoane convert", "--base"]);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-tied-gqa");
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-headdim");
    fails(&bench, &[&logits[..], &["--base", other]].concat(), 65, &["v_proj", "[40, 48]"]);
    fails(&bench, &["convert", golden, "out", "--to", "peft"], 2, &["no adapter"]);
    fails(&bench, &["convert", golden, "out", "--base", golden], 2, &["no adapter"]);
    assert!(!bench.path("x.npy").exists() && !bench.path("out").exists());
    // the base that the adapter names is taken where it is a folder here
    let config = json!({ "model": golden, "lora_parameters": { "rank": 2, "scale": 4.0 } });
    fs::write(bench.path("mlx/adapter_config.json"), config.to_string()).unwrap();
    verb(&bench, &logits);
}
