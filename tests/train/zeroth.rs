//! Training from losses alone.

use crate::common::Bench;

const MEZO: [&str; 8] = ["--method", "mezo", "--learning-rate", "1e-3", "--eval-every", "never", "--sample-every", "never"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&MEZO[..], more].concat()
}

#[test]
fn a_run_says_what_a_forward_pass_and_a_step_cost_and_what_was_measured() {
    let bench = Bench::new();
    let report = bench.train("run", &with(&["--steps", "6", "--zo-directions", "2", "--zo-distribution", "gaussian"]));
    assert_eq!(report["method"], "mezo");
    let (forward, step) = (report["forward_ms"].as_f64().unwrap(), report["ms_per_step"].as_f64().unwrap());
    assert!(forward > 0.0 && step > forward, "two directions are four passes: {step} {forward}");
    let steps = bench.steps("run");
    assert_eq!(steps.len(), 6);
    for event in steps {
        let (g, norm) = (event["projected_gradient"].as_f64().unwrap(), event["grad_norm"].as_f64().unwrap());
        assert!(g != 0.0 && norm > 0.0 && event["loss"].as_f64().unwrap() > 3.0, "{event}");
    }
    assert!(bench.train("exact", &["--steps", "1"])["forward_ms"].is_null());
}

#[test]
fn weights_depend_neither_on_threads_nor_on_interruptions() {
    let bench = Bench::new();
    bench.train("one", &with(&["--steps", "8"]));
    bench.train("two", &with(&["--steps", "8", "--threads", "2"]));
    bench.train("half", &with(&["--steps", "4"]));
    assert!(bench.resume("half", &["--steps", "8"]).status.success());
    bench.train("other", &with(&["--steps", "8", "--seed", "7"]));
    assert!(bench.weights("one") == bench.weights("two"), "threads");
    assert!(bench.weights("one") == bench.weights("half"), "resumed");
    assert!(bench.weights("one") != bench.weights("other"), "another seed is another run");
}

