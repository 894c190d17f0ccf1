//! Training on the simulated Neural Engine, driven end to end.

use std::time::{Duration, Instant};

use crate::common::{Bench, expect, program, signal, text};

const PIPELINES: [&str; 5] = ["matmul-only", "static", "static-extras", "dynamic", "dynamic-cpu-bwd"];

/// Windows of 32 tokens: rows that the hardware takes.
fn flags<'a>(pipeline: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--device", "ane-sim", "--pipeline", pipeline, "--seq-len", "32"], more].concat()
}

#[test]
fn every_pipeline_ends_at_the_loss_of_the_cpu() {
    let bench = Bench::new();
    let steps = ["--steps", "12"];
    let loss = |out: &str, args: &[&str]| bench.train(out, args)["val_loss"].as_f64().unwrap();
    let cpu = loss("cpu", &[&["--seq-len", "32"], &steps[..]].concat());
    for pipeline in PIPELINES {
        for kernels in ["fused", "original"] {
            let name = format!("{pipeline}-{kernels}");
            let found = loss(&name, &flags(pipeline, &[&steps[..], &["--ane-kernels", kernels]].concat()));
            assert!((found - cpu).abs() < 1e-3, "{name}: {found}, {cpu} on the CPU");
            let report = std::fs::read_to_string(bench.path(&name).join("efficiency.json")).unwrap();
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            assert!(report["device"]["dispatches"].as_u64().unwrap() > 0, "{name}: {report}");
        }
    }
}

#[test]
fn a_used_up_compile_budget_is_a_new_process_and_the_same_run() {
    let bench = Bench::new();
    let budget = |n: &'static str| flags("static", &["--steps", "10", "--ane-chip", n]);
    bench.train("whole", &budget("m4,budget=1000"));
    let output = bench.command("parts", &budget("m4,budget=25")).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.matches("a new one goes on").count() >= 4, "{said}");
    assert!(bench.weights("whole") == bench.weights("parts"), "bit for bit");
    let steps: Vec<u64> = bench.steps("parts").iter().map(|s| s["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=10).collect::<Vec<_>>());
    let report = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(bench.path(name).join("efficiency.json")).unwrap()).unwrap()
    };
    let (whole, parts) = (report("whole"), report("parts"));
    for count in ["compiles", "dispatches", "staged_bytes", "flops"] {
        assert_eq!(whole["device"][count], parts["device"][count], "{count}: of all processes of the run");
    }
    assert_eq!((&whole["steps"], &parts["steps"]), (&10.into(), &10.into()));
}

/// A program that was compared with the reference once is believed from then on, in other processes too.
#[test]
fn kernels_are_tried_at_their_first_use_and_what_was_found_is_kept() {
    let bench = Bench::new();
    let cache = bench.path("cache");
    let run = |name: &str, chip: &str| {
        let args = flags("dynamic", &["--steps", "3", "--ane-probe", "always", "--ane-chip", chip]);
        let output = bench.command(name, &args).env("AUTOANE_CACHE", &cache).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report = std::fs::read(bench.path(name).join("efficiency.json")).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        (report["device"]["compiles"].as_u64().unwrap(), text(&output.stderr).matches(" beside simulator ").count())
    };
    assert_eq!(run("first", "m4"), (10, 0), "five kernels, each tried once");
    assert_eq!(run("second", "m4"), (5, 0), "and never again");
    assert_eq!(run("other", "m4,evaluate=2"), (9, 1), "another machine is another matter, and one kernel fails there");
    assert_eq!(run("again", "m4,evaluate=2").1, 1, "what failed there is not used");
}

#[test]
fn a_killed_run_on_the_device_goes_on_bit_for_bit() {
    let bench = Bench::new();
    for pipeline in ["dynamic", "matmul-only"] {
        let whole = format!("whole-{pipeline}");
        bench.train(&whole, &flags(pipeline, &["--steps", "14", "--save-every", "5"]));
        let parts = format!("parts-{pipeline}");
        bench.train(&parts, &flags(pipeline, &["--steps", "14", "--save-every", "5"]));
        for gone in ["last", "step-00000014", "step-00000010"] {
            let path = bench.path(&parts).join("checkpoints").join(gone);
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
        let output = bench.resume(&parts, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(bench.weights(&whole) == bench.weights(&parts), "{pipeline}");
    }
}

#[test]
fn what_fails_is_said_and_computed_on_the_cpu() {
    let bench = Bench::new();
    let cpu = bench.train("cpu", &["--seq-len", "32", "--steps", "6"])["val_loss"].as_f64().unwrap();
    let faults = [("compile=2", "ANECCompile"), ("evaluate=7", "0x1d"), ("zeros=5", "zeros"), ("memory=9", "0x2")];
    for (fault, word) in faults {
        let chip = format!("m4,{fault}");
        let output = bench.command(fault, &flags("dynamic", &["--steps", "6", "--ane-chip", &chip])).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success() && said.contains(word) && said.contains("on the CPU from here on"), "{fault}: {said}");
        let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!((result["val_loss"].as_f64().unwrap() - cpu).abs() < 1e-3, "{fault}: {result}, {cpu} on the CPU");
        let told = bench.events(fault).iter().filter(|e| e["type"] == "warning").count();
        assert!(told >= 1, "{fault}: the event log says it too");
    }
}

#[test]
fn explain_says_where_each_block_runs() {
    let bench = Bench::new();
    let output = bench.command("x", &flags("static-extras", &["--explain"])).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["places"]["classifier"], "device: classifier");
    assert_eq!(json["places"]["attention block, dx"], "device: attn_bwd");
    assert!(json["places"]["dW, embedding, loss, optimizer"].as_str().unwrap().starts_with("cpu"), "{json}");
}

