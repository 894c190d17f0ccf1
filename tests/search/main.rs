//! Studies, driven as people, scripts and agents drive them.
#![allow(clippy::unwrap_used)]

mod agent;
mod budgets;
mod defects;
mod finals;
mod kept;
mod memory;
mod place;
mod studies;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use place::{Place, SHAPE};

#[test]
fn a_short_search_leaves_every_trial_with_its_verdict_and_exact_values() {
    let place = Place::new();
    fs::write(place.path("mine.txt"), "mine").unwrap();
    place.study(&["--sampler", "local", "--agent"]);
    let ran = place.json(&["search", "run", "s", "--trials", "5", "--workers", "2", "--json"]);
    assert_eq!(ran["trials"].as_array().unwrap().len(), 5);
    let shown = place.show();
    for trial in shown["trials"].as_array().unwrap() {
        assert!(["Keep", "Revert", "Inconclusive", "Crash"].contains(&trial["verdict"].as_str().unwrap()), "{trial}");
        assert_eq!(trial["state"], "complete");
        let seeds = trial["seeds"].as_array().unwrap();
        assert!(seeds.len() >= 2 && trial["value"].is_f64());
        let params = trial["params"].as_object().unwrap();
        assert_eq!(params.keys().collect::<Vec<_>>(), ["learning-rate", "weight-decay"]);
        // the run had the value to the bit that the journal has
        let number = trial["number"].as_u64().unwrap();
        let run = place.path(&format!("s/trials/{number:04}/candidate-1/run/config.resolved.toml"));
        let text = fs::read_to_string(run).unwrap();
        let line = text.lines().find(|l| l.starts_with("learning-rate")).unwrap();
        let value: f64 = line.split('=').nth(1).unwrap().split('#').next().unwrap().trim().parse().unwrap();
        assert_eq!(value as f32, params["learning-rate"].as_f64().unwrap() as f32);
    }
    assert_eq!(shown["calibration"]["identical"], true);
    assert!(shown["calibration"]["detectable"].as_f64().unwrap() >= 0.0 && shown["verdict"].is_string());
    assert!(shown["best"]["number"].is_u64() && shown["best"]["value"].is_f64());
    let table = fs::read_to_string(place.path("s/results.tsv")).unwrap();
    assert_eq!(table.lines().count(), 6);
    assert!(table.starts_with("commit\tval_loss\tsteps\tparams_M\tms_step\tstatus\tdescription\tall_losses\n"));
    assert_eq!(fs::read_to_string(place.path("mine.txt")).unwrap(), "mine");
    assert!(fs::read_to_string(place.path("s/program.md")).unwrap().contains("search propose"));
    // the journal only grows, and a finished trial stays
    let before = fs::read(place.path("s/journal.log")).unwrap();
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    let after = fs::read(place.path("s/journal.log")).unwrap();
    assert!(after.len() > before.len() && after.starts_with(&before));
    assert_eq!(place.show()["trials"].as_array().unwrap()[..5], shown["trials"].as_array().unwrap()[..]);
    place.json(&["search", "report", "s", "--json"]);
    let html = fs::read_to_string(place.path("s/report.html")).unwrap();
    assert!(html.contains("<svg") && !html.contains("http:") && !html.contains("https:"), "self-contained");
    let status = place.json(&["search", "status", "s", "--json"]);
    assert_eq!((status["trials"].as_u64(), status["left"].as_u64()), (Some(6), Some(94)));
    place.json(&["search", "final", "s", "--json"]);
}

#[test]
fn a_hypothesis_is_run_next_and_never_twice() {
    let place = Place::new();
    place.study(&[]);
    let said = place.json(&["search", "propose", "s", "--set", "learning-rate=3e-3", "--why", "it is higher", "--json"]);
    assert_eq!((said["number"].as_u64(), said["params"]["learning-rate"].as_f64()), (Some(0), Some(3e-3)));
    let again = place.json(&["search", "propose", "s", "--set", "learning-rate=3e-3", "--json"]);
    assert_eq!((again["number"].as_u64(), again["known"].as_bool()), (Some(0), Some(true)));
    place.fails(&["search", "propose", "s", "--set", "learning-rate=3"], 2, "expected 0.0001..0.1:log");
    place.fails(&["search", "propose", "s", "--set", "lerning-rate=1e-3"], 2, "did you mean `learning-rate`?");
    place.json(&["search", "run", "s", "--trials", "2", "--json"]);
    let trial = &place.show()["trials"][0];
    assert_eq!((trial["source"].as_str(), trial["params"]["learning-rate"].as_f64()), (Some("proposed"), Some(3e-3)));
    assert!(trial["verdict"].is_string());
    let again = place.json(&["search", "propose", "s", "--set", "learning-rate=3e-3", "--json"]);
    assert_eq!((again["number"].as_u64(), again["known"].as_bool()), (Some(0), Some(true)));
}

