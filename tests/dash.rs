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

/// Types `keys` (words of a shell) into the dashboard of `run` in a terminal of 80x24; what was sent to the terminal.
fn typed(dir: &Path, keys: &str, variables: &str) -> String {
    let program = env!("CARGO_BIN_EXE_autoane");
    let cache = dir.join("cache");
    let line = format!(
        "({keys}; printf q) | AUTOANE_CACHE={} TERM=xterm-256color {variables} script -qec 'stty rows 24 cols 80; {program} dash run' screen.txt > /dev/null",
        cache.display()
    );
    let shown = Command::new("sh").args(["-c", &line]).current_dir(dir).status().unwrap();
    assert!(shown.success());
    String::from_utf8_lossy(&std::fs::read(dir.join("screen.txt")).unwrap()).into_owned()
}

fn has_terminal() -> bool {
    let found = Command::new("script").arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: dashboard in a terminal: `script` is not installed");
    }
    found
}

fn checkpoints(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir.join("run/checkpoints")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|n| n.starts_with("step-")).collect()
}

/// Escape sequences that choose a colour: of the foreground or the background, named, of 256 or of all.
fn is_coloured(screen: &str) -> bool {
    let sequences = screen.split("\u{1b}[").skip(1).filter_map(|s| s.split_once('m'));
    let chosen = sequences.filter(|(codes, _)| codes.chars().all(|c| c.is_ascii_digit() || c == ';'));
    let is_colour = |code: &str| matches!(code.parse::<u32>(), Ok(30..=38 | 40..=48 | 90..=97 | 100..=107));
    chosen.flat_map(|(codes, _)| codes.split(';')).any(is_colour)
}

/// A run that goes on in the background and saves nothing by itself.
fn in_the_background(dir: &Path) -> std::process::Child {
    let mut run = Command::new(env!("CARGO_BIN_EXE_autoane"))
        .args(["train", "--resume", "run", "--steps", "1000000", "--save-every", "never", "--eval-every", "never", "-q"])
        .current_dir(dir)
        .env("AUTOANE_CACHE", dir.join("cache"))
        .spawn()
        .unwrap();
    let lock = dir.join("run/.lock");
    while std::fs::read_to_string(&lock).unwrap_or_default().trim().is_empty() {
        std::thread::sleep(Duration::from_millis(50));
        assert!(run.try_wait().unwrap().is_none(), "the run has ended");
    }
    run
}

/// Keys of the dashboard in a terminal of 80x24 make a run in the background save, and stop it.
#[test]
fn keys_of_the_dashboard_save_and_stop_a_run_in_a_real_terminal() {
    let dir = tempfile::tempdir().unwrap();
    if !has_terminal() {
        return;
    }
    train(dir.path(), "run", &["--keep", "9"]);
    let before = checkpoints(dir.path());
    let mut run = in_the_background(dir.path());
    // until the key has been heard and the step it fell into has ended
    let saved =
        "n=0; while [ $n -lt 60 ] && [ $(ls -d run/checkpoints/step-* | wc -l) -le COUNT ]; do sleep 0.5; n=$((n+1)); done";
    let wait = saved.replace("COUNT", &before.len().to_string());
    typed(dir.path(), &format!("sleep 2; printf c; {wait}"), "");
    let after = checkpoints(dir.path());
    assert!(run.try_wait().unwrap().is_none(), "saving stops nothing");
    assert_eq!(after.len(), before.len() + 1, "{before:?} {after:?}: `c` saves, and nothing else does");
    let screen = typed(dir.path(), "sleep 2; printf s; sleep 2", "");
    assert_eq!(run.wait().unwrap().code(), Some(143), "the run was not stopped by its key");
    // only cells that change are sent, so that no sentence is whole in what was sent
    assert!(screen.contains("\u{1b}[?1049h") && screen.contains("\u{1b}[?1049l"), "the terminal was not given back");
    assert!(is_coloured(&screen), "a terminal of colours is shown some");
}

#[test]
fn keys_of_the_dashboard_start_a_run_again_and_make_it_write_without_colour_where_none_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    if !has_terminal() {
        return;
    }
    train(dir.path(), "run", &[]);
    let mut run = in_the_background(dir.path());
    std::thread::sleep(Duration::from_secs(1));
    typed(dir.path(), "sleep 2; printf s; sleep 2", "");
    assert_eq!(run.wait().unwrap().code(), Some(143));
    let resumed = || {
        let events = std::fs::read_to_string(dir.path().join("run/events.jsonl")).unwrap();
        events.lines().filter(|l| l.starts_with("{\"type\":\"resumed\"")).count()
    };
    let before = resumed();
    let wait = "n=0; while [ $n -lt 60 ] && [ $(grep -c '\"type\":\"resumed\"' run/events.jsonl) -le COUNT ]; do sleep 0.5; n=$((n+1)); done";
    let wait = wait.replace("COUNT", &before.to_string());
    let screen =
        typed(dir.path(), &format!("sleep 2; printf r; {wait}; sleep 1; printf g; sleep 5; printf s; sleep 3"), "NO_COLOR=1");
    assert_eq!(resumed(), before + 1, "`r` goes on with the run");
    assert!(!is_coloured(&screen), "colours with NO_COLOR");
    assert!(screen.contains("writing"), "`g` says that a text is being written");
    let dumb = typed(dir.path(), "sleep 1", "NO_COLOR=1 TERM=dumb");
    assert!(!dumb.contains('\u{1b}'), "sequences to a terminal that knows none: {dumb:?}");
}
