//! Rules of the house that the compiler does not know. What is allowed stands in [`policy`]; a rule is a function from
//! a file to findings.

mod layers;
mod policy;
mod sizes;
mod source;
mod words;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use source::SourceFile;

/// How much a finding matters: a warning is printed, an error fails the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Error,
    Warning,
}

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    severity: Severity,
    /// Path from the root of the repository.
    path: String,
    /// From 1; 0 where the whole file is meant.
    line: usize,
    message: String,
}

impl Finding {
    fn error(path: &str, line: usize, message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Error, path: path.into(), line, message: message.into() }
    }

    fn warning(path: &str, line: usize, message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, path: path.into(), line, message: message.into() }
    }
}

/// Findings of all rules over all files.
pub struct Report {
    files: usize,
    findings: Vec<Finding>,
}

impl Report {
    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }

    /// Whether no finding is an error.
    pub fn passed(&self) -> bool {
        self.count(Severity::Error) == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for f in &self.findings {
            let name = if f.severity == Severity::Error { "error" } else { "warning" };
            let line = if f.line == 0 { String::new() } else { format!(":{}", f.line) };
            writeln!(out, "{name}: {}{line}: {}", f.path, f.message)?;
        }
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        write!(out, "tidy: {} files, {errors} errors, {warnings} warnings", self.files)
    }
}

/// Checks every file that git tracks, or would track, under `root`.
pub fn check(root: &Path) -> Result<Report> {
    let mut findings = Vec::new();
    let (mut manifests, mut parts) = (Vec::new(), [0; policy::SMALL.len()]);
    let paths = listed_files(root)?;
    for path in &paths {
        let Ok(text) = std::fs::read_to_string(root.join(path)) else { continue }; // not text, or just removed
        findings.extend(words::workshop(path, &text));
        if path.ends_with("Cargo.toml") {
            manifests.push((path.clone(), text));
        } else if path.ends_with(".rs") {
            let file = SourceFile::new(path, &text);
            sizes::add_to_parts(&file, &mut parts);
            findings.extend(check_source(&file));
        }
    }
    findings.extend(sizes::check_parts(&parts));
    findings.extend(layers::check(&manifests)?);
    findings.extend(words::stale_allowances(&paths));
    findings.sort_by(|a, b| (a.severity, &a.path, a.line).cmp(&(b.severity, &b.path, b.line)));
    Ok(Report { files: paths.len(), findings })
}

fn check_source(file: &SourceFile) -> Vec<Finding> {
    let mut findings = sizes::check(file);
    findings.extend(words::code(file));
    findings
}

fn listed_files(root: &Path) -> Result<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listing = Command::new("git").args(arguments).current_dir(root).output().context("cannot run git to list the files")?;
    if !listing.status.success() {
        bail!("git ls-files in {}: {}", root.display(), String::from_utf8_lossy(&listing.stderr).trim());
    }
    let names = String::from_utf8(listing.stdout).context("a file name is not UTF-8")?;
    Ok(names.split('\0').filter(|n| !n.is_empty()).map(str::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_fail_and_both_are_counted() {
        let warning = Finding::warning("a.rs", 0, "long");
        let mut report = Report { files: 1, findings: vec![warning] };
        assert!(report.passed());
        report.findings.push(Finding::error("b.rs", 3, "wrong"));
        assert!(!report.passed());
        let shown = report.to_string();
        assert_eq!(shown, "warning: a.rs: long\nerror: b.rs:3: wrong\ntidy: 1 files, 1 errors, 1 warnings");
    }

    #[test]
    fn a_directory_without_git_is_an_error_not_a_pass() {
        assert!(check(Path::new("/nonexistent")).is_err());
    }
}
