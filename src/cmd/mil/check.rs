//! `mil check`: grammar, types and shapes, then the numbered rules.

use std::path::Path;

use mil::rules::{self, Process, Severity, Target, Violation};
use serde_json::{Value as Json, json};

use crate::cli::MilCheckArgs;
use crate::exit::{self, Exit};
use crate::out::Out;

/// What is wrong with a file.
struct Checked {
    refused: bool,
    lines: Vec<String>,
    found: Vec<Json>,
}

/// Checks each file and says what is wrong; ends with 65 when one is refused.
pub(super) fn run(args: &MilCheckArgs, out: Out) -> anyhow::Result<()> {
    let target = Target { chip: args.chip, strict: args.strict, process: Process::default() };
    let (mut refused, mut files) = (Vec::new(), Vec::new());
    for path in &args.files {
        let checked = file(path, &target, out)?;
        for line in &checked.lines {
            out.line(line)?;
        }
        if checked.refused {
            refused.push(path.display().to_string());
        } else {
            out.line(format!("{}: passed for {}", path.display(), args.chip))?;
        }
        files.push(json!({ "file": path.display().to_string(), "passed": !checked.refused, "found": checked.found }));
    }
    out.json(&json!({ "chip": args.chip.name(), "strict": args.strict, "files": files }))?;
    if refused.is_empty() {
        return Ok(());
    }
    let message = format!("{} of {} programs refused: {}", refused.len(), args.files.len(), refused.join(", "));
    Err(Exit::new(exit::BAD_DATA, message).into())
}

fn file(path: &Path, target: &Target, out: Out) -> anyhow::Result<Checked> {
    let text = super::read_text(path)?;
    let program = match mil::parse(&text) {
        Ok(program) => program,
        Err(e) => return Ok(invalid(path, e.span, &e.message)),
    };
    if let Err(e) = mil::check(&program) {
        return Ok(invalid(path, e.span, &e.message));
    }
    let (blobs, missing) = super::weight_files(&program, path)?;
    for name in missing {
        out.say(format!("{}: weight file {name} is not there: its record is not checked", path.display()));
    }
    let violations = rules::check(&program, &blobs, target);
    Ok(Checked {
        refused: violations.iter().any(|v| v.severity == Severity::Error),
        lines: violations.iter().map(|v| format!("{}:{}: {v}", path.display(), v.span)).collect(),
        found: violations.iter().map(as_json).collect(),
    })
}

fn invalid(path: &Path, span: mil::Span, message: &str) -> Checked {
    let found = json!({ "severity": "error", "line": span.line, "column": span.column, "message": message });
    Checked { refused: true, lines: vec![format!("{}:{span}: error: {message}", path.display())], found: vec![found] }
}

fn as_json(v: &Violation) -> Json {
    json!({
        "rule": v.rule.id, "severity": v.severity.to_string(), "line": v.span.line, "column": v.span.column, "message": v.message,
        "title": v.rule.title, "evidence": v.rule.evidence, "confidence": v.rule.confidence.to_string(),
    })
}
