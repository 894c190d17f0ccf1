//! `autoane convert`: a model of any format into any other, verified, put in its place at once or not at all.

mod card;
mod export;
mod facts;
mod peft;
mod place;
mod replay;
mod swap;
mod tokenizer;
mod unmerge;
mod verify;

use std::path::Path;
use std::time::Instant;

use formats::{Encoding, Format, Model};
use serde_json::{Value as Json, json};

use self::export::{Beside, Target};
use self::facts::Facts;
use self::place::Destination;
use self::verify::{Plan, Verified};
use crate::adapter;
use crate::cli::{ConvertArgs, ConvertTo, DtypeArg};
use crate::exit::{self, Exit};
use crate::model_file;
use crate::out::{self, Out};
use crate::stop::Stop;

/// Writes `args.input` as `args.output`.
pub fn run(args: &ConvertArgs, out: Out) -> anyhow::Result<()> {
    let began = Instant::now();
    if args.to == Some(ConvertTo::Peft) && formats::adapter::is_one(&args.input) {
        return peft::run(args, out);
    }
    if args.replay {
        return replay::run(args, out);
    }
    if args.unmerge {
        let base = unmerge::base(args, out)?;
        return run(&ConvertArgs { input: base, unmerge: false, ..args.clone() }, out);
    }
    let target = target(args)?;
    let (input, adapter) = adapter::resolve(&args.input, args.assumed.base.as_deref(), out)?;
    let input = crate::place::model_folder(&input, out)?;
    let model = model_file::assuming(formats::open(&input)?, &args.assumed.given(), out)?;
    let model = adapter::merged(model, adapter)?;
    let tokenizer = tokenizer::Source::of(&model, args.tokenizer.as_deref())?;
    model_file::say_tokenizer(&model, tokenizer.path().is_some(), out);
    let destination = Destination::check(&args.output, &input, target.format, args.overwrite)?;
    let facts = Facts::of(&input, &model)?;
    let job = Job { model: &model, facts: &facts, tokenizer: &tokenizer, target, stop: Stop::listen()? };
    let temporary = destination.temporary();
    let done = job.write(args, &temporary, out).and_then(|made| {
        job.stop.check()?;
        destination.put(&temporary)?;
        Ok(made)
    });
    if done.is_err() {
        // the error that is reported matters more than what is left behind
        place::remove(&temporary);
        job.stop.check()?;
    }
    let made = done.map_err(|error| destination.told(error))?;
    if target.format == Format::Llama2c {
        tokenizer.write_beside(&model, &args.output, args.overwrite, out)?;
    }
    report(args, &job, &made, began, out)
}

/// What is converted.
struct Job<'a> {
    model: &'a Model,
    facts: &'a Facts,
    tokenizer: &'a tokenizer::Source,
    target: Target,
    stop: Stop,
}

/// What came of it.
struct Made {
    bytes: u64,
    verified: Option<Verified>,
    /// Why what should have been verified was not.
    unverified: Option<String>,
}

impl Job<'_> {
    /// Writes the model below a temporary name, and verifies it where that was asked for.
    fn write(&self, args: &ConvertArgs, temporary: &Path, out: Out) -> anyhow::Result<Made> {
        let (model, target, stop) = (self.model, self.target, &self.stop);
        let asked = args.verify().unwrap_or(self.facts.training.is_some() || model.adapter().is_some());
        let cpu = asked.then(|| args.machine.cpu()).transpose()?;
        let plan = cpu.as_ref().map(|cpu| Plan::of(model.spec(), cpu.pool().threads()));
        let unverified = plan.as_ref().and_then(|plan| plan.too_much(meter::available_memory()));
        if let Some(why) = &unverified {
            out.warn(format!("NOT verified: {why}; verify on a machine with more memory"));
        }
        let both = cpu.zip(plan).filter(|_| unverified.is_none());
        let beside = Beside { facts: self.facts, tokenizer: self.tokenizer, verify: both.is_some() };
        let written = export::write(model, &beside, temporary, target, stop)?;
        for note in &written.notes {
            out.warn(note);
        }
        let verified = match &both {
            Some((cpu, plan)) => Some(plan.compare(cpu, model, temporary, target, stop, out)?),
            None => None,
        };
        match target.format {
            Format::Hf => card::write(temporary, self.facts, model, target, verified.as_ref())?,
            Format::Gguf => card::note_difference(temporary, verified.as_ref())?,
            Format::Blzt | Format::Llama2c => {}
        }
        if target.format == Format::Hf {
            place::sync(temporary)?;
        }
        if self.tokenizer.path().is_none() && matches!(target.format, Format::Hf | Format::Gguf) {
            out.say("the input has no tokenizer, so none goes with the weights; name one with --tokenizer");
        }
        Ok(Made { bytes: written.bytes, verified, unverified })
    }
}

fn report(args: &ConvertArgs, job: &Job, made: &Made, began: Instant, out: Out) -> anyhow::Result<()> {
    let (params, target) = (job.model.layout().len(), job.target);
    let what = format!("{} parameters in {}, {}", out::count(params as f64), target.encoding.name(), out::bytes(made.bytes));
    out.line(format!("{}: {}, {what}", args.output.display(), target.format))?;
    if let Some(v) = &made.verified {
        out.line(format!("verified: {v}"))?;
    }
    out.json(&json!({
        "input": args.input, "output": args.output, "format": target.format.name(), "dtype": dtype_name(target.encoding),
        "tokenizer": job.tokenizer.path(), "params": params, "bytes": made.bytes, "seconds": began.elapsed().as_secs_f64(),
        "verified": made.verified.as_ref().map_or(Json::Null, Verified::json), "not_verified": made.unverified,
        "peak_rss_bytes": meter::peak_rss_bytes(),
    }))
}

fn dtype_name(encoding: Encoding) -> &'static str {
    match encoding.dtype() {
        Some(dtype) => dtype.torch_name(),
        None => "q8_0",
    }
}

fn no_adapter(input: &Path) -> anyhow::Error {
    let path = input.display();
    if !input.exists() {
        return Exit::new(exit::MISSING, format!("{path}: no such adapter")).into();
    }
    let why = "it is no adapter: --to peft takes the folder of one, as a run with --lora leaves it in checkpoints/last/adapter";
    exit::usage(format!("{path}: {why}"))
}

/// Format and encoding, if they go together.
fn target(args: &ConvertArgs) -> anyhow::Result<Target> {
    let named_gguf = args.output.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    let format = match args.to {
        Some(ConvertTo::Hf) => Format::Hf,
        Some(ConvertTo::Gguf) => Format::Gguf,
        Some(ConvertTo::Blzt) => Format::Blzt,
        Some(ConvertTo::Llama2c) => Format::Llama2c,
        Some(ConvertTo::Peft) => return Err(no_adapter(&args.input)),
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
