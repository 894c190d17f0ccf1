//! BLZT checkpoints and llama2.c files, driven end to end: what they do not say, and what goes on from them.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use crate::common::{Bench, expect, program, text};

/// Runs a verb in the folder of the bench and gives its JSON object and what it said.
fn verb(bench: &Bench, args: &[&str]) -> (Json, String) {
    let output = program().args(args).arg("--json").current_dir(bench.dir.path()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    (serde_json::from_slice(&output.stdout).unwrap(), text(&output.stderr))
}

fn fails(bench: &Bench, args: &[&str], code: i32, words: &[&str]) {
    let output = program().args(args).current_dir(bench.dir.path()).output().unwrap();
    expect(&output, code, words);
}

/// A run whose model is nothing that a reader would assume.
fn odd_run(bench: &Bench) -> Json {
    let shape = ["--residual-scale", "0.35", "--rope-theta", "500", "--norm-eps", "0.01"];
    let more = ["--steps", "6", "--learning-rate", "3e-3", "--schedule", "constant"];
    bench.train("run", &[&shape[..], &more].concat())
}

const SAID: [&str; 4] = ["--rope-theta", "500", "--norm-eps", "0.01"];

#[test]
fn what_a_blzt_file_assumes_is_said_and_can_be_set() {
    let bench = Bench::new();
    odd_run(&bench);
    let (_, said) = verb(&bench, &["convert", "run", "model.blzt", "--to", "blzt"]);
    for word in ["rope theta (500)", "norm eps (1e-2)", "--rope-theta", "tokenizer"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    // all tokens, so that both see the same windows
    let eval = |model: &str, more: &[&str]| {
        let base = ["eval", model, "--data", "tokens.bin", "--seq-len", "16", "--val-fraction", "1"];
        let (found, said) = verb(&bench, &[&base[..], more].concat());
        (found["loss"].as_f64().unwrap(), said)
    };
    let (run, _) = eval("run", &[]);
    let (same, quiet) = eval("model.blzt", &[&SAID[..], &["--residual-scale", "1"]].concat());
    assert!((run - same).abs() < 1e-6 * run, "the run {run}, the file {same}");
    assert!(!quiet.contains("does not say"), "{quiet}");
    let (other, loud) = eval("model.blzt", &[]);
    assert!((run - other).abs() > 1e-4, "theta and epsilon do matter");
    for word in ["rope theta 10000 (--rope-theta)", "norm eps 1e-5 (--norm-eps)", "residual scale 1 (--residual-scale)"] {
        assert!(loud.contains(word), "{word}: {loud}");
    }
    let (scaled, _) = eval("model.blzt", &[&SAID[..], &["--residual-scale", "0.5"]].concat());
    assert!((run - scaled).abs() > 1e-4, "the scale does matter");
    fails(
        &bench,
        &["logits", "run", "--tokens", "1", "--out", "x.npy", "--rope-theta", "5"],
        65,
        &["rope theta", "leave it out"],
    );
}

#[test]
fn training_goes_on_from_a_blzt_file_at_any_window_length_with_its_moments() {
    let bench = Bench::new();
    odd_run(&bench);
    verb(&bench, &["convert", "run", "model.blzt", "--to", "blzt"]);
    let before = fs::read(bench.path("model.blzt")).unwrap();
    let (found, _) = verb(&bench, &["inspect", "model.blzt"]);
    assert_eq!((&found["kind"], &found["adam_updates"], &found["step"]), (&"BLZT checkpoint".into(), &6.into(), &6.into()));
    assert_eq!(found["spec"]["context"], 64, "the length of the file is information");
    for (out, seq) in [("short", "8"), ("long", "96")] {
        let args = ["train", "model.blzt", "--data", "tokens.bin", "--out", out, "--seq-len", seq, "--batch-size", "2"];
        let more = ["--steps", "2", "--threads", "1", "--schedule", "constant", "--learning-rate", "1e-3"];
        let (_, said) = verb(&bench, &[&args[..], &more, &SAID].concat());
        assert!(said.contains("after 6 updates"), "{said}");
        verb(&bench, &["convert", out, &format!("{out}.blzt"), "--to", "blzt"]);
        let (found, _) = verb(&bench, &["inspect", &format!("{out}.blzt")]);
        assert_eq!(found["adam_updates"], 8, "{out}");
    }
    assert!(fs::read(bench.path("model.blzt")).unwrap() == before, "the input is never written to");
}

#[test]
fn a_damaged_blzt_file_trains_nothing() {
    let bench = Bench::new();
    odd_run(&bench);
    verb(&bench, &["convert", "run", "model.blzt", "--to", "blzt"]);
    let whole = fs::read(bench.path("model.blzt")).unwrap();
    fs::write(bench.path("cut.blzt"), &whole[..whole.len() - 4]).unwrap();
    let args = ["train", "cut.blzt", "--data", "tokens.bin", "--out", "never", "--steps", "1"];
    let (found, wanted) = ((whole.len() - 4).to_string(), whole.len().to_string());
    fails(&bench, &args, 65, &["cut.blzt", "size", &found, &wanted]);
    assert!(!bench.path("never").exists());
    fails(&bench, &["inspect", "cut.blzt"], 65, &["cut.blzt", "size"]);
    fails(&bench, &["convert", "run", "none/model.blzt", "--to", "blzt"], 73, &["none"]);
    fails(&bench, &["convert", "run", "model.blzt", "--to", "blzt"], 73, &["exists"]);
}

#[test]
fn a_llama2c_file_is_a_model_like_any_other() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let dir = std::env::var_os("AUTOANE_SHARED").map_or(beside, Into::into).join("data/stories260K");
    if !dir.is_dir() {
        eprintln!("SKIPPED: {} is not there", dir.display());
        return;
    }
    let bench = Bench::new();
    let (dir, bin) = (dir.to_str().unwrap(), dir.join("stories260K.bin"));
    let bin = bin.to_str().unwrap();
    for (model, out) in [(dir, "a.npy"), (bin, "b.npy")] {
        verb(&bench, &["logits", model, "--tokens", "1,403,407,261,378", "--out", out]);
    }
    assert!(fs::read(bench.path("a.npy")).unwrap() == fs::read(bench.path("b.npy")).unwrap());
    assert_eq!(verb(&bench, &["inspect", bin]).0["kind"], "llama2.c file");
    verb(&bench, &["convert", bin, "hf"]);
    verb(&bench, &["convert", "hf", "again.bin", "--to", "llama2c"]);
    let (ours, theirs) = (fs::read(bench.path("again.bin")).unwrap(), fs::read(bin).unwrap());
    // behind the weights lie tables of rotations, which nobody reads and another cosine may round otherwise
    let weights = theirs.len() - 4 * 512 * 8;
    assert!(ours.len() == theirs.len() && ours[..weights] == theirs[..weights]);
    verb(&bench, &["train", bin, "--data", "tokens.bin", "--out", "on", "--steps", "1", "--seq-len", "16", "--batch-size", "2"]);
}

#[test]
fn a_run_is_exported_verified_with_a_card_and_computes_what_it_did() {
    let bench = Bench::new();
    odd_run(&bench);
    // the residual scale of training is inside the weights of every export
    let loss = |model: &str| {
        let args = ["eval", model, "--data", "tokens.bin", "--seq-len", "16", "--val-fraction", "1"];
        verb(&bench, &args).0["loss"].as_f64().unwrap()
    };
    let trained = loss("run");
    for (to, output, most) in [("gguf", "m.gguf", 0.0), ("hf", "m-hf", 0.0)] {
        let (made, _) = verb(&bench, &["convert", "run", output, "--to", to]);
        assert!(made["verified"]["largest_difference"].as_f64().unwrap() <= most, "on by default: {made}");
        assert!((loss(output) - trained).abs() < 1e-6, "{to}");
    }
    let (made, _) = verb(&bench, &["convert", "run", "m-plain", "--no-verify"]);
    assert!(made["verified"].is_null(), "{made}");
    let card = fs::read_to_string(bench.path("m-hf/README.md")).unwrap();
    for word in
        ["library_name: transformers", "optimizer steps | 6", "tokens seen", "sha256 of the tokens", "seed", "hardware", "\u{b1}"]
    {
        assert!(card.contains(word), "{word}: {card}");
    }
    let facts = verb(&bench, &["inspect", "m.gguf"]).0["metadata"].clone();
    assert_eq!(facts["general.verification.largest_difference"], "0.0");
    assert!(facts["general.description"].as_str().unwrap().contains("optimizer steps: 6"), "{facts}");
}
