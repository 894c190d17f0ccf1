//! `autoane doctor`.

use crate::cli::DoctorArgs;
use crate::out::Out;

/// Not connected yet.
pub fn run(_args: &DoctorArgs, _out: Out) -> anyhow::Result<()> {
    anyhow::bail!("not connected yet")
}
