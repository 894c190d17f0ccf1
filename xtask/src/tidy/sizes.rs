//! Lengths of files and functions, tests not counted.

use super::policy::{FILE_LINES, FUNCTION_LINES, SMALL, TABLES, listed};
use super::source::SourceFile;
use super::{Finding, Severity};

/// Checks one file.
pub fn check(file: &SourceFile) -> Vec<Finding> {
    if listed(&file.path, TABLES) {
        return Vec::new();
    }
    let lines = file.shipped_lines();
    let whole = judge(lines, FILE_LINES).map(|severity| {
        let message =
            format!("{lines} lines without its tests (aim: {}, limit: {}): split it by topic", FILE_LINES.0, FILE_LINES.1);
        Finding { severity, path: file.path.clone(), line: 0, message }
    });
    let functions = file.functions().into_iter().filter_map(|f| {
        let severity = judge(f.lines, FUNCTION_LINES)?;
        let (aim, limit) = FUNCTION_LINES;
        let message = format!("function `{}` has {} lines (aim: {aim}, limit: {limit})", f.name, f.lines);
        Some(Finding { severity, path: file.path.clone(), line: f.line, message })
    });
    whole.into_iter().chain(functions).collect()
}

/// Lines of code that `file` adds to each of the parts of [`SMALL`].
pub fn add_to_parts(file: &SourceFile, parts: &mut [usize; SMALL.len()]) {
    for (lines, (entries, _)) in parts.iter_mut().zip(SMALL) {
        if listed(&file.path, entries) {
            *lines += file.code.lines().filter(|line| !line.trim().is_empty()).count();
        }
    }
}

/// Parts that are too large, or that nothing is part of any more.
pub fn check_parts(parts: &[usize; SMALL.len()]) -> Vec<Finding> {
    let wrong = parts.iter().zip(SMALL).filter(|(lines, (_, limit))| **lines == 0 || *lines >= limit);
    let finding = |(lines, (entries, limit)): (&usize, &(&[&str], usize))| {
        let message = format!("{lines} lines of code in all of {entries:?}, where there should be some and fewer than {limit}");
        Finding { severity: Severity::Error, path: entries[0].to_owned(), line: 0, message }
    };
    wrong.map(finding).collect()
}

fn judge(lines: usize, (aim, limit): (usize, usize)) -> Option<Severity> {
    match lines {
        n if n > limit => Some(Severity::Error),
        n if n > aim => Some(Severity::Warning),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn severities(path: &str, text: &str) -> Vec<Severity> {
        check(&SourceFile::new(path, text)).into_iter().map(|f| f.severity).collect()
    }

    fn constants(lines: usize) -> String {
        "const A: u8 = 1;\n".repeat(lines)
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
    }

    #[test]
    fn a_file_warns_beyond_the_aim_and_fails_beyond_the_limit() {
        assert_eq!(severities("a.rs", &constants(400)), []);
        assert_eq!(severities("a.rs", &constants(401)), [Severity::Warning]);
        assert_eq!(severities("a.rs", &constants(601)), [Severity::Error]);
        assert_eq!(severities("tests/a.rs", &constants(601)), []);
    }

    #[test]
    fn a_part_that_is_to_stay_small_fails_when_it_does_not() {
        let part = |lines: usize| {
            let mut parts = [0];
            let text = format!("// why\n\n{}", constants(lines));
            add_to_parts(&SourceFile::new("crates/ane-macos/src/hardware/a.rs", &text), &mut parts);
            add_to_parts(&SourceFile::new("crates/ane-macos/src/ports.rs", &text), &mut parts);
            check_parts(&parts).len()
        };
        assert_eq!([0, 599, 600].map(part), [1, 0, 1]);
    }

    #[test]
    fn tests_inside_a_file_are_free() {
        let text = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", constants(400), function(300));
        assert_eq!(severities("a.rs", &text), []);
    }

    #[test]
    fn a_function_warns_beyond_the_aim_and_fails_beyond_the_limit() {
        assert_eq!(severities("a.rs", &function(60)), []);
        assert_eq!(severities("a.rs", &function(61)), [Severity::Warning]);
        assert_eq!(severities("a.rs", &function(81)), [Severity::Error]);
    }
}
