//! The studies under `runs/studies`, by the script that runs them.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value as Json;

use crate::place::{Place, SHAPE};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("runs/studies")
}

/// Runs `run.sh` with `words`, with `program` as the program.
fn script(place: &Place, program: &Path, words: &[&str]) -> Output {
    let mut command = std::process::Command::new("bash");
    command.arg(folder().join("run.sh")).args(words).current_dir(place.dir.path());
    command.env("AUTOANE", program).env("OUT", place.path("out")).env("AUTOANE_CACHE", place.path("cache"));
    command.output().unwrap()
}

/// Every study file says what the program understands: declared by the script, its runs left out.
#[test]
fn every_study_file_declares_a_study() {
    let place = Place::new();
    let shim = place.path("shim.sh");
    let program = env!("CARGO_BIN_EXE_autoane");
    // words of another shell's environment do not get through
    fs::write(&shim, format!("#!/bin/sh\nunset AUTOANE\n[ \"$2\" = new ] && exec {program} \"$@\"\nexit 0\n")).unwrap();
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".args").map(str::to_owned) else { continue };
        seen += 1;
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# ") && text.matches("%{").count() == 1, "{name}: its question, and its budget");
        let output = script(&place, &shim, &[&name]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let budget = text.split("%{").nth(1).unwrap().split('}').next().unwrap();
        let study = fs::read_to_string(place.path(&format!("out/{name}-{budget}/study.json"))).unwrap();
        let study: Json = serde_json::from_str(&study).unwrap();
        if study["sampler"] == "grid" {
            let sizes =
                study["space"]["params"].as_array().unwrap().iter().map(|p| p["range"]["choice"].as_array().unwrap().len());
            let (points, trials) = (sizes.product::<usize>(), study["trials"].as_u64().unwrap() as usize);
            assert!(trials >= points, "{name}: {trials} trials for {points} points");
        }
    }
    assert!(seen >= 8, "{seen}");
    let output = script(&place, &shim, &["depht"]);
    assert!(!output.status.success() && !place.path("out/depht-").exists());
}

/// One command from the question to its page; a second time it only looks up.
#[test]
fn a_study_runs_to_its_page_with_one_command() {
    let place = Place::new();
    let program = Path::new(env!("CARGO_BIN_EXE_autoane"));
    let train = [
        "--model-config",
        SHAPE,
        "--data",
        "tokens.bin",
        "--threads",
        "1",
        "--val-tokens",
        "256",
        "--batch-size",
        "2",
        "--seq-len",
        "16",
    ];
    let words: Vec<&str> = ["depth", "40ms", "3", "--"].iter().chain(&train).copied().collect();
    let output = script(&place, program, &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let study = place.path("out/depth-40ms");
    let html = fs::read_to_string(study.join("report.html")).unwrap();
    assert!(html.contains("depth") && html.contains("<svg"));
    let journal = fs::read(study.join("journal.log")).unwrap();
    let again = script(&place, program, &words);
    assert!(again.status.success());
    assert_eq!(fs::read(study.join("journal.log")).unwrap(), journal);
}
