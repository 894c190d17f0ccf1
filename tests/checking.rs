//! What checks must not be: tied to one home, silent where they skip, unable to fail, or of figures that nobody made.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value as Json;

fn verify(args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    command.env_clear().env("HOME", "/nowhere").env("TMPDIR", dir).current_dir(dir);
    command.arg("verify").args(args).output().unwrap()
}

/// The published checks named one person's home, and all were skipped without a file of 4 GB, which passed for success.
#[test]
fn checks_run_in_any_folder_without_home_or_data_and_a_skip_is_no_pass() {
    let dir = tempfile::tempdir().unwrap();
    let output = verify(&["--json"], dir.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Json = serde_json::from_slice(&output.stdout).unwrap();
    let claims = said["claims"].as_array().unwrap();
    for (word, count) in [("passed", &said["passed"]), ("failed", &said["failed"]), ("skipped", &said["skipped"])] {
        assert_eq!(claims.iter().filter(|c| c["outcome"] == word).count() as u64, count.as_u64().unwrap(), "{word}");
    }
    let skipped: Vec<&Json> = claims.iter().filter(|c| c["outcome"] == "skipped").collect();
    assert!(skipped.iter().all(|c| c["id"] == "neural/hardware" && !c["detail"].as_str().unwrap().is_empty()), "{skipped:?}");
    assert!(claims.iter().all(|c| !c["tolerance"].as_str().unwrap().is_empty()), "each says what it allows");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

/// Each part that can be broken on purpose makes the verb fail: it cannot pass whatever happens.
#[test]
fn a_check_that_cannot_fail_is_none() {
    let dir = tempfile::tempdir().unwrap();
    for (part, claim) in [
        ("norm-backward", "gradients/pytorch"),
        ("ffn-backward", "gradients/pytorch"),
        ("classifier", "forward/loss"),
        ("theta", "forward/loss"),
        ("resume", "training/resume"),
    ] {
        let output = verify(&[claim, "--tamper", part], dir.path());
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(1) && said.contains("FAILED"), "{part}: {said}");
    }
}

/// `27 claims` in a text, where there are others.
fn wrong_counts(text: &str, claims: usize) -> Vec<String> {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || "(),.;:".contains(c)).filter(|w| !w.is_empty()).collect();
    let counts = words.windows(2).filter(|w| w[1] == "claims");
    let wrong = counts.filter(|w| w[0].parse::<usize>().is_ok_and(|n| n != claims));
    wrong.map(|w| w.join(" ")).collect()
}

#[test]
fn a_count_of_checks_in_a_document_that_is_not_theirs_is_found() {
    let claims = verify::claims().len();
    assert_eq!(wrong_counts("It has 3 claims, of which 1 is skipped.", claims), ["3 claims"]);
    assert!(wrong_counts(&format!("{claims} claims"), claims).is_empty());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|e| e.unwrap().path());
    for path in
        docs.filter(|p| p.extension().is_some_and(|e| e == "md")).chain([root.join("README.md"), root.join("ARCHITECTURE.md")])
    {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(wrong_counts(&text, claims), Vec::<String>::new(), "{}", path.display());
    }
}
