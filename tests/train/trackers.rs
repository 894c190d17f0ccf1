//! Trackers that are missing, crash, hang or flood end no run and slow none, and change nothing of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::common::*;

/// A Python that is none.
fn fake(bench: &Bench, script: &str) -> std::path::PathBuf {
    let path = bench.path("python");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn run(bench: &Bench, out: &str, python: &std::path::Path) -> (String, Duration) {
    let began = Instant::now();
    let mut command = bench.command(out, &["--steps", "60", "--report-to", "wandb"]);
    let output = command.env("AUTOANE_PYTHON", python).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    (said, began.elapsed())
}

#[test]
fn a_tracker_gets_the_run_and_its_events() {
    let bench = Bench::new();
    let python = fake(&bench, &format!("echo \"$1 $3\" > {0}/args; exec cat > {0}/got", bench.path("").display()));
    let (said, _) = run(&bench, "run", &python);
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(fs::read_to_string(bench.path("args")).unwrap(), "-c wandb\n");
    let got = fs::read_to_string(bench.path("got")).unwrap();
    let lines: Vec<serde_json::Value> = got.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((&lines[0]["name"], &lines[0]["settings"]["seed"]), (&"run".into(), &42.into()));
    assert_eq!(lines[1..], bench.events("run"), "the same events as in events.jsonl");
    let id = lines[0]["id"].clone();
    let output = bench.resume("run", &["--steps", "62"]);
    assert!(output.status.success());
    let again = fake(&bench, &format!("exec cat > {}/again", bench.path("").display()));
    let mut command = program();
    command
        .args(["train", "--resume", "run", "--steps", "64", "--json"])
        .current_dir(bench.path(""))
        .env("AUTOANE_PYTHON", again);
    assert!(command.output().unwrap().status.success());
    let first = fs::read_to_string(bench.path("again")).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&first).unwrap()["id"], id, "a run that goes on is the same one there");
}

#[test]
fn a_tracker_that_fails_ends_no_run() {
    let bench = Bench::new();
    bench.train("plain", &["--steps", "60"]);
    let plain = bench.weights("plain");
    for (name, script, words) in [
        ("crashes", "echo 'no module named wandb' >&2; exit 3", "no module named wandb"),
        ("hangs", "exec sleep 1000", "was stopped"),
        (
            "floods",
            "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa >&2; echo bbbbbbbbbbbbbbbbbbbbbbbb; done",
            "was stopped",
        ),
    ] {
        let (said, took) = run(&bench, name, &fake(&bench, script));
        assert!(said.contains(words) && said.matches("warning").count() == 1, "{name}: {said}");
        assert!(took < Duration::from_secs(40), "{name}: {took:?}");
        assert!(bench.weights(name) == plain, "{name}");
    }
    let (said, _) = run(&bench, "missing", &bench.path("nowhere"));
    assert!(said.contains("nowhere") && said.contains("goes on without"), "{said}");
    assert!(bench.weights("missing") == plain);
}