#[test]
fn what_does_not_go_together_is_refused_before_anything_runs() {
    let bench = Bench::new();
    let cases: [(&[&str], &str); 6] = [
        (&["--pipeline", "dynamic"], "add --device ane"),
        (&["--device", "ane-sim", "--pipeline", "conv"], "train an adapter (--lora)"),
        (&["--device", "ane-sim", "--packing", "documents"], "--packing stream"),
        (&["--device", "ane-sim", "--pipeline", "static", "--ane-weights", "parameters"], "--pipeline dynamic"),
        (&["--device", "ane-sim", "--ane-layers", "2"], "--pipeline static"),
        (&["--device", "ane-sim", "--ane-chip", "m9"], "`m9`"),
    ];
    for (args, words) in cases {
        bench.fails("run", args, 2, &[words]);
    }
    if !cfg!(target_os = "macos") {
        bench.fails("run", &["--device", "ane", "--steps", "1"], 69, &["--device ane-sim"]);
    }
}

#[test]
fn an_adapter_is_trained_on_a_base_that_is_baked_in() {
    let bench = Bench::new();
    bench.train("base", &["--steps", "20", "--no-compact-vocab", "--seq-len", "32"]);
    let adapt = |out: &str, more: &[&str]| {
        let shared = ["train", "base", "--data", "tokens.bin", "--seq-len", "32", "--batch-size", "2", "--lora", "--steps", "10"];
        let output = program().args(shared).args(["--json", "--out", out]).args(more).current_dir(bench.dir.path()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{out}: {}", text(&output.stderr));
        let said = text(&output.stderr);
        assert!(!said.contains("warning"), "{out}: {said}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["val_loss"].as_f64().unwrap()
    };
    for targets in ["all", "attention"] {
        let cpu = adapt(&format!("cpu-{targets}"), &["--lora-targets", targets]);
        for pipeline in ["conv", "conv-fused", "matmul-only", "dynamic"] {
            let device = ["--device", "ane-sim", "--pipeline", pipeline, "--lora-targets", targets];
            let found = adapt(&format!("{pipeline}-{targets}"), &device);
            assert!((found - cpu).abs() < 1e-3, "{pipeline} {targets}: {found}, {cpu} on the CPU");
        }
    }
    let mut output = program();
    let output = output.args(["train", "base", "--lora", "--lora-form", "merged", "--device", "ane-sim"]);
    let output = output.current_dir(bench.dir.path()).output().unwrap();
    expect(&output, 2, &["use split"]);
}

#[test]
fn a_signal_is_not_lost_where_one_process_becomes_another() {
    let bench = Bench::new();
    for wait in [60, 200] {
        let out = format!("run-{wait}");
        // a new process at every other step: the signal comes anywhere
        let mut child = bench.start(&out, &flags("static", &["--ane-chip", "m4,budget=20"]), 3);
        std::thread::sleep(Duration::from_millis(wait));
        signal(&child, "TERM");
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "the signal was lost");
            std::thread::sleep(Duration::from_millis(20));
        };
        // 143 after a checkpoint; before its handler stands, a new process dies of the signal itself, with nothing to save
        let died = std::os::unix::process::ExitStatusExt::signal(&status) == Some(15);
        assert!(status.code() == Some(143) || died, "{status:?}");
        let steps = bench.steps(&out).len();
        let output = bench.resume(&out, &["--steps", &(steps + 2).to_string()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[test]
fn quiet_is_not_silent_about_what_failed() {
    let bench = Bench::new();
    let output =
        bench.command("run", &flags("dynamic", &["--steps", "2", "--ane-chip", "m4,evaluate=1", "-q"])).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("warning: step 1") && said.contains("on the CPU from here on"), "{said}");
}