#[test]
fn the_trajectory_is_a_checkpoint_of_a_few_bytes_a_step() {
    let bench = Bench::new();
    let methods = [
        ("mezo", "1", 12),
        ("sparse-mezo", "1", 12),
        ("lozo", "1", 12),
        ("hizoo", "1", 16),
        ("conmezo", "1", 12),
        ("fzoo", "3", 20),
        ("p-gap", "3", 20),
        ("zo-muon", "3", 20),
    ];
    for (method, directions, bytes) in methods {
        let line = ["--method", method, "--zo-directions", directions];
        let run = |out: &str, steps: &str| bench.train(out, &[&line[..], &MEZO[2..], &["--steps", steps]].concat());
        run(method, "5");
        assert!(bench.resume(method, &["--steps", "9"]).status.success());
        assert_eq!(std::fs::metadata(bench.path(method).join("trajectory.bin")).unwrap().len(), 12 + 9 * bytes, "{method}");
        let made = format!("{method}-again");
        let replay = ["convert", method, &made, "--replay"];
        let output = crate::common::program().args(replay).current_dir(bench.dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", crate::common::text(&output.stderr));
        let again = std::fs::read(bench.path(&made).join("model.safetensors")).unwrap();
        assert!(again == bench.weights(method), "{method}: bit for bit");
    }
}

#[test]
fn every_method_trains_and_resumes_bit_for_bit() {
    let bench = Bench::new();
    for method in ["fzoo", "sparse-mezo", "hizoo", "lozo", "conmezo", "p-gap", "agzo", "zo-muon"] {
        let with = |steps: &'static str| [&["--method", method], &MEZO[4..], &["--steps", steps]].concat();
        let report = bench.train(&format!("{method}-a"), &with("6"));
        assert_eq!(report["method"], method);
        bench.train(&format!("{method}-b"), &with("3"));
        assert!(bench.resume(&format!("{method}-b"), &["--steps", "6"]).status.success());
        assert!(bench.weights(&format!("{method}-a")) == bench.weights(&format!("{method}-b")), "{method}");
    }
}

/// What it looks along is made from the batch.
#[test]
fn a_trajectory_that_does_not_say_its_directions_is_not_replayed() {
    let bench = Bench::new();
    bench.train("run", &[&["--method", "agzo"], &MEZO[4..], &["--steps", "2"]].concat());
    let output = crate::common::program().args(["convert", "run", "again", "--replay"]).current_dir(bench.dir.path()).output();
    crate::common::expect(&output.unwrap(), 2, &["agzo", "--replay"]);
    assert!(!bench.path("again").exists());
}

/// Both signs and all directions go through the base in one pass, whatever that has room for.
#[test]
fn an_adapter_that_looks_along_many_directions_resumes_and_does_not_depend_on_threads() {
    let bench = Bench::new();
    bench.train("base", &["--steps", "2", "--no-compact-vocab"]);
    for method in ["mezo", "fzoo", "p-gap", "agzo", "zo-muon"] {
        let lora = |out: &str, steps: &str, threads: &str| {
            let data = ["--data", "tokens.bin", "--seq-len", "16", "--batch-size", "2", "--threads", threads, "--json"];
            let mut command = crate::common::program();
            command.args([
                "train",
                "base",
                "--lora",
                "--lora-rank",
                "2",
                "--method",
                method,
                "--zo-directions",
                "3",
                "--out",
                out,
            ]);
            let output = command.args(["--steps", steps]).args(&MEZO[4..]).args(data).current_dir(bench.dir.path()).output();
            crate::common::expect(&output.unwrap(), 0, &[]);
        };
        let [whole, part] = ["whole", "part"].map(|name| format!("{method}-{name}"));
        lora(&whole, "4", "1");
        lora(&part, "2", "2");
        assert!(bench.resume(&part, &["--steps", "4", "--threads", "2"]).status.success(), "{method}");
        assert!(bench.weights(&whole) == bench.weights(&part), "{method}");
    }
}

#[test]
fn an_adapter_is_trained_over_a_base_that_is_left_alone() {
    let bench = Bench::new();
    bench.train("base", &["--steps", "2", "--no-compact-vocab"]);
    let base = bench.weights("base");
    let lora = |out: &str, steps: &str| {
        let data = ["--data", "tokens.bin", "--seq-len", "16", "--batch-size", "2", "--threads", "1", "--json"];
        let mut command = crate::common::program();
        command.args(["train", "base", "--lora", "--lora-rank", "2", "--out", out, "--steps", steps]).args(MEZO).args(data);
        let output = command.current_dir(bench.dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", crate::common::text(&output.stderr));
    };
    lora("whole", "6");
    lora("part", "3");
    assert!(bench.resume("part", &["--steps", "6"]).status.success());
    assert!(bench.weights("whole") == bench.weights("part"), "resumed");
    assert!(bench.weights("whole") != base, "the adapter was trained");
    assert!(bench.weights("base") == base);
}

/// The base stays where the device has it, and both points are measured there.
#[test]
fn an_adapter_on_the_simulator_has_the_losses_of_the_cpu() {
    let bench = Bench::new();
    bench.train("base", &["--steps", "20", "--no-compact-vocab"]);
    let adapt = |out: &str, more: &[&str]| {
        let shared = ["train", "base", "--data", "tokens.bin", "--seq-len", "32", "--batch-size", "2", "--lora", "--steps", "5"];
        let mut command = crate::common::program();
        command.args(shared).args(["--out", out, "--mezo-eps", "1e-1", "--threads", "1", "--json"]).args(MEZO).args(more);
        let output = command.current_dir(bench.dir.path()).output().unwrap();
        assert!(output.status.success(), "{more:?}: {}", crate::common::text(&output.stderr));
        let value = |e: &serde_json::Value, key: &str| e[key].as_f64().unwrap();
        bench.steps(out).iter().map(|e| (value(e, "loss"), value(e, "projected_gradient"))).collect::<Vec<_>>()
    };
    let cpu = adapt("cpu", &["--lora-targets", "attention"]);
    for pipeline in ["conv", "conv-fused"] {
        let device = ["--device", "ane-sim", "--pipeline", pipeline, "--lora-targets", "attention"];
        for ((loss, slope), (want, want_slope)) in adapt(pipeline, &device).into_iter().zip(&cpu) {
            assert!((loss - want).abs() < 2e-3 && loss != *want, "{pipeline}: {loss}, {want} on the CPU");
            assert!((slope - want_slope).abs() < 2e-2, "{pipeline}: slope {slope}, {want_slope} on the CPU");
        }
        let report = std::fs::read_to_string(bench.path(pipeline).join("efficiency.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert!(report["device"]["dispatches"].as_u64().unwrap() > 0, "{pipeline}: {report}");
    }
}

#[test]
fn settings_of_another_method_are_refused() {
    let bench = Bench::new();
    bench.fails("run", &["--mezo-eps", "1e-2"], 2, &["--method mezo"]);
    bench.fails("run", &["--method", "mezo", "--recompute"], 2, &["--recompute"]);
    bench.fails("run", &["--objective", "accuracy"], 2, &["--method mezo", "derivative"]);
    bench.fails(
        "run",
        &["--method", "mezo", "--lora", "--objective", "exact-match", "--device", "ane-sim"],
        2,
        &["--device cpu"],
    );
    bench.fails("run", &["--method", "mezzo"], 2, &["mezo"]);
    bench.fails("run", &["--method", "agzo", "--lora", "--device", "ane-sim"], 2, &["--device cpu"]);
    bench.fails("run", &["--method", "zo-muon", "--optimizer", "muon"], 2, &["--optimizer sgd", "--method mezo"]);
    bench.fails("run", &["--method", "mezo", "--zo-rank", "3"], 2, &["lozo, p-gap, agzo and zo-muon"]);
    bench.fails("run", &["--method", "mezo", "--device", "ane-sim"], 2, &["--device cpu"]);
}
