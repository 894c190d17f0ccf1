//! Methods that give each block a loss of its own.

use crate::common::{Bench, expect, program, text};

const SHARED: [&str; 10] =
    ["--data", "tokens.bin", "--seq-len", "16", "--batch-size", "2", "--lora", "--lora-rank", "2", "--json"];

/// A base to adapt.
fn base() -> Bench {
    let bench = Bench::new();
    bench.train("base", &["--steps", "20", "--no-compact-vocab"]);
    bench
}

fn adapt(bench: &Bench, out: &str, more: &[&str]) -> serde_json::Value {
    let output = program().args(["train", "base", "--out", out]).args(SHARED).args(more).current_dir(bench.dir.path()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{more:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn run<'a>(method: &'a str, steps: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--method", method, "--steps", steps, "--eval-every", "never", "--sample-every", "never"], more].concat()
}

/// The original reported 0 steps and a loss of 999.
#[test]
fn counters_and_losses_of_dszo_are_those_of_the_loop() {
    let bench = base();
    let report = adapt(&bench, "run", &run("dszo", "6", &["--learning-rate", "1e-3", "--threads", "1"]));
    let (steps, mezo) = (bench.steps("run"), adapt(&bench, "mezo", &run("mezo", "1", &["--threads", "1"])));
    assert_eq!((&report["method"], report["steps"].as_u64(), steps.len()), (&"dszo".into(), Some(6), 6), "{report}");
    assert_eq!(report["tokens"].as_u64(), Some(6 * 2 * 16));
    // the first batch at the same two points: the model's own loss is that of every other method
    let loss = |e: &serde_json::Value| e["loss"].as_f64().unwrap();
    let first = loss(&bench.steps("mezo")[0]);
    assert!((loss(&steps[0]) - first).abs() < 1e-6, "{} {first} {mezo}", steps[0]);
    assert!(steps.iter().all(|e| e["projected_gradient"].as_f64().unwrap() != 0.0));
}

#[test]
fn dszo_resumes_and_replays_bit_for_bit_with_any_optimizer() {
    let bench = base();
    for (i, more) in [&["--zo-directions", "3"][..], &["--optimizer", "adamw", "--schedule", "cosine", "--lora-norms"]].iter().enumerate()
    {
        let [whole, part, made] = ["whole", "part", "made"].map(|name| format!("{name}-{i}"));
        adapt(&bench, &whole, &run("dszo", "4", &[&["--threads", "1"], *more].concat()));
        adapt(&bench, &part, &run("dszo", "4", &[&["--threads", "2", "--save-every", "2"], *more].concat()));
        // as after a kill: everything beyond step 2 is gone
        for gone in ["last", "step-00000004"] {
            let path = bench.path(&part).join("checkpoints").join(gone);
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
        let output = bench.resume(&part, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(bench.weights(&whole) == bench.weights(&part), "{more:?}");
        assert!(bench.weights(&whole) != bench.weights("base"), "{more:?}: it moves");
        let replay = program().args(["convert", &part, &made, "--replay"]).current_dir(bench.dir.path()).output().unwrap();
        assert!(replay.status.success(), "{}", text(&replay.stderr));
        assert!(std::fs::read(bench.path(&made).join("model.safetensors")).unwrap() == bench.weights(&whole), "{more:?}");
    }
}

#[test]
fn methods_of_single_blocks_are_refused_where_no_adapter_stands_beside_the_base() {
    let bench = base();
    bench.fails("run", &["--method", "dszo"], 2, &["--method dszo", "--lora"]);
    let merged = ["train", "base", "--out", "run", "--method", "dszo", "--lora-form", "merged"];
    let output = program().args(merged).args(SHARED).current_dir(bench.dir.path()).output().unwrap();
    expect(&output, 2, &["--method dszo", "split"]);
}
