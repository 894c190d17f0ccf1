//! `autoane convert`.

use crate::cli::ConvertArgs;
use crate::out::Out;

/// Not connected yet.
pub fn run(_args: &ConvertArgs, _out: Out) -> anyhow::Result<()> {
    anyhow::bail!("not connected yet")
}
