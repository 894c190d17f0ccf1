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
    let json: Json = serde_json::from_str(&fine(dir.path(), &["man", "--out", "man1", "--json"])).unwrap();
    let pages = json["pages"].as_array().unwrap();
    assert!(pages.len() > 15 && pages.iter().any(|p| p == "autoane-train.1"), "{pages:?}");
    assert!(std::fs::read_to_string(dir.path().join("man1/autoane-train.1")).unwrap().contains("Examples"));
}
