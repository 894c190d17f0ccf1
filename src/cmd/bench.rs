//! `autoane bench`.

use crate::cli::BenchArgs;
use crate::out::Out;

/// Not connected yet.
pub fn run(_args: &BenchArgs, _out: Out) -> anyhow::Result<()> {
    anyhow::bail!("not connected yet")
}
