//! `autoane data`.

use crate::cli::DataVerb;
use crate::out::Out;

/// Not connected yet.
pub fn run(_args: &DataVerb, _out: Out) -> anyhow::Result<()> {
    anyhow::bail!("not connected yet")
}