#[test]
fn what_cannot_be_a_study_is_refused_before_anything_is_written() {
    let place = Place::new();
    for (words, said) in [
        (vec!["--param", "lerning-rate=1..2"], "did you mean `learning-rate`?"),
        (vec!["--param", "learning-rate=2..1"], "empty range"),
        (vec!["--param", "beta1=0.5..1.5"], "beta1"),
        (vec!["--param", "seed=1..2"], "no part of a recipe"),
        (vec![], "nothing is searched"),
        (vec!["--param", "depth=1..2", "--final-pairs", "4"], "at least 8"),
        (vec!["--param", "depth=1..2", "--alpha", "0.7"], "--alpha"),
    ] {
        let all: Vec<&str> = ["search", "new", "t"].into_iter().chain(words).chain(["--", "stories-1m"]).collect();
        place.fails(&all, 2, said);
        assert!(!place.path("t/study.json").exists());
    }
    let lora = ["search", "new", "t", "--param", "lora-rank=1..8", "--", "stories-1m", "--lora"];
    place.fails(&lora, 2, "adapters over random weights");
    place.study(&[]);
    let again = place.output(&["search", "new", "s", "--param", "depth=1..2", "--", "stories-1m"]);
    assert!(!again.status.success(), "a study is declared once");
}

