//! What a run spends: tokens, arithmetic, the clock, rungs, and the limit of its time.

use std::fs;
use std::time::Duration;

use serde_json::Value as Json;

use crate::place::{Place, SHAPE};

/// GFLOPs of a token, by `train --explain`.
fn gflop_per_token(place: &Place, model: &str) -> f64 {
    let words = ["train", "--model-config", model, "--data", "tokens.bin", "--seq-len", "16", "--batch-size", "1", "--explain"];
    let said = place.json(&[&words[..], &["--json"]].concat());
    said["gflop_per_step"].as_f64().unwrap() / 16.0
}

#[test]
fn at_equal_arithmetic_a_larger_model_trains_on_fewer_tokens() {
    let place = Place::new();
    let declared = ["--param", "depth=1|4", "--baseline", "depth=1", "--seeds", "2", "--max-pairs", "2", "--looks", "1"];
    place.declared(
        &[&declared[..], &["--sampler", "grid", "--trial-tokens", "4096", "--equal", "flops"]].concat(),
        &["--seq-len", "16"],
    );
    place.json(&["search", "run", "s", "--trials", "2", "--json"]);
    let shown = place.json(&["search", "show", "s", "--json"]);
    let tokens = |i: usize| shown["trials"][i]["seeds"][0]["tokens"].as_f64().unwrap();
    assert_eq!(tokens(0), 4096.0);
    let cost = |i: u64| gflop_per_token(&place, place.path(&format!("s/trials/000{i}/candidate-1/model.json")).to_str().unwrap());
    let (one, other) = (tokens(0) * cost(0), tokens(1) * cost(1));
    // whole steps of 32 tokens
    assert!(cost(1) > 1.2 * cost(0) && tokens(1) < tokens(0), "{shown}");
    assert!((one - other).abs() <= 32.0 * cost(1), "{one} and {other}");
    let refused = place.declare(&["--param", "depth=1|4", "--trial-clock", "1s", "--equal", "flops"], &[]);
    assert_eq!(refused.status.code(), Some(2));
}

/// Where the clock ends runs, incumbent and candidate take turns, and nothing is compared with another hour's run.
#[test]
fn by_the_clock_pairs_run_interleaved_and_beside_each_other() {
    let place = Place::new();
    let declared = ["--param", "learning-rate=1e-6..3e-2:log", "--seeds", "2", "--max-pairs", "4", "--looks", "1"];
    place.declared(&[&declared[..], &["--trial-clock", "60ms"]].concat(), &["--seq-len", "16", "--learning-rate", "1e-6"]);
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    place.json(&["search", "propose", "s", "--set", "learning-rate=1e-2", "--json"]);
    let ran = place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    assert!(ran["calibration"]["twice"].is_array());
    let runs: Vec<String> =
        place.notes().into_iter().filter(|(t, key, _)| *t == 1 && key.starts_with("run:")).map(|n| n.1).collect();
    let arm = |run: &String| run.split(':').nth(1).unwrap().to_owned();
    let order: Vec<String> = runs.iter().map(arm).collect();
    assert!(order.len() >= 4, "{runs:?}");
    for (i, pair) in order.chunks(4).enumerate() {
        let whole = ["candidate", "incumbent", "incumbent", "candidate"];
        assert_eq!(pair, &whole[..pair.len()], "from pair {}: {runs:?}", 2 * i);
    }
    let record = fs::read_to_string(place.path("s/trials/0001/candidate-1/run/config.resolved.toml")).unwrap();
    assert!(
        record.lines().any(|l| l.starts_with("max-time") && l.contains("0.06s")),
        "{:?}",
        record.lines().find(|l| l.starts_with("max-time"))
    );
}

/// The learning rates of a run, and what its configuration says.
fn rates(place: &Place, run: &str) -> (Vec<f64>, String) {
    let folder = place.path(run);
    let events = fs::read_to_string(folder.join("events.jsonl")).unwrap();
    let events = events.lines().map(|l| serde_json::from_str::<Json>(l).unwrap());
    let rates = events.filter(|e| e["type"] == "step").map(|e| e["lr"].as_f64().unwrap()).collect();
    (rates, fs::read_to_string(folder.join("config.resolved.toml")).unwrap())
}

