//! Where studies are made.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value as Json;

/// A tiny model.
pub const SHAPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-tied-gqa/config.json");

/// A folder with a token file, where the program is run.
pub struct Place {
    pub dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let ids = (0..6000u32).flat_map(|i| ((i * i % 97) as u16).to_le_bytes()).collect::<Vec<u8>>();
        fs::write(dir.path().join("tokens.bin"), ids).unwrap();
        Place { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
            command.env_remove(name);
        }
        command.args(words).current_dir(self.dir.path()).env("AUTOANE_CACHE", self.path("cache"));
        command
    }

    pub fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    pub fn json(&self, words: &[&str]) -> Json {
        let output = self.output(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    pub fn fails(&self, words: &[&str], code: i32, said: &str) {
        let output = self.output(words);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {stderr}");
        assert!(stderr.contains(said), "{words:?}: {stderr}");
    }

    /// A study of a tiny model with trials of a few steps.
    pub fn study(&self, more: &[&str]) -> Json {
        let mut words = vec!["search", "new", "s", "--param", "learning-rate=1e-4..1e-1:log", "--param", "weight-decay=0..0.2"];
        words.extend(["--seeds", "2", "--max-pairs", "3", "--looks", "1", "--trial-tokens", "320", "--objective", "val_loss"]);
        words.extend(more);
        words.extend(["--json", "--", "--model-config", SHAPE, "--data", "tokens.bin", "--seq-len", "16", "--batch-size", "2"]);
        words.extend(["--threads", "1", "--val-tokens", "256"]);
        self.json(&words)
    }

    pub fn show(&self) -> Json {
        self.json(&["search", "show", "s", "--json"])
    }

    pub fn journal(&self) -> Vec<Json> {
        let text = fs::read_to_string(self.path("s/journal.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A study with the arguments of `search new` in `declared`, of the tiny model with `train` after its own arguments.
    pub fn declare(&self, declared: &[&str], train: &[&str]) -> Output {
        let own = ["--model-config", SHAPE, "--data", "tokens.bin", "--batch-size", "2", "--threads", "1", "--val-tokens", "256"];
        let words: Vec<&str> =
            ["search", "new", "s", "--json"].iter().chain(declared).chain(&["--"]).chain(&own).chain(train).copied().collect();
        self.output(&words)
    }

    /// The same, which must be one.
    pub fn declared(&self, declared: &[&str], train: &[&str]) {
        let output = self.declare(declared, train);
        assert!(output.status.success(), "{declared:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The notes of trials, in their order, as (trial, name, value).
    pub fn notes(&self) -> Vec<(u64, String, Json)> {
        let note = |line: &Json| {
            let (key, value) = line["user_attr"].as_object()?.iter().next()?;
            Some((line["trial_id"].as_u64()?, key.clone(), value.clone()))
        };
        self.journal().iter().filter_map(note).collect()
    }
}
