//! `autoane dash`.

use crate::cli::DashArgs;
use crate::out::Out;

/// Shows the dashboard.
pub fn run(args: &DashArgs, out: Out) -> anyhow::Result<()> {
    crate::dash::run(&args.path, args.once, out)
}
