//! A new process for a run whose device gives nothing more to this one.

use std::process::Command;

use anyhow::Context;

use crate::out::Out;

/// Replaces this process by one that continues the run in `run_dir`, with what was asked of the output.
///
/// # Errors
/// When the program cannot be started again; where it can, this does not return.
pub fn restart(run_dir: &str, out: Out) -> anyhow::Result<u8> {
    let program = std::env::current_exe().context("this program's own file is not known: continue with --resume")?;
    let mut command = Command::new(program);
    command.args(["train", "--resume", run_dir]).args(out.flags());
    replace(command)
}

#[cfg(unix)]
fn replace(mut command: Command) -> anyhow::Result<u8> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("cannot start a new process: continue with --resume")
}

#[cfg(not(unix))]
fn replace(mut command: Command) -> anyhow::Result<u8> {
    let status = command.status().context("cannot start a new process: continue with --resume")?;
    Ok(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1))
}