#[test]
fn shapes_are_searched_and_a_trial_that_cannot_run_has_crashed() {
    let place = Place::new();
    let mut words = vec!["search", "new", "s", "--param", "depth=1..2", "--param", "dim=16..64:16", "--param", "accumulate=1|2"];
    words.extend([
        "--seeds",
        "1",
        "--max-pairs",
        "2",
        "--looks",
        "1",
        "--trial-tokens",
        "64",
        "--sampler",
        "grid",
        "--",
        "--model-config",
    ]);
    words.extend([SHAPE, "--data", "tokens.bin", "--seq-len", "16", "--batch-size", "2", "--threads", "1", "--val-tokens", "64"]);
    place.json(&words);
    place.json(&["search", "run", "s", "--trials", "4", "--json"]);
    let shown = place.show();
    let trials = shown["trials"].as_array().unwrap();
    assert!(
        trials
            .iter()
            .skip(1)
            .any(|t| t["params"]["depth"] != trials[0]["params"]["depth"] || t["params"]["dim"] != trials[0]["params"]["dim"])
    );
    assert!(trials.iter().all(|t| t["state"] == "complete"), "{trials:?}");
    fs::remove_file(place.path("tokens.bin")).unwrap();
    let output = place.output(&["search", "run", "s", "--trials", "1", "--json"]);
    assert!(output.status.success());
    let last = place.show()["trials"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((last["state"].as_str(), last["verdict"].as_str()), (Some("fail"), Some("Crash")), "{last}");
}

/// Two workers, one killed again and again: what each trial came to, by the lines of the journal.
fn killed(kills: usize) {
    let place = Place::new();
    place.study(&["--sampler", "random"]);
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    let worker = |n: &str| {
        let mut command = place.command(&["search", "worker", "s", "--trials", n, "-q"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut steady = worker(&(2 * kills + 2).to_string());
    for i in 0..kills {
        let mut victim = worker("100");
        std::thread::sleep(Duration::from_millis(40 + (i as u64 * 7919) % 700));
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    assert!(steady.wait().unwrap().success());
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    assert_each_trial_ended_once(&place);
}

fn assert_each_trial_ended_once(place: &Place) {
    let mut ended = HashSet::new();
    let (mut created, mut configs) = (0, HashSet::new());
    for line in place.journal() {
        match line["op_code"].as_u64().unwrap() {
            4 => created += 1,
            6 if [1, 2, 3].contains(&line["state"].as_u64().unwrap()) => {
                assert!(ended.insert(line["trial_id"].as_u64().unwrap()), "ended twice: {line}");
            }
            _ => {}
        }
    }
    let shown = place.show();
    for trial in shown["trials"].as_array().unwrap() {
        let state = trial["state"].as_str().unwrap();
        assert!(["complete", "fail", "waiting"].contains(&state), "{trial}");
        if state == "complete" {
            assert!(configs.insert(trial["params"].to_string()), "run twice: {trial}");
        }
    }
    let open = shown["trials"].as_array().unwrap().iter().filter(|t| t["state"] == "waiting").count();
    assert_eq!(ended.len() + open, created);
}

/// Three times; `KILLS` says how many more.
#[test]
fn no_trial_is_lost_or_doubled_when_a_worker_is_killed() {
    killed(std::env::var("KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(3));
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").current_dir(dir).args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Makes the place a repository with one commit.
fn repository(place: &Place) {
    let root = place.dir.path();
    git(root, &["init", "-q"]);
    git(root, &["config", "user.name", "t"]);
    git(root, &["config", "user.email", "t@example.org"]);
    fs::write(place.path(".gitignore"), "cache\n").unwrap();
    git(root, &["add", "tokens.bin", ".gitignore"]);
    git(root, &["commit", "-qm", "first"]);
}

#[test]
fn a_dirty_tree_is_refused_and_a_clean_one_stays_as_it_is() {
    let place = Place::new();
    let root = place.dir.path();
    repository(&place);
    fs::write(place.path("notes.txt"), "mine").unwrap();
    place.fails(&["search", "new", "s", "--param", "weight-decay=0..0.2", "--git", "--", "stories-1m"], 1, "not clean");
    fs::remove_file(place.path("notes.txt")).unwrap();
    place.study(&["--git"]);
    let before = git(root, &["rev-parse", "HEAD"]);
    place.json(&["search", "run", "s", "--trials", "2", "--json"]);
    assert_eq!(git(root, &["rev-parse", "HEAD"]), before);
    assert!(git(root, &["log", "--format=%s", "-1", "autoane/s"]).contains("keep trial 0"));
    assert!(git(root, &["show", "autoane/s:s/incumbent.toml"]).contains("learning-rate = "));
}

/// A kill in the final comparison loses no run of it and opens no second test: the same seeds go on, and the answer stays.
#[test]
fn a_final_comparison_that_was_killed_goes_on() {
    let place = Place::new();
    let mut words =
        vec!["search", "new", "s", "--param", "learning-rate=1e-6..1e-1:log", "--seeds", "2", "--trial-tokens", "640"];
    words.extend(["--objective", "val_loss", "--json", "--", "--model-config", SHAPE, "--data", "tokens.bin", "--seq-len", "16"]);
    words.extend(["--batch-size", "2", "--threads", "1", "--val-tokens", "256", "--learning-rate", "1e-6"]);
    place.json(&words);
    place.json(&["search", "propose", "s", "--set", "learning-rate=2e-2", "--json"]);
    place.json(&["search", "run", "s", "--trials", "2", "--json"]);
    let values =
        || place.journal().iter().filter(|l| l["user_attr"].to_string().contains("final_value")).cloned().collect::<Vec<_>>();
    let mut child = place.command(&["search", "final", "s"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while values().len() < 3 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = values();
    assert!((3..16).contains(&before.len()), "{before:?}");
    let found = place.json(&["search", "final", "s", "--json"]);
    assert_eq!((found["pairs"].as_u64(), found["opened"].as_bool()), (Some(8), Some(true)));
    assert!(found["low"].as_f64().unwrap() > 0.0 && found["verdict"].as_str().unwrap().starts_with("improved: trial"));
    assert_eq!(values()[..before.len()], before[..]);
    assert_eq!(values().len(), 24, "baseline, winner and the winner without its change, 8 each");
    assert_eq!(place.journal().iter().filter(|l| l["user_attr"].get("final_opened").is_some()).count(), 1);
    assert_eq!(place.json(&["search", "final", "s", "--json"]), found, "the answer is looked up, not measured again");
}
