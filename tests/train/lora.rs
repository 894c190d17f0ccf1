//! Training an adapter: the base is left alone, the adapter goes where adapters go, and a killed run goes on.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::common::{Bench, SHAPE, expect, program, text};

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
    for form in ["split", "merged", "dora"] {
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
fn what_was_merged_is_taken_apart_into_the_base_bit_for_bit() {
    let bench = base();
    let weights = |model: &str| fs::read(bench.path(model).join("model.safetensors")).unwrap();
    let before = weights("base/checkpoints/best");
    for form in ["split", "merged", "dora"] {
        adapt(&bench, form, &["--steps", "6", "--learning-rate", "1e-2", "--lora-form", form]);
        assert!(weights(&format!("{form}/checkpoints/last")) != before, "{form}: the adapter is in it");
        let apart = format!("{form}-base");
        verb(&bench, &["convert", form, &apart, "--unmerge"]);
        assert!(weights(&apart) == before, "{form}: every bit of the base");
        verb(&bench, &["convert", &format!("{form}/checkpoints/best/adapter"), &format!("{form}-again"), "--base", &apart]);
        let again = ["", "-again"].map(|m| loss(&bench, &[&format!("{form}{m}")]));
        assert!((again[0] - again[1]).abs() < 1e-6, "{form}: {again:?}");
    }
    let refused = |run: &str| program().args(["convert", run, "no", "--unmerge"]).current_dir(bench.dir.path()).output().unwrap();
    expect(&refused("base"), 2, &["trained no adapter"]);
    bench.train("base", &["--steps", "25", "--no-compact-vocab", "--overwrite"]);
    expect(&refused("split"), 65, &["not those that the run began with"]);
}

/// Root of the sum of squares of all `B` and of all `A` of a checkpoint's adapter, and how many numbers there are.
fn sizes(bench: &Bench, run: &str) -> (f64, Vec<f32>, usize) {
    let adapter = formats::adapter::Adapter::open(&bench.path(run).join("checkpoints/last/adapter")).unwrap();
    let squares = adapter.targets.values().flat_map(|f| &f.b).map(|b| f64::from(*b).powi(2)).sum::<f64>();
    (squares.sqrt(), adapter.targets.values().flat_map(|f| f.a.clone()).collect(), adapter.params())
}

/// One step of plain gradient descent moves `B` (A stays: its gradient is zero while `B` is) by the rate times the norm that
/// is reported, and clipped by the rate times the clip: no gradient of a frozen weight is in either, nothing decays, and what is
/// counted is what is there.
#[test]
fn norm_clip_count_and_decay_are_those_of_the_adapter_alone() {
    let bench = base();
    let common = ["--steps", "1", "--optimizer", "sgd", "--learning-rate", "0.5", "--schedule", "constant", "--warmup", "0"];
    adapt(&bench, "free", &[&common[..], &["--clip-norm", "0"]].concat());
    let (moved, a, count) = sizes(&bench, "free");
    let norm = bench.steps("free")[0]["grad_norm"].as_f64().unwrap();
    assert!(norm > 1e-3 && (moved - 0.5 * norm).abs() < 1e-4 * moved, "{moved} {norm}");
    let started = bench.events("free").into_iter().find(|e| e["type"] == "started").unwrap();
    assert_eq!(started["params"].as_u64().unwrap(), count as u64, "{started}");
    let clip = format!("{}", norm / 4.0);
    adapt(&bench, "clipped", &[&common[..], &["--clip-norm", &clip]].concat());
    assert!((sizes(&bench, "clipped").0 - moved / 4.0).abs() < 1e-3 * moved);
    assert!(sizes(&bench, "clipped").1 == a, "A has no gradient yet, and nothing decays it");
    let bound = a.iter().fold(0f32, |m, a| m.max(a.abs()));
    assert!(bound <= 1.0 / 28f32.sqrt() && bound > 0.9 / 48f32.sqrt(), "A is within 1 / sqrt(in): {bound}");
    adapt(&bench, "other", &[&common[..], &["--clip-norm", "0", "--seed", "7"]].concat());
    assert!(sizes(&bench, "other").1 != a, "A comes from the seed");
}

/// The original's adapters decayed at 0.1, unsaid. Neither do they as the weights of their base did.
#[test]
fn an_adapter_decays_only_where_that_is_asked_for() {
    let bench = base();
    let decayed = |out: &str, more: &[&str]| {
        let common = ["--steps", "3", "--learning-rate", "0.1", "--schedule", "constant", "--warmup", "0"];
        adapt(&bench, out, &[&common[..], more].concat());
        sizes(&bench, out).1
    };
    let (plain, zero, some) =
        (decayed("plain", &[]), decayed("zero", &["--weight-decay", "0"]), decayed("some", &["--weight-decay", "0.1"]));
    assert!(plain == zero, "no decay is the default");
    assert!(plain != some);
    let resolved = fs::read_to_string(bench.path("plain/config.resolved.toml")).unwrap();
    assert!(resolved.lines().any(|l| l.starts_with("weight-decay = 0.0") || l.starts_with("weight-decay = 0 ")), "{resolved}");
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

/// A shape whose rows are whole blocks of 32.
const WHOLE_BLOCKS: [(&str, u64); 3] = [("hidden_size", 64), ("intermediate_size", 96), ("head_dim", 16)];

/// The GGUF file at `from`, all f32, with its matrices in Q4_0: blocks of 32, `w = d (q - 8)`.
fn quantised(from: &Path, to: &Path) {
    let (file, old) = (formats::gguf::Container::open(from).unwrap(), fs::read(from).unwrap());
    let mut new = old[..file.tensors()[0].start as usize].to_vec();
    let header = new.len();
    for t in file.tensors() {
        let name = [&(t.name.len() as u64).to_le_bytes()[..], t.name.as_bytes()].concat();
        let entry = old.windows(name.len()).position(|w| w == name).unwrap() + name.len() + 4 + 8 * t.shape.len();
        let data = &old[t.start as usize..(t.start + t.bytes) as usize];
        new.resize(header + (new.len() - header).next_multiple_of(32), 0);
        let offset = (new.len() - header) as u64;
        new[entry + 4..entry + 12].copy_from_slice(&offset.to_le_bytes());
        if t.shape.len() < 2 {
            new.extend_from_slice(data);
            continue;
        }
        new[entry..entry + 4].copy_from_slice(&2u32.to_le_bytes());
        let floats: Vec<f32> = data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        for block in floats.chunks_exact(32) {
            let d = half::f16::from_f32(block.iter().fold(0f32, |m, w| m.max(w.abs())) / 7.0);
            let q = |w: f32| ((w / d.to_f32().max(1e-9)).round() + 8.0).clamp(0.0, 15.0) as u8;
            new.extend(d.to_le_bytes());
            new.extend((0..16).map(|j| q(block[j]) | q(block[j + 16]) << 4));
        }
    }
    fs::write(to, new).unwrap();
}

#[test]
fn a_base_of_four_bits_is_used_as_it_lies_and_learns_what_it_learns_expanded() {
    let bench = Bench::new();
    let mut shape: Json = serde_json::from_str(&fs::read_to_string(SHAPE).unwrap()).unwrap();
    WHOLE_BLOCKS.iter().for_each(|(key, value)| shape[*key] = json!(value));
    fs::write(bench.path("config.json"), shape.to_string()).unwrap();
    let shape = ["--model-config", "config.json", "--data", "tokens.bin", "--seq-len", "16", "--steps", "40"];
    verb(&bench, &[&["train", "--out", "base", "--no-compact-vocab"], &shape[..]].concat());
    verb(&bench, &["convert", "base", "whole.gguf", "--to", "gguf"]);
    quantised(&bench.path("whole.gguf"), &bench.path("four.gguf"));
    let inspected = verb(&bench, &["inspect", "four.gguf"]).to_string();
    assert!(inspected.contains("Q4_0"), "{inspected}");
    verb(&bench, &["convert", "four.gguf", "expanded"]);
    let losses = ["four.gguf", "expanded"].map(|model| loss(&bench, &[model]));
    assert!((losses[0] - losses[1]).abs() < 1e-6, "evaluated: {losses:?}");
    let learned = ["four.gguf", "expanded"].map(|model| {
        let out = format!("of-{model}");
        let steps = ["--steps", "12", "--learning-rate", "1e-2", "--save-every", "never"];
        verb(&bench, &[&["train", model, "--out", &out], &SHARED[..], &steps].concat())["val_loss"].as_f64().unwrap()
    });
    assert!((learned[0] - learned[1]).abs() < 1e-5, "{learned:?}");
    assert!(learned[0] < losses[0] - 0.005, "it learns: {learned:?} {losses:?}");
    expect(&bench.resume("of-four.gguf", &["--steps", "14"]), 0, &["read where it lies"]);
    let merged = loss(&bench, &["of-four.gguf"]);
    let beside = loss(&bench, &["of-four.gguf/checkpoints/last/adapter", "--base", "four.gguf"]);
    assert!((merged - beside).abs() < 1e-5, "{merged} {beside}");
}

#[test]
fn rows_with_lengths_of_their_own_are_trained_saved_and_merged() {
    let bench = base();
    let steps = ["--steps", "30", "--learning-rate", "1e-2", "--lora-rank", "4", "--residual-scale", "0.5"];
    let made = adapt(&bench, "run", &[&["--lora-form", "dora"], &steps[..]].concat());
    let evaluated = verb(&bench, &["eval", "run"])["loss"].as_f64().unwrap();
    assert!((evaluated - made["best_val_loss"].as_f64().unwrap()).abs() < 1e-5, "the loss it measured: {evaluated} {made}");
    let plain = adapt(&bench, "plain", &["--lora-form", "dora", "--steps", "12", "--learning-rate", "1e-2"]);
    let losses = [loss(&bench, &["plain"]), loss(&bench, &["plain/checkpoints/best/adapter"])];
    assert!((losses[0] - losses[1]).abs() < 1e-5, "{losses:?} {plain}");
    let config = fs::read_to_string(bench.path("plain/checkpoints/best/adapter/adapter_config.json")).unwrap();
    assert!(config.contains("\"use_dora\": true"), "{config}");
    verb(&bench, &["convert", "plain/checkpoints/best/adapter", "merged", "--base", "base"]);
    assert!((loss(&bench, &["merged"]) - losses[0]).abs() < 1e-5);
    verb(&bench, &["convert", "plain/checkpoints/best/adapter", "again", "--to", "peft"]);
    assert!((loss(&bench, &["again", "--base", "base"]) - losses[0]).abs() < 1e-6);
    adapt(&bench, "zo", &["--lora-form", "dora", "--steps", "2", "--method", "mezo"]);
    let output = bench.resume("plain", &["--lora-form", "split"]);
    expect(&output, 2, &["lora-form"]);
}
