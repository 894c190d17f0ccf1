//! `autoane train`.

use crate::cli::TrainArgs;
use crate::config::Resolved;
use crate::out::Out;

/// Trains; gives the exit code.
pub fn run(args: &TrainArgs, out: Out) -> anyhow::Result<u8> {
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    let resolved = Resolved::of(&args.sources(env))?;
    for warning in &resolved.warnings {
        out.warn(warning);
    }
    if args.dry_run {
        out.line(resolved.table())?;
        out.json(&resolved.to_json())?;
        return Ok(0);
    }
    anyhow::bail!("the training loop is not connected yet")
}
