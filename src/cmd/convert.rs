//! `autoane convert`: a model of any format into any other, verified, put in its place at once or not at all.

mod card;
mod export;
mod facts;
mod peft;
mod place;
mod verify;

use std::time::Instant;

use formats::{Encoding, Format, Model};
use serde_json::{Value as Json, json};

use self::export::Target;
use self::facts::Facts;
use self::place::Destination;
use self::verify::Verified;
use crate::adapter;
use crate::cli::{ConvertArgs, ConvertTo, DtypeArg};
use crate::exit;
use crate::model_file;
use crate::out::{self, Out};

/// Writes `args.input` as `args.output`.
pub fn run(args: &ConvertArgs, out: Out) -> anyhow::Result<()> {
    let began = Instant::now();
    if args.to == Some(ConvertTo::Peft) && formats::adapter::is_one(&args.input) {
        return peft::run(args, out);
    }
    let target = target(args)?;
    let (input, adapter) = adapter::resolve(&args.input, args.assumed.base.as_deref(), out)?;
    let input = crate::place::model_folder(&input, out)?;
    let model = model_file::assuming(formats::open(&input)?, &args.assumed.given(), out)?;
    let model = adapter::merged(model, adapter)?;
    let destination = Destination::check(&args.output, &input, target.format, args.overwrite)?;
    let facts = Facts::of(&input, &model)?;
    let verify = args.verify().unwrap_or(facts.training.is_some() || model.adapter().is_some());
    let temporary = destination.temporary();
    let done = write(&model, &facts, &temporary, target, verify.then_some(args), out).and_then(|made| {
        destination.put(&temporary)?;
        Ok(made)
    });
    if done.is_err() {
        // the error that is reported matters more than what is left behind
        place::remove(&temporary);
    }
    let (bytes, verified) = done?;
    if target.format == Format::Llama2c {
        export::tokenizer_bin(&model, &args.output, args.overwrite, out)?;
    }
    report(args, target, &model, bytes, verified, began, out)
}

fn report(
    args: &ConvertArgs,
    target: Target,
    model: &Model,
    bytes: u64,
    verified: Option<Verified>,
    began: Instant,
    out: Out,
) -> anyhow::Result<()> {
    let (params, kind) = (model.layout().len(), target.encoding.name());
    let what = format!("{} parameters in {kind}, {}", out::count(params as f64), out::bytes(bytes));
    out.line(format!("{}: {}, {what}", args.output.display(), target.format))?;
    if let Some(v) = &verified {
        out.line(format!("verified: {v}"))?;
    }
    out.json(&json!({
        "input": args.input, "output": args.output, "format": target.format.name(), "dtype": dtype_name(target.encoding),
        "params": params, "bytes": bytes, "seconds": began.elapsed().as_secs_f64(),
        "verified": verified.map_or(Json::Null, |v| v.json()), "peak_rss_bytes": meter::peak_rss_bytes(),
    }))
}

/// Writes the model below a temporary name, and verifies it where that was asked for.
fn write(
    model: &Model,
    facts: &Facts,
    temporary: &std::path::Path,
    target: Target,
    verify: Option<&ConvertArgs>,
    out: Out,
) -> anyhow::Result<(u64, Option<Verified>)> {
    let written = export::write(model, facts, temporary, target, verify.is_some())?;
    for note in &written.notes {
        out.warn(note);
    }
    let verified = match verify {
        Some(args) => Some(verify::compare(&args.machine.cpu()?, model, temporary, target, out)?),
        None => None,
    };
    match target.format {
        Format::Hf => card::write(temporary, facts, model, target, verified.as_ref())?,
        Format::Gguf => card::note_difference(temporary, verified.as_ref())?,
        Format::Blzt | Format::Llama2c => {}
    }
    Ok((written.bytes, verified))
}

fn dtype_name(encoding: Encoding) -> &'static str {
    match encoding.dtype() {
        Some(dtype) => dtype.torch_name(),
        None => "q8_0",
    }
}

/// Format and encoding, if they go together.
fn target(args: &ConvertArgs) -> anyhow::Result<Target> {
    let named_gguf = args.output.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    let format = match args.to {
        Some(ConvertTo::Hf) => Format::Hf,
        Some(ConvertTo::Gguf) => Format::Gguf,
        Some(ConvertTo::Blzt) => Format::Blzt,
        Some(ConvertTo::Llama2c) => Format::Llama2c,
        Some(ConvertTo::Peft) => return Err(exit::usage(format!("--to peft: {} is no adapter", args.input.display()))),
        None if named_gguf => Format::Gguf,
        None => Format::Hf,
    };
    let encoding = match args.dtype {
        DtypeArg::F32 => Encoding::F32,
        DtypeArg::F16 => Encoding::F16,
        DtypeArg::Bf16 => Encoding::Bf16,
        DtypeArg::Q8_0 => Encoding::Q8_0,
    };
    let allowed: &[Encoding] = match format {
        Format::Hf => &[Encoding::F32, Encoding::F16, Encoding::Bf16],
        Format::Gguf => &[Encoding::F32, Encoding::F16, Encoding::Bf16, Encoding::Q8_0],
        Format::Blzt | Format::Llama2c => &[Encoding::F32],
    };
    if !allowed.contains(&encoding) {
        let names: Vec<String> = allowed.iter().map(|e| e.name().to_lowercase()).collect();
        let what = format!("--dtype {}: a {format} has {}", encoding.name().to_lowercase(), names.join(", "));
        return Err(exit::usage(what));
    }
    Ok(Target { format, encoding })
}
