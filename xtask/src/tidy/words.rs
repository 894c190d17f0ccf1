//! Words that do not belong: stray printing, unfinished code, skipped tests, exits, unsafe code, traces of the workshop.

use super::Finding;
use super::policy::{NOT_OURS, PURE, UNSAFE, WORKSHOP, listed};
use super::source::SourceFile;

/// A word, where it is at home, and what to do instead.
struct Rule {
    word: &'static str,
    allowed: fn(&SourceFile, usize) -> bool,
    advice: &'static str,
}

const PRINTING: &str = "core crates do not print: return a value or an event; printing lives in src/";
const UNFINISHED: &str = "finish it, or return an error that says what is missing";
const PURITY: &str = "this crate does no I/O and reads no environment: take the value as an argument";

const RULES: &[Rule] = &[
    Rule { word: "println!", allowed: may_print, advice: PRINTING },
    Rule { word: "eprintln!", allowed: may_print, advice: PRINTING },
    Rule { word: "print!", allowed: may_print, advice: PRINTING },
    Rule { word: "eprint!", allowed: may_print, advice: PRINTING },
    Rule { word: "dbg!", allowed: nowhere, advice: "remove it" },
    Rule { word: "todo!", allowed: nowhere, advice: UNFINISHED },
    Rule { word: "unimplemented!", allowed: nowhere, advice: UNFINISHED },
    Rule { word: "#[ignore", allowed: nowhere, advice: "a test runs, or prints SKIPPED and why" },
    Rule { word: "process::exit", allowed: may_exit, advice: "only main.rs ends the process" },
    Rule { word: "unsafe", allowed: may_be_unsafe, advice: "enter the file in the list of unsafe files, or do without" },
    Rule { word: "std::fs", allowed: may_reach_out, advice: PURITY },
    Rule { word: "std::env", allowed: may_reach_out, advice: PURITY },
    Rule { word: "std::net", allowed: may_reach_out, advice: PURITY },
    Rule { word: "std::process", allowed: may_reach_out, advice: PURITY },
];

fn nowhere(_: &SourceFile, _: usize) -> bool {
    false
}

/// The app, the chores, tests, and build scripts, which talk to cargo by printing.
fn may_print(file: &SourceFile, at: usize) -> bool {
    listed(&file.path, &["src/", "xtask/", "fuzz/", "build.rs"]) || file.path.ends_with("/build.rs") || file.is_test(at)
}

fn may_exit(file: &SourceFile, _: usize) -> bool {
    listed(&file.path, &["src/main.rs", "xtask/src/main.rs"])
}

fn may_be_unsafe(file: &SourceFile, _: usize) -> bool {
    listed(&file.path, UNSAFE)
}

fn may_reach_out(file: &SourceFile, at: usize) -> bool {
    let name = file.path.strip_prefix("crates/").and_then(|p| p.split('/').next()).unwrap_or_default();
    !PURE.contains(&name) || file.is_test(at)
}

/// Checks the code of one file.
pub fn code(file: &SourceFile) -> Vec<Finding> {
    let breaches = |rule: &'static Rule| {
        let wrong = file.find_word(rule.word).filter(|at| !(rule.allowed)(file, *at));
        wrong.map(|at| Finding::error(&file.path, file.line(at), format!("`{}`: {}", rule.word, rule.advice)))
    };
    RULES.iter().flat_map(breaches).collect()
}

/// Checks any text file for paths of one machine and hosts of registries.
pub fn workshop(path: &str, text: &str) -> Vec<Finding> {
    if listed(path, NOT_OURS) {
        return Vec::new();
    }
    let finding = |(i, line): (usize, &str)| {
        let word = WORKSHOP.iter().find(|w| line.contains(**w))?;
        Some(Finding::error(path, i + 1, format!("`{word}` belongs to one machine, not to the project")))
    };
    text.lines().enumerate().filter_map(finding).collect()
}

