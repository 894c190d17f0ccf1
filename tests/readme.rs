//! Every command of the README and of the tutorials is run as it stands there, shortened where it would take minutes.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

/// The commands in the code blocks of a document, without their comments.
fn commands(document: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
    let lines = text.lines().filter(|l| l.starts_with("autoane "));
    lines.map(|l| l.split(" #").next().unwrap().trim().to_owned()).collect()
}

/// What keeps a command short; the last flag of a kind wins nowhere, so these only name what the README does not.
fn shortened(command: &str) -> Vec<&'static str> {
    match command.split_whitespace().nth(1) {
        Some("train") if command.contains("--dry-run") || command.contains("--explain") => vec![],
        Some("train") if command.contains("--steps") => vec!["--val-tokens", "512", "--max-time", "1s"],
        Some("train") if command.contains("--resume") => vec!["--steps", "3"],
        Some("train") => vec!["--val-tokens", "512", "--steps", "1"],
        Some("eval") => vec!["--val-tokens", "512"],
        Some("generate" | "chat") => vec!["--max-tokens", "8"],
        Some("search") if command.contains("search new") => vec!["--val-tokens", "512"],
        Some("search") if command.contains("search run") => vec!["--trials", "1"],
        Some("bench") => vec!["--max-time", "100ms"],
        _ => vec![],
    }
}

/// The words of a command; what stands in quotes is one.
fn words(command: &str) -> Vec<&str> {
    let parts = command.split('"').enumerate();
    parts.flat_map(|(i, part)| if i % 2 == 1 { vec![part] } else { part.split_whitespace().collect() }).collect()
}

fn run(dir: &Path, words: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        command.env_remove(name);
    }
    let cache = dir.join("cache");
    // a command may name the program again
    let own = Path::new(env!("CARGO_BIN_EXE_autoane")).parent().unwrap();
    let path = format!("{}:{}", own.display(), std::env::var("PATH").unwrap_or_default());
    let output = command.args(words).current_dir(dir).env("AUTOANE_CACHE", cache).env("PATH", path).output().unwrap();
    if words[0] == "power" && output.status.code() == Some(69) {
        return println!("SKIPPED {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with the files that the documents speak of.
fn prepared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let text: String = (0..900).map(|i| format!("The cat number {i} sat on mat {} and was happy.\n", i % 7)).collect();
    std::fs::write(path("my.txt"), &text).unwrap();
    let line = |i: usize| format!("{}\n", serde_json::json!({ "text": format!("Story {i}: {}", &text[..4000]) }));
    std::fs::write(path("my.jsonl"), (0..9).map(line).collect::<String>()).unwrap();
    let pair = |i: usize| format!("{{\"prompt\": \"What is {i}? \", \"completion\": \"It is {}.\"}}\n", i % 7);
    std::fs::write(path("chats.jsonl"), (0..50).map(pair).collect::<String>()).unwrap();
    let ids = (0..30_000u32).flat_map(|i| ((i * i % 500) as u16).to_le_bytes()).collect::<Vec<u8>>();
    std::fs::write(path("tokens.bin"), ids).unwrap();
    run(dir.path(), &["train", "stories-1m", "--steps", "2", "--val-tokens", "512", "--out", "runs/stories-1m-1"]);
    let chatml = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}";
    std::fs::write(path("chatml.jinja"), chatml).unwrap();
    std::fs::create_dir(path("path")).unwrap();
    std::fs::create_dir(path("path/to")).unwrap();
    run(dir.path(), &["convert", "runs/stories-1m-1", "path/to/hf-model"]);
    dir
}

fn run_all(document: &str) -> usize {
    let dir = prepared();
    let commands = commands(document);
    for command in &commands {
        let plain = command.replace("--trial-tokens 20000", "--trial-tokens 512");
        let words: Vec<&str> = words(&plain).into_iter().skip(1).chain(shortened(command)).collect();
        run(dir.path(), &words);
    }
    commands.len()
}

#[test]
fn every_command_of_the_readme_runs() {
    assert!(run_all("README.md") > 12, "the README has lost its commands");
}

