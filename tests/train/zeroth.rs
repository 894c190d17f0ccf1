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
        ("p-gap", "3", 24),
        ("zo-muon", "3", 20),
        // its directions are those of a batch, whose place is kept too
        ("agzo", "2", 24),
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
        // p-gap: what its directions have along the gradient depends on the length of the run
        let with = [&["--method", method], &MEZO[4..], &["--steps", "6", "--save-every", "3"]].concat();
        let report = bench.train(&format!("{method}-a"), &with);
        assert_eq!(report["method"], method);
        bench.train(&format!("{method}-b"), &with);
        bench.forget(&format!("{method}-b"), 6);
        assert!(bench.resume(&format!("{method}-b"), &[]).status.success());
        assert!(bench.weights(&format!("{method}-a")) == bench.weights(&format!("{method}-b")), "{method}");
    }
}

#[test]
fn every_method_goes_with_every_optimizer() {
    let bench = Bench::new();
    for method in ["mezo", "fzoo", "sparse-mezo", "hizoo", "lozo", "conmezo", "p-gap", "agzo", "zo-muon"] {
        let mut made = Vec::new();
        for optimizer in ["sgd", "adamw", "muon"] {
            let with = [&["--method", method, "--optimizer", optimizer], &MEZO[2..], &["--steps", "2"]].concat();
            let report = bench.train(&format!("{method}-{optimizer}"), &with);
            assert!(report["train_loss"].as_f64().unwrap().is_finite(), "{method} {optimizer}: {report}");
            made.push(bench.weights(&format!("{method}-{optimizer}")));
        }
        assert!(made[0] != made[1] && made[1] != made[2] && made[0] != made[2], "{method}: an optimizer that changes nothing");
    }
}

