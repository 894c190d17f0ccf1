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
    for (i, more) in
        [&["--zo-directions", "3"][..], &["--optimizer", "adamw", "--schedule", "cosine", "--lora-norms"]].iter().enumerate()
    {
        let [whole, part, made] = ["whole", "part", "made"].map(|name| format!("{name}-{i}"));
        adapt(&bench, &whole, &run("dszo", "4", &[&["--threads", "1"], *more].concat()));
        adapt(&bench, &part, &run("dszo", "4", &[&["--threads", "2", "--save-every", "2"], *more].concat()));
        bench.forget(&part, 4);
        let output = bench.resume(&part, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(bench.weights(&whole) == bench.weights(&part), "{more:?}");
        assert!(bench.weights(&whole) != bench.weights("base"), "{more:?}: it moves");
        let replay = program().args(["convert", &part, &made, "--replay"]).current_dir(bench.dir.path()).output().unwrap();
        assert!(replay.status.success(), "{}", text(&replay.stderr));
        assert!(std::fs::read(bench.path(&made).join("model.safetensors")).unwrap() == bench.weights(&whole), "{more:?}");
    }
}

/// The original's counters stood still, and the log that it published was of another method.
#[test]
fn ff_tells_text_from_noise_by_local_losses_that_fall_and_is_counted_as_every_method() {
    let bench = base();
    let report = adapt(&bench, "run", &run("ff", "60", &["--learning-rate", "1e-2", "--ff-corrupt", "0.5"]));
    let steps = bench.steps("run");
    assert_eq!(
        (&report["method"], report["steps"].as_u64(), report["tokens"].as_u64()),
        (&"ff".into(), Some(60), Some(60 * 2 * 16))
    );
    let local = |e: &serde_json::Value| e["local_loss"].as_f64().unwrap();
    let mean = |steps: &[serde_json::Value]| steps.iter().map(local).sum::<f64>() / steps.len() as f64;
    let (first, last) = (mean(&steps[..10]), mean(&steps[50..]));
    assert!((1.0..2.0).contains(&local(&steps[0])), "about 2 ln 2 at the beginning: {}", steps[0]);
    assert!(last < first - 0.02, "{first} {last}");
    assert!(steps.iter().all(|e| e["loss"].as_f64().unwrap() > 0.0 && e["projected_gradient"].is_null()), "{}", steps[0]);
    // the loss of the model beside it is that of every other method, here before anything is learnt
    adapt(&bench, "exact", &run("backprop", "1", &[]));
    let [own, exact] = [&steps[0], &bench.steps("exact")[0]].map(|e| e["loss"].as_f64().unwrap());
    assert!((own - exact).abs() < 1e-6, "{own} {exact}");
}

#[test]
fn ff_resumes_bit_for_bit_on_any_number_of_threads_with_any_optimizer() {
    let bench = base();
    for (i, more) in
        [&["--accumulate", "2"][..], &["--optimizer", "sgd", "--schedule", "constant", "--lora-targets", "attention"]]
            .iter()
            .enumerate()
    {
        let [whole, part, other] = ["whole", "part", "other"].map(|name| format!("{name}-{i}"));
        adapt(&bench, &whole, &run("ff", "4", &[&["--threads", "1"], *more].concat()));
        adapt(&bench, &part, &run("ff", "4", &[&["--threads", "2", "--save-every", "2"], *more].concat()));
        bench.forget(&part, 4);
        let output = bench.resume(&part, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(bench.weights(&whole) == bench.weights(&part), "{more:?}");
        adapt(&bench, &other, &run("ff", "4", &[&["--ff-corrupt", "0.9"], *more].concat()));
        assert!(bench.weights(&whole) != bench.weights(&other), "the share of corrupted tokens counts");
        let replay = program().args(["convert", &part, "never", "--replay"]).current_dir(bench.dir.path()).output().unwrap();
        expect(&replay, 2, &["--method ff", "no trajectory"]);
    }
}

#[test]
fn methods_of_single_blocks_are_refused_where_no_adapter_stands_beside_the_base() {
    let bench = base();
    bench.fails("run", &["--method", "dszo"], 2, &["--method dszo", "--lora"]);
    let merged = ["train", "base", "--out", "run", "--method", "dszo", "--lora-form", "merged"];
    let output = program().args(merged).args(SHARED).current_dir(bench.dir.path()).output().unwrap();
    expect(&output, 2, &["--method dszo", "split"]);
    for (more, words) in [
        (&["--method", "ff", "--lora-form", "merged"][..], "without --lora-norms"),
        (&["--method", "ff", "--lora-norms"], "without --lora-norms"),
        (&["--method", "ff", "--ff-corrupt", "0"], "ff-corrupt"),
        (&["--method", "ff", "--ff-corrupt", "0.96"], "ff-corrupt"),
        (&["--method", "dszo", "--ff-corrupt", "0.5"], "--ff-corrupt is of --method ff"),
        (&["--method", "ff", "--mezo-eps", "1e-2"], "--mezo-eps"),
        (&["--method", "ff", "--objective", "accuracy"], "--objective"),
        (&["--method", "ff", "--recompute"], "--recompute"),
    ] {
        let output =
            program().args(["train", "base", "--out", "run"]).args(SHARED).args(more).current_dir(bench.dir.path()).output();
        expect(&output.unwrap(), 2, &[words]);
    }
    bench.fails("run", &["--method", "ff"], 2, &["--method ff", "--lora"]);
}