#[test]
fn every_command_of_the_tutorials_runs() {
    let docs = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let names = docs.map(|e| e.unwrap().file_name().into_string().unwrap());
    let tutorials: Vec<String> = names.filter(|n| n.starts_with("tutorial-")).collect();
    assert!(tutorials.len() >= 5, "{tutorials:?}");
    for tutorial in tutorials {
        let ran = run_all(&format!("docs/{tutorial}"));
        assert!(ran >= 4, "{tutorial}: {ran} commands");
    }
}

/// Pages of the book and what stands at the root for readers.
fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let docs = docs.filter(|n| n.ends_with(".md")).map(|n| format!("docs/{n}"));
    docs.chain(["README.md".to_owned(), "runs/README.md".to_owned()]).collect()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The verb of `words` and every flag among them, as its help has them.
fn parses(words: &[&str], place: &str) {
    let flags: Vec<&str> =
        words.iter().filter(|w| w.starts_with("--") && w.len() > 2).map(|w| w.split('=').next().unwrap()).collect();
    let verbs: Vec<&str> = words.iter().copied().take_while(|w| w.chars().all(|c| c.is_ascii_lowercase())).collect();
    let help = |verbs: &[&str]| Command::new(env!("CARGO_BIN_EXE_autoane")).args(verbs).arg("--help").output().unwrap();
    // `report runs`: what is no verb of a verb is a value
    let longest = (1..=verbs.len().min(2)).rev().find(|n| help(&verbs[..*n]).status.success());
    let found = help(&verbs[..longest.unwrap_or_else(|| panic!("{place}: no verb in {words:?}"))]);
    let said = String::from_utf8_lossy(&found.stdout).into_owned();
    for flag in flags.iter().filter(|f| **f != "--help") {
        let known = said.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == *flag);
        assert!(known, "{place}: {words:?}: its help has no {flag}");
    }
}

/// What stands between backquotes within a sentence, and blocks that no test runs: the verb is one, and so is each flag.
#[test]
fn commands_within_sentences_name_verbs_and_flags_that_are_there() {
    let mut found = 0;
    for name in pages() {
        let text = page(&name);
        let inline = text.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("autoane "));
        let blocks = text.lines().filter_map(|l| l.trim_start().strip_prefix("autoane "));
        for command in inline.chain(blocks).filter(|c| !c.starts_with("VERB") && !c.contains("```")) {
            let before_comment = command.split(" #").next().unwrap();
            // what follows a lone `--` is another program's
            let words: Vec<&str> = words(before_comment).into_iter().take_while(|w| *w != "--" && *w != "|").collect();
            parses(&words, &name);
            found += 1;
        }
    }
    assert!(found > 60, "{found} commands");
}

/// The first command of the README, as the built program takes it, and the scripts that it and the book name.
#[test]
fn what_cargo_and_bash_are_told_to_run_is_there() {
    let first = page("README.md").lines().find_map(|l| l.strip_prefix("cargo run --release -- ").map(str::to_owned)).unwrap();
    let words = words(first.split(" #").next().unwrap().trim()).iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let dir = tempfile::tempdir().unwrap();
    let short = ["stories-1m", "--steps", "2", "--val-tokens", "512"];
    run(dir.path(), &words.iter().map(String::as_str).chain(short).collect::<Vec<_>>());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut scripts = std::collections::BTreeSet::new();
    for name in pages() {
        let text = page(&name);
        let separate = |c: char| c.is_whitespace() || matches!(c, '`' | '(' | ')' | ',' | ';' | '|' | '=');
        for word in text.split(separate).filter(|w| w.starts_with("runs/") || w.starts_with("xtask/")) {
            let word = word.trim_end_matches(['.', ':']);
            if word.ends_with(".sh") || word.ends_with(".py") {
                assert!(root.join(word).is_file(), "{name}: {word} is not there");
                scripts.insert(word.to_owned());
            }
        }
    }
    assert!(scripts.len() >= 8, "{scripts:?}");
    for script in scripts.iter().filter(|s| s.ends_with(".sh")) {
        let Ok(output) = Command::new("bash").arg("-n").arg(root.join(script)).output() else {
            return println!("SKIPPED: the grammar of scripts: bash is not installed");
        };
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