/// Both signs and all directions go through the base in one pass, whatever that has room for.
#[test]
fn an_adapter_that_looks_along_many_directions_resumes_and_does_not_depend_on_threads() {
    let bench = Bench::new();
    bench.train("base", &["--steps", "2", "--no-compact-vocab"]);
    for method in ["mezo", "fzoo", "p-gap", "agzo", "zo-muon"] {
        let lora = |out: &str, threads: &str| {
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
            let output = command
                .args(["--steps", "4", "--save-every", "2"])
                .args(&MEZO[4..])
                .args(data)
                .current_dir(bench.dir.path())
                .output();
            crate::common::expect(&output.unwrap(), 0, &[]);
        };
        let [whole, part] = ["whole", "part"].map(|name| format!("{method}-{name}"));
        lora(&whole, "1");
        lora(&part, "2");
        bench.forget(&part, 4);
        assert!(bench.resume(&part, &["--threads", "2"]).status.success(), "{method}");
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

/// All weights are brought to the device at each point, where they are data. The original measured the loss at the weights with
/// those of the step before still there: the middle of a step has that of FZOO at the weights after points beside them.
#[test]
fn all_weights_on_the_simulator_are_those_of_the_point_that_is_measured() {
    let bench = Bench::new();
    let run = |out: &str, more: &[&str]| {
        let shared = ["--steps", "3", "--seq-len", "32", "--accumulate", "2", "--mezo-eps", "3e-2", "--learning-rate", "1e-4"];
        bench.train(out, &[&shared[..], &MEZO[4..], more].concat());
        let value = |e: &serde_json::Value, key: &str| e[key].as_f64().unwrap();
        bench.steps(out).iter().map(|e| (value(e, "loss"), value(e, "projected_gradient"))).collect::<Vec<_>>()
    };
    for method in [&["--method", "mezo"][..], &["--method", "fzoo", "--zo-directions", "2"], &["--method", "agzo"]] {
        let cpu = run(&format!("cpu-{}", method[1]), method);
        for pipeline in ["matmul-only", "dynamic", "dynamic-cpu-bwd"] {
            let out = format!("{pipeline}-{}", method[1]);
            let found = run(&out, &[method, &["--device", "ane-sim", "--pipeline", pipeline]].concat());
            for ((loss, slope), (want, want_slope)) in found.into_iter().zip(&cpu) {
                assert!((loss - want).abs() < 3e-3 && loss != *want, "{out}: {loss}, {want} on the CPU");
                assert!(
                    (slope - want_slope).abs() < 0.1 * want_slope.abs().max(1.0),
                    "{out}: slope {slope}, {want_slope} on the CPU"
                );
            }
            let report = std::fs::read_to_string(bench.path(&out).join("efficiency.json")).unwrap();
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            assert!(report["device"]["dispatches"].as_u64().unwrap() > 0, "{out}: {report}");
        }
    }
}

/// What has no derivative is counted from the logits, wherever they come from.
#[test]
fn objectives_without_a_derivative_are_counted_on_the_simulator_too() {
    let bench = Bench::new();
    bench.train("base", &["--steps", "40", "--no-compact-vocab", "--learning-rate", "1e-2"]);
    let missed = |out: &str, more: &[&str]| {
        let shared = ["train", "base", "--data", "tokens.bin", "--seq-len", "32", "--batch-size", "4", "--lora", "--steps", "3"];
        let mut command = crate::common::program();
        command
            .args(shared)
            .args(["--out", out, "--objective", "accuracy", "--mezo-eps", "1e-4", "--json"])
            .args(MEZO)
            .args(more);
        let output = command.current_dir(bench.dir.path()).output().unwrap();
        assert!(output.status.success(), "{more:?}: {}", crate::common::text(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let losses: Vec<f64> = bench.steps(out).iter().map(|e| e["loss"].as_f64().unwrap()).collect();
        (losses, report["val_accuracy"].as_f64().unwrap())
    };
    let (cpu, accuracy) = missed("cpu", &[]);
    for pipeline in ["conv-fused", "static-extras"] {
        let (found, there) = missed(pipeline, &["--device", "ane-sim", "--pipeline", pipeline]);
        // of 128 tokens a few are near ties, which the arithmetic of the device decides another way
        for (found, cpu) in found.iter().zip(&cpu) {
            assert!((found - cpu).abs() <= 4.0 / 128.0 && (0.0..=1.0).contains(found), "{pipeline}: {found}, {cpu} on the CPU");
        }
        assert!((there - accuracy).abs() < 0.02, "{pipeline}: {there}, {accuracy}");
    }
    assert!(cpu.iter().all(|missed| *missed > 0.0 && *missed < 1.0), "{cpu:?}: shares of tokens that are missed");
}

#[test]
fn settings_of_another_method_are_refused() {
    let bench = Bench::new();
    bench.fails("run", &["--mezo-eps", "1e-2"], 2, &["--method mezo"]);
    bench.fails("run", &["--method", "mezo", "--recompute"], 2, &["--recompute"]);
    bench.fails("run", &["--objective", "accuracy"], 2, &["--method mezo", "derivative"]);
    bench.fails("run", &["--method", "mezzo"], 2, &["mezo"]);
    bench.fails("run", &["--method", "mezo", "--zo-rank", "3"], 2, &["lozo, p-gap, agzo and zo-muon"]);
    let baked = ["--method", "mezo", "--device", "ane-sim", "--pipeline", "static"];
    bench.fails("run", &baked, 2, &["--pipeline dynamic", "--device cpu"]);
}

/// Random tokens and whole weights say little about an adapter that is trained on text.
#[test]
fn estimates_are_held_against_the_gradient_on_the_text_of_a_run_at_its_adapter() {
    let bench = Bench::new();
    bench.train("base", &["--steps", "20", "--no-compact-vocab"]);
    let data = ["--data", "tokens.bin", "--seq-len", "16", "--batch-size", "2", "--json"];
    let lora = ["train", "base", "--lora", "--lora-rank", "2", "--steps", "8", "--learning-rate", "1e-2", "--out", "adapter"];
    let run = |args: &[&str]| crate::common::program().args(args).current_dir(bench.dir.path()).output().unwrap();
    crate::common::expect(&run(&[&lora[..], &data].concat()), 0, &[]);
    let of = |args: &[&str]| -> serde_json::Value {
        let output = run(&[&["bench"], args, &["--samples", "200", "--mezo-eps", "2e-3", "--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", crate::common::text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let cases: [(&[&str], bool); 4] = [
        (&["adapter", "--estimator", "mezo"], true),
        (&["base", "--estimator", "mezo", "--data", "tokens.bin", "--seq-len", "16", "--batch-size", "2", "--lora"], true),
        (&["base", "--estimator", "mezo", "--data", "tokens.bin", "--seq-len", "16", "--batch-size", "2"], false),
        (&["base", "--estimator", "mezo"], false),
    ];
    for (args, adapter) in cases {
        let (said, mezo) = (of(args), |said: &serde_json::Value| said["methods"][0].clone());
        assert_eq!(said["adapter"], adapter, "{args:?}");
        assert!((0.6..1.4).contains(&mezo(&said)["along"].as_f64().unwrap()), "{args:?}: {said}");
        assert!(mezo(&said)["layer_cosines"]["layer 1"].as_f64().unwrap() > 0.0, "{args:?}: {said}");
        assert_eq!(mezo(&said)["layer_cosines"]["embedding"].is_null(), adapter, "{args:?}: {said}");
    }
    // of the last block it is the gradient; of those before, of something else
    let deep = of(&["adapter", "--estimator", "dszo"]);
    let cosine = |l: usize| deep["methods"][0]["layer_cosines"][format!("layer {l}")].as_f64().unwrap();
    assert!(cosine(1) > 0.05, "{deep}");
    crate::common::expect(&run(&["bench", "base", "--estimator", "dszo"]), 2, &["--lora"]);
    crate::common::expect(&run(&["bench", "base", "--estimator", "mezo", "--lora"]), 2, &["--data"]);
}