#[test]
fn every_rung_of_halving_is_a_whole_run_with_a_schedule_of_its_own() {
    let place = Place::new();
    let declared =
        ["--param", "learning-rate=1e-4..1e-1:log", "--seeds", "1", "--max-pairs", "2", "--looks", "1", "--sampler", "halving"];
    place.declared(&[&declared[..], &["--trial-tokens", "2880"]].concat(), &["--seq-len", "16"]);
    place.json(&["search", "run", "s", "--trials", "9", "--workers", "2", "--json"]);
    let shown = place.json(&["search", "show", "s", "--json"]);
    let trials = shown["trials"].as_array().unwrap();
    let rungs = |t: &Json| t["rungs"].as_object().map_or(0, |r| r.len());
    assert!(trials.iter().any(|t| t["state"] == "pruned" && rungs(t) < 3), "{shown}");
    let climbed = trials.iter().find(|t| rungs(t) == 2 && t["state"] == "complete").expect("one goes all the way");
    let number = climbed["number"].as_u64().unwrap();
    let (whole, _) = rates(&place, &format!("s/trials/{number:04}/candidate-1/run"));
    for (rung, share) in [(0, 9), (1, 3)] {
        let (short, config) = rates(&place, &format!("s/trials/{number:04}/rung-{rung}/run"));
        assert_eq!(short.len(), whole.len() / share, "rung {rung}");
        assert!(config.contains(&format!("tokens = {}", 2880 / share)), "{config}");
        // annealed to the same end, not broken off in the middle of a longer schedule
        let end = |rates: &[f64]| rates[rates.len() - 1] / rates.iter().copied().fold(0.0, f64::max);
        assert!(end(&short) < 0.3 && end(&whole) < 0.3, "rung {rung}: {short:?}");
    }
    let noted = place.journal().iter().filter(|l| l["system_attr"].get("completed_rung_0").is_some()).count();
    assert_eq!(noted, 8, "every trial but the baseline has its first rung");
}

#[test]
fn a_run_beyond_its_time_limit_is_a_crash_that_says_so() {
    let place = Place::new();
    place.declared(
        &["--param", "weight-decay=0..0.2", "--trial-tokens", "1000000000", "--time-limit", "300ms"],
        &["--seq-len", "16"],
    );
    place.fails(&["search", "run", "s"], 1, "stopped after its time limit of 0.3 s of processor time");
}

/// The limit is of processor time: a run that a busy machine keeps waiting is no crash.
#[test]
#[cfg(target_os = "linux")]
fn a_run_that_waits_for_the_machine_is_no_crash() {
    let place = Place::new();
    place.declared(
        &["--param", "weight-decay=0..0.2", "--seeds", "1", "--trial-tokens", "3200", "--time-limit", "5s"],
        &["--seq-len", "16"],
    );
    let mut search = place.command(&["search", "run", "s", "--trials", "1", "-q"]).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", search.id());
    let run = loop {
        let all: String = fs::read_dir(format!("/proc/{}/task", search.id()))
            .map(|tasks| tasks.filter_map(|t| fs::read_to_string(t.unwrap().path().join("children")).ok()).collect())
            .unwrap_or_default();
        if let Some(pid) = all.split_whitespace().next() {
            break pid.to_owned();
        }
        assert!(search.try_wait().unwrap().is_none(), "{children}: no run began");
        std::thread::sleep(Duration::from_millis(2));
    };
    let kill = |signal: &str| std::process::Command::new("kill").args([signal, &run]).status().unwrap();
    kill("-STOP");
    std::thread::sleep(Duration::from_secs(7));
    kill("-CONT");
    assert!(search.wait().unwrap().success());
    let trial = place.show()["trials"][0].clone();
    assert_eq!((trial["verdict"].as_str(), trial["state"].as_str()), (Some("Keep"), Some("complete")), "{trial}");
    assert!(SHAPE.ends_with("config.json"));
}
