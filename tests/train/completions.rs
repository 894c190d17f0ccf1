//! Prompts with completions: what carries loss, and that it stays so through kills, adapters and evaluations.

use std::process::Command;

use serde_json::Value as Json;

use crate::common::{Bench, expect, program, text};

fn bench() -> Bench {
    let bench = Bench::new();
    let pair = |i: usize| format!("{{\"prompt\": \"What is {i}? \", \"completion\": \"It is {}.\"}}\n", i % 7);
    std::fs::write(bench.path("pairs.jsonl"), (0..300).map(pair).collect::<String>()).unwrap();
    bench
}

const PAIRS: [&str; 4] = ["--data", "pairs.jsonl", "--vocab-size", "300"];

fn cached(bench: &Bench, command: &mut Command) -> std::process::Output {
    command.env("AUTOANE_CACHE", bench.path("cache")).current_dir(bench.dir.path()).output().unwrap()
}

fn json(output: &std::process::Output) -> Json {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn train(bench: &Bench, out: &str, more: &[&str]) -> Json {
    json(&cached(bench, &mut bench.command(out, &[&PAIRS, more].concat())))
}

/// Minus the logarithm of the probability of `target`.
fn surprise(logits: &[f32], target: u32) -> f64 {
    let top = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f64 = logits.iter().map(|l| f64::from(l - top).exp()).sum();
    sum.ln() - f64::from(logits[target as usize] - top)
}

/// The loss of a first step by hand: the mean over learned targets of what the logits of its windows say.
#[test]
fn a_prompt_is_no_target() {
    let bench = bench();
    // a rate so small that the weights after the step are those before it
    let still = ["--steps", "1", "--learning-rate", "1e-30", "--no-compact-vocab", "--packing", "stream"];
    train(&bench, "run", &[&still[..], &["--data-order", "sequential"]].concat());
    let manifest: Json = serde_json::from_slice(&std::fs::read(bench.path("run/data.manifest.json")).unwrap()).unwrap();
    let file = std::path::PathBuf::from(manifest["file"].as_str().unwrap());
    let bytes = std::fs::read(&file).unwrap();
    let ids: Vec<u32> = bytes.chunks(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))).collect();
    let mask = std::fs::read(file.with_file_name("mask.bin")).unwrap();
    let vocab = manifest["full_vocab"].as_u64().unwrap() as usize;
    let (mut sum, mut count, mut hits) = (0.0, 0, Vec::new());
    for window in 0..2 {
        let start = window * 16;
        let list: Vec<String> = ids[start..start + 16].iter().map(u32::to_string).collect();
        let args = ["logits", "run", "--tokens", &list.join(","), "--out", "logits.npy"];
        let output = cached(&bench, program().args(args));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let npy = std::fs::read(bench.path("logits.npy")).unwrap();
        let values = &npy[npy.len() - 16 * vocab * 4..];
        let logits: Vec<f32> = values.chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        for i in (0..16).filter(|i| mask[start + i + 1] & 1 == 1) {
            let row = &logits[i * vocab..(i + 1) * vocab];
            sum += surprise(row, ids[start + i + 1]);
            count += 1;
            hits.push((start + i, row.iter().all(|l| *l <= row[ids[start + i + 1] as usize])));
        }
    }
    let step = &bench.steps("run")[0];
    assert!(count > 4 && count < 24, "{count} of 32 targets are learned");
    assert_eq!(step["tokens"], count, "tokens without loss do not count");
    let loss = step["loss"].as_f64().unwrap();
    assert!((loss - sum / f64::from(count)).abs() < 1e-4, "{loss} {sum} {count}");
    // the same step from losses alone, at the weights themselves
    let missed = |objective: &str| {
        let from_losses = ["--method", "mezo", "--mezo-eps", "1e-30", "--objective", objective, "--data-order", "sequential"];
        let made = train(&bench, objective, &[&still[..], &from_losses].concat());
        let share = |key: &str| made[key].as_f64().unwrap();
        assert!(share("val_exact_match") <= share("val_accuracy") && share("val_accuracy") < 1.0, "{made}");
        bench.steps(objective)[0]["loss"].as_f64().unwrap()
    };
    let right = hits.iter().filter(|(_, hit)| *hit).count() as f64;
    assert!((missed("accuracy") - (1.0 - right / f64::from(count))).abs() < 1e-9, "{hits:?}");
    // an answer ends where the next token is none of it, or the window ends
    let answers = hits.chunk_by(|a, b| a.0 + 1 == b.0 && a.0 / 16 == b.0 / 16);
    let (whole, all) = answers.fold((0, 0), |(w, n), a| (w + usize::from(a.iter().all(|(_, hit)| *hit)), n + 1));
    assert!((missed("exact-match") - (1.0 - whole as f64 / all as f64)).abs() < 1e-9, "{hits:?}");
}

