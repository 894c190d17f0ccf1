//! `convert RUN OUT --replay`: the last checkpoint of a zeroth-order run, from its trajectory and the weights before step 1.

use formats::Format;
use model::Layout;
use serde_json::json;
use train::{Trainer, trajectory};

use super::place::{self, Destination};
use crate::cli::ConvertArgs;
use crate::config::{Method, Resolved, Sources};
use crate::exit;
use crate::out::Out;
use crate::run::{Files, RunFolder, TRAJECTORY};
use crate::wire;

/// Windows of text that rows of unseen ids are fitted to, as in training.
const PROBE: usize = 3072;

/// Writes the checkpoint folder that the run ended with.
pub fn run(args: &ConvertArgs, out: Out) -> anyhow::Result<()> {
    let folder = RunFolder::resume(&args.input)?;
    let mut resolved = Resolved::of(&Sources { resume: Some(args.input.clone()), ..Sources::default() })?;
    if !resolved.config.method.is_zeroth_order() {
        let method = if resolved.config.method == Method::Ff { "--method ff" } else { "backpropagation" };
        let why = format!("{} was trained by {method}, which has no trajectory", args.input.display());
        return Err(exit::usage(format!("{why}; leave --replay out")));
    }
    let Some(last) = folder.last()? else {
        return Err(exit::usage(format!("{} has no checkpoint yet: there is nothing to replay", args.input.display())));
    };
    let steps = trajectory::read(&args.input.join(TRAJECTORY), last.step)?;
    let destination = Destination::check(&args.output, &args.input, Format::Hf, args.overwrite)?;
    let cpu = wire::cpu(&resolved.config)?;
    let map = folder.vocab()?;
    let wired = wire::open(&mut resolved, &cpu, map, out)?;
    let mut trainer = Trainer::new(wire::parts(&resolved.config, &wired, &cpu, out)?);
    let probe = trainer.probe(PROBE);
    if !trainer.replay(&steps)? {
        let why = "learns more than its trajectory says, or was run with other directions";
        return Err(exit::usage(format!("{} {why}; leave --replay out", resolved.config.method.name())));
    }
    let (layout, config) = (Layout::of(&wired.spec), resolved.to_toml());
    let files = Files { wired: &wired, cpu: &cpu, layout, config, seq_len: resolved.config.seq_len, probe };
    let temporary = destination.temporary();
    std::fs::create_dir_all(&temporary)?;
    if let Err(error) = files.write(&temporary, &trainer.snapshot()).and_then(|()| destination.put(&temporary)) {
        place::remove(&temporary);
        return Err(error);
    }
    out.say(format!("made {} steps again: {}", steps.len(), args.output.display()));
    out.json(&json!({ "status": "done", "output": args.output, "steps": steps.len() }))
}
