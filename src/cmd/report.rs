//! `autoane report`: one HTML file of one or more runs.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::ReportArgs;
use crate::exit::{self, Exit};
use crate::out::Out;
use crate::report;

/// Writes the report.
pub fn run(args: &ReportArgs, out: Out) -> anyhow::Result<()> {
    let paths: Vec<&Path> = args.runs.iter().map(PathBuf::as_path).collect();
    if let [study] = paths.as_slice()
        && study.join("study.json").is_file()
    {
        return super::search::report(study, args.out.as_deref(), out);
    }
    let html = report::of_runs(&paths)?;
    let path = match (&args.out, paths.as_slice()) {
        (Some(path), _) => path.clone(),
        (None, [one]) => one.join(report::FILE),
        (None, _) => PathBuf::from("comparison.html"),
    };
    std::fs::write(&path, &html)
        .map_err(|e| Exit::new(exit::CANNOT_WRITE, format!("{}: cannot write: {e}; name another with --out", path.display())))?;
    out.line(format!("{}: {} kB, opens in any browser, loads nothing", path.display(), html.len().div_ceil(1000)))?;
    out.json(&json!({ "report": path, "runs": args.runs, "bytes": html.len() }))
}
