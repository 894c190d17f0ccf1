//! `bench --decode`: tokens a second of prompts and of decoding, against the memory bandwidth and against a full forward
//! pass for each token.

use std::time::{Duration, Instant};

use engine::{DecodeWeights, Decoder};
use kernels::{Cpu, ceilings};
use model::{Layout, ModelSpec};
use serde_json::json;

use super::{CEILING, median, random_tokens};
use crate::circumstances::{Circumstances, Measuring};
use crate::cli::{BenchArgs, WeightsArg};
use crate::config::ModelChoice;
use crate::out::Out;
use crate::{exit, model_file, sample};

/// Window of the way without a cache: all of it goes through the model for each new token.
const WINDOW: usize = 128;

/// Tokens a second, one entry a round.
#[derive(Default)]
struct Rates {
    prompt: Vec<f64>,
    decode: Vec<f64>,
    uncached: Vec<f64>,
}

/// Measures.
pub(super) fn run(args: &BenchArgs, out: Out) -> anyhow::Result<()> {
    let cpu = args.machine.cpu()?;
    match ModelChoice::of(&args.model)? {
        ModelChoice::Preset(preset) => {
            let params = engine::init(&preset.spec, &Layout::of(&preset.spec), 0);
            let weights = DecodeWeights::borrowed(&preset.spec, &params)?;
            measure(args, &cpu, &preset.spec, &weights, out)
        }
        ModelChoice::Shape(path) | ModelChoice::Path(path) => {
            let model = model_file::open(&path, out)?;
            let weights = sample::weights::read(&model.file, args.weights == WeightsArg::F32)?;
            measure(args, &cpu, model.spec(), &weights, out)
        }
        ModelChoice::Auto => Err(exit::usage("`auto` needs data to choose by; name a preset (`autoane models`)")),
    }
}

fn measure(args: &BenchArgs, cpu: &Cpu, spec: &ModelSpec, weights: &DecodeWeights<'_>, out: Out) -> anyhow::Result<()> {
    let measuring = Measuring::alone(out);
    let (prompt, tokens) = (args.prompt_tokens, args.max_tokens);
    let ids = random_tokens(prompt.max(tokens).max(WINDOW), spec.vocab);
    let mut decoder = Decoder::new(cpu, spec, weights, (prompt + tokens).max(WINDOW));
    let rate = |tokens: usize, since: Instant| tokens as f64 / since.elapsed().as_secs_f64();
    let (mut rates, began) = (Rates::default(), Instant::now());
    // the first round touches fresh memory and is not counted
    for round in 0.. {
        decoder.clear();
        let start = Instant::now();
        decoder.feed(&ids[..WINDOW])?;
        let uncached = rate(1, start);
        decoder.clear();
        let start = Instant::now();
        decoder.feed(&ids[..prompt])?;
        let prompt = rate(prompt, start);
        let start = Instant::now();
        for id in &ids[..tokens] {
            decoder.feed(std::slice::from_ref(id))?;
        }
        if round > 0 {
            rates.prompt.push(prompt);
            rates.decode.push(rate(tokens, start));
            rates.uncached.push(uncached);
        }
        if round >= super::LEAST_STEPS && began.elapsed() >= args.max_time {
            break;
        }
    }
    let rounds: Vec<f64> = rates.decode.iter().map(|rate| tokens as f64 / rate).collect();
    report(args, cpu, weights.bytes_of_a_token(), &rates, &measuring.end(&rounds), out)
}

fn report(
    args: &BenchArgs,
    cpu: &Cpu,
    bytes: usize,
    rates: &Rates,
    circumstances: &Circumstances,
    out: Out,
) -> anyhow::Result<()> {
    let read = ceilings::read_gbps(cpu.pool(), CEILING.min(Duration::from_secs(1)));
    let (prompt, decode, uncached) = (median(&rates.prompt), median(&rates.decode), median(&rates.uncached));
    let gbps = decode * bytes as f64 / 1e9;
    let (threads, isa) = (cpu.pool().threads(), cpu.isa().name());
    let says = [
        ("model", format!("{}, {} of weights read a token", args.model, crate::out::bytes(bytes as u64))),
        ("machine", format!("{threads} threads, {isa}, {read:.1} GB/s read from arrays of 64 MiB")),
        ("prompt", format!("{prompt:.1} tokens/s, {} tokens", args.prompt_tokens)),
        ("decode", format!("{decode:.1} tokens/s, {} tokens after the prompt, {gbps:.1} GB/s of weights", args.max_tokens)),
        (
            "uncached",
            format!("{uncached:.1} tokens/s, {WINDOW} tokens forward for each: decoding is {:.1} times that", decode / uncached),
        ),
        ("rounds", format!("{}, medians", rates.decode.len())),
    ];
    for (name, value) in &says {
        out.line(format!("{name:<9}{value}"))?;
    }
    circumstances.say(out)?;
    out.json(&json!({
        "model": args.model,
        "threads": threads,
        "isa": isa,
        "prompt_tokens": args.prompt_tokens,
        "tokens": args.max_tokens,
        "rounds": rates.decode.len(),
        "prompt_tokens_per_second": prompt,
        "decode_tokens_per_second": decode,
        "uncached_tokens_per_second": uncached,
        "bytes_per_token": bytes,
        "weights_gbps": gbps,
        "read_gbps": read,
        "circumstances": circumstances.json(),
    }))
}
