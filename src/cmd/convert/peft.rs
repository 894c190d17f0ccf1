//! An adapter rewritten for peft.

use formats::Format;
use formats::adapter::{Adapter, write_peft};
use serde_json::json;

use super::place::{self, Destination};
use crate::cli::{ConvertArgs, DtypeArg};
use crate::exit;
use crate::out::{self, Out};

/// Writes the adapter `args.input` as a folder that peft loads.
///
/// # Errors
/// Those of reading and writing it.
pub fn run(args: &ConvertArgs, out: Out) -> anyhow::Result<()> {
    if args.dtype != DtypeArg::F32 {
        return Err(exit::usage("--dtype: an adapter is written in f32"));
    }
    let adapter = Adapter::open(&args.input)?;
    let destination = Destination::check(&args.output, &args.input, Format::Hf, args.overwrite)?;
    let temporary = destination.temporary();
    let written = write_peft(&temporary, &adapter);
    let done = written.map_err(anyhow::Error::from).and_then(|bytes| destination.put(&temporary).map(|()| bytes));
    if done.is_err() {
        // the error that is reported matters more than what is left behind
        place::remove(&temporary);
    }
    let bytes = done?;
    let what = format!("{} parameters in F32, {}", out::count(adapter.params() as f64), out::bytes(bytes));
    out.line(format!("{}: PEFT adapter, {what}", args.output.display()))?;
    out.json(&json!({
        "input": args.input, "output": args.output, "format": "peft", "dtype": "float32", "params": adapter.params(),
        "bytes": bytes,
    }))
}
