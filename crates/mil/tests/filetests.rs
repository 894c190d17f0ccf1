//! Programs in files. The first line of each says what must become of it:
//!
//! - `// test: print`: it passes the checker; printed and parsed again it is the same program, and the same text.
//! - `// test: reject "MESSAGE" LINE:COLUMN`: parser or checker refuse it there, with these words in the message.
//! - `// test: run`: the tests of the interpreter look at it; here it must pass the checker.
//!
//! Lines that begin with `//` are no part of the program: the language has no comments.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use mil::{Program, Span, check, parse};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "mil") {
            found.push(path);
        }
    }
}

/// The text with empty lines for comments, so that lines keep their numbers.
fn program_of(file: &str) -> String {
    file.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line }).collect::<Vec<_>>().join("\n")
}

/// Parses and checks.
fn read(text: &str) -> Result<Program, (Span, String)> {
    let program = parse(text).map_err(|e| (e.span, e.message))?;
    check(&program).map_err(|e| (e.span, e.message))?;
    Ok(program)
}

/// The program without places.
fn placeless(mut program: Program) -> Program {
    for function in &mut program.functions {
        function.span = Span::default();
        function.body.iter_mut().for_each(|s| s.span = Span::default());
    }
    program
}

fn prints(text: &str) -> Result<(), String> {
    let told = |(span, message): (Span, String)| format!("{span}: {message}");
    let first = read(text).map_err(told)?;
    let printed = first.to_string();
    let second = read(&printed).map_err(|e| format!("as printed, {}\n{printed}", told(e)))?;
    let again = second.to_string();
    if placeless(first) != placeless(second) {
        return Err(format!("another program is printed:\n{printed}"));
    }
    if again == printed { Ok(()) } else { Err(format!("printed once:\n{printed}\ntwice:\n{again}")) }
}

/// `rest` is `"MESSAGE" LINE:COLUMN`.
fn rejects(text: &str, rest: &str) -> Result<(), String> {
    let (message, place) = rest.strip_prefix('"').and_then(|r| r.rsplit_once("\" ")).ok_or("no message and place in line 1")?;
    match read(text) {
        Ok(_) => Err("it is accepted".into()),
        Err((span, found)) if span.to_string() == place && found.contains(message) => Ok(()),
        Err((span, found)) => Err(format!("expected \"{message}\" {place}\nfound    \"{found}\" {span}")),
    }
}

fn judge(path: &Path) -> Result<(), String> {
    let file = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let directive = file.lines().next().and_then(|l| l.strip_prefix("// test: ")).ok_or("line 1 is no `// test: ...`")?;
    let text = program_of(&file);
    match directive.split_once(' ').unwrap_or((directive, "")) {
        ("print", "") => prints(&text),
        ("reject", rest) => rejects(&text, rest),
        ("run", _) => read(&text).map(drop).map_err(|(span, message)| format!("{span}: {message}")),
        _ => Err(format!("no test is called `{directive}`")),
    }
}

#[test]
fn every_file_does_what_its_first_line_says() {
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests"), &mut paths);
    paths.sort();
    assert!(paths.len() >= 40, "{} files", paths.len());
    let failures: Vec<String> =
        paths.iter().filter_map(|path| judge(path).err().map(|e| format!("{}: {e}", path.display()))).collect();
    assert!(failures.is_empty(), "{} of {} files:\n{}", failures.len(), paths.len(), failures.join("\n\n"));
}

#[test]
fn every_operation_of_the_table_is_in_a_file() {
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests/print"), &mut paths);
    let mut used: Vec<String> = Vec::new();
    for path in &paths {
        let program = parse(&program_of(&fs::read_to_string(path).unwrap())).unwrap();
        used.extend(program.functions.into_iter().flat_map(|f| f.body).map(|s| s.op));
    }
    let missing: Vec<&str> = mil::ops::all().map(|o| o.name).filter(|name| !used.iter().any(|u| u == name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
