//! `autoane generate`.

use crate::cli::GenerateArgs;
use crate::out::Out;

/// Not connected yet.
pub fn run(_args: &GenerateArgs, _out: Out) -> anyhow::Result<()> {
    anyhow::bail!("not connected yet")
}