/// Entries of the list of unsafe files that name nothing any more.
pub fn stale_allowances(paths: &[String]) -> Vec<Finding> {
    let stale = UNSAFE.iter().filter(|entry| !paths.iter().any(|p| listed(p, &[entry])));
    stale.map(|entry| Finding::warning(entry, 0, "is listed as unsafe but does not exist: remove the entry")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        code(&SourceFile::new(path, text)).into_iter().map(|f| f.line).collect()
    }

    #[test]
    fn printing_is_for_the_app_the_chores_and_tests() {
        for line in ["println!(\"x\");", "eprintln!();", "print!(\"x\");", "eprint!(\"x\");"] {
            let text = format!("fn f() {{\n    {line}\n}}\n");
            assert_eq!(found("crates/data/src/a.rs", &text), [2], "{line}");
            for home in
                ["src/out.rs", "xtask/src/a.rs", "crates/data/tests/a.rs", "crates/data/examples/a.rs", "crates/x/build.rs"]
            {
                assert_eq!(found(home, &text), [], "{line} in {home}");
            }
            assert_eq!(found("crates/data/src/a.rs", &format!("#[cfg(test)]\nmod tests {{\n{text}}}\n")), [], "{line}");
        }
    }

    #[test]
    fn unfinished_code_and_ignored_tests_are_nowhere_at_home() {
        for line in ["todo!()", "unimplemented!(\"later\")", "dbg!(x)", "#[ignore]", "#[ignore = \"slow\"]"] {
            for path in ["src/main.rs", "xtask/src/a.rs", "crates/data/src/a.rs", "tests/cli.rs"] {
                assert_eq!(found(path, &format!("\n{line}\n")), [2], "{line} in {path}");
            }
        }
    }

    #[test]
    fn only_main_exits() {
        assert_eq!(found("src/cmd/train.rs", "fn f() { std::process::exit(1) }"), [1]);
        assert_eq!(found("src/main.rs", "fn f() { std::process::exit(1) }"), []);
    }

    #[test]
    fn unsafe_needs_an_entry_and_its_lint_names_are_not_it() {
        assert_eq!(found("crates/model/src/a.rs", "#![deny(unsafe_code)]\nfn f() { unsafe { g() } }"), [2]);
        assert_eq!(found("crates/kernels/src/pool.rs", "fn f() { unsafe { g() } }"), []);
    }

    #[test]
    fn pure_crates_reach_for_nothing() {
        for line in
            ["use std::fs::File;", "let x = std::env::var(\"X\");", "use std::process::Command;", "use std::net::TcpStream;"]
        {
            assert_eq!(found("crates/kernels/src/a.rs", line), [1], "{line}");
            assert_eq!(found("crates/kernels/examples/a.rs", line), [], "{line}");
            assert_eq!(found("crates/data/src/a.rs", line), [], "{line}");
        }
    }

    #[test]
    fn words_in_comments_strings_and_longer_names_are_free() {
        assert_eq!(found("crates/data/src/a.rs", "// println!\nlet a = \"todo!\"; my_println!(); unsafely();"), []);
    }

    #[test]
    fn traces_of_the_workshop_are_found_in_any_text() {
        for word in WORKSHOP {
            let lines: Vec<usize> = workshop("README.md", &format!("a\nsee {word}x\n")).into_iter().map(|f| f.line).collect();
            assert_eq!(lines, [2], "{word}");
        }
        assert_eq!(workshop("Cargo.lock", WORKSHOP[3]), []);
        assert_eq!(workshop("README.md", "a framework, its working folder, crates.io"), []);
    }

    #[test]
    fn a_stale_entry_is_pointed_out() {
        let gone = stale_allowances(&["crates/kernels/src/pool.rs".to_string()]);
        assert!(
            gone.iter().any(|f| f.path == "crates/meter/src/") && !gone.iter().any(|f| f.path == "crates/kernels/src/pool.rs")
        );
    }
}
