//! The dashboard, as users call it.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value as Json;

fn autoane(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        command.env_remove(name);
    }
    command.args(args).current_dir(dir).env("AUTOANE_CACHE", dir.join("cache")).output().unwrap()
}

fn fine(dir: &Path, args: &[&str]) -> String {
    let output = autoane(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn train(dir: &Path, out: &str, more: &[&str]) {
    let text: String = (0..900).map(|i| format!("The cat number {i} sat on mat {} and was happy.\n", i % 7)).collect();
    std::fs::write(dir.join("my.txt"), text).unwrap();
    let mut args = vec!["train", "stories-1m", "--data", "my.txt", "--vocab-size", "300", "--seq-len", "32", "--batch-size", "2"];
    args.extend(["--steps", "6", "--eval-every", "3", "--sample-every", "3", "--val-tokens", "512", "-q", "--out", out]);
    args.extend(more);
    fine(dir, &args);
}

#[test]
fn the_dashboard_without_a_terminal_prints_one_screen() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(autoane(dir.path(), &["dash"]).status.code(), Some(66));
    train(dir.path(), "runs/one", &[]);
    let screen = fine(dir.path(), &["dash", "runs"]);
    assert!(screen.contains("one") && screen.contains("loss, nats a token") && !screen.contains('\u{1b}'), "{screen}");
    let json: Json = serde_json::from_str(&fine(dir.path(), &["dash", "runs/one", "--json"])).unwrap();
    assert_eq!(json["runs"][0]["step"], 6);
    assert_eq!(json["runs"][0]["status"], "done");
    assert!(json["runs"][0]["usage"]["step_seconds"].as_f64().unwrap() > 0.0);
}

/// Keys of the dashboard in a terminal of 80x24 stop a run that goes on in the background.
#[test]
fn a_key_of_the_dashboard_stops_a_run_in_a_real_terminal() {
    let dir = tempfile::tempdir().unwrap();
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("SKIPPED: dashboard in a terminal: `script` is not installed");
        return;
    }
    train(dir.path(), "run", &[]);
    let mut run = Command::new(env!("CARGO_BIN_EXE_autoane"))
        .args(["train", "--resume", "run", "--steps", "1000000", "-q"])
        .current_dir(dir.path())
        .env("AUTOANE_CACHE", dir.path().join("cache"))
        .spawn()
        .unwrap();
    let lock = dir.path().join("run/.lock");
    while std::fs::read_to_string(&lock).unwrap_or_default().trim().is_empty() {
        std::thread::sleep(Duration::from_millis(50));
        assert!(run.try_wait().unwrap().is_none(), "the run has ended");
    }
    let program = env!("CARGO_BIN_EXE_autoane");
    let typed = "(sleep 2; printf c; sleep 2; printf s; sleep 2; printf q)";
    let line = format!("{typed} | TERM=xterm script -qec 'stty rows 24 cols 80; {program} dash run' screen.txt > /dev/null");
    let shown = Command::new("sh").args(["-c", &line]).current_dir(dir.path()).status().unwrap();
    assert!(shown.success());
    assert_eq!(run.wait().unwrap().code(), Some(143), "the run was not stopped by its key");
    let screen = String::from_utf8_lossy(&std::fs::read(dir.path().join("screen.txt")).unwrap()).into_owned();
    // only cells that change are sent, so that no sentence is whole in what was sent
    assert!(screen.contains("\u{1b}[?1049h") && screen.contains("\u{1b}[?1049l"), "the terminal was not given back");
}
