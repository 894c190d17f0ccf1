//! A small model, a small token file, and the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// A folder of its own for one case, with `tokens.bin`: 6000 tokens below 97 with some structure to learn.
pub struct Bench {
    pub dir: tempfile::TempDir,
}

pub const SHAPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-tied-gqa/config.json");

impl Bench {
    pub fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        write_tokens(&dir.path().join("tokens.bin"), &tokens(6000, 97));
        Bench { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `train` of the small model on the small file into `out`, with `more` flags.
    pub fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = program();
        command.args(["train", "--model-config", SHAPE, "--data", "tokens.bin", "--out", out]);
        command
            .args(["--seq-len", "16", "--batch-size", "2", "--json", "--threads", "1"])
            .args(more)
            .current_dir(self.dir.path());
        command
    }

    /// Trains and gives the JSON object.
    pub fn train(&self, out: &str, more: &[&str]) -> Json {
        let output = self.command(out, more).output().unwrap();
        assert!(output.status.success(), "{more:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn resume(&self, out: &str, more: &[&str]) -> Output {
        program().args(["train", "--resume", out, "--json"]).args(more).current_dir(self.dir.path()).output().unwrap()
    }

    /// As after a kill: checkpoint `step` of a run and what points to it are gone.
    pub fn forget(&self, out: &str, step: u64) {
        for gone in ["last".to_owned(), format!("step-{step:08}")] {
            let path = self.path(out).join("checkpoints").join(gone);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
    }

    /// Ends with `code` and says each of `words`.
    pub fn fails(&self, out: &str, more: &[&str], code: i32, words: &[&str]) {
        let output = self.command(out, more).output().unwrap();
        expect(&output, code, words);
    }

    pub fn events(&self, out: &str) -> Vec<Json> {
        let text = fs::read_to_string(self.path(out).join("events.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn steps(&self, out: &str) -> Vec<Json> {
        self.events(out).into_iter().filter(|e| e["type"] == "step").collect()
    }

    /// The weights of the last checkpoint.
    pub fn weights(&self, out: &str) -> Vec<u8> {
        fs::read(self.path(out).join("checkpoints/last/model.safetensors")).unwrap()
    }

    /// Starts a long run and waits until it has made `step` steps.
    pub fn start(&self, out: &str, more: &[&str], step: u64) -> Child {
        let mut command = self.command(out, more);
        let mut child = command.args(["--steps", "1000000"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, began) = (self.path(out).join("events.jsonl"), Instant::now());
        let reached = || fs::read_to_string(&log).unwrap_or_default().contains(&format!("\"type\":\"step\",\"step\":{step},"));
        while !reached() {
            assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
            assert!(began.elapsed() < Duration::from_secs(120), "no step {step} within two minutes");
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }
}

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        command.env_remove(name);
    }
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn expect(output: &Output, code: i32, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
}

/// Tokens that a small model can learn: mostly `x -> 5 x + 3`, sometimes a jump.
pub fn tokens(n: usize, vocab: u32) -> Vec<u16> {
    let (mut x, mut state) = (1u32, 7u32);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        x = if state >> 29 == 0 { (state >> 8) % vocab } else { (5 * x + 3) % vocab };
        x as u16
    };
    (0..n).map(|_| next()).collect()
}

pub fn write_tokens(path: &Path, tokens: &[u16]) {
    let bytes: Vec<u8> = tokens.iter().flat_map(|t| t.to_le_bytes()).collect();
    fs::write(path, bytes).unwrap();
}

/// Sends a signal by name to a child.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
