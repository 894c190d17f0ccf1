//! Reports, as users call them.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

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
fn a_run_has_a_report_that_needs_nothing_and_several_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), "runs/<b>one", &[]);
    train(dir.path(), "runs/two", &["--learning-rate", "1e-3"]);
    let html = std::fs::read_to_string(dir.path().join("runs/<b>one/report.html")).unwrap();
    let wanted = [
        "<svg",
        "Validation",
        "validation",
        "Foreseen and actual",
        "peak memory",
        "Where the time went",
        "Samples",
        "learning-rate",
        "preset stories-1m",
        "tokens_sha256",
        "environment",
        "&lt;b&gt;one",
        "default-src 'none'",
    ];
    for text in wanted {
        assert!(html.to_lowercase().contains(&text.to_lowercase()), "no {text:?} in the report");
    }
    for bad in ["<b>", "http://", "https://", "<script", "<link", "src=", "url("] {
        assert!(!html.contains(bad), "{bad:?} in the report");
    }
    let json: Json = serde_json::from_str(&fine(dir.path(), &["report", "runs/<b>one", "runs/two", "--json"])).unwrap();
    let both = std::fs::read_to_string(dir.path().join(json["report"].as_str().unwrap())).unwrap();
    for text in ["Differences to &lt;b&gt;one", "over 2 steps", "Settings that differ", "learning-rate"] {
        assert!(both.contains(text), "no {text:?} in the comparison");
    }
}

/// What another process holds while it measures.
fn measuring(dir: &Path) -> std::fs::File {
    let cache = dir.join("cache");
    std::fs::create_dir_all(&cache).unwrap();
    let lock = std::fs::File::create(cache.join("measuring.lock")).unwrap();
    lock.lock().unwrap();
    lock
}

#[test]
fn a_run_beside_a_measurement_is_disturbed_and_its_times_are_marked_wherever_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let why = "another measurement was being made at the same time";
    let reasons = |run: &str| {
        let record = std::fs::read_to_string(dir.path().join(run).join("efficiency.json")).unwrap();
        serde_json::from_str::<Json>(&record).unwrap()["circumstances"]["disturbed"].as_array().unwrap().clone()
    };
    let page = |path: &str| std::fs::read_to_string(dir.path().join(path)).unwrap();
    train(dir.path(), "alone", &[]);
    assert!(!reasons("alone").iter().any(|r| r == why) && !page("alone/report.html").contains(why));
    let lock = measuring(dir.path());
    train(dir.path(), "beside", &[]);
    drop(lock);
    assert!(reasons("beside").iter().any(|r| r == why), "{:?}", reasons("beside"));
    assert!(page("beside/report.html").contains(&format!("disturbed: {why}")));
    fine(dir.path(), &["report", "alone", "beside", "--out", "both.html"]);
    let both = page("both.html");
    assert!(both.contains(&format!("beside was disturbed: {why}")) && !both.contains(&format!("alone was disturbed: {why}")));
    assert!(both.contains(" (disturbed)</td>") && both.contains("beside (disturbed)"), "its speed is marked");
}

/// What the program says on stderr while `args` wait for the measurement that `dir` is locked by, and its JSON object after it.
fn waits(dir: &Path, args: &[&str]) -> Json {
    use std::io::{BufRead, BufReader};
    let lock = measuring(dir);
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    command.args(args).arg("--json").current_dir(dir).env("AUTOANE_CACHE", dir.join("cache"));
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("another measurement is being made")), "{args:?} begins beside it");
    assert!(child.try_wait().unwrap().is_none(), "{args:?} goes on beside it");
    drop(lock);
    let said: Vec<String> = lines.collect();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}: {said:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_way_to_measure_waits_for_its_turn_and_says_what_it_was_made_under() {
    let dir = tempfile::tempdir().unwrap();
    let small = ["--max-time", "50ms", "--prompt-tokens", "8", "--max-tokens", "4"];
    let said = waits(dir.path(), &[&["bench", "stories-1m", "--decode"], &small[..]].concat());
    assert!(
        said["circumstances"]["disturbed"].is_array() && said["circumstances"]["percentiles_ms"]["p50"].is_number(),
        "{said}"
    );
    let small = ["--samples", "2", "--seq-len", "8", "--batch-size", "1", "--vocab-size", "300"];
    let said = waits(dir.path(), &[&["bench", "stories-1m", "--estimator", "mezo"], &small[..]].concat());
    assert!(said["circumstances"]["disturbed"].is_array(), "{said}");
    let said = waits(dir.path(), &["bench", "stories-1m", "--max-time", "50ms", "--seq-len", "8", "--vocab-size", "300"]);
    assert!(said["circumstances"]["disturbed"].is_array(), "{said}");
}

#[test]
fn a_report_of_nothing_says_so_and_one_that_cannot_be_written_ends_no_run() {
    let dir = tempfile::tempdir().unwrap();
    let missing = autoane(dir.path(), &["report", "runs/none"]);
    assert_eq!(missing.status.code(), Some(66));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("runs/none"));
    train(dir.path(), "run", &[]);
    std::fs::remove_file(dir.path().join("run/report.html")).unwrap();
    std::fs::create_dir(dir.path().join("run/report.html")).unwrap();
    let resumed = autoane(dir.path(), &["train", "--resume", "run", "--steps", "8"]);
    assert!(resumed.status.success());
    assert!(String::from_utf8_lossy(&resumed.stderr).contains("report.html could not be written"));
}

#[test]
fn figures_of_a_machine_to_share_name_no_path() {
    let dir = tempfile::tempdir().unwrap();
    fine(dir.path(), &["bench", "stories-1m", "--max-time", "100ms", "--submit-file", "m.json", "-q"]);
    let text = std::fs::read_to_string(dir.path().join("m.json")).unwrap();
    let json: Json = serde_json::from_str(&text).unwrap();
    assert_eq!((json["schema_version"].as_u64(), json["model"].as_str()), (Some(1), Some("stories-1m")));
    assert!(json["figures"]["tokens_per_second"].as_f64().unwrap() > 0.0);
    assert!(!text.contains(dir.path().to_str().unwrap()));
}

#[test]
fn exit_codes_are_explained_and_verbs_have_manual_pages() {
    let dir = tempfile::tempdir().unwrap();
    assert!(fine(dir.path(), &["explain", "65"]).contains("What to do"));
    assert_eq!(autoane(dir.path(), &["explain", "64"]).status.code(), Some(2));
    let known = fine(dir.path(), &["explain"]);
    let known: Vec<&str> = known.lines().filter_map(|l| l.split_whitespace().next()).collect();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md")).unwrap();
    let cells = page.lines().filter_map(|l| l.strip_prefix("| ")?.split(" |").next());
    let told: Vec<&str> = cells.flat_map(|c| c.split(", ")).filter(|c| c.parse::<u8>().is_ok()).collect();
    assert_eq!(told, known, "docs/errors.md and `explain`");
    let json: Json = serde_json::from_str(&fine(dir.path(), &["man", "--out", "man1", "--json"])).unwrap();
    let pages = json["pages"].as_array().unwrap();
    assert!(pages.len() > 15 && pages.iter().any(|p| p == "autoane-train.1"), "{pages:?}");
    assert!(std::fs::read_to_string(dir.path().join("man1/autoane-train.1")).unwrap().contains("Examples"));
}
