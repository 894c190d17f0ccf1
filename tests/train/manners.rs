//! Training while the machine is used: what it does to others, and that it does nothing to the weights.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::common::*;

/// A laptop: plugged in or not.
fn plug(bench: &Bench, online: bool) {
    let supplies = bench.path("sys/class/power_supply");
    for (folder, files) in [
        ("AC", [("type", "Mains"), ("online", if online { "1" } else { "0" })]),
        ("BAT0", [("type", "Battery"), ("status", if online { "Charging" } else { "Discharging" })]),
    ] {
        fs::create_dir_all(supplies.join(folder)).unwrap();
        for (file, text) in files {
            let new = supplies.join(folder).join("new");
            fs::write(&new, text).unwrap();
            fs::rename(new, supplies.join(folder).join(file)).unwrap();
        }
    }
}

fn begin(bench: &Bench, out: &str, more: &[&str]) -> Child {
    let mut command = bench.command(out, more);
    command.env("AUTOANE_SYS", bench.path("sys")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_for(bench: &Bench, out: &str, what: &str) -> Json {
    let began = Instant::now();
    loop {
        let text = fs::read_to_string(bench.path(out).join("events.jsonl")).unwrap_or_default();
        if let Some(line) = text.lines().find(|l| l.contains(&format!("\"type\":\"{what}\""))) {
            return serde_json::from_str(line).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn polite_and_slow_runs_have_the_weights_of_any_other() {
    let bench = Bench::new();
    bench.train("plain", &["--steps", "40"]);
    bench.train("polite", &["--steps", "40", "--polite"]);
    bench.train("slow", &["--steps", "40", "--speed", "0.5"]);
    let plain = bench.weights("plain");
    assert!(plain == bench.weights("polite") && plain == bench.weights("slow"));
}

#[test]
fn a_run_waits_on_battery_says_why_and_the_wait_is_no_part_of_its_time() {
    let bench = Bench::new();
    bench.train("plain", &["--steps", "400"]);
    plug(&bench, false);
    let began = Instant::now();
    let child = begin(&bench, "run", &["--steps", "400", "--polite", "--max-time", "60s"]);
    let paused = wait_for(&bench, "run", "paused");
    assert!(paused["reason"].as_str().unwrap().contains("battery"), "{paused}");
    let waits = bench.steps("run").len();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(bench.steps("run").len(), waits, "it goes on");
    plug(&bench, true);
    let output = child.wait_with_output().unwrap();
    let (wall, said) = (began.elapsed().as_secs_f64(), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("paused: the machine runs on its battery") && said.contains("goes on after"), "{said}");
    let continued = wait_for(&bench, "run", "continued");
    let away = continued["paused_seconds"].as_f64().unwrap();
    let finished = wait_for(&bench, "run", "finished");
    assert!(away >= 1.0 && finished["seconds"].as_f64().unwrap() <= wall - away, "{continued} {finished}");
    assert_eq!(finished["step"], 400);
    assert!(bench.weights("plain") == bench.weights("run"));
}

#[test]
fn a_run_that_waits_can_be_stopped_and_goes_on_later() {
    let bench = Bench::new();
    plug(&bench, false);
    let child = begin(&bench, "run", &["--steps", "50", "--polite"]);
    wait_for(&bench, "run", "paused");
    signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    expect(&output, 143, &["--resume"]);
    let output = bench.resume("run", &["--no-polite"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    bench.train("plain", &["--steps", "50"]);
    assert!(bench.weights("plain") == bench.weights("run"));
}

#[test]
fn a_speed_cap_is_a_share_of_the_time() {
    let bench = Bench::new();
    let began = Instant::now();
    let record = bench.train("run", &["--steps", "300", "--speed", "0.25", "--seq-len", "64", "--batch-size", "8"]);
    let (wall, seconds) = (began.elapsed().as_secs_f64(), record["seconds"].as_f64().unwrap());
    assert!(wall > 0.9 * seconds / 0.25, "{seconds} s of work in {wall} s");
    assert!(wall < seconds / 0.25 + 10.0, "{seconds} s of work in {wall} s");
    bench.fails("none", &["--steps", "1", "--speed", "0"], 2, &["--speed"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_polite_run_gives_way_in_every_thread_and_takes_half_of_them() {
    let bench = Bench::new();
    let mut command = program();
    command.args(["train", "--model-config", SHAPE, "--data", "tokens.bin", "--out", "run", "--seq-len", "16"]);
    command.args(["--steps", "1000000", "--polite", "-q"]).current_dir(bench.path("")).env("AUTOANE_SYS", bench.path("sys"));
    let mut child = command.spawn().unwrap();
    wait_for(&bench, "run", "step");
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let nice = |task: &Path| -> Option<i64> {
        let stat = fs::read_to_string(task.join("stat")).ok()?;
        // counted from the state, the third field
        stat.rsplit(')').next()?.split_whitespace().nth(16)?.parse().ok()
    };
    let all: Vec<i64> = tasks.filter_map(|t| nice(&t.unwrap().path())).collect();
    let threads = wait_for(&bench, "run", "started")["threads"].as_u64().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(all.len() >= 2 && all.iter().all(|n| *n >= 10), "{all:?}");
    let cpus = std::thread::available_parallelism().unwrap().get() as u64;
    assert_eq!(threads, (cpus / 2).max(1));
}
