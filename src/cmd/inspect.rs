//! `autoane inspect`.

use crate::cli::InspectArgs;
use crate::out::Out;

/// Not connected yet.
pub fn run(_args: &InspectArgs, _out: Out) -> anyhow::Result<()> {
    anyhow::bail!("not connected yet")
}
