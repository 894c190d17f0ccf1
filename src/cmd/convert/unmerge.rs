//! `convert RUN OUT --unmerge`: the base of an adapter's run, bit for bit: out of its own file, once that is found to hold the
//! weights that the run began with. Taking the adapter off what was merged would leave the roundings of both.

use std::path::PathBuf;

use crate::cli::ConvertArgs;
use crate::config::{Resolved, Sources};
use crate::exit::{self, Exit};
use crate::out::Out;
use crate::run::{RunFolder, read_state};
use crate::wire;

/// The model that the run in `args.input` adapts.
///
/// # Errors
/// A usage error for a run without an adapter; 65 when the model is another one by now.
pub fn base(args: &ConvertArgs, out: Out) -> anyhow::Result<PathBuf> {
    if !args.input.exists() {
        return Err(Exit::new(exit::MISSING, format!("{}: no such run", args.input.display())).into());
    }
    if args.assumed.base.is_some() {
        return Err(exit::usage("--base: a run knows its base, by its weights: leave it out with --unmerge"));
    }
    let folder = RunFolder::resume(&args.input)?;
    let mut resolved = Resolved::of(&Sources { resume: Some(args.input.clone()), ..Sources::default() })?;
    let no_adapter = || exit::usage(format!("{} trained no adapter (--lora): leave --unmerge out", args.input.display()));
    if !resolved.config.lora {
        return Err(no_adapter());
    }
    let Some(last) = folder.last()? else {
        return Err(exit::usage(format!("{} has no checkpoint yet: nothing was merged", args.input.display())));
    };
    let cpu = wire::cpu(&resolved.config)?;
    let wired = wire::open(&mut resolved, &cpu, folder.vocab()?, out)?;
    let (Some(adapter), Some(base)) = (&wired.adapter, &wired.base) else { return Err(no_adapter()) };
    if read_state(&last.path)?.base_sha256.as_ref() != Some(&adapter.base_sha256) {
        let why = "its weights are not those that the run began with: bring them back";
        return Err(Exit::new(exit::BAD_DATA, format!("{}: {why}", base.path().display())).into());
    }
    out.say(format!("{} holds the weights that the run began with", base.path().display()));
    Ok(base.path().to_owned())
}
