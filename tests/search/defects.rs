//! What the original's search got wrong, a test for each; the one that noise made (a "gain" that nobody could repeat) stands in
//! `crates/search/src/tests/simulation.rs`.

use std::fs;

use crate::place::{Place, SHAPE};
use crate::{git, repository};

/// It edited a source file by regular expressions, rounded the learning rate to two digits, and `git reset --hard` took the
/// user's edits along.
#[test]
fn a_value_is_not_rounded_and_no_file_of_the_user_is_edited_or_reset() {
    let place = Place::new();
    let root = place.dir.path();
    repository(&place);
    place.study(&["--git"]);
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    let head = git(root, &["rev-parse", "HEAD"]);
    place.json(&["search", "propose", "s", "--set", "learning-rate=6.3456789e-4", "--json"]);
    let index = fs::read(place.path(".git/index")).unwrap();
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    let run = fs::read_to_string(place.path("s/trials/0001/candidate-1/run/config.resolved.toml")).unwrap();
    let line = run.lines().find(|l| l.starts_with("learning-rate")).unwrap();
    let value: f32 = line.split('=').nth(1).unwrap().split('#').next().unwrap().trim().parse().unwrap();
    assert_eq!(value.to_bits(), 6.3456789e-4f32.to_bits(), "{line}");
    assert_eq!(place.show()["trials"][1]["params"]["learning-rate"].as_f64().unwrap().to_bits(), 6.3456789e-4f64.to_bits());
    assert_eq!(git(root, &["rev-parse", "HEAD"]), head);
    assert_eq!(git(root, &["status", "--porcelain", "--untracked-files=no"]), "");
    assert_eq!(fs::read(place.path(".git/index")).unwrap(), index);
    let reflog = git(root, &["reflog", "--format=%gs"]);
    assert!(!reflog.contains("reset") && !reflog.contains("checkout"), "{reflog}");
}

/// It looked for `val_loss:` in what the chosen mode never printed, so that the baseline failed; and that mode trained adapters
/// over random weights.
#[test]
fn the_objective_is_the_runs_own_record_and_adapters_over_random_weights_are_refused() {
    let place = Place::new();
    place.study(&[]);
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    let trial = &place.show()["trials"][0];
    let record = fs::read_to_string(place.path("s/trials/0000/candidate-1/record.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(trial["seeds"][0]["value"], record["val_loss"]);
    assert!(record["val_loss"].as_f64().unwrap() > 0.0);
    let lora = ["search", "new", "t", "--param", "lora-rank=1..8", "--", "stories-1m", "--lora"];
    place.fails(&lora, 2, "adapters over random weights");
    // a method from losses alone has the same record
    let zo = [
        "--data",
        "tokens.bin",
        "--seq-len",
        "16",
        "--method",
        "mezo",
        "--optimizer",
        "sgd",
        "--threads",
        "1",
        "--val-tokens",
        "64",
    ];
    let new = [
        "search",
        "new",
        "z",
        "--param",
        "learning-rate=1e-5..1e-3:log",
        "--seeds",
        "1",
        "--trial-tokens",
        "64",
        "--",
        "--model-config",
    ];
    place.json(&[&new[..], &[crate::place::SHAPE], &zo].concat());
    let ran = place.json(&["search", "run", "z", "--trials", "1", "--json"]);
    assert!(ran["trials"][0]["value"].is_f64(), "{ran}");
}

/// Rows of discarded trials were lost with their commits.
#[test]
fn every_trial_leaves_its_row_whatever_its_verdict_and_a_finished_row_never_changes() {
    let place = Place::new();
    repository(&place);
    place.study(&["--git", "--sampler", "random"]);
    let mut before: Vec<String> = Vec::new();
    for trials in 1..=4 {
        place.json(&["search", "run", "s", "--trials", "1", "--json"]);
        let table = fs::read_to_string(place.path("s/results.tsv")).unwrap();
        let rows: Vec<String> = table.lines().skip(1).map(str::to_owned).collect();
        assert_eq!(rows.len(), trials);
        assert_eq!(rows[..before.len()], before[..]);
        before = rows;
    }
    let verdicts: Vec<String> =
        place.show()["trials"].as_array().unwrap().iter().map(|t| t["verdict"].as_str().unwrap().to_owned()).collect();
    assert!(verdicts.iter().any(|v| v != "Keep"), "{verdicts:?}");
}

/// A model that every run measures the machine for is another in every run.
#[test]
fn a_study_without_a_model_is_refused() {
    let place = Place::new();
    place.fails(&["search", "new", "t", "--param", "weight-decay=0..0.2"], 2, "name a model after `--`");
}

/// What a study could not run, or would measure otherwise than it says, is refused when it is declared.
#[test]
fn a_study_that_cannot_be_what_it_says_is_refused_at_once() {
    let place = Place::new();
    let model = ["--model-config", SHAPE, "--data", "tokens.bin", "--seq-len", "16"];
    let refused = |words: &[&str], more: &[&str], code: i32, said: &str| {
        place.fails(&[&["search", "new", "x"], words, &["--"], &model[..], more].concat(), code, said);
        assert!(!place.path("x").join("study.json").exists());
    };
    let rate = ["--param", "learning-rate=1e-4..1e-2:log"];
    refused(&[&rate[..], &["--trial-tokens", "320"]].concat(), &["--steps", "2"], 2, "every run spends one of them");
    refused(&[&rate[..], &["--test-data", "nothere.txt"]].concat(), &[], 66, "nothere.txt");
    refused(&["--param", "val-tokens=64|128"], &[], 2, "no part of a recipe");
    refused(&["--param", "seed=1..3"], &[], 2, "no part of a recipe");
    refused(&["--param", "learning-rate=0..1:log"], &[], 2, "does not begin above 0");
    refused(&["--param", "method=backprop|ff"], &[], 2, "ff");
    place.fails(&["search", "run", "nothere"], 66, "`search new` declares one");
    place.study(&[]);
    place.fails(&[&["search", "new", "s"], &rate[..], &["--", "stories-1m"]].concat(), 73, "`search run s` goes on with it");
}

/// Who runs a worker has settings of his own; the runs have those that were declared.
#[test]
fn the_environment_of_a_worker_changes_no_run() {
    let place = Place::new();
    place.study(&[]);
    let output = place.command(&["search", "run", "s", "--trials", "1"]).env("AUTOANE_BATCH_SIZE", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let config = fs::read_to_string(place.path("s/trials/0000/candidate-1/run/config.resolved.toml")).unwrap();
    assert!(config.lines().any(|l| l.starts_with("batch-size = 2")), "{config}");
}