#[test]
fn examples_are_kept_apart_resumed_exactly_and_evaluated_alike() {
    let bench = bench();
    let made = train(&bench, "whole", &["--steps", "20", "--learning-rate", "1e-2"]);
    let resolved = std::fs::read_to_string(bench.path("whole/config.resolved.toml")).unwrap();
    assert!(resolved.contains("packing = \"documents\""), "{resolved}");
    let mut cut = bench.command("cut", &PAIRS);
    cut.args(["--steps", "20", "--learning-rate", "1e-2", "--save-every", "7"]).env("AUTOANE_CRASH_AT", "before-last");
    assert!(cached(&bench, &mut cut).status.code().is_none());
    let resumed = cached(&bench, program().args(["train", "--resume", "cut"]));
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
    assert!(bench.weights("whole") == bench.weights("cut"));
    let score = json(&cached(&bench, program().args(["eval", "whole", "--json"])));
    assert_eq!(score["masked"], true);
    let trained = score["compact"]["loss"].as_f64().or_else(|| score["loss"].as_f64()).unwrap();
    assert!((trained - made["best_val_loss"].as_f64().unwrap()).abs() < 1e-5, "{score} {made}");
}

#[test]
fn an_adapter_learns_completions_too() {
    let bench = bench();
    train(&bench, "base", &["--steps", "5", "--no-compact-vocab"]);
    let flags = ["train", "base", "--lora", "--data", "pairs.jsonl", "--out", "adapter", "--steps", "20", "--json"];
    let shared = ["--learning-rate", "1e-2", "--seq-len", "16", "--batch-size", "2", "--threads", "1"];
    let made = json(&cached(&bench, program().args(flags).args(shared)));
    let before = json(&cached(&bench, program().args(["eval", "base", "--json"])));
    assert!(made["best_val_loss"].as_f64().unwrap() < before["loss"].as_f64().unwrap(), "{made} {before}");
}

#[test]
fn what_is_learned_is_shown_and_mixed_lines_are_named() {
    let bench = bench();
    let inspect = |more: &[&str]| cached(&bench, program().args(["data", "inspect"]).args(more));
    let shown = inspect(&["pairs.jsonl", "--mask"]);
    let said = text(&shown.stdout);
    assert!(said.contains("What is 0? [[It is 0.<|endoftext|>]]") && said.contains("tokens carry loss"), "{said}");
    let talk = "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Yo\"}]}\n";
    std::fs::write(bench.path("chat.jsonl"), talk.repeat(20)).unwrap();
    std::fs::write(
        bench.path("t.jinja"),
        "{% for m in messages %}<{{ m.role }}>{{ m.content }};{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
    )
    .unwrap();
    let chat = json(&inspect(&["chat.jsonl", "--mask", "--template", "t.jinja", "--records", "1", "--json"]));
    let stretches = chat["records"][0]["stretches"].as_array().unwrap();
    assert_eq!((&stretches[0]["text"], &stretches[0]["loss"]), (&"<user>Hi;<assistant>".into(), &false.into()));
    assert_eq!((&stretches[1]["text"], &stretches[1]["loss"]), (&"Yo;<|endoftext|>".into(), &true.into()));
    assert!(chat["loss_share"].as_f64().unwrap() < 0.9);
    expect(&inspect(&["chat.jsonl", "--mask"]), 65, &["chat.jsonl, line 1", "--template FILE"]);
    std::fs::write(bench.path("mixed.jsonl"), format!("{talk}{{\"text\": \"plain\"}}\n")).unwrap();
    let mixed = inspect(&["mixed.jsonl", "--mask", "--template", "t.jinja"]);
    expect(&mixed, 65, &["mixed.jsonl, line 2", "\"text\"", "\"messages\""]);
}

/// What backpropagation cannot do: the share of right tokens itself is what the steps raise.
#[test]
fn steps_from_losses_raise_accuracy_itself() {
    let bench = bench();
    train(&bench, "base", &["--steps", "60", "--learning-rate", "1e-2", "--no-compact-vocab"]);
    let flags = ["train", "base", "--data", "pairs.jsonl", "--out", "raised", "--steps", "60", "--json", "--method", "mezo"];
    let how = [
        "--objective",
        "accuracy",
        "--mezo-eps",
        "1e-2",
        "--zo-directions",
        "4",
        "--learning-rate",
        "1e-2",
        "--eval-every",
        "never",
    ];
    let shared = ["--optimizer", "sgd", "--seq-len", "16", "--batch-size", "8", "--threads", "1", "--sample-every", "never"];
    let made = json(&cached(&bench, program().args(flags).args(how).args(shared)));
    let steps = bench.steps("raised");
    let mean = |part: &[Json]| part.iter().map(|s| s["loss"].as_f64().unwrap()).sum::<f64>() / part.len() as f64;
    assert!(steps.iter().all(|s| (0.0..=1.0).contains(&s["loss"].as_f64().unwrap())));
    let (early, late) = (mean(&steps[..15]), mean(&steps[45..]));
    assert!(late < early, "{early} of the tokens were missed, then {late}: {made}");
}
