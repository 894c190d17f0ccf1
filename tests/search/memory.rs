//! `--max-memory`: what `train` would foresee, and nothing beyond it is ever run.

use std::fs;
use std::io::Write;

use crate::place::Place;

const LIMIT: u64 = 90_000_000;

fn study(limit: &str, place: &Place) -> std::process::Output {
    let declared =
        ["--param", "dim=16..1024:16", "--param", "batch-size=1..4096", "--baseline", "dim=16", "--baseline", "batch-size=1"];
    let rest = ["--seeds", "1", "--max-pairs", "2", "--looks", "1", "--trial-tokens", "16", "--sampler", "random"];
    let own = [
        "--",
        "--model-config",
        crate::place::SHAPE,
        "--data",
        "tokens.bin",
        "--threads",
        "1",
        "--val-tokens",
        "64",
        "--seq-len",
        "16",
    ];
    let words: Vec<&str> =
        ["search", "new", "s", "--max-memory", limit].iter().chain(&declared).chain(&rest).chain(&own).copied().collect();
    place.output(&words)
}

#[test]
fn no_trial_is_proposed_that_would_take_more_memory_than_the_study_allows() {
    let place = Place::new();
    let small = study("1", &place);
    let said = String::from_utf8_lossy(&small.stderr).into_owned();
    assert!(small.status.code() == Some(2) && said.contains("the baseline alone is foreseen to take"), "{said}");
    assert!(!place.path("s/study.json").exists());
    let output = study("90", &place);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    place.json(&["search", "run", "s", "--trials", "8", "--json"]);
    let runs: Vec<_> = place.notes().into_iter().filter(|n| n.1.starts_with("run:candidate:")).collect();
    assert!(runs.len() >= 8);
    for (trial, _, record) in &runs {
        let (foreseen, peak) = (record["predicted_bytes"].as_u64().unwrap(), record["peak_rss_bytes"].as_u64().unwrap());
        assert!(foreseen <= LIMIT && peak <= LIMIT, "trial {trial}: {foreseen}, {peak}");
    }
    // activations count: the same weights in a large batch do not fit
    place.fails(&["search", "propose", "s", "--set", "dim=16", "--set", "batch-size=4096"], 2, "it is foreseen to take");
    place.fails(&["search", "propose", "s", "--set", "dim=1024", "--set", "batch-size=1"], 2, "the study allows 90.0 MB");
}

/// Another program may enqueue anything; it is not run.
#[test]
fn what_another_program_enqueued_and_does_not_fit_is_refused_with_the_reason() {
    let place = Place::new();
    assert!(study("90", &place).status.success());
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    let line = r#"{"op_code":4,"worker_id":"optuna","study_id":0,"datetime_start":null,"state":4,"value":null,"values":null,"distributions":{},"params":{},"user_attrs":{},"system_attrs":{"fixed_params":{"dim":1024,"batch-size":4096}},"intermediate_values":{}}"#;
    let mut journal = fs::OpenOptions::new().append(true).open(place.path("s/journal.log")).unwrap();
    writeln!(journal, "{line}").unwrap();
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    let trial = place.show()["trials"][1].clone();
    assert_eq!((trial["state"].as_str(), trial["verdict"].as_str()), (Some("fail"), Some("Crash")), "{trial}");
    assert!(trial["why"].as_str().unwrap().contains("it is foreseen to take"), "{trial}");
    assert!(!place.path("s/trials/0001").exists(), "no run of it began");
}
