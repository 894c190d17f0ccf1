//! `autoane logits`.

use crate::cli::LogitsArgs;
use crate::out::Out;

/// Not connected yet.
pub fn run(_args: &LogitsArgs, _out: Out) -> anyhow::Result<()> {
    anyhow::bail!("not connected yet")
}
