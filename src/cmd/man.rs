//! `autoane man`: manual pages, one a verb.

use serde_json::json;

use crate::cli::{self, ManArgs};
use crate::exit::{self, Exit};
use crate::out::Out;

/// Writes the pages.
pub fn run(args: &ManArgs, out: Out) -> anyhow::Result<()> {
    let cannot = |e: std::io::Error| Exit::new(exit::CANNOT_WRITE, format!("{}: cannot write: {e}", args.out.display()));
    std::fs::create_dir_all(&args.out).map_err(cannot)?;
    clap_mangen::generate_to(cli::command(), &args.out).map_err(cannot)?;
    let mut pages: Vec<String> = std::fs::read_dir(&args.out)
        .map_err(cannot)?
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("autoane") && name.ends_with(".1"))
        .collect();
    pages.sort();
    out.line(format!("{} pages; read one with `man {}/autoane.1`", pages.len(), args.out.display()))?;
    out.json(&json!({ "out": args.out, "pages": pages }))
}
