//! `autoane completions`.

use crate::cli::{self, CompletionsArgs};
use crate::out::Out;

/// Prints the completion script of a shell.
pub fn run(args: &CompletionsArgs, out: Out) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "autoane", &mut script);
    let script = String::from_utf8_lossy(&script);
    out.stream(&script)?;
    out.json(&serde_json::json!({ "shell": args.shell.to_string(), "script": script }))
}
