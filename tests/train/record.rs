//! What a run leaves behind: folder, events, JSON, checkpoint.

use serde_json::Value as Json;

use crate::common::{Bench, program, text};

#[test]
fn the_json_has_every_promised_key() {
    let bench = Bench::new();
    let json = bench.train("run", &["--steps", "4"]);
    for key in ["val_loss", "val_loss_se", "train_loss", "steps", "tokens", "tokens_per_second", "ms_per_step", "seconds"] {
        assert!(json[key].is_number(), "{key}: {}", json[key]);
    }
    for key in ["params", "peak_rss_bytes", "seed"] {
        assert!(json[key].is_u64(), "{key}");
    }
    for key in ["status", "checkpoint", "run_dir", "device", "method"] {
        assert!(json[key].is_string(), "{key}");
    }
    assert!(json["val_bpb"].is_null(), "bytes are unknown without a tokenizer");
    assert_eq!((json["steps"].as_u64(), json["tokens"].as_u64()), (Some(4), Some(4 * 2 * 16)));
    assert!(bench.path(json["checkpoint"].as_str().unwrap()).join("model.safetensors").is_file());
}

#[test]
fn events_are_in_order_and_agree_with_the_json() {
    let bench = Bench::new();
    let json = bench.train("run", &["--steps", "5", "--eval-every", "2"]);
    let events = bench.events("run");
    assert_eq!(events.first().unwrap()["type"], "started");
    assert_eq!(events.last().unwrap()["type"], "finished");
    // a step is the whole of it, bookkeeping included, and steps are not all that a run does
    let (step_ms, seconds) = (json["ms_per_step"].as_f64().unwrap(), json["seconds"].as_f64().unwrap());
    assert!(step_ms > 0.0 && step_ms * 5.0 <= 1e3 * seconds, "{step_ms} ms a step in {seconds} s");
    let steps = bench.steps("run");
    let numbers: Vec<u64> = steps.iter().map(|s| s["step"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    for (i, step) in steps.iter().enumerate() {
        assert_eq!(step["tokens"].as_u64(), Some((i as u64 + 1) * 32));
        for key in ["seconds", "loss", "lr", "grad_norm", "tokens_per_second", "rss_bytes"] {
            assert!(step[key].is_number(), "{key}");
        }
    }
    let evals: Vec<&Json> = events.iter().filter(|e| e["type"] == "eval").collect();
    let at: Vec<u64> = evals.iter().map(|e| e["step"].as_u64().unwrap()).collect();
    assert_eq!(at, [0, 2, 4, 5], "at the start, every two steps, at the end");
    assert_eq!(evals.last().unwrap()["val_loss"], json["val_loss"]);
    assert_eq!(steps.last().unwrap()["loss"], json["train_loss"]);
}

#[test]
fn the_run_folder_is_complete() {
    let bench = Bench::new();
    bench.train("run", &["--steps", "3"]);
    for name in ["config.resolved.toml", "environment.json", "data.manifest.json", "events.jsonl", "efficiency.json"] {
        assert!(bench.path("run").join(name).is_file(), "{name}");
    }
    let last = bench.path("run").join("checkpoints/last");
    for name in ["config.json", "generation_config.json", "model.safetensors", "MANIFEST.sha256"] {
        assert!(last.join(name).is_file(), "{name}");
    }
    for name in ["trainer/optimizer.safetensors", "trainer/state.json", "trainer/config.resolved.toml"] {
        assert!(last.join(name).is_file(), "{name}");
    }
    assert!(bench.path("run").join("checkpoints/best").exists());
    assert!(std::fs::read_dir(bench.path("run").join("tensorboard")).unwrap().count() == 1);
}

#[test]
fn the_reloaded_checkpoint_has_the_loss_of_training() {
    let bench = Bench::new();
    for (out, more) in [("plain", &[][..]), ("deep", &["--residual-scale", "0.35"]), ("whole", &["--compact-vocab=false"])] {
        let flags: Vec<&str> = ["--steps", "30", "--learning-rate", "1e-2"].iter().chain(more).copied().collect();
        let trained = bench.train(out, &flags)["val_loss"].as_f64().unwrap();
        let output = program()
            .args(["eval", out, "--data", "tokens.bin", "--val-fraction", "0.1", "--seq-len", "16", "--json"])
            .current_dir(bench.dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let eval: Json = serde_json::from_slice(&output.stdout).unwrap();
        let reloaded = eval["loss"].as_f64().unwrap();
        assert!((trained - reloaded).abs() < 1e-4, "{out}: {trained} in training, {reloaded} reloaded");
    }
}

/// `eval` of `args` in the folder of `bench`.
fn eval(bench: &Bench, args: &[&str]) -> Json {
    let mut command = program();
    command.arg("eval").args(args).args(["--threads", "1", "--json"]).env("AUTOANE_CACHE", bench.path("cache"));
    let output = command.current_dir(bench.dir.path()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Loss over the ids that training saw.
fn trained_loss(eval: &Json) -> f64 {
    let compact = eval["compact"]["loss"].as_f64();
    compact.unwrap_or_else(|| eval["loss"].as_f64().unwrap())
}

#[test]
fn a_run_is_evaluated_on_the_windows_that_it_measured_itself_on() {
    let bench = Bench::new();
    let story =
        |i: usize| format!("{{\"text\": \"The cat {i} sat on mat {} and said hello to dog number {}.\"}}\n", i % 11, i % 7);
    std::fs::write(bench.path("s.jsonl"), (0..300).map(story).collect::<String>()).unwrap();
    let text_data = ["--data", "s.jsonl", "--vocab-size", "280", "--packing", "documents"];
    let cases: [(&str, &[&str]); 3] = [
        ("stream", &[]),
        ("few", &["--val-fraction", "0.3", "--val-tokens", "160", "--seq-len", "24"]),
        ("documents", &text_data),
    ];
    for (out, more) in cases {
        let flags: Vec<&str> = ["--steps", "25", "--learning-rate", "1e-2"].iter().chain(more).copied().collect();
        let mut command = bench.command(out, &flags);
        if more.contains(&"--seq-len") {
            command = program();
            command.args(["train", "--model-config", crate::common::SHAPE, "--data", "tokens.bin", "--out", out, "--json"]);
            command.args(&flags).current_dir(bench.dir.path());
        }
        let output = command.env("AUTOANE_CACHE", bench.path("cache")).output().unwrap();
        assert!(output.status.success(), "{out}: {}", text(&output.stderr));
        let trained: Json = serde_json::from_slice(&output.stdout).unwrap();
        let again = eval(&bench, &[out]);
        assert_eq!(trained_loss(&again), trained["val_loss"].as_f64().unwrap(), "{out}: {again}");
        assert_eq!(again["recorded"]["val_loss"], trained["val_loss"], "{out}");
        assert_eq!(again["recorded"]["step"], 25, "{out}");
        // the same checkpoint, named itself, and a choice that differs
        let checkpoint = format!("{out}/checkpoints/last");
        assert_eq!(trained_loss(&eval(&bench, &[&checkpoint])), trained_loss(&again), "{out}");
        assert_ne!(trained_loss(&eval(&bench, &[out, "--seq-len", "12"])), trained_loss(&again), "{out}");
    }
    let stream = trained_loss(&eval(&bench, &["documents", "--packing", "stream"]));
    let packed = eval(&bench, &["documents"]);
    assert_eq!(packed["packing"], "documents");
    assert!((stream - trained_loss(&packed)).abs() > 1e-3, "documents that see each other have another loss: {stream}");
}

#[test]
fn a_run_whose_data_is_gone_is_evaluated_on_what_is_named() {
    let bench = Bench::new();
    bench.train("run", &["--steps", "2"]);
    std::fs::rename(bench.path("tokens.bin"), bench.path("moved.bin")).unwrap();
    let output = program().args(["eval", "run"]).current_dir(bench.dir.path()).output().unwrap();
    crate::common::expect(&output, 66, &["tokens.bin", "--data"]);
    assert!(eval(&bench, &["run", "--data", "moved.bin"])["loss"].is_number());
}

#[test]
fn best_is_the_lowest_validation_loss_not_the_last() {
    let bench = Bench::new();
    // a learning rate that soon makes things worse
    bench
        .train("run", &["--steps", "12", "--eval-every", "3", "--learning-rate", "0.3", "--schedule", "constant", "--keep", "9"]);
    let saved: Vec<Json> = bench.events("run").into_iter().filter(|e| e["type"] == "saved").collect();
    let best_step = saved.iter().rfind(|e| e["best"] == true).unwrap()["step"].as_u64().unwrap();
    let target = std::fs::read_link(bench.path("run").join("checkpoints/best")).unwrap();
    assert_eq!(target.to_str().unwrap(), format!("step-{best_step:08}"));
    let evals: Vec<Json> = bench.events("run").into_iter().filter(|e| e["type"] == "eval" && e["step"] != 0).collect();
    let lowest = evals.iter().min_by(|a, b| a["val_loss"].as_f64().unwrap().total_cmp(&b["val_loss"].as_f64().unwrap())).unwrap();
    assert_eq!(lowest["step"].as_u64(), Some(best_step));
}
