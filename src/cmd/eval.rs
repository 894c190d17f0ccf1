//! `autoane eval`.

use crate::cli::EvalArgs;
use crate::out::Out;

/// Not connected yet.
pub fn run(_args: &EvalArgs, _out: Out) -> anyhow::Result<()> {
    anyhow::bail!("not connected yet")
}
