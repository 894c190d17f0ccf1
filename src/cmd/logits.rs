//! `autoane logits`: logits of given tokens as a NumPy file.

use engine::{CpuEngine, Options, Shape};
use serde_json::json;

use crate::cli::LogitsArgs;
use crate::exit;
use crate::model_file;
use crate::npy;
use crate::out::Out;

/// Writes the logits of `args.tokens`.
pub fn run(args: &LogitsArgs, out: Out) -> anyhow::Result<()> {
    let cpu = args.machine.cpu()?;
    let model = model_file::open_said(&args.model, &args.assumed, out)?;
    let (spec, tokens) = (model.spec(), &args.tokens);
    if let Some((at, id)) = tokens.iter().enumerate().find(|(_, id)| **id as usize >= spec.vocab) {
        return Err(exit::usage(format!("--tokens: id {id} at position {at}; the model has ids 0 to {}", spec.vocab - 1)));
    }
    if tokens.len() > spec.context {
        out.warn(format!("{} tokens are more than the {} positions that the model was made for", tokens.len(), spec.context));
    }
    let params = model.params()?;
    let mut engine = CpuEngine::new(&cpu, spec, Shape { rows: 1, seq: tokens.len() }, Options::INFERENCE);
    let logits = engine.logits(&params, tokens)?;
    let shape = [tokens.len(), spec.vocab];
    npy::write(&args.out, &shape, &logits)?;
    out.line(args.out.display().to_string())?;
    out.json(&json!({ "out": args.out.display().to_string(), "shape": shape }))
}
